"""The A/A session: patches that change nothing, through the real verdict code with a simulated trainer.

    python -m tests.bench.aa_session [--quick]

A kept no-op is a lie, so the share of no-ops kept is what the rule is worth; what it costs is the share of true gains
of 1, 2 and 3 sigma that it misses. Two forms: *fresh* measures a new champion for every proposal (each decision by
itself); *session* goes on as an engine does: a kept no-op becomes the champion and is measured anew on seeds of its
own, and the champion is run again every tenth experiment. Beside it, greedy keep-if-lower in the same world.
`aa_real` does the same with real training, and far fewer patches.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from core.models import Verdict
from core.verdict import Judged, Measured, Noise, Policy, measure_noise, next_step

BASE = 1.72
EFFECTS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Change:
    """How one change answers to the seed, in sigma: `shared` with the champion's lineage, `own` redrawn."""

    shared: float
    own: float
    heavy: bool = False


def _quiet(own: float, *, heavy: bool = False) -> Change:
    return Change(math.sqrt(1 - own**2), own, heavy)


def _mixed(rng: random.Random) -> Change:
    """Optimizer changes, model changes, and initialisations that redraw everything."""
    draw = rng.random()
    return _quiet(0.22) if draw < 0.6 else _quiet(0.45) if draw < 0.9 else Change(0, 1)


def _loud(rng: random.Random) -> Change:
    """One in ten is five times as noisy as the champion."""
    draw = rng.random()
    return _quiet(0.3) if draw < 0.6 else Change(0, 1) if draw < 0.9 else Change(0, 5)


REGIMES: dict[str, Callable[[random.Random], Change]] = {
    "independent": lambda rng: Change(0, 1),
    "paired sd = sigma/3": lambda rng: _quiet(1 / math.sqrt(18)),
    "mixed pairing": _mixed,
    "one in ten 5x loud": _loud,
    "heavy tails": lambda rng: Change(0, 1, heavy=True),
    "heavy tails, paired": lambda rng: _quiet(0.3, heavy=True),
}


@dataclass
class Trainer:
    """Gives every (commit, seed) its metric, the same each time it is asked."""

    rng: random.Random
    regime: Callable[[random.Random], Change]
    sigma: float
    _of_seed: dict[int, float] = field(default_factory=dict)

    def commit(self, gain: float = 0.0) -> Commit:
        return Commit(BASE - gain * self.sigma, self.regime(self.rng))

    def run(self, commit: Commit, seed: int) -> Measured:
        if seed not in commit.metrics:
            shared = self._of_seed.setdefault(seed, self.rng.gauss(0, 1))
            own = self._student() if commit.change.heavy else self.rng.gauss(0, 1)
            noise = commit.change.shared * shared + commit.change.own * own
            commit.metrics[seed] = commit.mean + self.sigma * noise
        return Measured(seed, commit.metrics[seed])

    def _student(self) -> float:
        """Student's t with 3 degrees of freedom, scaled to a standard deviation of 1."""
        return self.rng.gauss(0, 1) / math.sqrt(math.fsum(self.rng.gauss(0, 1) ** 2 for _ in range(3)))


@dataclass
class Commit:
    mean: float
    change: Change
    metrics: dict[int, float] = field(default_factory=dict)


@dataclass
class Tally:
    """What came of many proposals; counters by true effect in sigma."""

    proposed: Counter[int] = field(default_factory=Counter)
    kept: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)
    greedy: Counter[int] = field(default_factory=Counter)
    loudest: Counter[bool] = field(default_factory=Counter)
    """no-ops kept (True) and not, among those that are five times as loud"""
    estimated: int = 0
    covered: int = 0
    """confirmed differences, and those whose 95 % interval holds the truth"""
    claimed: float = 0.0
    greedy_claimed: float = 0.0
    """sum of the gains of kept no-ops, in sigma"""
    worst: int = 0
    """most no-ops kept in one session"""
    sessions: int = 0

    @property
    def kept_share(self) -> float:
        """Of the no-ops."""
        return self.kept[0] / self.proposed[0]


