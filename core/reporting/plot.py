"""Draws a picture of progress: `svg` by hand, for the report; `png` with matplotlib, as the field knows it.

Marks differ by shape, not only by colour. Labels are texts of a model: escaped, and never read as TeX.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from pathlib import Path

from core.errors import LabError
from core.reporting.picture import Name, Picture, legend
from core.text import number, one_line

Scale = Callable[[float], float]
WIDTH, HEIGHT = 960.0, 460.0
LEFT, RIGHT, TOP, BOTTOM = 76.0, 18.0, 30.0, 44.0


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
        line = "".join(f"V{y(s.level):.1f}H{x(s.end):.1f}" for s in p.steps)
        parts.append(f'<path class="best" d="M{x(p.steps[0].start):.1f} {y(p.steps[0].level):.1f}{line}"/>')
    parts += _marks(p, x, y)
    free = -math.inf
    for name in p.names:
        at = x(name.x)
        if at - free < 15:
            continue
        free, back, down = at, at > WIDTH - 190, _leans_down(p, name)
        turn, anchor = 32 if back != down else -32, ' text-anchor="end"' if back else ""
        place = f"translate({at + (-3 if back else 3):.1f} {y(name.y) + (16 if down else -9):.1f}) rotate({turn})"
        parts.append(f'<text class="name" transform="{place}"{anchor}>{_safe(name.text)}</text>')
    return "\n".join([*parts, "</svg>"])


def _marks(p: Picture, x: Scale, y: Scale) -> list[str]:
    """All dots of a kind as one path; those that fall on the same half pixel are one, so that 100,000 stay small."""
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
    order = (
        "tried",
        "tried beyond",
        "failed",
        "suspect",
        "suspect beyond",
        "hand",
        "hand beyond",
        "keep",
        "keep beyond",
    )
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
        raise LabError(
            "progress.png needs matplotlib, which is not installed", hint="pip install matplotlib"
        ) from error
    figure = Figure(figsize=(16, 8), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.06, 0.08, 0.92, 0.86))
    xs, levels = [x for s in p.steps for x in (s.start, s.end)], [s.level for s in p.steps for _ in (0, 1)]
    if p.band:
        low, high = [y - p.band for y in levels], [y + p.band for y in levels]
        words = f"noise: 95 % of re-runs, σ {number(p.sigma, p.places)}"
        axes.fill_between(xs, low, high, color="#3498db", alpha=0.12, linewidth=0, label=words)
    if p.steps:
        axes.plot(xs, levels, color="#1e8449", linewidth=2, label="champion: what was kept, added up", zorder=5)
    for mark, words in legend(p):
        shape, size, colour = PNG[mark]
        mine = [d for d in p.dots if ("failed" if d.y is None else d.mark) == mark]
        ys = [p.low if d.y is None else min(max(d.y, p.low), p.high) for d in mine]
        filled = mark in ("keep", "hand", "suspect")
        axes.scatter(
            [d.x for d in mine], ys, s=size, c=colour, marker=shape, label=words, zorder=4, clip_on=False,
            edgecolors="black" if filled else None, linewidths=0.5 if filled else 1.5,
        )  # fmt: skip
    free = -math.inf
    for name in p.names:
        if name.x - free < (p.last + 1) / 60:
            continue
        free, back, down = name.x, name.x > 0.85 * p.last, _leans_down(p, name)
        axes.annotate(
            name.text, (name.x, min(max(name.y, p.low), p.high)), textcoords="offset points",
            xytext=(-6 if back else 6, -6 if down else 6), rotation=-30 if back != down else 30,
            ha="right" if back else "left", va="top" if down else "bottom",
            rotation_mode="default", fontsize=8, color="#1a7a3a", parse_math=False, in_layout=False,
        )  # fmt: skip
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


def _leans_down(p: Picture, name: Name) -> bool:
    """There is no room above this name."""
    return name.y - p.low > 0.72 * (p.high - p.low)


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
