"""The progress of a lab as characters: a mark for every experiment, the champion as steps, the noise around it. Pure.

A mark is a shape, not only a colour. What has no metric stands on the floor; what lies beyond the scale points there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from core.text import clip, number, width
from tui.render.braille import BLANK, Cell, Symbols

SMALLEST = (24, 4)
"""cells below which only the words are shown"""
PADDING = 0.06
CROWDED = 3
"""experiments a column above which an unclear one is a dot among dots"""
NAME_CELLS = (16, 30)
"""of a name in a low and in a high picture"""
DOTS = ((1, 8), (2, 16), (4, 32), (64, 128))
"""weight of the dot in each row and column of a braille cell"""


class Ink(IntEnum):
    """What a cell belongs to; the widget has a style for each."""

    BAND = 0
    TRIED = 1
    UNCLEAR = 2
    FAILED = 3
    CHAMPION = 4
    SUSPECT = 5
    KEPT = 6
    NAME = 7
    CURSOR = 8


SIGNS = {Ink.TRIED: "·", Ink.UNCLEAR: "~", Ink.FAILED: "✗", Ink.SUSPECT: "!", Ink.KEPT: "✓", Ink.BAND: "┄"}
ASCII_SIGNS = {Ink.TRIED: ".", Ink.UNCLEAR: "?", Ink.FAILED: "x", Ink.SUSPECT: "!", Ink.KEPT: "#", Ink.BAND: "~"}


class Dot(NamedTuple):
    """One judged experiment; `value` is None where it has no metric."""

    number: int
    value: float | None
    ink: Ink


class Reign(NamedTuple):
    """A champion, from the experiment that made it on."""

    start: int
    level: float


class Name(NamedTuple):
    """A kept experiment to be named; the first of a list has the best claim to its place."""

    number: int
    value: float
    title: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What is drawn."""

    dots: Sequence[Dot] = ()
    reigns: Sequence[Reign] = ()
    """baseline first"""
    names: Sequence[Name] = ()
    band: float = 0.0
    """half the width of the noise band around the champion"""
    direction: str = "min"
    last: int = 0
    """number of the newest experiment"""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the plane lies in the cells."""

    left: int
    """cells of the labels at the side"""
    across: int
    tall: int
    low: float
    high: float
    last: int

    def column(self, experiment: float) -> int:
        return min(self.across - 1, max(0, int(experiment / (self.last + 1) * self.across)))

    def row(self, value: float, parts: int = 1) -> int:
        """The row of a value, or the part of a row where a row has several; may lie outside."""
        share = (self.high - value) / (self.high - self.low)
        return math.floor(share * self.tall * parts) if abs(share) < 1e6 else (-1 if share < 0 else self.tall * parts)


Rows = tuple[tuple[Cell, ...], ...]


def draw(progress: Progress, columns: int, lines: int, symbols: Symbols = Symbols.BRAILLE) -> tuple[Rows, Frame | None]:
    """The picture in exactly so many cells; nothing but blanks where it is too small or nothing is known."""
    window = _window(progress)
    blank = ((BLANK,) * max(columns, 0),) * max(lines, 0)
    if window is None or columns < SMALLEST[0] or lines < SMALLEST[1]:
        return blank, None
    low, high = window
    tall = lines - 1
    labels = _labels(low, high, tall)
    left = 1 + max((len(text) for text in labels.values()), default=0)
    frame = Frame(left, columns - left, tall, low, high, max(progress.last, 1))
    signs = ASCII_SIGNS if symbols is Symbols.ASCII else SIGNS
    cells = [[BLANK] * frame.across for _ in range(tall)]
    floor: list[Cell] = [("-" if symbols is Symbols.ASCII else "─", None)] * frame.across
    _band(cells, frame, progress, signs[Ink.BAND])
    crowded = len(progress.dots) > CROWDED * frame.across
    _tried(cells, frame, [dot for dot in progress.dots if crowded or dot.ink is Ink.TRIED], symbols)
    covered = [row.copy() for row in cells]
    _champion(cells, frame, progress.reigns, symbols)
    if not crowded:
        _on_the_line(cells, covered)
    for dot in sorted(progress.dots, key=lambda dot: dot.ink):
        if dot.value is None or not math.isfinite(dot.value):
            floor[frame.column(dot.number)] = (signs[Ink.FAILED], Ink.FAILED)
        elif dot.ink is not Ink.TRIED and not (crowded and dot.ink is Ink.UNCLEAR):
            _mark(cells, frame, dot, signs[dot.ink])
    _names(cells, frame, progress)
    return _framed(cells, floor, frame, labels, symbols), frame


def with_cursor(rows: Rows, frame: Frame | None, experiment: int | None, symbols: Symbols = Symbols.BRAILLE) -> Rows:
    """The picture with the place of one experiment marked on its floor."""
    if frame is None or experiment is None or not 0 < experiment <= frame.last:
        return rows
    at = frame.left + frame.column(experiment)
    floor, first, last = list(rows[-1]), at, at
    while floor[first][0].isdigit() and floor[first - 1][0].isdigit():
        first -= 1
    while last + 1 < len(floor) and floor[at][0].isdigit() and floor[last + 1][0].isdigit():
        last += 1
    # a number that the mark stands in goes whole: what would be left of it is another number
    floor[first : last + 1] = [("-" if symbols is Symbols.ASCII else "─", None)] * (last + 1 - first)
    floor[at] = ("^" if symbols is Symbols.ASCII else "▲", Ink.CURSOR)
    return (*rows[:-1], tuple(floor))


def inks(progress: Progress) -> list[Ink]:
    """What occurs, for a legend."""
    there = {Ink.FAILED if dot.value is None else dot.ink for dot in progress.dots}
    there |= {Ink.CHAMPION} if progress.reigns else set()
    there |= {Ink.BAND} if progress.band and progress.reigns else set()
    return sorted(there, key=(Ink.KEPT, Ink.SUSPECT, Ink.UNCLEAR, Ink.TRIED, Ink.FAILED, Ink.CHAMPION, Ink.BAND).index)


# ---- the scale -----------------------------------------------------------------------------------------------------


def _window(progress: Progress) -> tuple[float, float] | None:
    """The champions and what lies near them; the rest points beyond the edge."""
    values = [d.value for d in progress.dots if d.value is not None and abs(d.value) < 1e100]
    levels = [reign.level for reign in progress.reigns]
    if not levels and not values:
        return None
    levels = levels or [sorted(values)[len(values) // 2]]
    low, high = min(levels), max(levels)
    span = max(high - low, 1.2 * progress.band, abs(high) * 1e-6, 1e-12)
    near = [value for value in values if low - span <= value <= high + span]
    low, high = min([low - progress.band, *near]), max([high + progress.band, *near])
    pad = PADDING * (high - low) or span
    return low - pad, high + pad


def _labels(low: float, high: float, tall: int) -> dict[int, str]:
    """Row -> what stands at its side: about one label in three rows."""
    rough = (high - low) / max(2, tall // 3)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size for size in (5 * power, 2 * power, power) if size <= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    found: dict[int, str] = {}
    for index in range(math.ceil(low / step), math.floor(high / step) + 1):
        row = math.floor((high - index * step) / (high - low) * tall)
        text = number(index * step, digits) if digits <= 6 and abs(index * step) < 1e6 else f"{index * step:.3g}"
        found.setdefault(max(0, min(row, tall - 1)), text)
    return found


# ---- the layers ----------------------------------------------------------------------------------------------------


def _spans(frame: Frame, reigns: Sequence[Reign]) -> Iterable[tuple[int, int, float]]:
    """First and last column of each reign, and its level."""
    ends = [reign.start for reign in reigns[1:]]
    for reign, end in zip(reigns, [*ends, None][: len(reigns)], strict=True):
        yield frame.column(reign.start), frame.across - 1 if end is None else frame.column(end), reign.level


def _band(cells: list[list[Cell]], frame: Frame, progress: Progress, sign: str) -> None:
    """Its two edges; one that falls on the champion's own row is not drawn."""
    if not progress.band:
        return
    for first, last, level in _spans(frame, progress.reigns):
        for edge in (level - progress.band, level + progress.band):
            row = frame.row(edge)
            if 0 <= row < frame.tall and row != frame.row(level):
                cells[row][first : last + 1] = [(sign, Ink.BAND)] * (last + 1 - first)


