"""The engine's writes. One `Writer` per lab exists at a time (the engine holds the lock), on one thread.

`with writer.transaction():` makes everything inside one commit; each change inside appends its event, so the journal
and the tables cannot part. Blocks nest.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.models import Decision, Experiment, Proposal, Purpose, Run, RunState, State, Verdict, Via
from core.store.migrations import SCHEMA_VERSION, migrations
from core.store.reader import Reader
from core.store.rows import Gauge
from core.store.trouble import unreadable

EXPERIMENT_COLUMNS = frozenset(Experiment.__dataclass_fields__) - {"id", "created_at"}
RUN_COLUMNS = frozenset(Run.__dataclass_fields__) - {"id", "experiment_id", "commit_sha", "seed", "created_at"}


class Writer(Reader):
    """Read-write access to one lab's record; creates and migrates the file.

    Raises:
        StoreError: the file is damaged, newer than this program, or cannot be written.
    """

    read_only = False

    def __init__(self, path: Path) -> None:
        self.path = path
        existed = path.exists()
        try:
            self.db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            self.version = int(self.db.execute("PRAGMA user_version").fetchone()[0])
            if self.newer:
                raise StoreError(
                    f"{path} was written by a newer autoresearch-tui (schema {self.version}, this one knows "
                    f"{SCHEMA_VERSION}). Nothing was changed.",
                    hint="upgrade autoresearch-tui; until then the lab opens read-only",
                )
            if existed and (found := self.quick_check()) != "ok":
                raise unreadable(path, sqlite3.DatabaseError(f"malformed: {found}"))
            for pragma in (
                "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "mmap_size=0",
            ):  # fmt: skip
                self.db.execute(f"PRAGMA {pragma}")
            self._migrate(existed)
        except sqlite3.Error as error:
            raise unreadable(path, error) from error

    def _migrate(self, existed: bool) -> None:
        if self.version == SCHEMA_VERSION:
            return
        from sqlite_utils import Database

        if existed and self.version:
            self.backup(f"before-schema-{SCHEMA_VERSION}")
        migrations().apply(Database(self.db))
        self.db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self.version = SCHEMA_VERSION

    def backup(self, label: str) -> Path:
        """A consistent copy of the database in `backups/`."""
        folder = self.path.parent / "backups"
        folder.mkdir(exist_ok=True)
        target = folder / f"lab-{time.strftime('%Y%m%d-%H%M%S')}-{label}.db"
        self.db.execute("VACUUM INTO ?", (str(target),))
        return target

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is one commit, or nothing happened.

        Raises:
            StoreError: the disk is full, or the file cannot be written; the block is rolled back.
        """
        if self.db.in_transaction:
            yield
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")
        except sqlite3.IntegrityError:
            raise  # a contradiction in our own writes: a bug, not a state of the disk
        except sqlite3.Error as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise unreadable(self.path, error) from error

    # ---- the journal -------------------------------------------------------------------------------------------

    def event(self, kind: str, *, experiment_id: int | None = None, run_id: int | None = None, **body: Any) -> int:
        """Append to the journal; returns its sequence number."""
        with self.transaction():
            return self._insert(
                "events",
                at=time.time(),
                kind=kind,
                experiment_id=experiment_id,
                run_id=run_id,
                body=dumps(body),
            )

    def set(self, key: str, value: Any) -> None:
        """Write a setting. Settings say what is now; what happened is an event."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO settings (key, value) VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, dumps(value)),
            )

    def rank(self, direction: str) -> None:
        """Have the view `leaderboard`, which the schema begins with the least, begin with the best."""
        known = self.db.execute("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = 'leaderboard'").fetchone()
        if known is None:
            return
        view = f"{known[0].removesuffix(' DESC')}{' DESC' if direction == 'max' else ''}"
        if view != known[0]:
            with self.transaction():
                self.db.execute("DROP VIEW leaderboard")
                self.db.execute(view)

    # ---- experiments -------------------------------------------------------------------------------------------

    def add_experiment(self, proposal: Proposal, *, parent_commit: str, state: State, problem: str = "") -> int:
        """A new idea; its patch follows with `add_patch_version`."""
        with self.transaction():
            experiment_id = self._insert(
                "experiments",
                state=state,
                title=proposal.title,
                hypothesis=proposal.hypothesis,
                rationale=proposal.rationale,
                category=proposal.category,
                expected=proposal.expected,
                author=proposal.author,
                key=proposal.key,
                parent_commit=parent_commit,
                problem=problem,
                created_at=time.time(),
            )
            self.event(state, experiment_id=experiment_id, title=proposal.title, author=proposal.author)
        return experiment_id

    def update_experiment(
        self, experiment_id: int, *, event: str = "", note: Mapping[str, Any] | None = None, **changes: Any
    ) -> None:
        """Change columns of an experiment and journal it as `event` (default: the new state's name)."""
        with self.transaction():
            self._update("experiments", experiment_id, EXPERIMENT_COLUMNS, changes)
            kind = event or str(changes.get("state", "experiment_changed"))
            self.event(kind, experiment_id=experiment_id, **(note or {}))

    def add_patch(self, sha256: str, body: str, *, added: int, removed: int) -> None:
        """Store a patch body under its hash; the same body twice is one row."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO patches (sha256, body, added, removed, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (sha256, body, added, removed, time.time()),
            )

    def add_patch_version(self, experiment_id: int, sha256: str, source: str) -> int:
        """Make a stored patch the experiment's next version; returns the version number."""
        with self.transaction():
            version = 1 + int(
                self._one(
                    "SELECT coalesce(max(version), 0) FROM patch_versions WHERE experiment_id = ?",
                    experiment_id,
                )[0]
            )
            self._insert(
                "patch_versions",
                experiment_id=experiment_id,
                version=version,
                sha256=sha256,
                source=source,
                at=time.time(),
            )
            first = {"proposed_sha256": sha256} if version == 1 else {}
            self._update("experiments", experiment_id, EXPERIMENT_COLUMNS, {"patch_sha256": sha256, **first})
        return version

    def add_review(
        self,
        experiment_id: int,
        decision: Decision,
        *,
        reason: str,
        patch_sha256: str,
        approved_sha256: str | None,
        actor: str,
        via: Via,
        policy: str = "",
        hunks_kept: Sequence[int] | None = None,
        hunks_seen: Sequence[int] | None = None,
        seconds: float | None = None,
        verdict: Verdict | None = None,
    ) -> int:
        """A decision on one version of a patch; `verdict` belongs to an override and to nothing else."""
        with self.transaction():
            review_id = self._insert(
                "reviews",
                experiment_id=experiment_id,
                decision=decision,
                reason=reason,
                patch_sha256=patch_sha256,
                approved_sha256=approved_sha256,
                hunks_kept=None if hunks_kept is None else dumps(list(hunks_kept)),
                hunks_seen=None if hunks_seen is None else dumps(list(hunks_seen)),
                seconds=seconds,
                actor=actor,
                via=via,
                policy=policy,
                decided_at=time.time(),
                verdict=verdict,
            )
            self.event(
                "reviewed",
                experiment_id=experiment_id,
                decision=decision,
                reason=reason,
                actor=actor,
                via=via,
            )
        return review_id

    def undo_review(self, review_id: int, *, experiment_id: int, actor: str) -> None:
        with self.transaction():
            self.db.execute("UPDATE reviews SET undone_at = ? WHERE id = ?", (time.time(), review_id))
            self.event("review_undone", experiment_id=experiment_id, review_id=review_id, actor=actor)

    # ---- runs and curves ---------------------------------------------------------------------------------------

    def add_run(
        self,
        *,
        experiment_id: int | None,
        purpose: Purpose,
        commit_sha: str,
        seed: int,
        device: str,
        device_class: str,
        attempt: int = 1,
        manifest: str = "",
    ) -> int:
        """The intent to run; written before anything is started."""
        with self.transaction():
            run_id = self._insert(
                "runs",
                experiment_id=experiment_id,
                purpose=purpose,
                commit_sha=commit_sha,
                seed=seed,
                attempt=attempt,
                device=device,
                device_class=device_class,
                manifest=manifest,
                state=RunState.STARTING,
                phase="starting",
                created_at=time.time(),
            )
            self.event(
                "run_created",
                experiment_id=experiment_id,
                run_id=run_id,
                purpose=purpose,
                seed=seed,
                device=device,
            )
        return run_id

    def update_run(
        self, run_id: int, *, event: str = "", note: Mapping[str, Any] | None = None, **changes: Any
    ) -> None:
        """Change columns of a run; journaled only when `event` names something that happened (progress is not)."""
        if "detail" in changes:
            changes["detail"] = dumps(changes["detail"])
        with self.transaction():
            self._update("runs", run_id, RUN_COLUMNS, changes)
            if event:
                row = self._one("SELECT experiment_id FROM runs WHERE id = ?", run_id)
                self.event(event, experiment_id=row[0], run_id=run_id, **(note or {}))

    def add_points(self, run_id: int, points: Iterable[tuple[str, int, float, float]]) -> None:
        """Curve points `(name, step, t, value)`; the last value of a step counts, non-finite is NULL."""
        rows = [(run_id, n, s, t, v if math.isfinite(v) else None) for n, s, t, v in points]
        with self.transaction():
            self.db.executemany(
                "INSERT INTO points (run_id, name, step, t, value) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (run_id, name, step) DO UPDATE SET t = excluded.t, value = excluded.value",
                rows,
            )

    def add_gauges(self, gauges: Iterable[Gauge], *, run_id: int | None, keep_seconds: float) -> None:
        """Telemetry samples; of the same devices' older than `keep_seconds` at most a thousand are dropped."""
        with self.transaction():
            for g in gauges:
                self._insert(
                    "telemetry", device=g.device, at=g.at, run_id=run_id, utilization=g.utilization,
                    memory_used=g.memory_used, memory_total=g.memory_total, power=g.power, temperature=g.temperature,
                    clock=g.clock, load=g.load, cores=g.cores,
                )  # fmt: skip
                self.db.execute(
                    "DELETE FROM telemetry WHERE device = ?1 AND at < min(?2, coalesce((SELECT at FROM telemetry "
                    "WHERE device = ?1 ORDER BY at LIMIT 1 OFFSET 1000), ?2))",
                    (g.device, time.time() - keep_seconds),
                )

    # ---- champions and messages --------------------------------------------------------------------------------

    def add_champion(self, commit_sha: str, *, experiment_id: int | None) -> None:
        with self.transaction():
            self._insert("champions", commit_sha=commit_sha, experiment_id=experiment_id, at=time.time())
            self.event("champion", experiment_id=experiment_id, commit=commit_sha)

    def add_message(self, body: str, *, actor: str, kind: str) -> int:
        with self.transaction():
            message_id = self._insert("messages", at=time.time(), actor=actor, kind=kind, body=body)
            self.event("message", actor=actor, message_kind=kind, message_id=message_id)
        return message_id

    def answer_messages(self, message_ids: Iterable[int], *, experiment_id: int) -> None:
        with self.transaction():
            self.db.executemany(
                "UPDATE messages SET answered_by = ? WHERE id = ?", [(experiment_id, m) for m in message_ids]
            )

    # ---- what a model cost -------------------------------------------------------------------------------------

    def add_usage(
        self,
        *,
        model: str,
        input: int,  # noqa: A002 the word of the table
        output: int,
        cache_read: int,
        cache_write: int,
        seconds: float,
        cost: float | None,
        experiment_id: int | None = None,
    ) -> int:
        """One call of a model, written down as soon as it was made; `claim_usage` says later what it was for."""
        with self.transaction():
            return self._insert(
                "usage",
                at=time.time(),
                experiment_id=experiment_id,
                model=model,
                input=input,
                output=output,
                cache_read=cache_read,
                cache_write=cache_write,
                seconds=seconds,
                cost=cost,
            )

    def claim_usage(self, experiment_id: int) -> None:
        """Every call that belongs to no experiment yet was made for this one."""
        with self.transaction():
            self.db.execute("UPDATE usage SET experiment_id = ? WHERE experiment_id IS NULL", (experiment_id,))

    # ---- plumbing ----------------------------------------------------------------------------------------------

    def _insert(self, table: str, **values: Any) -> int:
        marks = ", ".join("?" * len(values))
        cursor = self.db.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})",
            tuple(_plain(v) for v in values.values()),
        )
        return int(cursor.lastrowid or 0)

    def _update(self, table: str, row_id: int, allowed: frozenset[str], changes: Mapping[str, Any]) -> None:
        if unknown := set(changes) - allowed:
            raise ValueError(f"{table} has no such columns to change: {sorted(unknown)}")
        if changes:
            assignments = ", ".join(f"{column} = ?" for column in changes)
            self.db.execute(
                f"UPDATE {table} SET {assignments} WHERE id = ?",
                (*(_plain(v) for v in changes.values()), row_id),
            )


def _plain(value: Any) -> Any:
    return _whole(str(value)) if isinstance(value, str) else value  # StrEnum members as plain text


def dumps(value: Any) -> str:
    """JSON that SQLite accepts: non-finite numbers become null."""
    return _whole(json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":")))


def _whole(text: str) -> str:
    """Half a character (a lone surrogate: a broken argument, an escape in somebody's JSON) cannot be stored."""
    return text.encode("utf-8", "replace").decode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
