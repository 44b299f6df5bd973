"""The A/A session with real training: no-op patches to the real train.py, real runs, the real verdict code.

    python -m tests.bench.aa_real --record FILE [--minutes 60] [--proposals 40] [--profile cpu]

Every run is a trainer and an evaluator, a process each, on one thread. Each is written to FILE as it ends and never
made twice: interrupted and called again it goes on, and with `--minutes 0` it only reports. The champion is the
unchanged script throughout, on three null runs at first and on every seed that a decision asked for since. Three kinds
take turns:

words       a comment, a name: the same bits on every seed, so that no run of it can be better
rounding    a constant changed in its seventh digit: the same start, slightly other sums from the first step on
redrawn     the same distribution of first weights from other draws: a seed of its own, in effect
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from core.models import Verdict
from core.verdict import Judged, Measured, Noise, Policy, measure_noise, next_step
from data.prepare import prepare
from nanochat.prepare import settings_of
from nanochat.profiles import load_profile

ROOT = Path(__file__).resolve().parents[2]
NULL_RUNS = 3
SEEDS = 32


@dataclass(frozen=True, slots=True)
class NoOp:
    """A patch that promises nothing."""

    kind: str
    old: str
    new: str


EMBED = "        nn.init.normal_(self.embed.weight, std=EMBED_STD)\n"
WORDS = (
    NoOp("words", "Short or Long; the last layer", "Long or Short; the last layer"),
    NoOp("words", "    gram = g @ g.mT\n", "    gram = g @ g.mT  # symmetric\n"),
    NoOp("words", "agree = (update * weights) >= 0\n    weights.sub_(lr * (update + decay * weights * agree))",
         "same_sign = (update * weights) >= 0\n    weights.sub_(lr * (update + decay * weights * same_sign))"),
)  # fmt: skip
ROUNDING = tuple(
    NoOp("rounding", f"\n{name} = {value} ", f"\n{name} = {value_changed} ")
    for name, value, value_changed in (
        ("LOGIT_SOFTCAP", "15.0", "15.000001"),
        ("ROPE_BASE", "10000.0", "10000.001"),
        ("X0_INIT", "0.1", "0.10000001"),
        ("EMBED_STD", "1.0", "1.0000002"),
        ("MATRIX_LR", "0.04", "0.040000003"),
        ("HEAD_LR", "0.008", "0.0080000006"),
        ("SCALAR_LR", "0.5", "0.50000004"),
        ("MATRIX_DECAY", "0.2", "0.20000002"),
        ("ADAM_BETA2", "0.95", "0.9500001"),
        ("MUON_BETA2", "0.95", "0.9500001"),
        ("MOMENTUM_END", "0.95", "0.9500001"),
        ("EMBED_LR", "0.3", "0.30000003"),
        ("VALUE_GATE_RANGE", "2.0", "2.0000002"),
        ("HEAD_STD", "0.001", "0.0010000001"),
    )
)
REDRAWN = tuple(
    NoOp("redrawn", EMBED, f"        torch.rand({count})  # the draws that follow are others\n{EMBED}")
    for count in range(1, 15)
)


def no_ops() -> list[NoOp]:
    """The kinds by turns; of the words a few are enough, they are sure."""
    mixed = [patch for pair in zip(ROUNDING, REDRAWN, strict=True) for patch in pair]
    return [WORDS[0], *mixed[:8], WORDS[1], *mixed[8:16], WORDS[2], *mixed[16:]]


class Runs:
    """Values by script and seed, made when they are first asked for."""

    def __init__(self, record: Path, profile: str, deadline: float) -> None:
        self.record, self.profile, self.deadline = record, profile, deadline
        self.data = prepare(settings_of(load_profile(profile)), "stdlib").path
        self.source = (ROOT / "nanochat" / "train.py").read_text()
        self.values: dict[str, dict[str, float]] = json.loads(record.read_text()) if record.exists() else {}

    def value(self, patch: NoOp | None, seed: int) -> Measured | None:
        """One run's metric; None when it would have to be made and the time is over."""
        name = f"{patch.kind}: {patch.new.strip().splitlines()[0]}" if patch else "champion"
        known = self.values.setdefault(name, {})
        if str(seed) not in known:
            if time.monotonic() > self.deadline:
                return None
            began = time.monotonic()
            known[str(seed)] = self._make(patch, seed)
            self.record.write_text(json.dumps(self.values, indent=1) + "\n")
            print(f"{name[:60]:60} seed {seed:2} {known[str(seed)]:.5f} {time.monotonic() - began:6.1f} s", flush=True)
        return Measured(seed, known[str(seed)])

    def _make(self, patch: NoOp | None, seed: int) -> float:
        text = self.source
        if patch is not None:
            assert text.count(patch.old) == 1, f"train.py has {text.count(patch.old)} times {patch.old!r}"
            text = text.replace(patch.old, patch.new)
        with tempfile.TemporaryDirectory() as directory:
            src, out, scored = (Path(directory, name) for name in ("src", "out", "eval"))
            for path in (src, out, scored):
                path.mkdir()
            (src / "train.py").write_text(text)
            places = {"OUT": out, "DATA": self.data, "SRC": src, "EVAL_OUT": scored}
            described = {"SEED": str(seed), "DEVICE": "cpu", "PROFILE": self.profile, "SPLIT": "val"}
            environment = {k: v for k, v in os.environ.items() if not k.startswith("AR_")}
            environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **load_profile(self.profile).env()}
            environment |= {f"AR_{name}": str(value) for name, value in (places | described).items()}
            for command in ("train.py",), ("-m", "nanochat.evaluate"):
                subprocess.run(
                    [sys.executable, *command], cwd=src, env=environment, check=True, stdout=subprocess.DEVNULL
                )
            result = json.loads((scored / "result.json").read_text())
        assert result["void"] is None, result["void"]
        return float(result["metric"]["val_bpb"])


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one no-op."""

    patch: NoOp
    screening: float
    differences: list[float]
    """of its confirmations to the champion's runs on the same seeds"""
    judged: Judged
    greedy: bool


