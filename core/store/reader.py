"""Typed reads of lab.db. A reader opens the file read-only and never blocks the engine's writes."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

from core.errors import StoreError
from core.models import (
    CHAMPION_PURPOSES,
    LIVE_RUNS,
    Autonomy,
    Event,
    Experiment,
    Message,
    PatchVersion,
    Review,
    Run,
    Series,
    State,
    Verdict,
)
from core.store.migrations import SCHEMA_VERSION
from core.store.rows import (
    CHAMPION,
    COMPARABLE,
    EVENT,
    EXPERIMENT,
    GAUGE,
    REVIEW,
    RUN,
    SUMMARY,
    Champion,
    Found,
    Gauge,
    Measurement,
    Summary,
    event_of,
    experiment_of,
    review_of,
    run_of,
    summary_of,
)
from core.store.trouble import unreadable


class Reader:
    """Read-only access to one lab's record.

    Raises:
        StoreError: the file is missing, older than this program, not a lab's database, or corrupt.
    """

    read_only = True

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise StoreError(f"{path}: no such database", hint="autoresearch-tui init LAB makes a lab")
        try:
            self.db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5, check_same_thread=False)
            self.db.execute("PRAGMA trusted_schema=OFF")
            self.version = int(self.db.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as error:
            raise unreadable(path, error) from error
        if 0 < self.version < SCHEMA_VERSION:
            self.db.close()
            raise StoreError(
                f"{path} was written by an older autoresearch-tui (schema {self.version}, this one reads "
                f"{SCHEMA_VERSION}). Nothing was changed.",
                hint="autoresearch-tui LAB brings it up to date, after a copy into backups/; an engine of the older "
                "version that still works there is ended first: autoresearch-tui stop LAB",
            )

    @property
    def newer(self) -> bool:
        """The database was written by a newer autoresearch-tui than this one."""
        return self.version > SCHEMA_VERSION

    def close(self) -> None:
        self.db.close()

    def data_version(self) -> int:
        """Changes whenever another connection has committed; 4 µs."""
        return int(self._one("PRAGMA data_version")[0])

    # ---- experiments -------------------------------------------------------------------------------------------

    def experiment(self, experiment_id: int) -> Experiment | None:
        row = self._first(f"SELECT {EXPERIMENT} FROM experiments WHERE id = ?", experiment_id)
        return None if row is None else experiment_of(row)

    def experiments(self, *states: State) -> list[Experiment]:
        """Whole experiments in these states (all where none is named), oldest first."""
        where, values = _in("state", states)
        return [
            experiment_of(r) for r in self._all(f"SELECT {EXPERIMENT} FROM experiments{where} ORDER BY id", *values)
        ]

    def summaries(self, *, newest: int | None = None) -> list[Summary]:
        """A line an experiment, newest first."""
        limit = f" LIMIT {int(newest)}" if newest is not None else ""
        return [summary_of(r) for r in self._all(f"SELECT {SUMMARY} FROM experiments ORDER BY id DESC{limit}")]

    def summary(self, experiment_id: int) -> Summary | None:
        row = self._first(f"SELECT {SUMMARY} FROM experiments WHERE id = ?", experiment_id)
        return None if row is None else summary_of(row)

    def queue(self) -> list[Summary]:
        """Experiments that wait for a review, in the order in which they are shown; deferred ones last."""
        return [
            summary_of(r)
            for r in self._all(
                f"SELECT {SUMMARY} FROM experiments WHERE state = 'proposed' ORDER BY deferred_at NULLS FIRST, id"
            )
        ]

    def counts(self) -> dict[State, int]:
        """Number of experiments in each state."""
        found = {State(s): int(n) for s, n in self._all("SELECT state, count(*) FROM experiments GROUP BY state")}
        return {state: found.get(state, 0) for state in State}

    def verdict_counts(self) -> dict[Verdict, int]:
        rows = self._all("SELECT verdict, count(*) FROM experiments WHERE verdict IS NOT NULL GROUP BY verdict")
        found = {Verdict(v): int(n) for v, n in rows}
        return {verdict: found.get(verdict, 0) for verdict in Verdict}

    def judged_since(self, at: float) -> int:
        """Number of verdicts after a time."""
        return int(self._one("SELECT count(*) FROM experiments WHERE judged_at > ?", at)[0])

    def tried(self, syntax_sha256: str) -> int | None:
        """The experiment that already tried (or was vetoed for) this very code, if any."""
        row = self._first(
            "SELECT id FROM experiments WHERE syntax_sha256 = ? AND state != 'invalid' ORDER BY id LIMIT 1",
            syntax_sha256,
        )
        return None if row is None else int(row[0])

    # ---- patches and reviews -----------------------------------------------------------------------------------

    def patch(self, sha256: str) -> str | None:
        """The text of a patch."""
        row = self._first("SELECT body FROM patches WHERE sha256 = ?", sha256)
        return None if row is None else str(row[0])

    def patch_size(self, sha256: str) -> tuple[int, int]:
        """Lines added and removed by a patch."""
        row = self._first("SELECT added, removed FROM patches WHERE sha256 = ?", sha256)
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def patch_sizes(self) -> dict[str, tuple[int, int]]:
        """sha256 -> lines added and removed, of every patch."""
        return {str(s): (int(a), int(r)) for s, a, r in self._all("SELECT sha256, added, removed FROM patches")}

    def patches(self) -> Iterable[tuple[str, str]]:
        """Every (sha256, body); for `verify`."""
        yield from self._all("SELECT sha256, body FROM patches")

    def patch_versions(self, experiment_id: int) -> list[PatchVersion]:
        rows = self._all(
            "SELECT experiment_id, version, sha256, source, at FROM patch_versions "
            "WHERE experiment_id = ? ORDER BY version",
            experiment_id,
        )
        return [PatchVersion(*row) for row in rows]

    def reviews(self, experiment_id: int | None = None) -> list[Review]:
        """Reviews of one experiment (of all where None), oldest first."""
        where, values = ("", ()) if experiment_id is None else (" WHERE experiment_id = ?", (experiment_id,))
        return [review_of(r) for r in self._all(f"SELECT {REVIEW} FROM reviews{where} ORDER BY id", *values)]

    # ---- runs and curves ---------------------------------------------------------------------------------------

    def run(self, run_id: int) -> Run | None:
        row = self._first(f"SELECT {RUN} FROM runs WHERE id = ?", run_id)
        return None if row is None else run_of(row)

    def runs(self, *, experiment_id: int | None = None, commit_sha: str | None = None) -> list[Run]:
        """Runs of an experiment or of a commit (all where neither is named), oldest first."""
        where, values = [], []
        for column, value in (("experiment_id", experiment_id), ("commit_sha", commit_sha)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        clause = f" WHERE {' AND '.join(where)}" if where else ""
        return [run_of(r) for r in self._all(f"SELECT {RUN} FROM runs{clause} ORDER BY id", *values)]

    def measurements(self, device_class: str) -> list[Measurement]:
        """Every comparable result on one device class, oldest first: no screening scores, no audits."""
        rows = self._all(
            f"SELECT commit_sha, experiment_id, seed, metric FROM runs "
            f"WHERE state = 'finished' AND device_class = ? AND purpose IN ({COMPARABLE}) ORDER BY id",
            device_class,
        )
        return [Measurement(*row) for row in rows]

    def effects(self) -> list[tuple[float, float, float]]:
        """(delta, low, high) of every experiment that was confirmed on fresh seeds."""
        return self._all(
            "SELECT delta, delta_low, delta_high FROM experiments "
            "WHERE verdict IS NOT NULL AND confirmations > 0 AND delta_low IS NOT NULL AND delta_high IS NOT NULL"
        )

    def parents(self) -> dict[int, str]:
        """Experiment id -> the commit it was measured against, for those that were trained."""
        return dict(self._all("SELECT id, parent_commit FROM experiments WHERE commit_sha IS NOT NULL"))

    def live_runs(self) -> list[Run]:
        where, values = _in("state", LIVE_RUNS)
        where += " AND ended_at IS NULL"  # goes without saying, but without it SQLite reads all runs, not the index
        return [run_of(r) for r in self._all(f"SELECT {RUN} FROM runs{where} ORDER BY id", *values)]

    def newest_runs(self, device: str, limit: int) -> list[Run]:
        """The newest runs of one device, newest first, without those that were lost and without their detail."""
        columns = RUN.replace("detail", "'{}'")
        rows = self._all(
            f"SELECT {columns} FROM runs WHERE device = ? AND state != 'lost' ORDER BY id DESC LIMIT ?", device, limit
        )
        return [run_of(row) for row in rows]

    def last_run(self) -> Run | None:
        row = self._first(f"SELECT {RUN} FROM runs ORDER BY id DESC LIMIT 1")
        return None if row is None else run_of(row)

    def series(self, run_id: int, name: str, *, after_step: int = -1) -> Series:
        """One curve of a run, from the step after `after_step` on."""
        rows = self._all(
            "SELECT step, t, value FROM points WHERE run_id = ? AND name = ? AND step > ? ORDER BY step",
            run_id,
            name,
            after_step,
        )
        return Series(
            name,
            tuple(r[0] for r in rows),
            tuple(r[1] for r in rows),
            tuple(math.nan if r[2] is None else r[2] for r in rows),
        )

    def trained_until(self, run_id: int) -> float:
        """The last time of a run's curves, in seconds of training; 0 where it logged nothing."""
        return float(self._one("SELECT coalesce(max(t), 0.0) FROM points WHERE run_id = ?", run_id)[0])

    def series_names(self, run_id: int) -> list[str]:
        return [str(r[0]) for r in self._all("SELECT DISTINCT name FROM points WHERE run_id = ? ORDER BY name", run_id)]

    def gauges(self, *, since: float = 0.0) -> list[Gauge]:
        """Telemetry samples newer than `since` (Unix time), oldest first."""
        rows = self._all(  # a device at a time, for that is how the table is sorted
            "WITH RECURSIVE devices(name) AS (SELECT min(device) FROM telemetry UNION ALL "
            "SELECT (SELECT min(device) FROM telemetry WHERE device > name) FROM devices WHERE name IS NOT NULL) "
            f"SELECT {GAUGE} FROM devices CROSS JOIN telemetry ON device = name WHERE at > ? ORDER BY at",
            since,
        )
        return [Gauge(*row) for row in rows]

    # ---- the lab -----------------------------------------------------------------------------------------------

    def champion(self) -> Champion | None:
        row = self._first(f"SELECT {CHAMPION} FROM champions ORDER BY seq DESC LIMIT 1")
        return None if row is None else Champion(*row)

    def champions(self) -> list[Champion]:
        """The lineage, first baseline first."""
        return [Champion(*row) for row in self._all(f"SELECT {CHAMPION} FROM champions ORDER BY seq")]

    def champion_metric(self, champion: Champion) -> float | None:
        """Its score: over runs of its own on its newest device class; before there are any, what it was kept for."""
        own = [
            run
            for run in self.runs(commit_sha=champion.commit_sha)
            if run.metric is not None and run.experiment_id is None and run.purpose in CHAMPION_PURPOSES
        ]
        if own:
            return fmean(
                {run.seed: run.metric or 0.0 for run in own if run.device_class == own[-1].device_class}.values()
            )
        kept = None if champion.experiment_id is None else self.summary(champion.experiment_id)
        return None if kept is None else kept.metric

    def setting(self, key: str, default: Any = None) -> Any:
        row = self._first("SELECT value FROM settings WHERE key = ?", key)
        return default if row is None else json.loads(row[0])

    def autonomy(self) -> Autonomy:
        return Autonomy(self.setting("autonomy", Autonomy.MANUAL))

    def paused(self) -> str:
        """Why no new run starts; empty when runs may start."""
        return str(self.setting("paused", ""))

    def messages(self, *, unanswered: bool = False) -> list[Message]:
        where = " WHERE answered_by IS NULL" if unanswered else ""
        rows = self._all(f"SELECT id, at, actor, kind, body, answered_by FROM messages{where} ORDER BY id")
        return [Message(*row) for row in rows]

    def spent(self, *, since: float = 0.0) -> tuple[int, float]:
        """Tokens (those read from a cache left out) and money that models have used since a time."""
        row = self._one(
            "SELECT coalesce(sum(input + output + cache_write), 0), coalesce(sum(cost), 0) FROM usage WHERE at >= ?",
            since,
        )
        return int(row[0]), float(row[1])

    def events(self, *, after: int = 0, limit: int = 10_000) -> list[Event]:
        """The journal after a sequence number, oldest first."""
        rows = self._all(
            f"SELECT {EVENT} FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            after,
            limit,
        )
        return [event_of(row) for row in rows]

    def newest_events(self, kinds: Sequence[str], limit: int) -> list[Event]:
        """The newest entries of these kinds in the journal, newest first."""
        where, values = _in("kind", kinds)
        rows = self._all(
            f"SELECT {EVENT} FROM events{where} ORDER BY seq DESC LIMIT ?",
            *values,
            limit,
        )
        return [event_of(row) for row in rows]

    def last_seq(self) -> int:
        return int(self._one("SELECT coalesce(max(seq), 0) FROM events")[0])

    def usage_by_model(self, *, since: float = 0.0) -> list[tuple[Any, ...]]:
        """For each model, since a time: calls, input, output, cache read, cache write, seconds, cost, calls without a
        price.
        """
        return self._all(
            "SELECT model, count(*), sum(input), sum(output), sum(cache_read), sum(cache_write), sum(seconds), "
            "sum(cost), sum(cost IS NULL) FROM usage WHERE at >= ? GROUP BY model ORDER BY model",
            since,
        )

    def cost_per_keep(self) -> tuple[int, float | None, int | None, float | None]:
        """(kept, cost, tokens, device hours) of the whole lab."""
        kept, cost, tokens, hours = self._one("SELECT kept, cost, tokens, device_hours FROM cost_per_keep")
        return int(kept), cost, tokens, hours

    def span(self) -> tuple[float | None, float | None]:
        """When the first and the last thing happened."""
        first, last = self._one("SELECT min(at), max(at) FROM events")
        return first, last

    def events_missing(self) -> int:
        """Sequence numbers of the journal that were given out and are gone; they are never reused."""
        return int(self._one("SELECT coalesce(max(seq), 0) - count(*) FROM events")[0])

    def quick_check(self) -> str:
        """`ok`, or what SQLite finds wrong with the file."""
        rows = self._all("PRAGMA quick_check")
        return "; ".join(str(r[0]) for r in rows)

    def foreign_key_problems(self) -> int:
        return len(self._all("PRAGMA foreign_key_check"))

    # ---- the whole of a lab ------------------------------------------------------------------------------------

    def search(self, words: str, *, limit: int = 2_000) -> list[Found]:
        """Experiments whose title, hypothesis, rationale or patch holds these words, newest first; small letters match
        capitals too. `17` and `#17` are that experiment, too. Another thread may end it with `db.interrupt()`.
        """
        digits = words.strip().removeprefix("#")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else None
        like = f"%{words.replace('!', '!!').replace('%', '!%').replace('_', '!_')}%"
        rows = self._all(
            "SELECT id, title, texts, patch FROM (SELECT e.id, e.title LIKE ?1 ESCAPE '!' OR e.id IS ?3 AS title,"
            " e.hypothesis LIKE ?1 ESCAPE '!' OR e.rationale LIKE ?1 ESCAPE '!' AS texts,"
            " coalesce(p.body LIKE ?1 ESCAPE '!', 0) AS patch"
            " FROM experiments e LEFT JOIN patches p ON p.sha256 = e.patch_sha256)"
            " WHERE title OR texts OR patch ORDER BY id DESC LIMIT ?2",
            like,
            limit,
            number,
        )
        return [Found(row[0], bool(row[1]), bool(row[2]), bool(row[3])) for row in rows]

    def measured_runs(self) -> list[Run]:
        """Runs whose metric may enter an estimate (no screening run, none at another scale), without their detail."""
        columns = RUN.replace("detail", "'{}'")
        rows = self._all(
            f"SELECT {columns} FROM runs WHERE metric IS NOT NULL AND purpose IN ({COMPARABLE}) ORDER BY id"
        )
        return [run_of(row) for row in rows]

    def confirmed(self) -> list[Experiment]:
        """Experiments with a confirmation or in the lineage, oldest first, without hypothesis and rationale."""
        columns = EXPERIMENT.replace("hypothesis, rationale", "'', ''")
        rows = self._all(
            f"SELECT {columns} FROM experiments WHERE confirmations > 0"
            " OR id IN (SELECT experiment_id FROM champions) ORDER BY id"
        )
        return [experiment_of(row) for row in rows]

    def keyed(self) -> list[Experiment]:
        """Experiments whose key is an object: what the offline researcher changed. Oldest first, without hypothesis and
        rationale.
        """
        columns = EXPERIMENT.replace("hypothesis, rationale", "'', ''")
        rows = self._all(f"SELECT {columns} FROM experiments WHERE key LIKE '{{%' ORDER BY id")
        return [experiment_of(row) for row in rows]

    def overridden(self) -> frozenset[int]:
        """Experiments whose measured verdict a person replaced."""
        return frozenset(int(row[0]) for row in self._all("SELECT id FROM experiments WHERE overridden_by IS NOT NULL"))

    def experiment_sizes(self) -> dict[int, tuple[int, int]]:
        """Experiment -> lines its patch adds and removes."""
        rows = self._all(
            "SELECT e.id, p.added, p.removed FROM experiments e JOIN patches p ON p.sha256 = e.patch_sha256"
        )
        return {int(row[0]): (int(row[1]), int(row[2])) for row in rows}

    # ---- plumbing ----------------------------------------------------------------------------------------------

    def _all(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self.db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise unreadable(self.path, error) from error

    def _first(self, sql: str, *values: Any) -> Any | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _one(self, sql: str, *values: Any) -> Any:
        return self._all(sql, *values)[0]


def _in(column: str, values: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    if not values:
        return "", ()
    return f" WHERE {column} IN ({', '.join('?' * len(values))})", tuple(str(v) for v in values)
