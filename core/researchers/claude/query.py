"""One read-only SELECT on the record, for a model that asks its own question.

The connection is its own, opened read-only; an authorizer lets it read the listed tables and views and nothing else,
and a progress handler ends it when its time is up. `runs` is a copy without what the hidden split said. Slow: run it in
a thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import quote

from core.text import one_line

TABLES = (
    "experiments", "patches", "patch_versions", "reviews", "runs", "points", "champions", "messages", "usage",
    "leaderboard", "decisions", "cost_per_keep",
)  # fmt: skip
HIDDEN = {("runs", "detail"), ("runs", "metric")}
"""read as NULL in the record itself: they may hold the score of the audit split, which no researcher sees"""
VISIBLE = {"detail": "NULL", "metric": "CASE purpose WHEN 'audit' THEN NULL ELSE metric END"}
"""what stands in their place in the copy"""
SCHEMA = """\
experiments(id, state, title, hypothesis, rationale, category, expected, author, parent_commit, commit_sha,
  patch_sha256, verdict, verdict_reason, metric, delta, delta_low, delta_high, confirmations, problem, judged_at)
runs(id, experiment_id, purpose, commit_sha, seed, device_class, state, progress, metric, error)
points(run_id, name, step, t, value)
patches(sha256, body, added, removed)  patch_versions(experiment_id, version, sha256, source)
reviews(experiment_id, decision, reason, actor, via, seconds, undone_at)
champions(seq, commit_sha, experiment_id)  messages(id, kind, body, answered_by)
views: leaderboard, decisions, cost_per_keep"""
ROWS, CELL, SECONDS = 50, 300, 2.0
ALLOWED = {sqlite3.SQLITE_SELECT, getattr(sqlite3, "SQLITE_RECURSIVE", 33)}
FORBIDDEN = {"load_extension", "fts3_tokenizer", "writefile", "readfile", "edit"}


class QueryError(Exception):
    """The query is not allowed, wrong or too slow; the words are for whoever asked."""


def select(database: Path, sql: str, *, rows: int = ROWS, seconds: float = SECONDS) -> str:
    """The rows as lines of tab-separated cells, with a header.

    Raises:
        QueryError: it is not one SELECT on the listed tables, is wrong, or took too long.
    """
    deadline = time.monotonic() + seconds
    db = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=1, isolation_level=None)
    try:
        _copy_runs(db)
        db.execute("PRAGMA query_only=ON")
        db.execute("PRAGMA trusted_schema=OFF")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 4_000_000)
        db.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200)
        db.set_progress_handler(lambda: int(time.monotonic() > deadline), 1_000)
        names = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master")}
        db.set_authorizer(_authorizer(names | {"sqlite_master", "sqlite_schema", "sqlite_sequence"}))
        cursor = db.execute(sql)
        found = cursor.fetchmany(rows + 1)
        columns = [str(column[0]) for column in cursor.description or ()]
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise QueryError(_words(error, seconds)) from error
    finally:
        db.set_authorizer(None)
        db.close()
    lines = ["\t".join(columns), *("\t".join(_cell(value) for value in row) for row in found[:rows])]
    more = [f"(more than {rows} rows: the rest is left out)"] if len(found) > rows else []
    return "\n".join([*lines, *more] if found else ["no rows"])


def _copy_runs(db: sqlite3.Connection) -> None:
    """A `runs` of this connection's own, which goes before the record's; the original is then closed to it."""
    db.execute("PRAGMA temp_store=MEMORY")
    columns = [str(row[1]) for row in db.execute("PRAGMA table_info(runs)")]
    shown = ", ".join(f"{VISIBLE.get(name, name)} AS {name}" for name in columns)
    db.execute(f"CREATE TEMP TABLE runs AS SELECT {shown} FROM main.runs")


def _authorizer(others: Collection[str]) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Lets a statement read the listed tables, and what it defines itself; `others` are the lab's own other tables."""

    def authorize(action: int, first: str | None, second: str | None, database: str | None, _by: str | None) -> int:
        if action in ALLOWED:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and (first, second) in HIDDEN and database != "temp":
            return sqlite3.SQLITE_IGNORE
        if action == sqlite3.SQLITE_READ:
            defined_here = not database and first not in others
            return sqlite3.SQLITE_OK if first in TABLES or defined_here else sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION:
            return sqlite3.SQLITE_DENY if str(second).lower() in FORBIDDEN else sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return authorize


def _words(error: Exception, seconds: float) -> str:
    text = str(error)
    if "not authorized" in text or "prohibited" in text:
        return f"Only one SELECT on these is allowed: {', '.join(TABLES)}."
    if "interrupted" in text:
        return f"It took longer than {seconds:g} s: select less."
    if "one statement" in text:
        return "One statement at a time."
    return one_line(text, 300)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    return "" if value is None else one_line(str(value), CELL)
