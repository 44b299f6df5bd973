"""The table of experiments.

`▸` is the cursor, `*` an experiment marked to be compared; what became of one is a sign and a word, not a colour alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from textual.strip import Strip

from core.store.rows import Summary
from core.text import UNKNOWN, number, one_line, signed
from tui.listing import SIGNS, Column, Listing, Outcome, outcome
from tui.widgets.rows_table import Cell, RowsTable

LOOKS = {
    Outcome.KEPT: "table--good",
    Outcome.DOUBTFUL: "table--waiting",
    Outcome.WAITS: "table--waiting",
    Outcome.SUSPECT: "table--waiting",
    Outcome.RUNNING: "table--running",
    Outcome.APPROVED: "table--running",
    Outcome.CRASHED: "table--bad",
    Outcome.INVALID: "table--bad",
}
"""every other outcome is quiet"""
COLOURED = (Column.OUTCOME, Column.DELTA)
MARKED = "*"


class Field(NamedTuple):
    """A column on the screen."""

    column: Column
    width: int
    right: bool = False


@lru_cache(8)
def fields(width: int) -> tuple[Field, ...]:
    """The columns that fit into a width, the title with what is left; two cells before them are cursor and mark."""
    found = [Field(Column.NUMBER, 6, True), Field(Column.OUTCOME, 12)]
    if width >= 60:
        found.append(Field(Column.METRIC, 8, True))
    found.append(Field(Column.DELTA, 17 if width >= 72 else 9, True))
    tail = []
    if width >= 96:
        tail.append(Field(Column.SIZE, 9, True))
    if width >= 110:
        tail.append(Field(Column.AUTHOR, 18))
    used = 2 + sum(field.width + 1 for field in (*found, *tail))
    return (*found, Field(Column.TITLE, max(width - used, 8)), *tail)


class ExperimentsTable(RowsTable[Summary]):
    """The experiments; what became of each is a sign and a word."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self.empty_text = "No experiment yet."
        self.metric = "metric"
        """name of the metric, for the head of its column"""
        self._listing = Listing()
        self._marked: Collection[int] = frozenset()
        self._doubtful: Collection[int] = frozenset()
        self._sizes: Mapping[int, tuple[int, int]] = {}

    def show(
        self,
        rows: Sequence[Summary],
        listing: Listing,
        *,
        marked: Collection[int],
        doubtful: Collection[int] = frozenset(),
        sizes: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        """Other rows, or the same in another state; the cursor stays on its experiment."""
        before = self.picture()
        self._listing, self._marked, self._doubtful = listing, marked, doubtful
        self._sizes = self._sizes if sizes is None else sizes
        self.replace(rows, before)

    @property
    def cursor_id(self) -> int | None:
        """The experiment under the cursor."""
        return self.cursor_key

    @property
    def columns(self) -> list[Column]:
        """What is on the screen, from the left."""
        return [field.column for field in fields(self.size.width or self.app.size.width)]

    # ---- drawing -----------------------------------------------------------------------------------------------

    def key(self, row: Summary) -> int:
        return row.id

    def head(self, width: int) -> str:
        text = "  "
        for field in fields(width):
            name = one_line(self.metric, field.width) if field.column is Column.METRIC else str(field.column)
            if field.column is Column.DELTA:
                name = "Δ  95 %" if field.width > 9 else "Δ"
            if field.column is self._listing.column:
                name += "▴" if self._listing.reverse else "▾"
            text += (name.rjust(field.width) if field.right else name.ljust(field.width)) + " "
        return text

    def drawn(self, row: Summary, width: int, *, cursor: bool) -> Strip:
        what, bold = outcome(row, self._doubtful), row.id in self._marked
        plain = self.row_style(cursor=cursor, bold=bold)
        look = self.row_style(cursor=cursor, bold=bold, ink=LOOKS.get(what, "table--quiet"))
        edge = f"{'▸' if cursor else ' '}{MARKED if bold else ' '}"
        cells = [
            Cell(self._text(row, field, what), field.width, field.right, look if field.column in COLOURED else plain)
            for field in fields(width)
        ]
        return self.in_columns(edge, cells, width, plain)

    def _text(self, row: Summary, field: Field, what: Outcome) -> str:
        match field.column:
            case Column.NUMBER:
                return str(row.id)
            case Column.OUTCOME:
                return f"{SIGNS[what]} {what}"
            case Column.METRIC:
                return number(row.metric) if row.metric is not None or row.verdict else ""
            case Column.DELTA:
                return delta_text(row, field.width)
            case Column.SIZE:
                added, removed = self._sizes.get(row.id, (None, None))
                return "" if added is None else f"+{added} -{removed}"
            case Column.AUTHOR:
                return one_line(row.author, field.width)
            case _:
                return one_line(row.title, field.width)


def delta_text(row: Summary, room: int) -> str:
    """The difference to the champion with half its 95 % interval; `1 run` where there is no interval."""
    if row.delta is None:
        return UNKNOWN if row.verdict else ""
    text = signed(row.delta)
    if room < 16:
        return text
    if row.delta_low is None or row.delta_high is None:
        return f"{text}   1 run"
    return f"{text} ±{number((row.delta_high - row.delta_low) / 2)}"