class Session:
    """One lab whose researcher has no ideas."""

    def __init__(self, value: Callable[[NoOp | None, int], Measured | None]) -> None:
        self.value = value
        self.champion: dict[int, float] = {}
        self.groups: list[list[float]] = []
        self.differences: list[list[float]] = []
        self.decisions: list[Decision] = []

    def measure(self, seeds: tuple[int, ...]) -> bool:
        for seed in seeds:
            run = self.value(None, seed)
            if run is None:
                return False
            self.champion[seed] = run.value
        return True

    def noise(self) -> Noise:
        return measure_noise([list(self.champion.values())], self.groups, self.differences)

    def decide(self, patch: NoOp) -> bool:
        """Screen, confirm, judge; False when the time ran out on the way."""
        known, confirmations = self.noise(), list[Measured]()
        seeds = list(dict.fromkeys([*self.champion, *range(SEEDS)]))
        screening = self.value(patch, seeds[0])
        while screening is not None:
            champion = [Measured(seed, value) for seed, value in self.champion.items()]
            step = next_step(screening, confirmations, champion, known, Policy(), lines_delta=0, seeds=seeds)
            if isinstance(step, Judged):
                self._note(patch, screening, confirmations, step)
                return True
            made = [self.value(patch, seed) for seed in step.candidate_seeds]
            if None in made or not self.measure(step.champion_seeds):
                return False
            confirmations += [run for run in made if run is not None]
        return False

    def _note(self, patch: NoOp, screening: Measured, confirmations: list[Measured], judged: Judged) -> None:
        differences = [run.value - self.champion[run.seed] for run in confirmations]
        if len(confirmations) > 1:
            self.groups.append([run.value for run in confirmations])
            self.differences.append(differences)
        greedy = screening.value < self.champion[screening.seed]
        self.decisions.append(Decision(patch, screening.value, differences, judged, greedy))


def report(session: Session, runs: Runs) -> None:
    print(f"\ndata {runs.data.name}, profile {runs.profile}, {sum(map(len, runs.values.values()))} runs")
    champion = list(session.champion.values())
    print(f"champion: {len(champion)} seeds, mean {fmean(champion):.4f}, std {stdev(champion):.4f}")
    print(f"{'kind':10}{'no-ops':>8}{'kept':>6}{'greedy':>8}{'runs each':>11}{'paired std':>12}")
    for kind in ("words", "rounding", "redrawn"):
        of_kind = [d for d in session.decisions if d.patch.kind == kind]
        if not of_kind:
            continue
        kept = sum(d.judged.verdict in (Verdict.KEEP, Verdict.SUSPECT) for d in of_kind)
        differences = [d.screening - session.champion[0] for d in of_kind]
        differences += [difference for d in of_kind for difference in d.differences]
        spread = (fmean(difference**2 for difference in differences)) ** 0.5
        made = fmean(1 + len(d.differences) for d in of_kind)
        greedy = sum(d.greedy for d in of_kind)
        print(f"{kind:10}{len(of_kind):>8}{kept:>6}{greedy:>8}{made:>11.2f}{spread:>12.5f}")
    for decision in session.decisions:
        print(f"  {decision.judged.verdict:13} {decision.patch.new.strip()[:44]:46} {decision.judged.reason[:100]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--proposals", type=int, default=40)
    parser.add_argument("--profile", default="cpu")
    options = parser.parse_args()
    runs = Runs(options.record, options.profile, time.monotonic() + 60 * options.minutes)
    session = Session(runs.value)
    if session.measure(tuple(range(NULL_RUNS))):
        for patch in no_ops()[: options.proposals]:
            if not session.decide(patch):
                break
    if session.decisions:
        report(session, runs)


if __name__ == "__main__":
    main()
