"""What a lab may claim: the champion against the baseline, and how well decisions and verdicts agree. Pure.

A claim rests on runs of the champion's own where there are any: the runs by which it was chosen were chosen for being
good. What a human kept against the measurement is left out of every figure here.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from core.models import CHAMPION_PURPOSES, Decision, Experiment, Review, Run, Verdict, Via
from core.store.rows import Champion, Summary
from core.verdict import Noise, interval, measure_noise, within_noise

APPROVALS = (Decision.APPROVE, Decision.APPROVE_EDITED)


@dataclass(frozen=True, slots=True)
class Hours:
    """The runs of one device class, and the hours they took."""

    kind: str
    runs: int
    finished: int
    hours: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What was reached, in units of the metric; `delta` is champion minus baseline."""

    baseline: float | None = None
    champion: float | None = None
    """None where a human's keep lies between it and the baseline: its level is no claim"""
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    """95 % interval of delta"""
    n_baseline: int = 0
    n_champion: int = 0
    direct: bool = False
    """every level is from runs that chose nothing; else the last one is from the runs it was kept by"""
    keeps: int = 0
    by_hand: int = 0
    """steps of the lineage that a human kept: in none of the figures"""
    replaced: int = 0
    """verdicts of any kind that a human replaced: likewise"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What became of the patches that humans, or the autonomy dial, let run."""

    who: str
    """`people` or `autonomy`; a person's name or a rule of the dial, where each is looked at for itself"""
    approvals: int
    edited: int
    vetoes: int
    sent_back: int
    taken_back: int
    judged: int
    """approved experiments with a measured verdict"""
    verdicts: Counter[Verdict]
    seconds: float | None
    """median time on the reviewer's screen"""
    by_policy: bool
    """the dial's doing"""

    @property
    def kept(self) -> int:
        return self.verdicts[Verdict.KEEP]


class Measurements:
    """The finished runs, by commit and device class."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._own: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self._confirmations: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in runs:
            if run.metric is None or run.purpose not in CHAMPION_PURPOSES:
                continue
            groups = self._own if run.experiment_id is None else self._confirmations
            groups[run.commit_sha, run.device_class].append(run)

    def own(self, commit: str, kind: str, *, before: float | None = None) -> dict[int, float]:
        """A champion's honest results by seed."""
        return {
            r.seed: r.metric
            for r in self._own.get((commit, kind), ())
            if r.metric is not None and (before is None or (r.ended_at or 0.0) <= before)
        }

    def confirmations(self, commit: str, kind: str) -> dict[int, float]:
        """A candidate's results by seed, the screening run left out."""
        return {r.seed: r.metric for r in self._confirmations.get((commit, kind), ()) if r.metric is not None}

    def pairs(self, experiment: Experiment, kind: str) -> list[float]:
        """Candidate minus parent on each seed that both have."""
        parent = self.own(experiment.parent_commit, kind)
        own = self.confirmations(experiment.commit_sha or "", kind)
        return [value - parent[seed] for seed, value in own.items() if seed in parent]

    def noise(
        self, champions: Sequence[Champion], experiments: Sequence[Experiment], kind: str, published: Any = None
    ) -> Noise:
        """Today's noise of the metric on one device class, pooled as the engine pools it; what the engine last
        published where the runs alone say nothing.
        """
        nulls = [list(self.own(c.commit_sha, kind).values()) for c in champions]
        judged = [e for e in experiments if e.commit_sha is not None]
        confirmed = [list(self.confirmations(e.commit_sha or "", kind).values()) for e in judged]
        noise = measure_noise(nulls, confirmed, [pairs for e in judged if (pairs := self.pairs(e, kind))])
        if noise.df or not isinstance(published, dict) or not published.get("df"):
            return noise
        high = published.get("high")
        return Noise(
            float(published.get("sigma") or 0.0),
            int(published["df"]),
            float(published.get("low") or 0.0),
            float(high) if high is not None else float("inf"),
        )

    def now_noise(self, kept: Experiment, noise: Noise, kind: str, z: float) -> bool | None:
        """Whether today's noise would not keep a step of the lineage; None: nothing can be said (kept by hand, or the
        noise is unknown).
        """
        if kept.overridden_by is not None or not noise.df or kept.delta is None:
            return None
        n = kept.confirmations or 0
        of_parent = len(self.own(kept.parent_commit, kind, before=kept.judged_at))
        quieter = noise.paired_df >= 3 and noise.paired_sigma is not None and noise.paired_sigma < noise.sigma
        paired = quieter and n > 0 and len(self.pairs(kept, kind)) == n
        return within_noise(kept.delta, noise, n, of_parent or 1, paired=paired, z=z)

    def level(self, champion: Champion, kept: Experiment | None, kind: str) -> float | None:
        """What a champion scores: over runs of its own, before there are any the result it was kept for."""
        own = self.own(champion.commit_sha, kind)
        return fmean(own.values()) if own else kept.metric if kept else None

    def classes(self) -> list[str]:
        """Device classes, the one with the most finished runs first."""
        finished = Counter(run.device_class for run in self.runs if run.metric is not None)
        return [kind for kind, _ in finished.most_common()]

    def main_class(self, champions: Sequence[Champion]) -> str:
        """The device class to claim something about: where the baseline was measured, and most runs were made."""
        kinds = self.classes()
        first = champions[0].commit_sha if champions else ""
        return next((kind for kind in kinds if self.own(first, kind)), kinds[0] if kinds else "")

    def hours(self) -> tuple[Hours, ...]:
        found = []
        for kind in sorted({run.device_class for run in self.runs}):
            runs = [run for run in self.runs if run.device_class == kind]
            spans = [r.ended_at - r.started_at for r in runs if r.started_at is not None and r.ended_at is not None]
            found.append(Hours(kind, len(runs), sum(r.metric is not None for r in runs), math.fsum(spans) / 3600))
        return tuple(found)


