"""The screen's way to a lab: tails the record, asks the engine. Widgets never touch the database or the socket.

`Client.run` polls `PRAGMA data_version` (4 µs) ten times a second; when it moves, the events after the last one say
which experiments to read again. Progress and telemetry, which are no events, are read at most twice a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from textual.message import Message

from core.errors import LabError, StoreError
from core.models import Event, Run, RunState, Series
from core.requests import NoEngine, Ping, Request, ask
from core.store.reader import Reader
from core.store.rows import Gauge, Summary
from tui.snapshot import EngineNote, LabNote, PreparationNote, ResearcherNote, SandboxNote, Snapshot, note

POLL_SECONDS = 0.1
LIVE_SECONDS = 0.5
"""between two looks at progress and telemetry"""
PING_SECONDS = 3.0
GAUGE_SECONDS = 240.0
MAX_GAUGES = 2_400
"""samples of telemetry that are kept for the small history"""
START_SECONDS = 20.0
"""how long a started engine may take until it answers"""
FIRST_SUMMARIES = 200
"""experiments in the first picture; the others follow from a thread"""


class LabPaths(Protocol):
    """The part of `core.lab.Lab` that a screen needs."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def database(self) -> Path: ...
    @property
    def socket(self) -> Path: ...
    @property
    def repo(self) -> Path: ...
    def run_directory(self, run_id: int) -> Path: ...