def session(
    tally: Tally, rng: random.Random, regime: str, sigma: float, *, fresh: bool, nulls: int, null_runs: int
) -> None:
    """One lab: `nulls` no-ops with a true gain after every third; the gains are put back, so that the truth stays."""
    trainer, policy = Trainer(rng, REGIMES[regime], sigma), Policy()
    champion, champion_runs, block = trainer.commit(), dict[int, Measured](), 0
    null_groups: list[list[float]] = []
    confirm_groups: list[list[float]] = []
    differences: list[list[float]] = []
    record = trainer.run(champion, 0).value
    kept_nulls = 0

    def measure(seeds: range) -> None:
        for seed in seeds:
            champion_runs[seed] = trainer.run(champion, seed)

    def noise() -> Noise:
        now = [run.value for run in champion_runs.values()]
        return measure_noise([*null_groups, now], confirm_groups, differences)

    def crown(commit: Commit) -> None:
        nonlocal champion, champion_runs, block
        null_groups.append([run.value for run in champion_runs.values()])
        champion, champion_runs, block = commit, {}, block + 100

    measure(range(null_runs))
    for index in range(nulls + nulls // 3):
        effect = EFFECTS[index // 4 % len(EFFECTS)] if index % 4 == 3 else 0
        if fresh and index:
            crown(trainer.commit())
            measure(range(block, block + null_runs))
        elif index % 10 == 9:
            measure(range(block + 50 + index, block + 51 + index))
        commit = trainer.commit(effect)
        screening = trainer.run(commit, block)
        confirmations: list[Measured] = []
        runs, known = 1, noise()
        while True:
            champion_now = list(champion_runs.values())
            step = next_step(
                screening, confirmations, champion_now, known, policy, lines_delta=0, seeds=range(block, block + 8)
            )
            if isinstance(step, Judged):
                break
            confirmations += [trainer.run(commit, seed) for seed in step.candidate_seeds]
            for seed in step.champion_seeds:
                measure(range(seed, seed + 1))
            runs += len(step.candidate_seeds) + len(step.champion_seeds)

        kept = step.verdict in (Verdict.KEEP, Verdict.SUSPECT)
        tally.proposed[effect] += 1
        tally.runs[effect] += runs
        tally.kept[effect] += kept
        if commit.change.own > 1 and not effect:
            tally.loudest[kept] += 1
        if step.n >= policy.min_confirmations and step.low is not None and step.high is not None:
            tally.estimated += 1
            tally.covered += step.low <= commit.mean - champion.mean <= step.high
        if len(confirmations) > 1:
            differences.append([run.value - champion_runs[run.seed].value for run in confirmations])
            confirm_groups.append([run.value for run in confirmations])

        greedy_record = trainer.run(champion, block).value if fresh else record
        if screening.value < greedy_record:
            tally.greedy[effect] += 1
            if not effect:
                tally.greedy_claimed += (greedy_record - screening.value) / sigma
                record = screening.value
        if kept and not effect:
            kept_nulls += 1
            tally.claimed -= (step.delta or 0.0) / sigma
            if not fresh:
                confirm_groups.pop()
                crown(commit)
    tally.worst = max(tally.worst, kept_nulls)
    tally.sessions += 1


def simulate(
    regime: str, *, sessions: int, fresh: bool, sigma: float = 0.0067, nulls: int = 100, null_runs: int = 3
) -> Tally:
    """Many sessions with their own seeds: the same figures every time."""
    tally = Tally()
    for number in range(sessions):
        rng = random.Random(f"{regime} {sigma} {null_runs} {number}")
        session(tally, rng, regime, sigma, fresh=fresh, nulls=nulls, null_runs=null_runs)
    return tally


def main(arguments: list[str]) -> None:
    sessions = 8 if "--quick" in arguments else 100
    print(f"{sessions} sessions of 100 no-ops and 33 true gains. In brackets: greedy. Runs: the champion's included.")
    print(
        "Worst: no-ops kept in the worst session. Claimed: gains reported for no-ops. Cover: of the 95 % intervals.\n"
    )
    head = f"{'no-ops kept %':>16}{'worst':>7}{'claimed σ':>14}{'runs':>6}   {'power % at 1, 2, 3σ':<38}{'cover %':>8}"
    for sigma, null_runs in ((0.0067, 3), (0.0007, 8)):
        print(f"{f'σ = {sigma} of {BASE}, {null_runs} null runs':33}{head}")
        for regime in REGIMES:
            for fresh in (True, False):
                tally = simulate(regime, sessions=sessions, fresh=fresh, sigma=sigma, null_runs=null_runs)
                print(_row(f"{regime}, {'fresh' if fresh else 'session'}", tally), flush=True)


def _row(name: str, tally: Tally) -> str:
    def percent(counter: Counter[int], effect: int) -> str:
        return f"{100 * counter[effect] / tally.proposed[effect]:.1f}"

    kept = f"{percent(tally.kept, 0)} ({percent(tally.greedy, 0)})"
    claimed = f"{tally.claimed / tally.sessions:.1f} ({tally.greedy_claimed / tally.sessions:.1f})"
    runs = tally.runs[0] / tally.proposed[0]
    power = "  ".join(f"{percent(tally.kept, e)} ({percent(tally.greedy, e)})" for e in EFFECTS)
    cover = 100 * tally.covered / tally.estimated
    loud = tally.loudest[True] + tally.loudest[False]
    note = f"   of the loud {100 * tally.loudest[True] / loud:.1f} %" if loud else ""
    return f"  {name:31}{kept:>16}{tally.worst:>7}{claimed:>14}{runs:>6.2f}   {power:<38}{cover:>8.1f}{note}"


if __name__ == "__main__":
    main(sys.argv[1:])
