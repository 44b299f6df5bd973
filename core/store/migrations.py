"""The schema of lab.db, step by step. A step that has shipped is never edited: add another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils.db import Database
    from sqlite_utils.migrations import Migrations

SCHEMA_VERSION = 2
"""Number of migrations below; also `PRAGMA user_version`. A database with a higher one is newer than this program."""

FIRST = """
CREATE TABLE patches (
  sha256   TEXT PRIMARY KEY CHECK (length(sha256) = 64),
  body     TEXT NOT NULL,
  added    INTEGER NOT NULL,
  removed  INTEGER NOT NULL,
  at       REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE experiments (
  id              INTEGER PRIMARY KEY,
  state           TEXT NOT NULL CHECK (state IN
                    ('drafting','proposed','revising','vetoed','invalid','approved','running','judged')),
  title           TEXT NOT NULL,
  hypothesis      TEXT NOT NULL DEFAULT '',
  rationale       TEXT NOT NULL DEFAULT '',
  category        TEXT NOT NULL DEFAULT '',
  expected        TEXT NOT NULL DEFAULT '',
  author          TEXT NOT NULL,
  key             TEXT NOT NULL DEFAULT '',
  parent_commit   TEXT NOT NULL,
  commit_sha      TEXT,
  patch_sha256    TEXT REFERENCES patches(sha256),
  proposed_sha256 TEXT REFERENCES patches(sha256),
  verdict         TEXT CHECK (verdict IN ('keep','discard','inconclusive','suspect','void','crashed')),
  verdict_reason  TEXT NOT NULL DEFAULT '',
  metric          REAL,
  delta           REAL,
  delta_low       REAL,
  delta_high      REAL,
  shrunken        REAL,
  confirmations   INTEGER,
  overridden_by   TEXT,
  problem         TEXT NOT NULL DEFAULT '',
  syntax_sha256   TEXT NOT NULL DEFAULT '',
  hold_until      REAL,
  deferred_at     REAL,
  created_at      REAL NOT NULL,
  decided_at      REAL,
  judged_at       REAL,
  CHECK ((state = 'judged') = (verdict IS NOT NULL)),
  CHECK (state NOT IN ('approved','running') OR patch_sha256 IS NOT NULL)
) STRICT;
CREATE INDEX experiments_state ON experiments(state);
CREATE INDEX experiments_syntax ON experiments(syntax_sha256);

CREATE TABLE patch_versions (
  experiment_id INTEGER NOT NULL REFERENCES experiments(id),
  version       INTEGER NOT NULL,
  sha256        TEXT NOT NULL REFERENCES patches(sha256),
  source        TEXT NOT NULL CHECK (source IN ('proposed','edited','revised','selected','rebased')),
  at            REAL NOT NULL,
  PRIMARY KEY (experiment_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE reviews (
  id              INTEGER PRIMARY KEY,
  experiment_id   INTEGER NOT NULL REFERENCES experiments(id),
  decision        TEXT NOT NULL CHECK (decision IN ('approve','approve_edited','revise','veto')),
  reason          TEXT NOT NULL DEFAULT '',
  patch_sha256    TEXT NOT NULL REFERENCES patches(sha256),
  approved_sha256 TEXT REFERENCES patches(sha256),
  hunks_kept      TEXT,
  hunks_seen      TEXT,
  seconds         REAL,
  actor           TEXT NOT NULL,
  via             TEXT NOT NULL CHECK (via IN ('tui','cli','policy')),
  policy          TEXT NOT NULL DEFAULT '',
  decided_at      REAL NOT NULL,
  undone_at       REAL,
  CHECK ((decision IN ('approve','approve_edited')) = (approved_sha256 IS NOT NULL)),
  CHECK (decision != 'veto' OR reason != '')
) STRICT;
CREATE INDEX reviews_experiment ON reviews(experiment_id);

CREATE TABLE runs (
  id            INTEGER PRIMARY KEY,
  experiment_id INTEGER REFERENCES experiments(id),
  purpose       TEXT NOT NULL CHECK (purpose IN ('baseline','null','candidate','retest','ladder','audit')),
  commit_sha    TEXT NOT NULL,
  seed          INTEGER NOT NULL,
  attempt       INTEGER NOT NULL DEFAULT 1,
  device        TEXT NOT NULL,
  device_class  TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN
                  ('starting','running','finished','diverged','crashed','timeout','killed','void','lost')),
  phase         TEXT NOT NULL DEFAULT '',
  progress      REAL NOT NULL DEFAULT 0,
  metric        REAL,
  error         TEXT NOT NULL DEFAULT '',
  pid           INTEGER,
  pid_started   REAL,
  boot_id       TEXT NOT NULL DEFAULT '',
  created_at    REAL NOT NULL,
  started_at    REAL,
  ended_at      REAL,
  detail        TEXT NOT NULL DEFAULT '{}',
  CHECK ((state IN ('starting','running')) = (ended_at IS NULL)),
  CHECK (metric IS NULL OR state = 'finished')
) STRICT;
CREATE INDEX runs_experiment ON runs(experiment_id);
CREATE INDEX runs_commit ON runs(commit_sha);
CREATE INDEX runs_live ON runs(state) WHERE ended_at IS NULL;

CREATE TABLE points (
  run_id INTEGER NOT NULL REFERENCES runs(id),
  name   TEXT NOT NULL,
  step   INTEGER NOT NULL,
  t      REAL NOT NULL,
  value  REAL,              -- NULL where the script logged NaN or an infinity
  PRIMARY KEY (run_id, name, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE telemetry (
  device       TEXT NOT NULL,
  at           REAL NOT NULL,
  run_id       INTEGER REFERENCES runs(id),
  utilization  REAL,
  memory_used  REAL,
  memory_total REAL,
  power        REAL,
  temperature  REAL,
  PRIMARY KEY (device, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE champions (
  seq           INTEGER PRIMARY KEY,
  commit_sha    TEXT NOT NULL,
  experiment_id INTEGER REFERENCES experiments(id),
  at            REAL NOT NULL
) STRICT;

CREATE TABLE messages (
  id          INTEGER PRIMARY KEY,
  at          REAL NOT NULL,
  actor       TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('message','idea')),
  body        TEXT NOT NULL,
  answered_by INTEGER REFERENCES experiments(id)
) STRICT;

CREATE TABLE usage (
  id            INTEGER PRIMARY KEY,
  at            REAL NOT NULL,
  experiment_id INTEGER REFERENCES experiments(id),
  model         TEXT NOT NULL,
  input         INTEGER NOT NULL DEFAULT 0,
  output        INTEGER NOT NULL DEFAULT 0,
  cache_read    INTEGER NOT NULL DEFAULT 0,
  cache_write   INTEGER NOT NULL DEFAULT 0,
  seconds       REAL NOT NULL DEFAULT 0,
  cost          REAL
) STRICT;

CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  at            REAL NOT NULL,
  kind          TEXT NOT NULL,
  experiment_id INTEGER,
  run_id        INTEGER,
  body          TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;

CREATE VIEW leaderboard AS
  SELECT e.id, e.title, e.author, e.verdict, e.metric, e.delta, e.delta_low, e.delta_high, e.commit_sha,
         p.added, p.removed, datetime(e.judged_at, 'unixepoch') AS judged
  FROM experiments e LEFT JOIN patches p ON p.sha256 = e.patch_sha256
  WHERE e.state = 'judged' AND e.metric IS NOT NULL
  ORDER BY e.metric;

CREATE VIEW decisions AS
  SELECT r.id, r.experiment_id, e.title, r.decision, r.reason, r.actor, r.via, r.policy, r.seconds,
         datetime(r.decided_at, 'unixepoch') AS decided, r.undone_at IS NOT NULL AS undone,
         e.verdict, e.delta
  FROM reviews r JOIN experiments e ON e.id = r.experiment_id
  ORDER BY r.id;

CREATE VIEW cost_per_keep AS
  SELECT (SELECT count(*) FROM experiments WHERE verdict = 'keep') AS kept,
         (SELECT sum(cost) FROM usage) AS cost,
         (SELECT sum(input + output) FROM usage) AS tokens,
         (SELECT sum(ended_at - started_at) FROM runs WHERE started_at IS NOT NULL AND ended_at IS NOT NULL)
           / 3600.0 AS device_hours;
"""

SECOND = """
ALTER TABLE telemetry ADD COLUMN clock REAL;
ALTER TABLE telemetry ADD COLUMN load REAL;
ALTER TABLE telemetry ADD COLUMN cores TEXT NOT NULL DEFAULT '';

ALTER TABLE runs ADD COLUMN manifest TEXT NOT NULL DEFAULT '';

DROP VIEW decisions;
CREATE TABLE wider_reviews (
  id              INTEGER PRIMARY KEY,
  experiment_id   INTEGER NOT NULL REFERENCES experiments(id),
  decision        TEXT NOT NULL CHECK (decision IN ('approve','approve_edited','revise','veto','override')),
  reason          TEXT NOT NULL DEFAULT '',
  patch_sha256    TEXT NOT NULL REFERENCES patches(sha256),
  approved_sha256 TEXT REFERENCES patches(sha256),
  hunks_kept      TEXT,
  hunks_seen      TEXT,
  seconds         REAL,
  actor           TEXT NOT NULL,
  via             TEXT NOT NULL CHECK (via IN ('tui','cli','policy')),
  policy          TEXT NOT NULL DEFAULT '',
  decided_at      REAL NOT NULL,
  undone_at       REAL,
  verdict         TEXT CHECK (verdict IN ('keep','discard','inconclusive','suspect','void','crashed')),
  CHECK ((decision IN ('approve','approve_edited')) = (approved_sha256 IS NOT NULL)),
  CHECK ((decision = 'override') = (verdict IS NOT NULL)),
  CHECK (decision NOT IN ('veto','override') OR reason != '')
) STRICT;
INSERT INTO wider_reviews SELECT *, NULL FROM reviews;
INSERT INTO wider_reviews (experiment_id, decision, reason, patch_sha256, actor, via, decided_at, verdict)
  SELECT id, 'override', verdict_reason, patch_sha256, overridden_by, 'tui', judged_at, verdict
  FROM experiments WHERE overridden_by IS NOT NULL AND verdict_reason != '' AND judged_at IS NOT NULL;
DROP TABLE reviews;
ALTER TABLE wider_reviews RENAME TO reviews;
CREATE INDEX reviews_experiment ON reviews(experiment_id);
CREATE VIEW decisions AS
  SELECT r.id, r.experiment_id, e.title, r.decision, r.reason, r.actor, r.via, r.policy, r.seconds,
         datetime(r.decided_at, 'unixepoch') AS decided, r.undone_at IS NOT NULL AS undone,
         coalesce(r.verdict, e.verdict) AS verdict, e.delta
  FROM reviews r JOIN experiments e ON e.id = r.experiment_id
  ORDER BY r.id;
"""
"""Clocks of a GPU, load and cores of a processor; what a run was made with; a person's verdict as its own review."""


def migrations() -> Migrations:
    """All steps, in order."""
    from sqlite_utils.migrations import Migrations

    steps = Migrations("autoresearch")

    @steps()  # type: ignore[untyped-decorator]
    def m001_initial(db: Database) -> None:
        for statement in split(FIRST):
            db.execute(statement)

    @steps()  # type: ignore[untyped-decorator]
    def m002_overrides_and_manifests(db: Database) -> None:
        for statement in split(SECOND):
            db.execute(statement)

    return steps


def split(script: str) -> list[str]:
    """Statements of an SQL script; `executescript` would commit the migration's transaction."""
    import sqlite3

    statements, buffer = [], ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if buffer.strip() and sqlite3.complete_statement(buffer):
            statements.append(buffer.strip())
            buffer = ""
    return statements