def claim(
    measurements: Measurements,
    champions: Sequence[Champion],
    experiments: Sequence[Experiment],
    by_hand: frozenset[int],
    noise: Noise,
    kind: str,
) -> Claim:
    """What may be said about the champion.

    The lineage is cut where a human kept something; within each piece its last champion is compared with its first.
    """
    if not champions:
        return Claim(replaced=len(by_hand))
    known = {e.id: e for e in experiments}
    steps = [known.get(c.experiment_id or 0) for c in champions]
    hands = sum(e is not None and e.id in by_hand for e in steps)
    keeps = sum(e is not None for e in steps) - hands
    start = measurements.own(champions[0].commit_sha, kind)
    baseline = fmean(start.values()) if start else None
    counted = Claim(baseline=baseline, n_baseline=len(start), keeps=keeps, by_hand=hands, replaced=len(by_hand))
    deltas, shares, ends, direct = [], [], 0, True
    for first, last in _pieces(champions, by_hand):
        before, after = measurements.own(first, kind), measurements.own(last, kind)
        before = before or measurements.confirmations(first, kind)
        if not after:
            after, direct = measurements.confirmations(last, kind), False
        if not before or not after:
            return counted
        deltas.append(fmean(after.values()) - fmean(before.values()))
        shares.append(1 / len(before) + 1 / len(after))
        ends += len(after)
    if baseline is None or not deltas:
        return counted
    delta = math.fsum(deltas)
    low, high = interval(delta, noise.sigma * math.sqrt(math.fsum(shares)), noise.df) if noise.df else (None, None)
    return replace(
        counted, champion=None if hands else baseline + delta, delta=delta, low=low, high=high, n_champion=ends,
        direct=direct,
    )  # fmt: skip


def _pieces(champions: Sequence[Champion], by_hand: frozenset[int]) -> list[tuple[str, str]]:
    """First and last commit of each stretch of the lineage that measurements alone made; single champions are none."""
    pieces: list[list[str]] = []
    for champion in champions:
        if not pieces or champion.experiment_id in by_hand:
            pieces.append([])
        pieces[-1].append(champion.commit_sha)
    return [(piece[0], piece[-1]) for piece in pieces if len(piece) > 1]


def agreements(
    experiments: Sequence[Experiment | Summary],
    reviews: Sequence[Review],
    by_hand: frozenset[int],
    *,
    apart: bool = False,
) -> tuple[Agreement, ...]:
    """How often what was let through was kept: by people, and by the autonomy dial. Overrides are not about a patch.

    `apart`: each person and each rule of the dial for itself, people first, the busiest first.
    """
    known = {e.id: e for e in experiments}
    reviews = [r for r in reviews if r.decision is not Decision.OVERRIDE]
    # an experiment that was sent back and approved again counts once, by its last approval
    last = {r.experiment_id: r for r in reviews if r.undone_at is None and r.decision in APPROVALS}
    groups: dict[tuple[bool, str], list[Review]] = {}
    for r in reviews:
        policy = r.via == Via.POLICY
        who = (r.policy or r.actor if policy else r.actor) if apart else "autonomy" if policy else "people"
        groups.setdefault((policy, who), []).append(r)
    found = []
    for (policy, who), mine in sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1]), group[0][1])):
        standing = [r for r in mine if r.undone_at is None]
        passed = [r for r in standing if last.get(r.experiment_id) is r]
        verdicts = Counter(
            e.verdict
            for r in passed
            if (e := known.get(r.experiment_id)) and e.verdict and r.experiment_id not in by_hand
        )
        times = [r.seconds for r in standing if r.seconds is not None]
        found.append(
            Agreement(
                who,
                len(passed),
                sum(r.decision is Decision.APPROVE_EDITED for r in passed),
                sum(r.decision is Decision.VETO for r in standing),
                sum(r.decision is Decision.REVISE for r in standing),
                len(mine) - len(standing),
                verdicts.total(),
                verdicts,
                median(times) if times else None,
                policy,
            )
        )
    return tuple(found)
