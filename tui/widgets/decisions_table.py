"""The table of reviews: when, of what, which decision, by whom, and what came of it.

A decision and its outcome are a sign and a word each, not a colour alone; what was taken back is quiet and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.strip import Strip

from core.text import duration, one_line, signed
from tui.reviews import SAID_SIGNS, Decided, Said
from tui.widgets.experiments_table import LOOKS
from tui.widgets.rows_table import Cell, RowsTable
from tui.widgets.why import when

SAID_LOOKS = {
    Said.APPROVED: "table--good",
    Said.EDITED: "table--running",
    Said.PART: "table--running",
    Said.SENT_BACK: "table--waiting",
    Said.VETOED: "table--bad",
    Said.SETTLED: "table--waiting",
}


class Field(NamedTuple):
    """A column on the screen."""

    name: str
    width: int
    right: bool = False


def fields(width: int) -> list[Field]:
    """The columns that fit into a width, the title with what is left; two cells before them are the cursor's."""
    found = [Field("when", 8, True), Field("#", 6, True), Field("decision", 11), Field("by", 18 if width >= 90 else 8)]
    if width >= 96:
        found.append(Field("took", 6, True))
    found += [Field("came of it", 11), Field("Δ", 8, True)]
    tail = [Field("why", 40 if width >= 140 else 28)] if width >= 116 else []
    used = 2 + sum(field.width + 1 for field in (*found, *tail))
    return [*found, Field("title", max(width - used, 8)), *tail]


class DecisionsTable(RowsTable[Decided]):
    """The reviews."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self.empty_text = "No review yet."
        self._at = 0.0

    def show(self, rows: Sequence[Decided], *, at: float) -> None:
        """These rows, as of this Unix time; the cursor stays on its review."""
        before = self.picture()
        self._at = at
        self.replace(rows, before)

    def key(self, row: Decided) -> int:
        return row.review.id

    def head(self, width: int) -> str:
        names = (
            field.name.rjust(field.width) if field.right else field.name.ljust(field.width) for field in fields(width)
        )
        return "  " + " ".join(names)

    def drawn(self, row: Decided, width: int, *, cursor: bool) -> Strip:
        plain, quiet = self.row_style(cursor=cursor), self.row_style(cursor=cursor, ink="table--quiet")
        said = self.row_style(cursor=cursor, ink=SAID_LOOKS[row.said])
        came = self.row_style(cursor=cursor, ink=LOOKS.get(row.outcome, "table--quiet")) if row.outcome else quiet
        looks = {"decision": said, "came of it": came, "Δ": came, "when": quiet}
        cells = [
            Cell(self._text(row, f), f.width, f.right, quiet if row.undone else looks.get(f.name, plain))
            for f in fields(width)
        ]
        return self.in_columns("▸ " if cursor else "  ", cells, width, plain)

    def _text(self, row: Decided, field: Field) -> str:
        review = row.review
        match field.name:
            case "when":
                return when(self._at - review.decided_at)
            case "#":
                return str(review.experiment_id)
            case "decision":
                return f"{SAID_SIGNS[row.said]} {row.said}"
            case "by":
                return one_line(row.who, field.width)
            case "took":
                return "" if review.seconds is None else duration(review.seconds)
            case "came of it":
                return row.came_of_it
            case "Δ":
                return "" if row.delta is None else signed(row.delta)
            case "why":
                return one_line(review.reason, field.width)
            case _:
                return one_line(row.summary.title if row.summary else "", field.width)
