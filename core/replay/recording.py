"""What a lab's record holds, read once: every row as it ended up, and when each of them came.

The journal says in which order things happened. A row that carries its own time (a review, a patch, a sample) arrives
at that time; an experiment or a run arrives with the first entry that names it.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import LabError
from core.models import Event, RunState
from core.store import Reader

Row = dict[str, Any]
ARRIVALS = {
    "patches": "at", "patch_versions": "at", "champions": "at", "messages": "at", "usage": "at",
    "reviews": "decided_at", "telemetry": "at",
}  # fmt: skip
"""table -> the column that says when a row came"""
ENDED = frozenset({f"run_{state}" for state in RunState} | {"run_ended"}) - {"run_starting", "run_running"}
"""events that end a run"""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: an entry of the journal, or a row that arrived."""

    at: float
    table: str
    row: Row
    event: Event | None = None


class Recording:
    """A whole session. Raises LabError where nothing is recorded."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        db = reader.db
        db.execute("BEGIN")  # one look at all tables, should an engine be at work
        try:
            self._journal = _rows(db, "events")
            self.experiments: dict[int, Row] = {row["id"]: row for row in _rows(db, "experiments")}
            self.runs: dict[int, Row] = {row["id"]: row for row in _rows(db, "runs")}
            self.settings: Row = {row["key"]: row["value"] for row in _rows(db, "settings")}
            self.arrivals = {table: _rows(db, table) for table in ARRIVALS}
        finally:
            db.execute("ROLLBACK")
        if not self._journal:
            raise LabError("nothing has happened in this lab yet", hint="autoresearch-tui LAB starts its engine")
        self.events = [
            Event(r["seq"], r["at"], r["kind"], r["experiment_id"], r["run_id"], json.loads(r["body"]))
            for r in self._journal
        ]
        self.last_of_experiment = {e.experiment_id: e.seq for e in self.events if e.experiment_id is not None}
        self.patches: dict[str, Row] = {row["sha256"]: row for row in self.arrivals["patches"]}
        self._first = {row["experiment_id"]: row for row in self.arrivals["patch_versions"] if row["version"] == 1}
        self.training = {e.run_id: e.at for e in self.events if e.kind == "run_training"}
        self.begin, self.end = self.events[0].at, max(e.at for e in self.events)

    def moments(self) -> list[Moment]:
        """Everything in the order in which it happened; the journal's own order counts, whatever the clock did."""
        latest = -math.inf
        entries = []
        for event, row in zip(self.events, self._journal, strict=True):
            latest = max(latest, event.at)
            entries.append(Moment(latest, "events", row, event))
        rows = [Moment(row[column], table, row) for table, column in ARRIVALS.items() for row in self.arrivals[table]]
        # a row is written just before its entry: at the same time it comes first, and sorting is stable
        return sorted([*rows, *entries], key=lambda moment: moment.at)

    def first_version(self, experiment_id: int) -> Row | None:
        """An experiment's patch as it was proposed."""
        return self._first.get(experiment_id)

    def points(self, run_id: int) -> list[tuple[str, int, float, float | None]]:
        """A run's curves as `(name, step, t, value)`, in the order of training."""
        return self.reader.db.execute(
            "SELECT name, step, t, value FROM points WHERE run_id = ? ORDER BY t, name, step", (run_id,)
        ).fetchall()

    def busy(self) -> Iterator[tuple[float, float, bool]]:
        """The stretches between entries of the journal, as (from, to, whether a run was live)."""
        live: set[int] = set()
        before = self.begin
        for moment in self.moments():
            event = moment.event
            if event is None:
                continue
            if moment.at > before:
                yield before, moment.at, bool(live)
                before = moment.at
            if event.run_id is not None and event.kind == "run_created":
                live.add(event.run_id)
            elif event.run_id is not None and event.kind in ENDED:
                live.discard(event.run_id)


def _rows(db: sqlite3.Connection, table: str) -> list[Row]:
    """Every row of a table, oldest first."""
    cursor = db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor]
