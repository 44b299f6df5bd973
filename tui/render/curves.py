"""A chart of curves with axes, as cells to compare with the ones on the screen; and what it says, in words."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.models import Series
from core.text import duration, number, one_line
from tui.render.braille import BLANK, Cell, Symbols, Trace, plot

SMOOTHING = (0.0, 0.6, 0.9, 0.97, 0.99)
"""weights of the moving average, as `[` and `]` go through them"""
HUGE = 1e100
"""a diverged value beyond this counts for the axes as little as infinity: their arithmetic would overflow"""
XAxis = Literal["t", "step"]
SETTLING = 0.2
"""share of a curve at its start that does not decide the height of the window: loss begins at ln(vocabulary)"""
PADDING = 0.05
"""of the window's height, above and below: the window stays until a sample leaves the drawn curve by more"""
NEAR = 3
"""equal cells between two changed ones that are repainted with them: a region costs more than a few cells"""


@dataclass(frozen=True, slots=True)
class Window:
    """What part of the plane is drawn; on a log scale the y are logarithms."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished drawing, to be compared with the one before it."""

    rows: tuple[tuple[Cell, ...], ...]
    window: Window | None
    """hand it to the next `draw`, so that the axes stand still; None when there was nothing to draw"""
    note: str = ""
    """what could not be done as asked"""


def trace(series: Series, x: XAxis = "t", *, dotted: bool = False) -> Trace:
    """A series as a line over training seconds or over steps."""
    return Trace(series.t if x == "t" else series.step, series.value, dotted)


def draw(
    traces: Sequence[Trace],
    width: int,
    height: int,
    *,
    x: XAxis = "t",
    x_end: float | None = None,
    log: bool = False,
    whole: bool = False,
    window: Window | None = None,
    symbols: Symbols = Symbols.BRAILLE,
    ends: bool = True,
) -> Chart:
    """Axes, curves (later ones on top) and, with `ends`, their last values, in exactly `width` by `height` cells.

    `x_end` is where the x axis ends if no curve is longer (the budget), `whole` lets the start of the curves decide
    the window too, `window` is that of the chart before.
    """
    width, height = max(0, width), max(0, height)
    note = ""
    if log and not any(1 / HUGE < value < HUGE for line in traces for value in line.y):
        log, note = False, "no logarithmic scale: there is no positive value" if any(len(t.y) for t in traces) else ""
    lines = [replace(line, y=[_log10(value) for value in line.y]) for line in traces] if log else list(traces)
    lines = [_ascending(line) for line in lines]
    window = _window(lines, x_end, log, whole, window)
    if window is None:
        return Chart(((BLANK,) * width,) * height, None, note)

    rows = inside(lines, window, width, height, x=x, symbols=symbols, ends=ends).rows
    return Chart(tuple(map(tuple, rows)), window, note)


@dataclass(frozen=True, slots=True)
class Plane:
    """Cells with axes around them, and where the curves lie in them."""

    rows: list[list[Cell]]
    left: int
    """cells of the labels at the side"""
    across: int
    tall: int


