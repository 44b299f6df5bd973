"""How one line of the diff view is drawn. Pure but for the styles, which come from the widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.render.diff_rows import Row, RowKind, SplitRow

NARROW_COLUMNS = 60
"""below, one column of line numbers serves for both sides"""
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

    def line(self, pair: SplitRow, width: int, *, cursor: bool) -> Strip:
        """In exactly `width` cells. Neighbours of one style become one piece: each costs 40 bytes on the wire."""
        return self._line(pair, width, cursor).simplify()

    def _line(self, pair: SplitRow, width: int, cursor: bool) -> Strip:
        left, right = pair
        row = left or right
        assert row is not None
        if row.kind in (RowKind.FILE, RowKind.HUNK):
            return self._headline(row, width, cursor=cursor)
        if not self.split:
            return self._side(row, width, cursor=cursor, numbers=1 if width < NARROW_COLUMNS else 2)
        half = (width - 1) // 2
        border = Strip([Segment("│", self.style("diff--gutter"))], 1)
        old = self._side(left, half, cursor=cursor, old=True, numbers=1, mark=row)
        new = self._side(right, width - 1 - half, cursor=False, old=False, numbers=1, mark=row)
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
        width: int,
        *,
        cursor: bool,
        numbers: int,
        old: bool | None = None,
        mark: Row | None = None,
    ) -> Strip:
        """One row in `width` cells; of a split line the `old` or the new half."""
        pointer = "" if old is False else "▸" if cursor else " "
        shown = mark or row
        bar = self._mark(shown) if shown else " "
        gutter = self.style("diff--gutter", cursor=cursor)
        if row is None:
            return Strip([Segment(pointer + bar, gutter)]).crop_extend(0, width, gutter)
        columns = (row.old_no, row.new_no) if numbers == 2 else (self._one_number(row, old),)
        figures = " ".join(f"{number or '':>{self.number_width}}" for number in columns)
        name = {RowKind.ADDED: "diff--added", RowKind.REMOVED: "diff--removed"}.get(row.kind, "")
        if row.hunk not in self.kept:
            name = "diff--out"
        style = self.style(name, cursor=cursor)
        sign = SIGNS.get(row.kind, " ") + ("‹" if self.left else " ")
        before = [Segment(f"{pointer}{bar}{figures} ", gutter), Segment(sign, style)]
        room = width - sum(len(segment.text) for segment in before)
        body = Strip(self._body(row, style, name))
        if body.cell_length > self.left + room > self.left:
            body = body.crop_extend(self.left, self.left + room - 1, style)
            return Strip([*before, *body, Segment("›", gutter)]).crop_extend(0, width, style)
        return Strip([*before, *body.crop_extend(self.left, self.left + max(room, 0), style)]).crop(0, width)

    def _body(self, row: Row, style: Style, name: str) -> list[Segment]:
        """The text in pieces: changed words and matches of the search stand out."""
        strong: dict[int, Style] = {}
        if name in ("diff--added", "diff--removed"):
            word = self.style(f"{name}-word")
            strong |= {i: word for start, end in row.spans for i in range(start, min(end, len(row.text)))}
        if self.needle:
            match = style + Style(reverse=True, bold=True)
            strong |= {
                i: match for start in matches(row.text, self.needle) for i in range(start, start + len(self.needle))
            }
        if not strong:
            return [Segment(row.text, style)]
        edges = [i for i in range(len(row.text)) if i == 0 or strong.get(i) is not strong.get(i - 1)]
        return [
            Segment(row.text[start:end], strong.get(start, style))
            for start, end in zip(edges, [*edges[1:], len(row.text)], strict=True)
        ]

    def _mark(self, row: Row) -> str:
        return " " if row.hunk is None else "▌" if row.hunk in self.kept else "·"

    @staticmethod
    def _one_number(row: Row, old: bool | None) -> int | None:
        if old is None:
            return row.old_no if row.new_no is None else row.new_no
        return row.old_no if old else row.new_no


def matches(text: str, needle: str) -> list[int]:
    """Where `needle` stands in `text`; small letters match capitals too."""
    if needle == needle.lower():
        text = text.lower()
    found, at = [], text.find(needle)
    while at >= 0 and needle:
        found.append(at)
        at = text.find(needle, at + len(needle))
    return found
