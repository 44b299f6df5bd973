"""The rows of a patch as lines of a view: one column, or what was beside what will be. Made when they are looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from copy import copy
from itertools import accumulate, groupby

from tui.render.diff_rows import Part, Rows, SplitRow, split_rows
from tui.render.diff_words import RUN_LIMIT


class Lines:
    """All lines, of which only the number is known before one is asked for."""

    def __init__(self, rows: Rows, *, split: bool) -> None:
        self._rows, self._split = rows, split
        self._made: dict[int, list[SplitRow]] = {}
        heights = (self._height(at, part) for at, part in enumerate(rows.parts)) if split else None
        self._starts = [*accumulate(heights, initial=0)] if heights else rows.starts
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

    def __getitem__(self, line: int) -> SplitRow:
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

    def _lines_of(self, at: int) -> list[SplitRow]:
        if at not in self._made:
            rows = self._rows.of(at)
            self._made[at] = split_rows(rows, self._rows.starts[at]) if self._split else [(row, row) for row in rows]
        return self._made[at]

    def _height(self, at: int, part: Part) -> int:
        """Lines of a part in two columns: counted, where it does not matter which lines are versions of each other."""
        height = 1
        for changed, run in groupby(part.hunk.lines if part.hunk else (), key=lambda line: line[0] != " "):
            marks = [line[0] for line in run]
            if not changed:
                height += len(marks)
                continue
            fewer, more = sorted((marks.count("-"), marks.count("+")))
            if "\\" in marks or (fewer > 1 and fewer + more <= RUN_LIMIT):
                return len(self._lines_of(at))
            height += more
        return height
