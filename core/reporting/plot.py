"""progress.png as the field knows it, and the same picture as SVG: what was tried, by number; the champion as steps.

`picture` decides what is drawn (pure); `svg` writes it by hand, for the report; `png` uses matplotlib. Marks differ by
shape, not only by colour. Labels are texts of a model: escaped, cleaned, and never read as TeX.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import LabError
from core.models import State, Verdict
from core.reporting.gather import Report
from core.reporting.words import digits, headline, plural
from core.text import number, one_line
from core.verdict import interval

Mark = Literal["keep", "hand", "tried", "suspect", "failed"]
NAMES = 14
"""keeps that are named in the picture, the largest gains first: more would cover each other"""
WIDTH, HEIGHT = 960.0, 460.0
LEFT, RIGHT, TOP, BOTTOM = 76.0, 18.0, 118.0, 44.0


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
        yield Dot(e.id, e.metric, mark)


def _steps(report: Report, last: int) -> tuple[Step, ...]:
    reigns: list[tuple[float, float]] = []
    x = 0.0
    for champion, level in zip(report.champions, report.levels, strict=True):
        x = max(x, float(champion.experiment_id or 0))
        if level is not None and math.isfinite(level):
            reigns.append((x, level))
    ends = [start for start, _ in reigns[1:]] + [last + 0.5]
    return tuple(Step(start, max(start, end), level) for (start, level), end in zip(reigns, ends, strict=True))


def _names(report: Report) -> tuple[Name, ...]:
    largest = sorted(report.kept, key=lambda k: -abs(k.experiment.shrunken or k.experiment.delta or 0.0))[:NAMES]
    return tuple(
        Name(k.experiment.id, k.experiment.metric, f"#{k.experiment.id} {one_line(k.experiment.title, 34)}")
        for k in sorted(largest, key=lambda k: k.experiment.id)
        if k.experiment.metric is not None
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


# ---- as SVG --------------------------------------------------------------------------------------------------------


def svg(p: Picture) -> str:
    """The picture for an HTML page: its colours are the page's own variables."""

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / (p.last + 1)

    def y(value: float) -> float:
        share = (min(max(value, p.low), p.high) - p.low) / (p.high - p.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [
        f'<svg class="progress" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{_safe(p.title)}">',
        f"<title>{_safe(p.title)}</title>",
    ]
    for value in _ticks(p.low, p.high, 6):
        parts.append(f'<path class="grid" d="M{LEFT:g} {y(value):.1f}H{WIDTH - RIGHT:g}"/>')
        parts.append(
            f'<text x="{LEFT - 8:g}" y="{y(value) + 4:.1f}" text-anchor="end">{number(value, _decimals(p))}</text>'
        )
    for value in _ticks(0, p.last, 8):
        if value == int(value):
            parts.append(
                f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 18:g}" text-anchor="middle">{int(value)}</text>'
            )
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{HEIGHT - 6:g}" text-anchor="middle">experiment</text>')
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{_safe(p.metric)} ({p.better})</text>"
    )
    if p.band:
        band = "".join(
            f"M{x(s.start):.1f} {y(s.level + p.band):.1f}H{x(s.end):.1f}V{y(s.level - p.band):.1f}H{x(s.start):.1f}Z"
            for s in p.steps
        )
        parts.append(f'<path class="band" d="{band}"/>')
    if p.steps:
        line = "".join(f"{'M' if not i else 'V'}{_first(i, s, x, y)}H{x(s.end):.1f}" for i, s in enumerate(p.steps))
        parts.append(f'<path class="best" d="{line}"/>')
    parts += _marks(p, x, y)
    free = -math.inf
    for name in p.names:
        at = x(name.x)
        if at - free < 15 or at > WIDTH - 170:
            continue
        free = at
        parts.append(
            f'<text class="name" transform="translate({at + 3:.1f} {y(name.y) - 9:.1f}) rotate(-32)">'
            f"{_safe(name.text)}</text>"
        )
    return "\n".join([*parts, "</svg>"])


def _first(index: int, step: Step, x: object, y: object) -> str:
    assert callable(x)
    assert callable(y)
    return f"{y(step.level):.1f}" if index else f"{x(step.start):.1f} {y(step.level):.1f}"


