"""How one line of the diff view is drawn. Pure but for the styles, which come from the widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.render.diff_lines import Line, is_whole, pieces_of
from tui.render.diff_rows import Row, RowKind

NARROW_COLUMNS = 60
"""below, one column of line numbers serves for both sides"""
ON = "↳"
"""before what a changed line goes on with"""
SIGNS = {RowKind.ADDED: "+", RowKind.REMOVED: "-", RowKind.NO_NEWLINE: "\\"}


class StyleOf(Protocol):
    """The style of a component class (empty: plain), on the cursor's row or not."""

    def __call__(self, name: str, *, cursor: bool = False) -> Style: ...


@dataclass(frozen=True)
class Pen:
    """What all lines of a view have in common."""

    style: StyleOf
    kept: frozenset[int]
    seen: frozenset[int]
    needle: str
    """what the search looks for"""
    left: int
    """columns scrolled out on the left"""
    number_width: int
    split: bool
    numbers: int
    """columns of them, where the view has one side"""
    room: int
    """cells for the text of a side"""

    def line(self, line: Line, width: int, *, cursor: bool) -> Strip:
        """In exactly `width` cells. Neighbours of one style become one piece: each costs 40 bytes on the wire."""
        return self._line(line, width, cursor).simplify()

    def _line(self, line: Line, width: int, cursor: bool) -> Strip:
        left, right, piece = line
        row = left or right
        assert row is not None
        if row.kind in (RowKind.FILE, RowKind.HUNK):
            return self._headline(row, width, cursor=cursor)
        if not self.split:
            return self._side(row, piece, width, cursor=cursor, numbers=self.numbers)
        half = (width - 1) // 2
        border = Strip([Segment("│", self.style("diff--gutter"))], 1)
        old = self._side(left, piece, half, cursor=cursor, old=True, numbers=1, mark=row)
        new = self._side(right, piece, width - 1 - half, cursor=False, old=False, numbers=1, mark=row)
        return Strip.join([old, border, new])

    def _headline(self, row: Row, width: int, *, cursor: bool) -> Strip:
        words = [row.text]
        if row.kind is RowKind.HUNK:
            words = [f"{self._mark(row)} {row.text}"]
            words += [] if row.hunk in self.kept else ["switched out"]
            words += ["seen"] if row.hunk in self.seen else []
        style = self.style("diff--file" if row.kind is RowKind.FILE else "diff--hunk", cursor=cursor)
        return Strip([Segment(("▸" if cursor else " ") + "  ".join(words), style)]).crop_extend(0, width, style)

    def _side(
        self,
        row: Row | None,
        piece: int,
        width: int,
        *,
        cursor: bool,
        numbers: int,
        old: bool | None = None,
        mark: Row | None = None,
    ) -> Strip:
        """A piece of a row in `width` cells; of a split line the `old` or the new half."""
        pointer = "" if old is False else "▸" if cursor else " "
        shown = mark or row
        bar = self._mark(shown) if shown else " "
        gutter = self.style("diff--gutter", cursor=cursor)
        parts = pieces_of(row, self.room) if row else ()
        if row is None or piece >= len(parts):
            return Strip([Segment(pointer + bar, gutter)]).crop_extend(0, width, gutter)
        columns = (row.old_no, row.new_no) if numbers == 2 else (self._one_number(row, old),)
        figures = " ".join(f"{(not piece and number) or '':>{self.number_width}}" for number in columns)
        name = {RowKind.ADDED: "diff--added", RowKind.REMOVED: "diff--removed"}.get(row.kind, "")
        if row.hunk not in self.kept:
            name = "diff--out"
        style = self.style(name, cursor=cursor)
        start, end, indent = parts[piece]
        left = 0 if is_whole(row, self.room) else self.left
        sign = SIGNS.get(row.kind, " ") + (ON if piece else "‹" if left else " ")
        before = [Segment(f"{pointer}{bar}{figures} ", gutter), Segment(sign + " " * indent, style)]
        room = width - sum(len(segment.text) for segment in before)
        body = Strip(self._body(row, style, name, start, end))
        if body.cell_length > left + room > left:
            body = body.crop_extend(left, left + room - 1, style)
            return Strip([*before, *body, Segment("›", gutter)]).crop_extend(0, width, style)
        return Strip([*before, *body.crop_extend(left, left + max(room, 0), style)]).crop(0, width)

    def _body(self, row: Row, style: Style, name: str, first: int, last: int) -> list[Segment]:
        """A part of the text: changed words and matches of the search stand out."""
        strong: dict[int, Style] = {}
        if name in ("diff--added", "diff--removed"):
            word = self.style(f"{name}-word")
            strong |= {i: word for start, end in row.spans for i in range(max(start, first), min(end, last))}
        if self.needle:
            match = style + Style(reverse=True, bold=True)
            strong |= {
                i: match for start in matches(row.text, self.needle) for i in range(start, start + len(self.needle))
            }
        if not strong:
            return [Segment(row.text[first:last], style)]
        edges = [i for i in range(first, last) if i == first or strong.get(i) is not strong.get(i - 1)]
        return [
            Segment(row.text[start:end], strong.get(start, style))
            for start, end in zip(edges, [*edges[1:], last], strict=True)
        ]

    def _mark(self, row: Row) -> str:
        return " " if row.hunk is None else "▌" if row.hunk in self.kept else "·"

    @staticmethod
    def _one_number(row: Row, old: bool | None) -> int | None:
        if old is None:
            return row.old_no if row.new_no is None else row.new_no
        return row.old_no if old else row.new_no


def numbers(width: int, *, split: bool) -> int:
    """Columns of line numbers on a side of a view of this width."""
    return 1 if split or width <= NARROW_COLUMNS else 2


def room(width: int, number_width: int, *, split: bool) -> int:
    """Cells that a side surely has for its text in a view of this width: a column of them may be the thumb's."""
    side = (width - 2) // 2 if split else width - 1
    columns = numbers(width, split=split)
    return side - len("▸▌") - columns * (number_width + 1) - len("+ ")


def holds(line: Line, words: str, width: int) -> bool:
    """Whether one of a line's rows has these words, and they begin in this piece of it."""
    for row in (line.left, line.right):
        parts = pieces_of(row, width) if row else ()
        if row and line.piece < len(parts):
            start, end, _ = parts[line.piece]
            if any(start <= at < end for at in matches(row.text, words)):
                return True
    return False


def matches(text: str, needle: str) -> list[int]:
    """Where `needle` stands in `text`; small letters match capitals too."""
    if needle == needle.lower():
        text = text.lower()
    found, at = [], text.find(needle)
    while at >= 0 and needle:
        found.append(at)
        at = text.find(needle, at + len(needle))
    return found