def inside(
    lines: Sequence[Trace],
    window: Window,
    width: int,
    height: int,
    *,
    x: XAxis = "t",
    symbols: Symbols = Symbols.BRAILLE,
    tags: Sequence[str] = (),
    ends: bool = True,
) -> Plane:
    """Curves in just this window, with axes and each one's last value behind its tag; ascending in x, on a log scale
    logarithms already.
    """
    ticks = _y_ticks(window, max(2, height // 3))
    longest = max(len(_value_text(value, window)) for value in (window.y_low, window.y_high))
    left = 1 + max(map(len, ticks.values()), default=0)
    right = 2 + longest + max(map(len, tags), default=0) if ends and width >= 48 else 0
    axes = height >= 6 and width - left - right >= 20
    if not axes:
        left = right = 0
    inner, tall = width - left - right, height - 2 if axes else height
    cells = plot(lines, inner, tall, (window.x_low, window.x_high), (window.y_low, window.y_high), symbols)
    for row in cells:
        row += [BLANK] * right
    if axes and ends:
        _label_ends(cells, lines, inner, window, "^v" if symbols == Symbols.ASCII else "↑↓", tags)
    rows = _with_axes(cells, ticks, left, inner, window, x, symbols) if axes else cells
    return Plane(rows, left, inner, tall)


def changed_spans(old: Chart | None, new: Chart) -> list[tuple[int, int, int]]:
    """Where the new drawing differs, as (x, y, width): everything after a resize."""
    sizes = [(len(chart.rows), len(chart.rows[0]) if chart.rows else 0) for chart in (old, new) if chart]
    if old is None or sizes[0] != sizes[1]:
        return [(0, y, len(row)) for y, row in enumerate(new.rows) if row]
    spans: list[tuple[int, int, int]] = []
    for y, (before, after) in enumerate(zip(old.rows, new.rows, strict=True)):
        if before == after:
            continue
        start = end = -1
        for x, (was, now) in enumerate(zip(before, after, strict=True)):
            if was == now:
                continue
            if start >= 0 and x - end > NEAR:
                spans.append((start, y, end - start))
                start = x
            start, end = x if start < 0 else start, x + 1
        spans.append((start, y, end - start))
    return spans


# --- the window ------------------------------------------------------------------------------------------------------


def _log10(value: float) -> float:
    return math.log10(value) if 1 / HUGE < value < HUGE else math.nan


def _ascending(line: Trace) -> Trace:
    """A restarted script may write its steps again: a line is drawn from left to right."""
    if list(line.x) == sorted(line.x):
        return line
    pairs = sorted(zip(line.x, line.y, strict=True), key=lambda pair: pair[0])
    return replace(line, x=[x for x, _ in pairs], y=[y for _, y in pairs])


def _window(
    lines: Sequence[Trace], x_end: float | None, log: bool, whole: bool, before: Window | None
) -> Window | None:
    settled = [value for line in lines for value in _settled(line, whole)]
    if not settled:
        return None
    low, high = min(settled), max(settled)
    x_low = min(0.0, *(line.x[0] for line in lines if line.x), 0.0)
    x_high = max(x_end or 0.0, *(line.x[-1] for line in lines if line.x), x_low)
    same = before is not None and before.log == log and before.x_low == x_low
    if before and same and x_high <= before.x_high <= 2 * x_high and not x_end:
        x_high = before.x_high
    elif not x_end or x_high > 1.05 * x_end:
        # a curve of unknown length: leave room, so that the axis does not move with every point
        x_high = _nice(x_high - x_low) + x_low if x_high > x_low else x_low + 1.0
    spread = high - low or max(abs(high) * 0.02, 1e-6)
    if (
        before
        and same
        and before.y_low <= low
        and high <= before.y_high
        and before.y_high - before.y_low <= 2.5 * spread
    ):
        return Window(x_low, x_high, before.y_low, before.y_high, log)
    return Window(x_low, x_high, low - PADDING * spread, high + PADDING * spread, log)


def _settled(line: Trace, whole: bool) -> Iterator[float]:
    """The finite values behind the first fifth of the line; all of them where nothing is behind it."""
    if not line.x:
        return
    start = line.x[0] + (0.0 if whole else SETTLING * (line.x[-1] - line.x[0]))
    at = bisect_left(line.x, start)
    found = [value for value in line.y[at:] if -HUGE < value < HUGE]
    yield from found or (value for value in line.y[:at] if -HUGE < value < HUGE)


def _nice(length: float) -> float:
    """The next round number."""
    power = 10.0 ** math.floor(math.log10(length))
    factors = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    return next((factor * power for factor in factors if factor * power >= length), 10 * power)


# --- axes and labels -------------------------------------------------------------------------------------------------


def _steps(low: float, high: float, count: int, sizes: Sequence[float] = ()) -> list[float]:
    """About `count` round numbers in a range; `sizes` are distances to prefer where one fits."""
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((size for size in (*sizes, power, 2 * power, 5 * power) if size >= rough), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _y_ticks(window: Window, count: int) -> dict[float, str]:
    """Place in the window -> label."""
    if window.log:
        low, high = 10**window.y_low, 10**window.y_high
        decades = range(math.floor(window.y_low), math.ceil(window.y_high) + 1)
        factors = (1,) if window.y_high - window.y_low > 3 else (1, 2, 5)
        values = [factor * 10.0**decade for decade in decades for factor in factors]
        values = [value for value in values if low <= value <= high]
        values = values if len(values) > 2 else [value for value in _steps(low, high, count) if value > 0]
        return {math.log10(value): f"{value:.6g}" for value in values}
    values = _steps(window.y_low, window.y_high, count)
    step = values[1] - values[0] if len(values) > 1 else window.y_high - window.y_low
    return {value: _number_text(value, step) for value in values}


def _number_text(value: float, step: float) -> str:
    """As many digits as tell two neighbours apart; thousands and millions by their letter."""
    if abs(value) >= 1e12 or step >= 1e12:
        return f"{value:.3g}"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            unit = 1e3 if letter == "k" else size
            return f"{number(value / unit, _digits(step / unit))}{letter}"
    digits = _digits(step)
    return number(value, digits) if digits <= 5 else f"{value:.2g}"


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0


def _value_text(value: float, window: Window) -> str:
    if window.log:
        return f"{10**value:.3g}"
    return _number_text(value, (window.y_high - window.y_low) / 100)


def _label_ends(
    cells: list[list[Cell]], lines: Sequence[Trace], inner: int, window: Window, arrows: str, tags: Sequence[str] = ()
) -> None:
    """Writes each curve's last value behind its last point, the topmost curve's first, where there is room."""
    tall = len(cells)
    for index, line in reversed([*enumerate(lines)]):
        at = next((at for at in range(len(line.y) - 1, -1, -1) if math.isfinite(line.y[at])), None)
        if at is None:
            continue
        height = (window.y_high - line.y[at]) / (window.y_high - window.y_low)
        arrow = arrows[0] if height < 0 else arrows[1] if height > 1 else ""
        row = min(tall - 1, max(0, int(min(1.0, max(0.0, height)) * tall)))
        share = (line.x[at] - window.x_low) / (window.x_high - window.x_low)
        text = (tags[index] if tags else "") + arrow + _value_text(line.y[at], window)
        column = max(0, min(inner + 1, int(share * inner) + 2, len(cells[0]) - len(text)))
        for place in (row, row - 1, row + 1, row - 2, row + 2):
            room = cells[place][max(0, column - 1) : column + len(text)] if 0 <= place < tall else []
            if room and all(owner is None or owner == index for _, owner in room):
                cells[place][column : column + len(text)] = [(char, index) for char in text]
                break


def _with_axes(
    cells: list[list[Cell]], ticks: dict[float, str], left: int, inner: int, window: Window, x: XAxis, symbols: Symbols
) -> list[list[Cell]]:
    side, mark, corner, floor, under = "|++-+" if symbols == Symbols.ASCII else "│┤└─┬"
    tall = len(cells)
    labels: dict[int, str] = {}
    for value, text in ticks.items():
        row = int((window.y_high - value) / (window.y_high - window.y_low) * tall)
        if 0 <= row < tall and text not in labels.values():
            labels.setdefault(row, text)
    rows = []
    for row, line in enumerate(cells):
        text = labels.get(row, "").rjust(left - 1) + (mark if row in labels else side)
        rows.append([(char, None) for char in text] + line)

    width = len(rows[0])
    axis, words = [" "] * (left - 1) + [corner] + [floor] * inner, [" "] * width
    for value, text in _x_ticks(window, max(2, inner // 10), x):
        column = left + min(inner - 1, int((value - window.x_low) / (window.x_high - window.x_low) * inner))
        start = min(max(0, column - len(text) // 2), width - len(text))
        if all(char == " " for char in words[max(0, start - 1) : start + len(text) + 1]):
            axis[column] = under
            words[start : start + len(text)] = text
    rows.append([(char, None) for char in "".join(axis).ljust(width)])
    rows.append([(char, None) for char in words])
    return rows


def _x_ticks(window: Window, count: int, x: XAxis) -> list[tuple[float, str]]:
    if x == "step":
        values = [value for value in _steps(window.x_low, window.x_high, count) if value == int(value)]
        step = values[1] - values[0] if len(values) > 1 else 1.0
        return [(value, _number_text(value, step)) for value in values]
    sizes = (10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
    short = window.x_high - window.x_low < 10 * count
    values = _steps(window.x_low, window.x_high, count, () if short else sizes)
    step = values[1] - values[0] if len(values) > 1 else 1.0
    unit, letter = (3600, "h") if step % 3600 == 0 else (60, "m") if step % 60 == 0 else (1, "s")
    return [(value, f"{value / unit:.6g}{letter}" if value else "0") for value in values]


# --- what a curve says -----------------------------------------------------------------------------------------------


def smooth(series: Series, weight: float) -> Series:
    """Exponential moving average, 0 (as it is) to below 1; gaps stay gaps and do not reset it."""
    if weight <= 0:
        return series
    average, scale = 0.0, 0.0
    values = []
    for value in series.value:
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            scale = weight * scale + (1 - weight)  # without it the first values would lean to zero
            values.append(average / scale)
        else:
            values.append(math.nan)
    return replace(series, value=tuple(values))


def at_equal(series: Series, other: Series, x: XAxis = "t") -> float | None:
    """The series now minus the other at the same training time or step; None where they cannot be compared."""
    last, there = _last(series), None
    if last is not None:
        there = _value_at(other, _places(series, x)[last], x)
    return None if last is None or there is None else series.value[last] - there


def _places(series: Series, x: XAxis) -> Sequence[float]:
    return series.t if x == "t" else series.step


def _last(series: Series) -> int | None:
    return next((at for at in range(len(series.value) - 1, -1, -1) if math.isfinite(series.value[at])), None)


def _value_at(series: Series, t: float, by: XAxis) -> float | None:
    """Between the finite points around `t`; a run that ended up to 2 % earlier still counts by its last one."""
    points = [(x, y) for x, y in zip(_places(series, by), series.value, strict=True) if math.isfinite(y)]
    at = bisect_left(points, (t, -math.inf))
    if not points or (at == 0 and points[0][0] > t):
        return None
    if at == len(points):
        return points[-1][1] if t <= points[-1][0] * 1.02 else None
    if points[at][0] == t:
        return points[at][1]
    (x1, y1), (x2, y2) = points[at - 1], points[at]
    return y1 + (y2 - y1) * (t - x1) / (x2 - x1)


def in_words(series: Series, champion: Series | None = None, digits: int = 3, x: XAxis = "t") -> str:
    """The chart in one line, for people and for screen readers; `x`: by what it is held against the champion's."""
    name, last = one_line(series.name, 40), _last(series)
    if last is None:
        return f"{name}: no value yet" if not series.value else f"{name} is not a number"
    size = abs(series.value[last])
    if 0 < size < 0.1:  # a learning rate has its digits farther right
        digits = max(digits, min(2 - math.floor(math.log10(size)), 9))
    text = f"{name} {number(series.value[last], digits)} at {_when(series.t[last])}"
    if last < len(series.value) - 1:
        return f"{text}, not a number since {_when(series.t[last + 1])}"
    if champion is None or not champion.value:
        return text
    difference, same = at_equal(series, champion, x), "time" if x == "t" else "step"
    if difference is None and x == "step":
        return f"{text}, the champion has no value at that step"
    if difference is None:
        until = champion.t[-1] if champion.t else math.nan
        if until < series.t[last] and _when(until) != _when(series.t[last]):
            return f"{text}, the champion's curve ends at {_when(until)}"
        return f"{text}, the champion has no value at that time"
    amount = number(abs(difference), digits)
    if float(amount.replace(",", "").replace("∞", "inf")) == 0:
        return f"{text}, level with the champion at the same {same}"
    return f"{text}, {amount} {'below' if difference < 0 else 'above'} the champion at the same {same}"


def newest(series: Series) -> str:
    """The last value in few cells: `3.124`, `0.0032`, `48,012`; `NaN` where it is no number, empty where none is."""
    if not series.value:
        return ""
    value = series.value[-1]
    if not math.isfinite(value):
        return "NaN"
    return number(value, 0) if abs(value) >= 1000 else f"{value:.4g}"


def _when(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else duration(seconds)