class LabChanged(Message):
    """The newest look at the lab; one that waits in a queue is dropped for a newer one."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LabChanged)


class Client:
    """Holds the last snapshot and posts each new one."""

    def __init__(
        self,
        lab: LabPaths,
        post: Callable[[Message], object],
        *,
        now: Callable[[], float] = time.time,
        actor: str = "human",
    ) -> None:
        self.lab = lab
        self.snapshot = Snapshot()
        self.now = now
        self.actor = actor
        """whose decisions these are"""
        self._post = post
        self._reader: Reader | None = None
        self._data_version = -1
        self._looked = float("-inf")
        self._fresh = True  # nothing has been read from this connection yet
        self._whole = False  # every experiment has been read
        self._nudge = asyncio.Event()
        self._started_at: float | None = None
        self._curves: dict[tuple[int, str], Series] = {}
        self._champion_runs: dict[str, list[Run]] = {}

    # ---- following the record ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the lab until cancelled."""
        pinger = asyncio.create_task(self._watch_engine())
        try:
            while True:
                self.look()
                if self._reader is not None and not self._whole:
                    await self._read_the_rest()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._nudge.wait(), POLL_SECONDS)
                self._nudge.clear()
        finally:
            pinger.cancel()
            self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def nudge(self) -> None:
        """Look at once, progress included."""
        self._looked = float("-inf")
        self._nudge.set()

    def look(self) -> None:
        """Post a new snapshot if something was committed since the last one."""
        try:
            if self._reader is None:
                self._open()
            reader = self._reader
            if reader is None:
                return
            version = reader.data_version()
            if version == self._data_version:
                return
            events = [] if self._fresh else reader.events(after=self.snapshot.seq, limit=2_000)
            moment = time.monotonic()
            if not events and not self._fresh and moment - self._looked < LIVE_SECONDS:
                return
            self._publish(self._read(reader, events, self.now()))
            self._data_version, self._looked, self._fresh = version, moment, False
        except StoreError as error:
            self._forget()
            self._publish(replace(self.snapshot, problem=error.message, hint=error.hint, at=self.now()))

    def _open(self) -> None:
        if not self.lab.database.exists():
            if not self.snapshot.missing:
                self._publish(replace(self.snapshot, missing=True, at=self.now()))
            return
        self._reader = Reader(self.lab.database)
        self._data_version, self._fresh = -1, True

    def _forget(self) -> None:
        """Close a record that cannot be read; the next look tries again."""
        with contextlib.suppress(Exception):
            self.close()
        self._reader = None
        self._data_version = -1

    def _publish(self, snapshot: Snapshot) -> None:
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            self._post(LabChanged(snapshot))

    def _read(self, reader: Reader, events: list[Event], at: float) -> Snapshot:
        last = self.snapshot
        seq = reader.last_seq() if self._fresh else last.seq  # before the rest: what comes meanwhile is read next time
        touched = dict(last.touched)
        for event in events:
            if event.experiment_id is not None:
                touched[event.experiment_id] = event.seq
        first = self._fresh
        history, queue, counts = last.history, last.queue, last.counts
        changed = {e.experiment_id for e in events if e.experiment_id is not None}
        if first or changed:
            queue, counts = tuple(reader.queue()), reader.counts()
            if first or len(changed) > 500:
                history = tuple(reader.summaries(newest=None if self._whole else FIRST_SUMMARIES))
            else:
                history = _merged(history, (s for i in sorted(changed) if (s := reader.summary(i)) is not None))
        live = tuple(reader.live_runs())
        champion, champion_metric = last.champion, last.champion_metric
        if first or any(e.kind == "champion" or e.run_id is not None for e in events):
            champion = reader.champion()
            self._champion_runs.clear()
            champion_metric = reader.champion_metric(champion) if champion else None
        devices = reader.setting("devices", [])
        names, classes = _devices(devices)
        noise = reader.setting("noise", {})
        sigma = next((n.get("sigma") for c in classes if isinstance(n := noise.get(c), dict)), None)
        return Snapshot(
            at=at,
            seq=events[-1].seq if events else seq,
            newer=reader.newer,
            alive=last.alive,
            starting=last.starting,
            autonomy=reader.autonomy(),
            paused=reader.paused(),
            paused_by=next((str(e.body.get("actor")) for e in reversed(events) if e.kind == "paused"), last.paused_by),
            engine=note(EngineNote, reader.setting("engine")),
            researcher=note(ResearcherNote, reader.setting("researcher")),
            preparation=note(PreparationNote, reader.setting("preparation")),
            sandbox=note(SandboxNote, reader.setting("sandbox")),
            lab=note(LabNote, reader.setting("lab")),
            timed=_timed(reader.setting("profile", {})),
            devices=names,
            aside=_words(reader.setting("aside", {})),
            sigma=sigma if isinstance(sigma, float) else None,
            counts=counts,
            queue=queue,
            history=history,
            touched=touched,
            live=live,
            last_run=live[-1] if live else reader.last_run() if first or events else last.last_run,
            champion=champion,
            champion_metric=champion_metric,
            gauges=_recent(last.gauges, reader.gauges(since=last.gauges[-1].at if last.gauges else at - GAUGE_SECONDS)),
            unanswered=len(reader.messages(unanswered=True)) if first or events else last.unanswered,
        )

    async def _read_the_rest(self) -> None:
        """The whole history, off the event loop: ten thousand rows take a tenth of a second."""
        self._whole = True
        if len(self.snapshot.history) < FIRST_SUMMARIES:
            return
        rows = await asyncio.to_thread(self.with_reader, lambda reader: reader.summaries())
        known = {summary.id for summary in self.snapshot.history}
        older = tuple(summary for summary in rows if summary.id not in known)
        self._publish(replace(self.snapshot, history=self.snapshot.history + older))

    def with_reader(self, read: Callable[[Reader], Any]) -> Any:
        """Call this with a connection of its own: from any thread."""
        reader = Reader(self.lab.database)
        try:
            return read(reader)
        finally:
            reader.close()

    def log_of(self, run_id: int) -> Path:
        """What the training script of a run prints."""
        return self.lab.run_directory(run_id) / "stdout.log"

    # ---- curves ------------------------------------------------------------------------------------------------

    def curve(self, run_id: int, name: str) -> Series:
        """A curve of a run; only the steps that are new since the last call are read."""
        known = self._curves.get((run_id, name), Series(name, (), (), ()))
        if self._reader is None:
            return known
        try:
            new = self._reader.series(run_id, name, after_step=known.step[-1] if known.step else -1)
        except StoreError:
            return known  # the next look says what is wrong with the record
        if new.step or not known.step:
            known = Series(name, known.step + new.step, known.t + new.t, known.value + new.value)
            if len(self._curves) > 64:
                self._curves.clear()
            self._curves[run_id, name] = known
        return known

    def curve_names(self, run_id: int) -> list[str]:
        try:
            names = [] if self._reader is None else self._reader.series_names(run_id)
        except StoreError:
            return []
        return sorted(names, key=lambda name: (name != "loss", name))

    def champion_run(self, seed: int | None = None) -> Run | None:
        """The champion's run to draw behind another: the one with the same seed where there is one."""
        champion = self.snapshot.champion
        if champion is None or self._reader is None:
            return None
        try:
            if champion.commit_sha not in self._champion_runs:
                self._champion_runs[champion.commit_sha] = self._reader.runs(commit_sha=champion.commit_sha)
        except StoreError:
            return None
        finished = [
            run
            for run in self._champion_runs[champion.commit_sha]
            if run.state is RunState.FINISHED and not run.is_audit
        ]
        return next((run for run in finished if run.seed == seed), finished[0] if finished else None)

    # ---- the engine --------------------------------------------------------------------------------------------

    async def ask(self, request: Request) -> dict[str, Any]:
        """Make a request of the engine; returns after it is committed.

        Raises:
            NoEngine: nobody listens. Nothing was recorded.
            Refused: the engine refused, with its reason.
        """
        if not isinstance(request, Ping):
            request = replace(request, actor=self.actor)
        try:
            answer = await ask(self.lab.socket, request)
        except NoEngine:
            self._engine_is(False)
            raise
        self._engine_is(True)
        self._looked = float("-inf")
        self.look()  # the answer is committed: the next picture already has it
        return answer

    def expect_engine(self) -> None:
        """An engine has just been started: look for it more often, and do not call it down yet."""
        self._started_at = time.monotonic()
        self._publish(replace(self.snapshot, starting=True))

    async def _watch_engine(self) -> None:
        while True:
            try:
                await ask(self.lab.socket, Ping(), timeout=PING_SECONDS)
                self._engine_is(True)
            except NoEngine:
                self._engine_is(False)
            except LabError:
                self._engine_is(True)  # it refuses a ping, but it is there
            await asyncio.sleep(PING_SECONDS if not self.snapshot.starting else 0.2)

    def _engine_is(self, alive: bool) -> None:
        started = self._started_at
        starting = not alive and started is not None and time.monotonic() - started < START_SECONDS
        if not starting:
            self._started_at = None
        self._publish(replace(self.snapshot, alive=alive, starting=starting))


