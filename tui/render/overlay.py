"""Curves of several runs in one picture: a letter on each, a part of them closer, a crosshair with values. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.render.braille import BLANK, Cell, Symbols, Trace
from tui.render.curves import HUGE, PADDING, SETTLING, Window, XAxis, inside

CLOSEST = 256.0
"""times the whole"""
LETTER_CELLS = 22
"""between two letters on a curve"""


@dataclass(frozen=True, slots=True)
class Sight:
    """Which part of the curves is looked at."""

    zoom: float = 1.0
    centre: float = 0.5
    """of the part, as a share of the whole width"""
    cross: float | None = None
    """where the crosshair stands, in units of the axis"""

    def span(self, whole: tuple[float, float]) -> tuple[float, float]:
        """Where the part begins and ends."""
        length = (whole[1] - whole[0]) / self.zoom
        start = whole[0] + self.centre * (whole[1] - whole[0]) - length / 2
        start = min(max(start, whole[0]), whole[1] - length)
        return start, start + length

    def closer(self, factor: float, whole: tuple[float, float]) -> Sight:
        """The same around the crosshair, or around the middle of the part."""
        low, high = self.span(whole)
        middle = self.cross if self.cross is not None and low <= self.cross <= high else (low + high) / 2
        zoom = min(CLOSEST, max(1.0, self.zoom * factor))
        length = whole[1] - whole[0]
        return replace(self, zoom=zoom, centre=(middle - whole[0]) / length if length and zoom > 1 else 0.5)


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished drawing."""

    rows: tuple[tuple[Cell, ...], ...]
    window: Window | None
    """None where there was nothing to draw"""
    left: int = 0
    across: int = 0
    note: str = ""
    """what could not be done as asked"""

    def x_of(self, column: int) -> float:
        """What the middle of a column stands for."""
        assert self.window is not None
        share = (column + 0.5) / max(1, self.across)
        return self.window.x_low + share * (self.window.x_high - self.window.x_low)

    def column_of(self, x: float) -> int:
        assert self.window is not None
        length = self.window.x_high - self.window.x_low
        share = (x - self.window.x_low) / length if length else 0.0
        return min(self.across - 1, max(0, int(share * self.across)))


def extent(lines: Sequence[Trace]) -> tuple[float, float]:
    """From zero to the end of the longest."""
    return 0.0, max((line.x[-1] for line in lines if line.x), default=0.0) or 1.0


def draw(
    lines: Sequence[Trace],
    letters: str,
    width: int,
    height: int,
    *,
    sight: Sight | None = None,
    x: XAxis = "t",
    log: bool = False,
    symbols: Symbols = Symbols.BRAILLE,
) -> Picture:
    """In exactly so many cells; `lines` ascend in x, each has a letter."""
    sight, note = sight or Sight(), ""
    width, height = max(0, width), max(0, height)
    blank = Picture(((BLANK,) * width,) * height, None)
    if log and not any(1 / HUGE < value < HUGE for line in lines for value in line.y):
        log, note = False, "no logarithmic scale: there is no positive value"
    low, high = sight.span(extent(lines))
    parts = [_part(line, low, high) for line in lines]
    if log:
        parts = [replace(line, y=[_log10(value) for value in line.y]) for line in parts]
    values = _values(parts, low, high, settled=sight.zoom == 1)
    if not values or width < 8 or height < 2:
        return replace(blank, note=note)
    bottom, top = min(values), max(values)
    pad = PADDING * (top - bottom or max(abs(top) * 0.02, 1e-6))
    window = Window(low, high, bottom - pad, top + pad, log)
    plane = inside(parts, window, width, height, x=x, symbols=symbols, tags=[f"{letter} " for letter in letters])
    cells = [row[plane.left : plane.left + plane.across] for row in plane.rows[: plane.tall]]
    _letters(cells, letters)
    picture = Picture((), window, plane.left, plane.across, note)
    if sight.cross is not None and low <= sight.cross <= high:
        sign = "|" if symbols is Symbols.ASCII else "┊"
        column = picture.column_of(sight.cross)
        for row in cells:
            if row[column][0] == " ":
                row[column] = (sign, None)
    rows = [
        (*row[: plane.left], *cells[y], *row[plane.left + plane.across :]) if y < plane.tall else tuple(row)
        for y, row in enumerate(plane.rows)
    ]
    return replace(picture, rows=tuple(rows))


def value_at(line: Trace, x: float | None) -> float | None:
    """The finite value nearest to a place, the last one where no place is named; None beyond the ends of the line."""
    if not line.x:
        return None
    if x is None:
        return next((value for value in reversed(line.y) if math.isfinite(value)), None)
    if not line.x[0] <= x <= line.x[-1] and not math.isclose(x, line.x[-1], rel_tol=0.02):
        return None
    at = bisect_left(line.x, x)
    near = [i for i in (at - 1, at) if 0 <= i < len(line.x)]
    value = line.y[min(near, key=lambda i: abs(line.x[i] - x))]
    return value if math.isfinite(value) else None


def _log10(value: float) -> float:
    return math.log10(value) if 1 / HUGE < value < HUGE else math.nan


def _part(line: Trace, low: float, high: float) -> Trace:
    """The points of a range, and one on each side so that the line goes on to the edge."""
    start, end = max(0, bisect_left(line.x, low) - 1), bisect_right(line.x, high) + 1
    return replace(line, x=line.x[start:end], y=line.y[start:end])


def _values(lines: Sequence[Trace], low: float, high: float, *, settled: bool) -> list[float]:
    """What decides the height: of whole curves not their first fifth, for a loss begins far above where it ends."""
    found: list[float] = []
    for line in lines:
        start = low + SETTLING * (line.x[-1] - low) if settled and line.x else low
        inner = [y for x, y in zip(line.x, line.y, strict=True) if start <= x <= high and -HUGE < y < HUGE]
        found += inner or [y for y in line.y if -HUGE < y < HUGE]
    return found


def _letters(cells: list[list[Cell]], letters: str) -> None:
    """A letter on each curve every so often, so that colour is not needed to tell them apart."""
    across = len(cells[0]) if cells else 0
    for index, letter in enumerate(letters):
        first = LETTER_CELLS // 2 + index * LETTER_CELLS // max(1, len(letters))
        for start in range(first, across, LETTER_CELLS):
            near = range(start, min(start + LETTER_CELLS // 4, across))  # a dotted line has cells without a dot
            places = ((row, column) for column in near for row in range(len(cells)))
            place = next((place for place in places if cells[place[0]][place[1]][1] == index), None)
            if place is not None:
                cells[place[0]][place[1]] = (letter, index)