def _tried(cells: list[list[Cell]], frame: Frame, dots: Sequence[Dot], symbols: Symbols) -> None:
    """Those that were not kept, a dot each; a cell of braille tells eight of them apart."""
    bits: dict[tuple[int, int], int] = {}
    beyond = ("^", "v") if symbols is Symbols.ASCII else ("▴", "▾")
    wide, parts = (2 * frame.across, 4) if symbols is Symbols.BRAILLE else (frame.across, 1)
    scale, last = wide / (frame.last + 1), wide - 1
    for dot in dots:
        if dot.ink not in (Ink.TRIED, Ink.UNCLEAR) or dot.value is None or not math.isfinite(dot.value):
            continue
        row, column = frame.row(dot.value, parts), min(last, int(dot.number * scale))
        if not 0 <= row < frame.tall * parts:
            edge, sign = (0, beyond[0]) if row < 0 else (frame.tall - 1, beyond[1])
            cells[edge][column * frame.across // wide] = (sign, Ink.TRIED)
        elif parts == 1:
            cells[row][column] = (ASCII_SIGNS[Ink.TRIED] if symbols is Symbols.ASCII else "·", Ink.TRIED)
        else:
            place = (row // parts, column // 2)
            bits[place] = bits.get(place, 0) | DOTS[row % parts][column % 2]
    for (row, column), sum_ in bits.items():
        cells[row][column] = (chr(0x2800 + sum_), Ink.TRIED)


def _champion(cells: list[list[Cell]], frame: Frame, reigns: Sequence[Reign], symbols: Symbols) -> None:
    """The level as a line with steps; always on the scale."""
    flat, side, down, up, under, over = "-|++++" if symbols is Symbols.ASCII else "─│┐┘└┌"
    before: int | None = None
    for first, last, level in _spans(frame, reigns):
        row = min(frame.tall - 1, max(0, frame.row(level)))
        cells[row][first : last + 1] = [(flat, Ink.CHAMPION)] * (last + 1 - first)
        if before is not None and before != row:
            corner, end = (down, under) if row > before else (up, over)
            for between in range(min(before, row) + 1, max(before, row)):
                cells[between][first] = (side, Ink.CHAMPION)
            cells[before][first], cells[row][first] = (corner, Ink.CHAMPION), (end, Ink.CHAMPION)
        before = row


def _on_the_line(cells: list[list[Cell]], covered: list[list[Cell]]) -> None:
    """Most results lie near the champion's: where they are few, its line leaves them in sight."""
    for row, line in enumerate(covered):
        for column, (_, ink) in enumerate(line):
            if ink == Ink.TRIED and cells[row][column][0] in "─-":
                cells[row][column] = line[column]


def _mark(cells: list[list[Cell]], frame: Frame, dot: Dot, sign: str) -> None:
    row = min(frame.tall - 1, max(0, frame.row(dot.value or 0.0)))
    cells[row][frame.column(dot.number)] = (sign, dot.ink)


def _names(cells: list[list[Cell]], frame: Frame, progress: Progress) -> None:
    """Names beside their marks, on the side where few experiments lie; the number alone where that is all there is
    room for, and none before one would cover another."""
    better = 1 if progress.direction == "min" else -1
    for name in progress.names:
        column, row = frame.column(name.number), min(frame.tall - 1, max(0, frame.row(name.value)))
        title, tag = clip(name.title, NAME_CELLS[frame.tall > 8]), f"#{name.number}"
        # the number stands next to the mark
        for right, left in ((f"{tag} {title}", f"{title} {tag}"), (tag, tag)):
            size = width(right)
            places = [
                (row + way * better, start, text)
                for way in (1, 2, -1)
                for start, text in ((column + 1, right), (column - size, left))
            ]
            place = next((spot for spot in places if _free(cells, spot[0], spot[1], size)), None)
            if place is not None:
                _write(cells[place[0]], place[1], place[2])
                break


def _free(cells: list[list[Cell]], row: int, start: int, size: int) -> bool:
    """Whether a name may stand there: over the band and single dots, a cell away from other names."""
    if not 0 <= row < len(cells) or start < 0 or start + size > len(cells[0]):
        return False
    around = cells[row][max(0, start - 1) : start + size + 1]
    return all(ink in (None, Ink.BAND, Ink.TRIED) for _, ink in around)


def _write(line: list[Cell], start: int, text: str) -> None:
    at = start
    for char in text:
        cells = width(char)
        if cells == 0:
            line[at - 1] = (line[at - 1][0] + char, Ink.NAME)  # a combining mark stands in the cell before it
            continue
        line[at] = (char, Ink.NAME)
        for more in range(1, cells):
            line[at + more] = ("", Ink.NAME)  # the second half of a wide character
        at += cells


def _framed(cells: list[list[Cell]], floor: list[Cell], frame: Frame, labels: dict[int, str], symbols: Symbols) -> Rows:
    side, mark, corner = "|++" if symbols is Symbols.ASCII else "│┤└"
    rows: list[tuple[Cell, ...]] = []
    for row, line in enumerate(cells):
        text = labels.get(row, "").rjust(frame.left - 1) + (mark if row in labels else side)
        rows.append((*((char, None) for char in text), *line))
    free = 0
    for experiment in _ticks(frame):
        text, start = str(experiment), frame.column(experiment)
        while start < frame.across and floor[start][1] is Ink.FAILED:
            start += 1  # beside the mark of what has no metric, not over it
        if any(ink is Ink.FAILED for _, ink in floor[start : start + len(text)]):
            continue
        if free <= start and start + len(text) < frame.across:
            floor[start : start + len(text)] = [(char, None) for char in text]
            free = start + len(text) + 3
    head = " " * (frame.left - 1) + corner
    rows.append((*((char, None) for char in head), *floor))
    return tuple(rows)


def _ticks(frame: Frame) -> Iterable[int]:
    """Round experiment numbers, a dozen cells apart."""
    rough = max(1.0, frame.last / max(1, frame.across // 12))
    power = 10 ** math.floor(math.log10(rough))
    step = next(size for size in (power, 2 * power, 5 * power, 10 * power) if size >= rough)
    return range(step, frame.last + 1, step)
