"""The champion's re-runs over time: whether the machine still gives what it gave. Pure.

Every champion's own runs are drawn as offsets from their own mean, so that a change of champion is no jump; whether
there is a drift is asked of one commit alone, the last one that ran often enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from core.models import CHAMPION_PURPOSES, Run
from core.store.rows import Champion
from core.text import number
from core.verdict import DRIFT_RUNS, Noise, calm_noise, drift, drift_text, interval

WIDTH, HEIGHT, LEFT, EDGE = 960.0, 200.0, 76.0, 18.0


@dataclass(frozen=True, slots=True)
class Rerun:
    """One run of a champion."""

    at: float
    offset: float
    """its metric, less the mean of its commit"""


@dataclass(frozen=True, slots=True)
class Reruns:
    """What the chart shows."""

    commits: tuple[tuple[Rerun, ...], ...]
    """by champion, oldest first; within, by time"""
    band: float
    """95 % of re-runs fall within this of their mean; 0: not measured"""
    words: str
    drifting: bool


def reruns(
    runs: Sequence[Run], champions: Sequence[Champion], noise: Noise, kind: str, metric: str = ""
) -> Reruns | None:
    """The re-runs on one device class; None where no champion ran twice."""
    groups = []
    for commit in dict.fromkeys(champion.commit_sha for champion in champions):
        own = sorted(
            (run.ended_at or run.created_at, run.metric)
            for run in runs
            if run.commit_sha == commit
            and run.experiment_id is None
            and run.metric is not None
            and run.purpose in CHAMPION_PURPOSES
            and run.device_class == kind
        )
        if len(own) > 1:
            groups.append(own)
    if not groups:
        return None
    means = [fmean(value for _, value in group) for group in groups]
    commits = tuple(
        tuple(Rerun(at, value - mean) for at, value in group) for group, mean in zip(groups, means, strict=True)
    )
    asked = next((group for group in reversed(groups) if len(group) >= DRIFT_RUNS), groups[-1])
    found = drift(asked, calm_noise([value for _, value in group] for group in groups))
    band = interval(0.0, noise.sigma, noise.df)[1] if noise.df and noise.sigma > 0 else 0.0
    few = f"too few of the champion's re-runs to tell a drift from noise: {len(asked)}, {DRIFT_RUNS} are needed"
    words = drift_text(found, len(asked), metric) if found else few
    return Reruns(commits, band, words, bool(found and found.drifting))


def svg(shown: Reruns, places: int) -> str:
    """The chart for an HTML page; the time runs from the first re-run to the last."""
    points = [point for commit in shown.commits for point in commit]
    first, last = min(p.at for p in points), max(p.at for p in points)
    reach = max(*(abs(p.offset) for p in points), shown.band, 1e-12) * 1.15

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - EDGE) * ((at - first) / (last - first) if last > first else 0.5)

    def y(offset: float) -> float:
        return HEIGHT / 2 - (HEIGHT / 2 - EDGE) * offset / reach

    parts = [
        f'<svg class="progress" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="re-runs of the champion">',
        "<title>re-runs of the champion</title>",
    ]
    if shown.band:
        parts.append(
            f'<path class="band" d="M{LEFT:g} {y(shown.band):.1f}H{WIDTH - EDGE:g}V{y(-shown.band):.1f}H{LEFT:g}Z"/>'
        )
    for value in (-shown.band, 0.0, shown.band) if shown.band else (0.0,):
        parts.append(f'<path class="grid" d="M{LEFT:g} {y(value):.1f}H{WIDTH - EDGE:g}"/>')
        label = f"{value:+.{places}f}" if value else number(0.0, places)
        parts.append(f'<text x="{LEFT - 8:g}" y="{y(value) + 4:.1f}" text-anchor="end">{label}</text>')
    for commit in shown.commits:
        line = "L".join(f"{x(p.at):.1f} {y(p.offset):.1f}" for p in commit)
        dots = "".join(f"M{x(p.at):.1f} {y(p.offset):.1f}h0" for p in commit)
        parts += [f'<path class="best" d="M{line}"/>', f'<path class="keep" d="{dots}"/>']
    return "\n".join([*parts, "</svg>"])


CAPTION = (
    "Every run of a champion over time, less the mean of its own; a line a champion. In the band: 95 % of re-runs."
)
