"""The rows of a patch as lines of a view: one column, or what was beside what will be. Made when they are looked at.

A changed line is decided about, so the whole of it is on the screen, in as many lines of the view as that takes; what
stays as it is takes one, cut where it is longer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from copy import copy
from itertools import accumulate, groupby
from typing import NamedTuple

from tui.render.diff_rows import Part, Row, RowKind, Rows, SplitRow, shown, split_rows
from tui.render.diff_words import RUN_LIMIT
from tui.render.wrapping import FEWEST_CELLS, Piece, pieces


class Line(NamedTuple):
    """A line of the view: its rows, the same one twice where there is one column, and which piece of them."""

    left: Row | None
    right: Row | None
    piece: int = 0


def is_whole(row: Row, room: int) -> bool:
    """All of the row is on the screen, where a side has `room` cells for its text."""
    return row.kind in (RowKind.ADDED, RowKind.REMOVED) and room >= FEWEST_CELLS


def pieces_of(row: Row, room: int) -> tuple[Piece, ...]:
    """What a row is broken into."""
    return pieces(row.text, room) if is_whole(row, room) else (Piece(0, len(row.text), 0),)


class Lines:
    """All lines, of which only the number is known before one is asked for."""

    def __init__(self, rows: Rows, *, split: bool, room: int = 0) -> None:
        """`room`: cells for the text of a side; 0 breaks no line."""
        self._rows, self._split, self.room = rows, split, room
        self._made: dict[int, list[Line]] = {}
        self._starts = [*accumulate((self._height(at, part) for at, part in enumerate(rows.parts)), initial=0)]
        hunks = [at for at, part in enumerate(rows.parts) if part.hunk]
        self.heads = [self._starts[at] for at in hunks]
        """the line of each hunk's header"""
        self.ends = [self._starts[at + 1] - 1 for at in hunks]
        """the last line of each hunk"""

    def of(self, rows: Rows) -> Lines:
        """The same lines where other hunks are switched in: what they say differs, where they stand does not."""
        lines = copy(self)
        lines._rows, lines._made = rows, {}
        return lines

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, line: int) -> Line:
        at = self._part(line)
        return self._lines_of(at)[line - self._starts[at]]

    def hunk(self, line: int) -> int | None:
        """The hunk that a line belongs to; None for a file's name."""
        hunk = self._rows.parts[self._part(line)].hunk
        return hunk.index if hunk else None

    def around(self, line: int, words: str, *, backwards: bool = False) -> Iterator[int]:
        """The lines that may hold these words: from the next one on and once around, to this one itself."""
        here, count, step = self._part(line), len(self._rows.parts), -1 if backwards else 1
        for turn in range(count + 1):
            at = (here + step * turn) % count
            if self._rows.may_hold(at, words):
                for found in range(self._starts[at], self._starts[at + 1])[::step]:
                    ahead = found < line if backwards else found > line
                    if 0 < turn < count or ahead == (turn == 0):
                        yield found

    def _part(self, line: int) -> int:
        return bisect_right(self._starts, line) - 1

    def _lines_of(self, at: int) -> list[Line]:
        if at not in self._made:
            rows = self._rows.of(at)
            pairs = split_rows(rows, self._rows.starts[at]) if self._split else [(row, row) for row in rows]
            self._made[at] = [Line(*pair, piece) for pair in pairs for piece in range(self._pieces(pair))]
        return self._made[at]

    def _pieces(self, pair: SplitRow) -> int:
        """How many lines a pair of rows takes."""
        return max(len(pieces_of(row, self.room)) for row in pair if row)

    def _pieces_of(self, line: str) -> int:
        """The same of a line of a hunk, of which no row has been made."""
        return len(pieces(shown(line), self.room)) if line[0] in "+-" else 1

    def _height(self, at: int, part: Part) -> int:
        """Lines of a part: counted, where it does not matter which lines are versions of each other."""
        if part.hunk is None:
            return 1
        if not self._split:
            return 1 + sum(map(self._pieces_of, part.hunk.lines))
        height = 1
        for changed, run in groupby(part.hunk.lines, key=lambda line: line[0] != " "):
            lines = [*run]
            if not changed:
                height += len(lines)
                continue
            marks = [line[0] for line in lines]
            fewer, more = sorted((marks.count("-"), marks.count("+")))
            broken = any(self._pieces_of(line) > 1 for line in lines)
            if "\\" in marks or broken or (fewer > 1 and fewer + more <= RUN_LIMIT):
                return len(self._lines_of(at))
            height += more
        return height
