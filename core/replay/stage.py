"""The temporary lab of a replay: it begins empty and is fed with the recorded rows, in the order of the journal.

Only this lab is written. The recorded one is opened to read; its repository is linked, for the code in it does not
change, and its logs are copied as far as each run has come.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import LabError
from core.lab import Lab
from core.models import Event
from core.replay import states
from core.replay.recording import ENDED, Moment, Recording, Row
from core.store import Reader, Writer
from core.store.writer import dumps

TOGETHER = 1.0
"""seconds between an experiment and its first patch that were one commit"""


@dataclass(slots=True)
class _Live:
    """A run that is being shown."""

    row: Row
    points: list[tuple[str, int, float, float | None]]
    training: float | None
    """when its training began"""
    shown: int = 0
    """points that are in the record"""


class Stage:
    """A lab being shown again."""

    def __init__(self, source: Lab, root: Path) -> None:
        self.source, self.lab = source, Lab(root)
        self.reader = _reader(source)
        try:
            self.recording = Recording(self.reader)
        except LabError:
            self.reader.close()
            raise
        self._moments = self.recording.moments()
        self._next = 0
        self._experiments: dict[int, Row] = {}
        self._live: dict[int, _Live] = {}
        self._ended: set[int] = set()
        self._champion = ""
        self._copied: dict[int, int] = {}
        self._set_up()
        self.store = Writer(self.lab.database)
        self.store.db.execute("PRAGMA foreign_keys=OFF")  # a row may come before the one it names, if a clock jumped
        self.store.db.execute("PRAGMA synchronous=OFF")  # nothing here is worth a wait for the disk
        self._settings: dict[str, Any] = {}
        with self.store.transaction():
            self._set(states.first_settings(self.recording.settings, self.recording.events))

    def _set_up(self) -> None:
        try:
            self.lab.root.mkdir(parents=True)
            self.lab.runs.mkdir()
            for path in (self.source.config_file, self.source.program):
                if path.is_file():
                    shutil.copyfile(path, self.lab.root / path.name)
            if self.source.repo.is_dir():
                self.lab.repo.symlink_to(self.source.repo)
        except OSError as error:
            raise LabError(
                f"{self.lab.root} cannot be written: {error.strerror}", hint="free some space, or set TMPDIR"
            ) from error

    def close(self) -> None:
        self.store.close()
        self.reader.close()

    @property
    def over(self) -> bool:
        """Everything has been shown."""
        return self._next == len(self._moments)

    # ---- showing -----------------------------------------------------------------------------------------------

    def advance(self, to: float) -> None:
        """Bring the lab to what it was at a moment of the session."""
        if self.over:
            return
        ended = len(self._ended)
        with self.store.transaction():
            changed: set[int] = set()
            while not self.over and self._moments[self._next].at <= to:
                moment = self._moments[self._next]
                self._next += 1
                changed |= self._arrival(moment) if moment.event is None else self._entry(moment.event, moment.row)
            self._put("experiments", (self._experiments[number] for number in sorted(changed)))
            for live in self._live.values():
                self._follow(live, to)
            if len(self._ended) > ended:
                self._set({"noise": self._noise()})
        if self.over:
            self.finish()

    def finish(self) -> None:
        """Bring the lab to exactly what is recorded."""
        recording = self.recording
        with self.store.transaction():
            for moment in self._moments[self._next :]:
                if moment.event is not None:
                    self._put("events", [moment.row])
            self._next = len(self._moments)
            for table, rows in recording.arrivals.items():
                self._put(table, rows)
            self._put("experiments", recording.experiments.values())
            self._put("runs", recording.runs.values())
            for run_id in recording.runs:
                if run_id not in self._ended:
                    live = self._live.get(run_id) or self._begin_run(run_id)
                    self._show_points(live, len(live.points))
                    self._copy_log(live.row, 1.0)
            self._live.clear()
            self._ended |= set(recording.runs)
            for key, value in recording.settings.items():
                self.store.db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))
            for key in set(self._settings) - set(recording.settings):
                self.store.db.execute("DELETE FROM settings WHERE key = ?", (key,))

    # ---- the journal -------------------------------------------------------------------------------------------

    def _entry(self, event: Event, written: Row) -> set[int]:
        """One entry of the journal; returns the experiments it changed."""
        self._put("events", [written])
        self._set(states.settings_after(event, self._settings))
        if event.run_id is not None:
            self._run_entry(event, event.run_id)
        if event.kind == "champion":
            self._champion = str(event.body.get("commit", self._champion))
        changed: set[int] = set()
        number = event.experiment_id
        if number is not None and number in self.recording.experiments:
            changed.add(number)
            if event.kind == "review_undone":
                self._undo(number, event.body.get("review_id"))
            if number in self._experiments:
                recorded = self.recording.experiments[number]
                last = self.recording.last_of_experiment[number] == event.seq
                self._experiments[number] = states.experiment_after(
                    self._experiments[number], event, recorded, champion=self._champion, last=last
                )
            else:
                self._begin_experiment(number, event)
        return changed

    def _begin_experiment(self, number: int, event: Event) -> None:
        recorded = self.recording.experiments[number]
        self._experiments[number] = states.fresh_experiment(recorded, event, self._champion)
        version = self.recording.first_version(number)
        if version is not None and version["at"] - event.at < TOGETHER:  # nobody ever saw it without its patch
            self._put("patches", [self.recording.patches[version["sha256"]]])
            self._put("patch_versions", [version])
            self._experiments[number] |= {"patch_sha256": version["sha256"], "proposed_sha256": version["sha256"]}
        for table, column in (("messages", "answered_by"), ("usage", "experiment_id")):
            for row in self.recording.arrivals[table]:
                if row[column] == number and row["at"] <= event.at:
                    self._put(table, [row])

    def _undo(self, number: int, review_id: Any) -> None:
        for row in self.recording.arrivals["reviews"]:
            if row["id"] == review_id:
                self._put("reviews", [row])
                if number in self._experiments:
                    self._experiments[number] |= {"patch_sha256": row["patch_sha256"]}

    def _arrival(self, moment: Moment) -> set[int]:
        """A row that carries its own time."""
        row = dict(moment.row)
        if moment.table == "messages" and row["answered_by"] not in self._experiments:
            row["answered_by"] = None
        if moment.table == "usage" and row["experiment_id"] not in self._experiments:
            row["experiment_id"] = None
        if moment.table == "reviews":
            row["undone_at"] = None
        self._put(moment.table, [row])
        number = row.get("experiment_id")
        if moment.table == "patch_versions" and number in self._experiments:
            first = {"proposed_sha256": row["sha256"]} if row["version"] == 1 else {}
            self._experiments[number] |= {"patch_sha256": row["sha256"], **first}
            return {number}
        return set()

    # ---- runs --------------------------------------------------------------------------------------------------

    def _run_entry(self, event: Event, run_id: int) -> None:
        recorded = self.recording.runs.get(run_id)
        if recorded is None or run_id in self._ended:
            return
        live = self._live.get(run_id) or self._begin_run(run_id)
        if event.kind in ENDED:
            self._show_points(live, len(live.points))
            self._put("runs", [recorded])
            self._copy_log(recorded, 1.0)
            self._ended.add(run_id)
            del self._live[run_id]

    def _begin_run(self, run_id: int) -> _Live:
        recorded = self.recording.runs[run_id]
        points = self.recording.points(run_id)
        live = _Live(states.fresh_run(recorded), points, self._training(recorded, points[-1][2] if points else 0.0))
        self._live[run_id] = live
        self._put("runs", [live.row])
        return live

    def _training(self, run: Row, seconds: float) -> float | None:
        """When so many seconds of training began: the engine notes it a look later, in a blink of a run too late."""
        started, ended = run["started_at"], run["ended_at"] or self.recording.end
        if started is None:
            return None
        noted = self.recording.training.get(run["id"])
        begin = started if noted is None else min(noted, ended - seconds)
        return float(max(started, begin))

    def _follow(self, live: _Live, at: float) -> None:
        """Show a live run as far as it had come."""
        recorded = self.recording.runs[live.row["id"]]
        begin = live.training
        share = None
        if begin is not None and at >= begin and live.points:
            last = live.points[-1][2]
            end = recorded["ended_at"] or self.recording.end
            scale = min(1.0, max(end - begin, 1e-3) / last) if last > 0 else 1.0  # a toy's seconds need not be seconds
            due = live.shown
            while due < len(live.points) and begin + live.points[due][2] * scale <= at:
                due += 1
            self._show_points(live, due)
            share = due / len(live.points)
        row = states.run_underway(live.row, recorded, at=at, share=share, trained=share == 1.0)
        if row != live.row:
            live.row = row
            self._put("runs", [row])
            self._copy_log(recorded, share or 0.0)

    def _show_points(self, live: _Live, upto: int) -> None:
        run_id = live.row["id"]
        self.store.db.executemany(
            "INSERT OR REPLACE INTO points (run_id, name, step, t, value) VALUES (?, ?, ?, ?, ?)",
            [(run_id, *point) for point in live.points[live.shown : upto]],
        )
        live.shown = max(live.shown, upto)

    def _copy_log(self, run: Row, share: float) -> None:
        """The run's log, as far as it had come: lines carry no times, so it grows with the curve."""
        path = self.source.run_directory(run["id"]) / "stdout.log"
        with (
            contextlib.suppress(OSError),
            open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as log,
        ):
            upto = int(os.fstat(log.fileno()).st_size * share)
            done = self._copied.get(run["id"], 0)
            if upto > done:
                log.seek(done)
                target = self.lab.run_directory(run["id"])
                target.mkdir(exist_ok=True)
                with (target / "stdout.log").open("ab") as copy:
                    copy.write(log.read(upto - done))
                self._copied[run["id"]] = upto

    # ---- plumbing ----------------------------------------------------------------------------------------------

    def _noise(self) -> Any:
        """The noise as it was known then; the recorded one says for which device classes."""
        from core.reporting.claims import Measurements

        measured = Measurements(self.store.runs())
        champions, experiments = self.store.champions(), self.store.experiments()
        found = {}
        for kind in measured.classes():
            n = measured.noise(champions, experiments, kind)
            found[kind] = {"sigma": n.sigma, "df": n.df, "low": n.low, "high": n.high, "paired_sigma": n.paired_sigma}
        return found

    def _put(self, table: str, rows: Iterable[Row]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self.store.db.execute(
                f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
            )

    def _set(self, changes: dict[str, Any]) -> None:
        self._settings |= changes
        for key, value in changes.items():
            self.store.db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, dumps(value)))


def _reader(source: Lab) -> Reader:
    if not source.database.exists():
        raise LabError(
            f"{source.root} has no record yet: no engine has worked in it",
            hint=f"autoresearch-tui {source.root} opens it and starts its engine",
        )
    reader = Reader(source.database)
    if reader.newer:
        reader.close()
        raise LabError(
            f"{source.root} was recorded by a newer autoresearch-tui than this one", hint="upgrade autoresearch-tui"
        )
    return reader