def _merged(history: tuple[Summary, ...], changed: Iterable[Summary]) -> tuple[Summary, ...]:
    """The history with these rows new; it stays newest first."""
    rows = {summary.id: summary for summary in history}
    newest = history[0].id if history else 0
    for summary in changed:
        if summary.id > newest:
            rows = {summary.id: summary, **rows}
            newest = summary.id
        elif summary.id in rows:
            rows[summary.id] = summary
    return tuple(rows.values())


def _recent(known: tuple[Gauge, ...], samples: list[Gauge]) -> tuple[Gauge, ...]:
    """The samples of the last minutes, oldest first."""
    merged = (*known, *samples)[-MAX_GAUGES:]
    since = merged[-1].at - GAUGE_SECONDS if merged else 0.0
    return tuple(gauge for gauge in merged if gauge.at >= since)


def _timed(profile: Any) -> bool:
    """Whether the budget of a described profile is in seconds; also where nothing is known of it."""
    budget = str(profile.get("budget", "")) if isinstance(profile, dict) else ""
    return not budget.startswith(("flops:", "tokens:"))


def _words(setting: Any) -> dict[str, str]:
    """Names with words to each."""
    return {str(name): str(words) for name, words in setting.items()} if isinstance(setting, dict) else {}


def _devices(setting: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and classes of the devices."""
    rows = [row for row in setting if isinstance(row, dict)] if isinstance(setting, list) else []
    return tuple(str(row.get("name", "")) for row in rows), tuple(str(row.get("class", "")) for row in rows)
