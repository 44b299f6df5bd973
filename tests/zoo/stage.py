"""Performs one animal of the zoo: a run as the engine would make it, and the engine's judgement of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import verdict
from core.config import Config, Runs, Target
from core.lab import Lab, target_source
from core.models import Verdict
from core.runs import local, runner
from core.runs.doubts import doubts, same_on_every_seed
from core.runs.local import LocalExecutor, Spec
from core.runs.sandbox import Sandbox
from core.target import children
from core.verdict import Judged, Measured, Policy
from data.cache import locked

MAIN = 'if __name__ == "__main__":'
THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
TOKENS, FLOPS = "tokens:10240", "flops:5e9"


@dataclass(frozen=True, slots=True)
class Animal:
    """A patch to train.py, and what must come of it."""

    name: str
    ends: str
    """void, suspect, crashed, timeout; or harmless: to the bit the result without the cheat; or passes"""
    says: str = ""
    """must be in the reason, whatever the case"""
    before: str = ""
    """code at the top"""
    after: str = ""
    """code behind the definitions, before `main()` is called"""
    swap: tuple[tuple[str, str], ...] = ()
    plain: str = ""
    """the honest part of `after`: what it is compared with, when it ends harmless"""
    isolation: bool = False
    """only a sandbox stops it: not performed without one"""
    budget: str = TOKENS
    seeds: int = 1
    """runs it takes to see through it"""
    seconds: float = 300.0
    """wall clock of the trainer; on a busy machine twenty budgets take minutes"""

    def script(self) -> str:
        """The whole train.py."""
        text = (target_source() / "train.py").read_text()
        for old, new in self.swap:
            assert text.count(old) == 1, f"{self.name}: train.py has {text.count(old)} times {old!r}"
            text = text.replace(old, new)
        return self.before + text.replace(MAIN, f"{self.after}\n\n{MAIN}")


UNCHANGED = Animal("the unchanged script", "harmless")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a performance ended, and where it left its traces."""

    verdict: str
    reason: str
    directory: Path
    exit: dict[str, Any]

    @property
    def metric(self) -> float | None:
        return metric_of(self.exit)


def metric_of(ended: dict[str, Any]) -> float | None:
    value = ((ended.get("result") or {}).get("metric") or {}).get("val_bpb")
    return float(value) if value is not None else None


@dataclass
class Stage:
    """A lab's directory, prepared data, and the champion's runs to compare with."""

    root: Path
    data: Path
    sandbox: Sandbox
    kept: Path
    """where the champion's results lie, for all workers"""
    champions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    twins: dict[str, float | None] = field(default_factory=dict)

    def perform(self, animal: Animal) -> Ending:
        """Run it on as many seeds as it needs; judge it as the engine would."""
        runs = [self.run(animal, seed) for seed in range(animal.seeds)]
        directory, last = runs[-1]
        if last["state"] != "finished":
            return Ending(last["state"], last["error"], directory, last)
        champion = self.champion(animal.budget)
        found = [reason for seed, (_, ended) in enumerate(runs) for reason in doubts(ended, champion, seed=seed)]
        values = [metric_of(ended) or 0.0 for _, ended in runs]
        if same_on_every_seed(values):
            found.append("every seed gives the same result: the seed has no effect")
        if found:
            return Ending(Verdict.SUSPECT, "; ".join(dict.fromkeys(found)), directory, last)
        if animal.ends == "passes":
            return Ending("passes", "nothing to doubt", directory, last)
        if animal.ends == "harmless" and values[0] == self.without_cheat(animal):
            return Ending("harmless", "exactly the metric without it", directory, last)
        judged = judge(values[0], [metric_of(run) or 0.0 for run in self.champion(animal.budget, seeds=3)])
        return Ending(judged.verdict, judged.reason, directory, last)

    def without_cheat(self, animal: Animal) -> float | None:
        """The metric of the honest part of an animal, on seed 0."""
        if not animal.plain:
            return metric_of(self.champion(animal.budget)[0])
        key = animal.budget + animal.plain
        if key not in self.twins:
            name = f"honest {len(self.twins)}"
            self.twins[key] = metric_of(self.run(Animal(name, "", after=animal.plain, budget=animal.budget), 0)[1])
        return self.twins[key]

    def champion(self, budget: str, *, seeds: int = 1) -> list[dict[str, Any]]:
        """The unchanged script on the first seeds, at least so many; run when it is first asked for."""
        runs = self.champions.setdefault(budget, [])
        for seed in range(len(runs), seeds):
            file = self.kept / f"champion {self.sandbox.tier} {budget} {seed}.json"
            with locked(file.with_suffix(".lock")):
                if not file.exists():
                    file.write_text(json.dumps(self.run(Animal("champion", "", budget=budget), seed)[1]))
            runs.append(json.loads(file.read_text()))
            assert runs[-1]["state"] == "finished", runs[-1]
        return runs

    def run(self, animal: Animal, seed: int) -> tuple[Path, dict[str, Any]]:
        """One run by the real runner; its directory and exit.json."""
        name = "".join(c if c.isalnum() else "-" for c in f"{animal.name} {animal.budget} {seed}")
        lab, directory = Lab(self.root), self.root / "runs" / name
        (directory / "src").mkdir(parents=True)
        (directory / "src" / "train.py").write_text(animal.script())
        config = Config(
            target=Target(profile="test", sizes={"budget": animal.budget, "eval_rows": 4}),
            runs=Runs(evaluate_seconds=180),
        )
        trainer, evaluator = children(
            config, lab, directory, device="cpu", seed=seed, split="val", data=str(self.data), profile={"env": THREAD},
            seconds=animal.seconds, sandbox=self.sandbox,
        )  # fmt: skip
        executor = LocalExecutor()
        process = executor.start(directory, Spec(1, 1, trainer, evaluator, 1 << 20, 256 << 20))
        while executor.alive(process):
            time.sleep(0.02)
        ended = local.read_exit(directory, run=1, attempt=1)
        return directory, ended or {"state": "lost", "error": "the runner is gone and left no result"}


def judge(value: float, champion: Sequence[float]) -> Judged:
    """The engine's verdict, should every confirmation repeat the result."""
    noise = verdict.measure_noise([champion])
    step = verdict.next_step(
        Measured(0, value), [Measured(seed, value) for seed in (1, 2, 3, 4)],
        [Measured(seed, one) for seed, one in enumerate(champion)], noise, Policy(),
        lines_delta=1, seeds=[0, 1, 2, 3, 4],
    )  # fmt: skip
    assert isinstance(step, Judged), step
    return step


def evidence(ending: Ending) -> dict[str, Any] | None:
    """What an animal got hold of and wrote down."""
    return runner.read_json(ending.directory / "out" / "evidence.json")


def alive_with(mark: str) -> list[int]:
    """Processes of this machine that have this in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and int(pid) != os.getpid():
                found.append(int(pid))
        except OSError:
            continue
    return found
