"""What progress.png shows, before it is drawn: what was tried, by number; the champion as steps; the noise. Pure.

Labels are texts of a model, cut to one safe line here; `plot` escapes them and never reads them as TeX.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.models import Experiment, State, Verdict
from core.reporting.gather import Report
from core.reporting.heights import height_of
from core.reporting.words import digits, headline, plural
from core.text import number, one_line
from core.verdict import interval

Mark = Literal["keep", "hand", "tried", "suspect", "failed"]
NAMES = 14
"""keeps that are named in the picture, the largest gains first: more would cover each other"""


@dataclass(frozen=True, slots=True)
class Dot:
    """One experiment; `y` is None where it has no metric."""

    x: int
    y: float | None
    mark: Mark


@dataclass(frozen=True, slots=True)
class Step:
    """A champion's reign: its level from one experiment's number to the next champion's."""

    start: float
    end: float
    level: float


@dataclass(frozen=True, slots=True)
class Name:
    x: int
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, in experiment numbers and units of the metric."""

    title: str
    metric: str
    better: str
    dots: tuple[Dot, ...]
    steps: tuple[Step, ...]
    names: tuple[Name, ...]
    band: float
    """half the width of the noise band: 95 % of re-runs of one commit lie inside; 0: not measured"""
    sigma: float
    low: float
    high: float
    last: int
    places: int


def picture(report: Report) -> Picture:
    """The progress of a lab."""
    dots = tuple(_dots(report))
    steps = _steps(report, max((d.x for d in dots), default=1))
    sigma, band = report.noise.sigma, 0.0
    if report.noise.df and sigma > 0:
        band = interval(0.0, sigma, report.noise.df)[1]
    low, high = _window(dots, steps, sigma, band)
    judged = sum(t.experiment.state is State.JUDGED for t in report.tried)
    return Picture(
        title=f"{plural(judged, 'experiment')}, {report.claim.keeps} kept: {headline(report)}",
        metric=report.metric,
        better="lower is better" if report.direction == "min" else "higher is better",
        dots=dots,
        steps=steps,
        names=_names(report),
        band=band,
        sigma=sigma,
        low=low,
        high=high,
        last=max((d.x for d in dots), default=1),
        places=digits(report),
    )


def _dots(report: Report) -> Iterable[Dot]:
    for tried in report.tried:
        e = tried.experiment
        if e.state is not State.JUDGED:
            continue
        mark: Mark = "tried"
        if e.verdict is Verdict.KEEP:
            mark = "hand" if tried.by_hand else "keep"
        elif e.verdict is Verdict.SUSPECT:
            mark = "suspect"
        elif e.metric is None:
            mark = "failed"
        yield Dot(e.id, _height(report, e) if e.metric is not None else None, mark)


def _height(report: Report, e: Experiment) -> float | None:
    return height_of(e.metric, e.delta, report.heights.get(e.parent_commit))


def _steps(report: Report, last: int) -> tuple[Step, ...]:
    reigns: list[tuple[float, float]] = []
    x = 0.0
    for champion in report.champions:
        x = max(x, float(champion.experiment_id or 0))
        if champion.commit_sha in report.heights:
            reigns.append((x, report.heights[champion.commit_sha]))
    ends = [start for start, _ in reigns[1:]] + [last + 0.5]
    return tuple(Step(start, max(start, end), level) for (start, level), end in zip(reigns, ends, strict=False))


def _names(report: Report) -> tuple[Name, ...]:
    largest = sorted(report.kept, key=lambda k: -abs(k.experiment.shrunken or k.experiment.delta or 0.0))[:NAMES]
    return tuple(
        Name(k.experiment.id, height, f"#{k.experiment.id} {one_line(k.experiment.title, 34)}")
        for k in sorted(largest, key=lambda k: k.experiment.id)
        if (height := _height(report, k.experiment)) is not None
    )


def _window(dots: Sequence[Dot], steps: Sequence[Step], sigma: float, band: float) -> tuple[float, float]:
    """What part of the metric is shown: the champions, and what lies near; the rest is marked at the edge."""
    levels = [s.level for s in steps]
    values = sorted(d.y for d in dots if d.y is not None and math.isfinite(d.y) and d.mark != "suspect")
    if not levels and not values:
        return 0.0, 1.0
    if not levels:
        levels = [values[len(values) // 2]]
    low, high = min(levels), max(levels)
    span = max(high - low, 4 * sigma, abs(high) * 1e-6, 1e-12)
    near = [v for v in values if low - span <= v <= high + span] or levels
    low, high = min(low - band, *near), max(high + band, *near)
    pad = 0.06 * (high - low)
    return low - pad, high + pad


LEGEND: tuple[tuple[str, str], ...] = (
    ("keep", "kept"),
    ("hand", "kept by a human"),
    ("tried", "not kept"),
    ("suspect", "suspect"),
    ("failed", "no metric (crashed, diverged, void)"),
)


def legend(p: Picture) -> list[tuple[str, str]]:
    """What the marks mean: those that occur, as (mark, words)."""
    there = {"failed" if d.y is None else d.mark for d in p.dots}
    return [(mark, words) for mark, words in LEGEND if mark in there]


def caption(p: Picture) -> str:
    words = (
        "Each experiment by its number, as far from the champion it was tried against as it was measured to be: on the "
        "same seeds where that is quieter. The line begins at the baseline's score and adds up what was kept."
    )
    if p.band:
        words += (
            f" The band is the noise: 95 % of re-runs of the champion fall within ±{number(p.band, p.places)} "
            f"(σ {number(p.sigma, p.places)})."
        )
    beyond = sum(d.y is not None and not p.low <= d.y <= p.high for d in p.dots)
    return words + (f" {plural(beyond, 'result')} beyond the scale: arrowheads at the edge." if beyond else "")
