"""Which experiments a table lists and in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.models import State, Verdict
from core.store.rows import Found, Summary


class Column(StrEnum):
    """What a row says; also what rows can be sorted by."""

    NUMBER = "#"
    OUTCOME = "outcome"
    METRIC = "metric"
    DELTA = "Δ to champion"
    SIZE = "lines"
    TITLE = "title"
    AUTHOR = "author"


class Outcome(StrEnum):
    """What became of an experiment, as one word."""

    KEPT = "kept"
    DOUBTFUL = "now noise"
    SUSPECT = "suspect"
    UNCLEAR = "unclear"
    WAITS = "waits"
    RUNNING = "running"
    APPROVED = "approved"
    DISCARD = "discard"
    CRASHED = "crashed"
    VOID = "void"
    VETOED = "vetoed"
    INVALID = "invalid"
    REVISING = "sent back"
    DRAFTING = "writing"


SIGNS = {
    Outcome.WAITS: "?",
    Outcome.RUNNING: "▶",
    Outcome.APPROVED: "▹",
    Outcome.KEPT: "✓",
    Outcome.DOUBTFUL: "≈",
    Outcome.SUSPECT: "!",
    Outcome.UNCLEAR: "~",
    Outcome.DISCARD: "·",
    Outcome.CRASHED: "✗",
    Outcome.VOID: "○",
    Outcome.VETOED: "-",
    Outcome.INVALID: "x",
    Outcome.REVISING: "↺",
    Outcome.DRAFTING: "…",
}
_STATES = {
    State.DRAFTING: Outcome.DRAFTING,
    State.PROPOSED: Outcome.WAITS,
    State.REVISING: Outcome.REVISING,
    State.VETOED: Outcome.VETOED,
    State.INVALID: Outcome.INVALID,
    State.APPROVED: Outcome.APPROVED,
    State.RUNNING: Outcome.RUNNING,
}
_VERDICTS = {
    Verdict.KEEP: Outcome.KEPT,
    Verdict.DISCARD: Outcome.DISCARD,
    Verdict.INCONCLUSIVE: Outcome.UNCLEAR,
    Verdict.SUSPECT: Outcome.SUSPECT,
    Verdict.VOID: Outcome.VOID,
    Verdict.CRASHED: Outcome.CRASHED,
}
_RANKS = {outcome: rank for rank, outcome in enumerate(Outcome)}


def outcome(summary: Summary, doubtful: Collection[int] = ()) -> Outcome:
    """What became of it; `doubtful`: kept ones that today's noise would not keep."""
    if summary.verdict is None:
        return _STATES.get(summary.state, Outcome.DRAFTING)
    if summary.verdict is Verdict.KEEP and summary.id in doubtful:
        return Outcome.DOUBTFUL
    return _VERDICTS[summary.verdict]


@dataclass(frozen=True, slots=True)
class Listing:
    """The wishes: how to sort, and what to leave out."""

    column: Column = Column.NUMBER
    reverse: bool = False
    """the other way round than the column's own: newest, best, shortest, A first"""
    outcome: Outcome | None = None
    author: str | None = None
    words: str = ""
    """what is searched for"""
    found: Mapping[int, Found] | None = field(default=None, compare=False)
    """what the search found; None: nothing is searched for"""

    @property
    def narrowed(self) -> bool:
        return self.outcome is not None or self.author is not None or self.found is not None


def listed(
    history: Sequence[Summary],
    wishes: Listing,
    *,
    doubtful: Collection[int] = (),
    sizes: Mapping[int, tuple[int, int]] | None = None,
    direction: str = "min",
) -> list[Summary]:
    """The rows of the table. `history` is newest first, and so are rows that are equal in the sorted column."""
    rows = history
    if wishes.found is not None:
        found = wishes.found
        rows = [row for row in rows if row.id in found]
    if wishes.author is not None:
        rows = [row for row in rows if row.author == wishes.author]
    if wishes.outcome is not None:
        # what is doubtful was kept all the same
        same = {wishes.outcome} | ({Outcome.DOUBTFUL} if wishes.outcome is Outcome.KEPT else set())
        rows = [row for row in rows if outcome(row, doubtful) in same]
    if wishes.column is Column.NUMBER:
        return list(rows[::-1] if wishes.reverse else rows)
    worth = [*map(_worth(wishes.column, doubtful, sizes or {}, -1.0 if direction == "max" else 1.0), rows)]
    known = [index for index, value in enumerate(worth) if value is not None]
    known.sort(key=worth.__getitem__, reverse=wishes.reverse)
    # what is not known is last, whichever way round
    return [*map(rows.__getitem__, known), *(row for row, value in zip(rows, worth, strict=True) if value is None)]


def _worth(
    column: Column, doubtful: Collection[int], sizes: Mapping[int, tuple[int, int]], sign: float
) -> Callable[[Summary], Any]:
    match column:
        case Column.OUTCOME:
            return lambda row: _RANKS[outcome(row, doubtful)]
        case Column.METRIC:
            return lambda row: None if row.metric is None else sign * row.metric
        case Column.DELTA:
            return lambda row: None if row.delta is None else sign * row.delta
        case Column.SIZE:
            return lambda row: sum(sizes[row.id]) if row.id in sizes else None
        case Column.AUTHOR:
            return lambda row: row.author.lower()
        case _:
            return lambda row: row.title.lower()


def next_of(current: Any, choices: Sequence[Any]) -> Any:
    """The choice after this one; None (no choice) stands between the last and the first."""
    around = [None, *choices]
    return around[(around.index(current) + 1) % len(around)] if current in around else around[0]


def outcomes_of(history: Iterable[Summary], doubtful: Collection[int] = ()) -> list[Outcome]:
    """The outcomes that occur, in their own order."""
    there = {outcome(row, doubtful) for row in history}
    return [one for one in Outcome if one in there]


def authors_of(history: Iterable[Summary]) -> list[str]:
    return sorted({row.author for row in history})
