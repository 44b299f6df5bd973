"""A recorded lab of any length, made with the real Writer: sessions whose verdicts follow from simulated runs.

`python -m tests.unit.report_lab DIR [EXPERIMENTS]` makes one to look at. Every idea has a true effect, every run noise;
verdicts come from `core.verdict.next_step`, so that a report over it has the proportions of a real one.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import config
from core.lab import Lab
from core.models import Decision, Proposal, Purpose, RunState, State, Verdict, Via
from core.store import Writer
from core.verdict import Judged, Measured, Noise, Policy, next_step

BEGIN = 1_790_000_000.0
SIGMA = 0.002
KIND = "cpu/EPYC"
NOISE = Noise(SIGMA, 40, 0.0016, 0.0026)
IDEAS = (
    "MATRIX_LR 0.02 → 0.027", "Short window of a third of the context", "Sharpen QK-norm with a multiplier",
    "Cosine weight decay", "Value embeddings every second layer", "COOLDOWN 0.4 → 0.55", "Halve the batch",
    "Smaller initialisation of the output projection", "AdamW betas per group", "SOFTCAP 15 → 22",
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> \x1b]52;c;aGk=\x07 \x1b[2J \u202eesrever\u202c a\u200bb "
    "| pipe | ``` [link](javascript:alert(1)) ![x](http://evil) $\\frac{ \"quoted' </pre></details>\n# heading\n- item"
)
"""a text that tries to be more than text, in HTML, in Markdown, in a terminal and in TeX"""


@dataclass
class Clock:
    """Time as the session needs it; stands in for the module `time` in the writer."""

    now: float = BEGIN

    def time(self) -> float:
        self.now += 0.001
        return self.now


@contextmanager
def at(clock: Clock) -> Iterator[None]:
    """The writer's rows carry the clock's times."""
    module: Any = sys.modules["core.store.writer"]
    before, module.time = module.time, clock
    try:
        yield
    finally:
        module.time = before


def patch(old: str, new: str) -> str:
    return (
        "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -9,3 +9,3 @@ import torch\n"
        f" DEPTH = 4\n-{old}\n+{new}\n EMBED_LR = 0.3\n"
    )


class Session:
    """A lab being recorded."""

    def __init__(self, root: Path, *, seed: int = 1) -> None:
        root.mkdir(parents=True)
        self.lab = Lab(root)
        self.lab.config_file.write_text(config.render("cpu", "stdlib"))
        self.lab.program.write_text("Lower val_bpb.\n")
        self.clock, self.rng = Clock(), random.Random(seed)
        self.true = {"0" * 40: 1.842}
        self.champion = "0" * 40
        self.champion_runs: dict[str, dict[int, float]] = {}
        self.chosen: dict[str, set[int]] = {}
        with at(self.clock):
            self.store = Writer(self.lab.database)
            self.store.set("lab", {"profile": "cpu", "metric": "val_bpb", "direction": "min", "corpus": "stdlib"})
            self.store.set("engine", {"pid": 7, "started": BEGIN, "version": "0.1.0", "state": "stopped"})
            self.store.set("sandbox", {"tier": "A", "detail": "bubblewrap"})
            self.store.set("preparation", {"state": "ready", "hash": "5f" * 32})
            self.store.set("devices", [{"name": "cpu", "class": KIND}])
            self.store.set("autonomy", "guarded")

    def close(self) -> None:
        self.store.close()

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def begin(self) -> None:
        """The unchanged code, on three seeds."""
        with at(self.clock), self.store.transaction():
            self.store.add_champion(self.champion, experiment_id=None)
            for seed in range(3):
                self.run(None, self.champion, Purpose.NULL if seed else Purpose.BASELINE, seed)

    def run(self, experiment: int | None, commit: str, purpose: Purpose, seed: int, *, fails: str = "") -> float:
        run = self.store.add_run(
            experiment_id=experiment, purpose=purpose, commit_sha=commit, seed=seed, device="cpu", device_class=KIND
        )
        self.wait(2)
        self.store.update_run(run, event="run_started", note={"pid": 9}, pid=9, started_at=self.clock.now)
        self.wait(60)
        self.store.add_points(run, [("loss", s, float(s), 3.0 + 6.0 * 0.8**s) for s in range(0, 60, 10)])
        value = self.true[commit] + self.rng.gauss(0, SIGMA)
        state = RunState.CRASHED if fails else RunState.FINISHED
        self.store.update_run(
            run, event=f"run_{state}", state=state, phase="done", ended_at=self.clock.now, error=fails,
            progress=0.4 if fails else 1.0, metric=None if fails else value,
        )  # fmt: skip
        if experiment is None:
            self.champion_runs.setdefault(commit, {})[seed] = value
        return value

    def proposes(self, title: str, *, hypothesis: str = "It lowers val_bpb.", rationale: str = "Because.") -> int:
        number = self.store.counts()[State.JUDGED] + sum(self.store.counts().values())
        body = patch("MATRIX_LR = 0.02", f"MATRIX_LR = 0.02{number}  # {title.splitlines()[0]}")
        proposal = Proposal(title, hypothesis, rationale, "optimizer", {}, "offline/notebook", "-0.004")
        experiment = self.store.add_experiment(proposal, parent_commit=self.champion, state=State.PROPOSED)
        sha = hashlib.sha256(body.encode()).hexdigest()
        self.store.add_patch(sha, body, added=1, removed=1)
        self.store.add_patch_version(experiment, sha, "proposed")
        return experiment

    def decides(
        self, experiment: int, decision: Decision = Decision.APPROVE, *, via: Via = Via.TUI, reason: str = ""
    ) -> None:
        sha = self.store.experiment(experiment).patch_sha256 or ""  # type: ignore[union-attr]
        approving = decision is Decision.APPROVE
        self.store.add_review(
            experiment, decision, reason=reason, patch_sha256=sha, approved_sha256=sha if approving else None,
            actor="ada" if via is Via.TUI else "autonomy guarded", via=via, seconds=12.0 if via is Via.TUI else None,
            policy="guarded: 2 lines, no risk found" if via is Via.POLICY else "",
        )  # fmt: skip
        changes = (
            {"state": State.APPROVED, "commit_sha": f"{experiment:040x}"} if approving else {"state": State.VETOED}
        )
        self.store.update_experiment(experiment, decided_at=self.clock.now, **changes)

    def tries(self, title: str, effect: float, *, via: Via = Via.TUI, fails: str = "", **texts: str) -> int:
        """One idea from proposal to verdict."""
        with at(self.clock), self.store.transaction():
            self.wait(20)
            experiment = self.proposes(title, **texts)
            self.wait(15)
            self.decides(experiment, via=via)
            commit = f"{experiment:040x}"
            self.true[commit] = self.true[self.champion] + effect
            self.store.update_experiment(experiment, state=State.RUNNING)
            self._judge(experiment, commit, fails)
        return experiment

    def _judge(self, experiment: int, commit: str, fails: str) -> None:
        own = self.champion_runs.setdefault(self.champion, {})
        avoided = self.chosen.get(self.champion, set())
        screening: Measured | None = None
        confirmed: list[Measured] = []
        while True:
            seeds = [*own, *(s for s in range(32) if s not in own and s not in avoided)]
            champion = [Measured(s, v) for s, v in own.items()]
            step = next_step(screening, confirmed, champion, NOISE, Policy(), lines_delta=0, seeds=seeds)
            if isinstance(step, Judged):
                break
            for seed in step.champion_seeds:
                self.run(None, self.champion, Purpose.RETEST, seed)
            for seed in step.candidate_seeds:
                purpose = Purpose.RETEST if screening else Purpose.CANDIDATE
                value = self.run(experiment, commit, purpose, seed, fails=fails)
                if screening is None:
                    screening = Measured(seed, float("nan") if fails else value)
                else:
                    confirmed.append(Measured(seed, value))
        values = [m.value for m in confirmed] or [screening.value if screening else 0.0]
        self._record(experiment, commit, step, values, fails)
        if step.verdict is Verdict.KEEP:
            self.chosen[commit] = {m.seed for m in confirmed} | {screening.seed if screening else 0}
            self.champion = commit
            self.store.add_champion(commit, experiment_id=experiment)

    def _record(self, experiment: int, commit: str, judged: Judged, values: list[float], fails: str) -> None:
        self.store.update_experiment(
            experiment, event="judged", note={"verdict": judged.verdict, "reason": judged.reason, "n": judged.n},
            state=State.JUDGED, verdict=judged.verdict, verdict_reason=fails or judged.reason, delta=judged.delta,
            delta_low=judged.low, delta_high=judged.high, shrunken=judged.shrunken, confirmations=judged.n,
            metric=None if fails else sum(values) / len(values), judged_at=self.clock.now,
        )  # fmt: skip

    def keeps_by_hand(self, experiment: int, reason: str = "I believe in it") -> None:
        with at(self.clock), self.store.transaction():
            self.store.update_experiment(
                experiment, event="overridden", note={"verdict": Verdict.KEEP, "reason": reason},
                verdict=Verdict.KEEP, verdict_reason=f"by hand: {reason}", overridden_by="ada",
            )  # fmt: skip
            self.champion = f"{experiment:040x}"
            self.store.add_champion(self.champion, experiment_id=experiment)


def record(root: Path, experiments: int, *, seed: int = 1) -> Lab:
    """A lab of so many experiments: most change nothing or harm, some help, a few crash or are vetoed."""
    session = Session(root, seed=seed)
    session.begin()
    rng = random.Random(seed + 1)
    for number in range(experiments):
        if number % 41 == 7:
            with at(session.clock), session.store.transaction():
                session.decides(
                    session.proposes("Evaluate on fewer tokens"), Decision.VETO, reason="changes the measure"
                )
            continue
        effect = rng.choices((rng.gauss(0.004, 0.004), 0.0, -abs(rng.gauss(0.007, 0.003))), (70, 20, 10))[0]
        via = rng.choice((Via.TUI, Via.POLICY))
        fails = "RuntimeError: shapes do not match" if number % 29 == 11 else ""
        session.tries(IDEAS[number % len(IDEAS)], effect, via=via, fails=fails)
    session.close()
    return session.lab


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: python -m tests.unit.report_lab DIR [EXPERIMENTS]")
    record(Path(arguments[0]), int((arguments[1:] or ["60"])[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
