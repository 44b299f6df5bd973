"""Curves as characters: each cell holds a few dots, and thousands of points become a line without losing a spike."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

Cell = tuple[str, int | None]
"""a character and the index of the series it belongs to; None for blanks, axes and labels"""
BLANK: Cell = (" ", None)


class Symbols(StrEnum):
    """What the dots are made of: the terminal's font decides."""

    BRAILLE = "braille"  # 2 by 4 dots a cell
    BLOCK = "block"  # 2 by 2
    ASCII = "ascii"  # 1 by 3


@dataclass(frozen=True, slots=True)
class Trace:
    """A line to draw: `x` ascending, `y` of the same length; a `y` that is not finite is a gap."""

    x: Sequence[float]
    y: Sequence[float]
    dotted: bool = False


# weight of the dot in each row and column of a cell, and the character for each sum of weights
_DOTS: dict[Symbols, tuple[tuple[tuple[int, ...], ...], str]] = {
    Symbols.BRAILLE: (((1, 8), (2, 16), (4, 32), (64, 128)), "".join(chr(0x2800 + bits) for bits in range(256))),
    Symbols.BLOCK: (((1, 2), (4, 8)), " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"),
    Symbols.ASCII: (((1,), (2,), (4,)), " '-|.:||"),
}


def plot(
    traces: Sequence[Trace],
    width: int,
    height: int,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    symbols: Symbols = Symbols.BRAILLE,
) -> list[list[Cell]]:
    """Rows of cells, the highest values first. Where traces meet, the cell belongs to the later one alone."""
    weights, characters = _DOTS[symbols]
    down, across = len(weights), len(weights[0])
    cells = [[BLANK] * width for _ in range(height)]
    for index, trace in enumerate(traces):
        stride = 2 if trace.dotted else 1
        columns = -(-width * across // stride)
        bits = [[0] * width for _ in range(height)]
        for column, top, bottom in _strokes(trace, columns, height * down, x_range, y_range):
            cell, dot = divmod(column * stride, across)
            for row in range(max(0, top), min(height * down - 1, bottom) + 1):
                bits[row // down][cell] |= weights[row % down][dot]
        for line, own in zip(cells, bits, strict=True):
            for column, value in enumerate(own):
                if value:
                    line[column] = (characters[value], index)
    return cells


def _strokes(
    trace: Trace, columns: int, rows: int, x_range: tuple[float, float], y_range: tuple[float, float]
) -> Iterator[tuple[int, int, int]]:
    """Column, top and bottom row of every vertical piece of the line; rows may lie outside."""
    (x_low, x_high), (y_low, y_high) = x_range, y_range
    if not (trace.x and x_high > x_low and y_high > y_low and columns and rows):
        return
    scale, limit = (rows - 1) / (y_high - y_low), 8.0 * rows

    def row(value: float) -> int:
        return round(min(limit, max(-limit, (y_high - value) * scale)))

    last: tuple[int, int] | None = None  # column and row where the line can go on
    at, end = bisect_left(trace.x, x_low), bisect_right(trace.x, x_high)
    for column in range(columns):
        edge = x_low + (x_high - x_low) * (column + 1) / columns
        upto = bisect_left(trace.x, edge, at, end) if column < columns - 1 else end
        if upto == at:
            continue
        values = trace.y[at:upto]
        at = upto
        runs = [values] if math.isfinite(sum(values)) else _finite_runs(values)
        for run in runs:
            if not run:
                last = None  # a gap
                continue
            first = row(run[0])
            if last:
                yield from _bridge(last, (column, first))
            yield column, row(max(run)), row(min(run))
            last = column, row(run[-1])


def _finite_runs(values: Sequence[float]) -> list[list[float]]:
    """Runs of finite values; an empty run stands for a gap."""
    runs: list[list[float]] = [[]] if not math.isfinite(values[0]) else []
    for value in values:
        if not math.isfinite(value):
            runs += [[]] if runs[-1] else []
        elif runs and runs[-1]:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _bridge(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """The straight line between two places, without its first dot; a step in one column is a vertical piece."""
    (column, row), (last_column, last_row) = start, end
    steps = last_column - column
    for step in range(1, steps + 1):
        there = row + round((last_row - row) * step / steps)
        before = row + round((last_row - row) * (step - 1) / steps)
        if there >= before:
            yield column + step, min(before + 1, there), there
        else:
            yield column + step, there, before - 1