def _marks(p: Picture, x: object, y: object) -> list[str]:
    """All dots of a kind as one path; those that fall on the same half pixel are one, so that 100,000 stay small."""
    assert callable(x)
    assert callable(y)
    shapes: dict[str, dict[tuple[float, float], None]] = {}
    for dot in p.dots:
        shape: str = dot.mark
        if dot.y is None or not math.isfinite(dot.y):
            shape, at = "failed", HEIGHT - BOTTOM - 6
        elif not p.low <= dot.y <= p.high:
            at = TOP if dot.y > p.high else HEIGHT - BOTTOM
            shape = f"{dot.mark} beyond"
        else:
            at = y(dot.y)
        shapes.setdefault(shape, {})[round(x(dot.x) * 2) / 2, round(at * 2) / 2] = None
    order = ("tried", "tried beyond", "failed", "suspect", "suspect beyond", "hand", "hand beyond", "keep", "keep beyond")
    return [
        f'<path class="{shape}" d="{"".join(_glyph(shape, a, b) for a, b in shapes[shape])}"/>'
        for shape in order
        if shape in shapes
    ]


def _glyph(shape: str, x: float, y: float) -> str:
    if shape == "failed":
        return f"M{x - 4:g} {y - 4:g}l8 8m0-8l-8 8"
    if shape.endswith("beyond"):
        tip = -7 if y < HEIGHT / 2 else 7
        return f"M{x - 4:g} {y:g}h8l-4 {tip}z"
    if shape == "suspect":
        return f"M{x - 5:g} {y + 4:g}h10l-5-9z"
    if shape == "hand":
        return f"M{x:g} {y - 6:g}l6 6-6 6-6-6z"
    return f"M{x:g} {y:g}h0"


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
    words = "Each experiment by its number; the line is the champion."
    if p.band:
        words += (
            f" The band is the noise: 95 % of re-runs of the champion fall within ±{number(p.band, p.places)} "
            f"(σ {number(p.sigma, p.places)})."
        )
    beyond = sum(d.y is not None and not p.low <= d.y <= p.high for d in p.dots)
    return words + (f" {plural(beyond, 'result')} beyond the scale: arrowheads at the edge." if beyond else "")


# ---- as PNG --------------------------------------------------------------------------------------------------------

PNG = {"keep": ("o", 46, "#2ecc71"), "hand": ("D", 34, "#f5b041"), "tried": (".", 22, "#b8bec6"),
       "suspect": ("^", 40, "#af7ac5"), "failed": ("x", 26, "#c0392b")}  # fmt: skip


def png(p: Picture, path: Path) -> None:
    """Write the picture as progress.png.

    Raises:
        LabError: matplotlib is not installed, or the file cannot be written.
    """
    import warnings

    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise LabError("progress.png needs matplotlib, which is not installed", hint="pip install matplotlib") from error
    figure = Figure(figsize=(16, 8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for s in p.steps if p.band else ():
        axes.fill_between([s.start, s.end], s.level - p.band, s.level + p.band, color="#3498db", alpha=0.12, linewidth=0)
    if p.steps:
        xs = [x for s in p.steps for x in (s.start, s.end)]
        axes.plot(xs, [s.level for s in p.steps for _ in (0, 1)], color="#1e8449", linewidth=2, label="champion")
    for mark, words in legend(p):
        shape, size, colour = PNG[mark]
        mine = [d for d in p.dots if ("failed" if d.y is None else d.mark) == mark]
        ys = [p.low if d.y is None else min(max(d.y, p.low), p.high) for d in mine]
        edge = {"edgecolors": "black", "linewidths": 0.5} if mark in ("keep", "hand", "suspect") else {}
        axes.scatter([d.x for d in mine], ys, s=size, c=colour, marker=shape, label=words, zorder=4, clip_on=False, **edge)
    free = -math.inf
    for name in p.names:
        if name.x - free < (p.last + 1) / 60:
            continue
        free = name.x
        axes.annotate(
            name.text, (name.x, min(max(name.y, p.low), p.high)), textcoords="offset points", xytext=(6, 6),
            rotation=30, fontsize=8, color="#1a7a3a", parse_math=False,
        )  # fmt: skip
    if p.band:
        axes.fill_between([], [], color="#3498db", alpha=0.12, label=f"noise: 95 % of re-runs, σ {number(p.sigma, p.places)}")
    axes.set(xlim=(0, p.last + 1), ylim=(p.low, p.high))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("experiment")
    axes.set_ylabel(f"{one_line(p.metric, 40)} ({p.better})", parse_math=False)
    axes.set_title(one_line(p.title, 160), parse_math=False)
    axes.grid(alpha=0.2)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", fontsize=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a title in a script the font has no glyphs for
        figure.savefig(path, format="png", metadata={"Software": None})


# ---- both ----------------------------------------------------------------------------------------------------------


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round values between two ends."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= raw), 10 * power)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def _decimals(p: Picture) -> int:
    ticks = _ticks(p.low, p.high, 6)
    gap = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return min(8, max(0, -math.floor(math.log10(gap) + 1e-9)))


def _safe(text: str) -> str:
    return html.escape(one_line(text, 200))
