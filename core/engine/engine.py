"""The loop: propose, let pass, collect, dispatch; and the one place where requests arrive."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import logging.handlers
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from core import config as configuration
from core import secrets
from core.engine.auditing import Auditing
from core.engine.bench import Bench, log
from core.engine.comparing import in_class
from core.engine.judging import Judging
from core.engine.preparing import Preparing, make_repository
from core.engine.proposing import Proposing
from core.engine.reviewing import Reviewing
from core.engine.running import Running
from core.engine.server import serve
from core.engine.start import HELD
from core.errors import ConfigError, LabError, Refused, StoreError
from core.lab import Lab
from core.models import Autonomy, State
from core.requests import (
    Approve,
    Audit,
    Defer,
    Override,
    Pause,
    Ping,
    Request,
    Resume,
    Revise,
    SetAutonomy,
    StopEngine,
    StopRun,
    Tell,
    Undo,
    Veto,
)
from core.researchers.base import Researcher
from core.runs import devices, sandbox
from core.runs.local import LocalExecutor
from core.secrets import Secret
from core.store import Writer
from core.workspace import Workspace, forget_other_repositories

BUSY_LOOK, IDLE_LOOK = 0.1, 1.0
"""seconds between two looks while something runs, and while nothing does"""
PREPARE_WAIT = 60.0
"""the longest, in seconds, until a preparation that broke off begins again"""


class Engine:
    """One lab at work. Use `run`; it returns when the engine has been told to stop."""

    def __init__(self, bench: Bench, researcher: Researcher, *, experiments: int | None = None) -> None:
        self.bench = bench
        self.reviewing = Reviewing(bench)
        self.proposing = Proposing(bench, self.reviewing, researcher)
        self.judging = Judging(bench, self.reviewing)
        self.preparing = Preparing(bench)
        self.auditing = Auditing(bench, self.judging)
        self.running = Running(bench, self.reviewing, self.judging, self.auditing, self.preparing)
        self.experiments = experiments
        """end after this many verdicts"""
        self._stop: StopEngine | None = None
        self._preparation: asyncio.Task[None] | None = None
        self._prepare_at, self._prepare_wait = 0.0, 1.0
        """when a preparation that broke off begins again, and the seconds until the one after"""
        self._trouble = ""
        self._first_verdict = sum(bench.store.verdict_counts().values())

    # ---- the loop ----------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Work until told to stop; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by whoever started it, no exit code would be known
        self._publish("running")
        self.running.recover()
        server = await serve(self.bench.lab.socket, self.handle)
        self._preparation = asyncio.create_task(self.preparing.run())
        code = 0
        try:
            while self._stop is None:
                self._look()
                if (done := self._done()) is not None:
                    code = done
                    self._stop = StopEngine(runs=True, actor="engine")
                else:
                    await self._pause_between_looks()
        finally:
            await self._wind_up(server)
        return code

    def _look(self) -> None:
        """One turn. Whatever goes wrong in it is logged and tried again; the engine lives."""
        try:
            self._check_preparation()
            self.running.collect()
            self.reviewing.let_pass()
            self.running.dispatch()
            self.proposing.step()
            self._clear_trouble()
        except LabError as error:
            self._note_trouble(error.message)
        except Exception as error:  # the edge of the engine
            self._note_trouble(f"{type(error).__name__}: {error}", traceback=True)

    def _check_preparation(self) -> None:
        """One that broke off, perhaps for want of disk, begins again, later and later. One that failed waits."""
        task = self._preparation
        if task is None:
            if time.monotonic() >= self._prepare_at and not self.preparing.ready:
                self._preparation = asyncio.create_task(self.preparing.run())
        elif task.done() and not task.cancelled() and task.exception() is not None:
            self._preparation = None
            self._prepare_at = time.monotonic() + self._prepare_wait
            self._prepare_wait = min(2 * self._prepare_wait, PREPARE_WAIT)
            task.result()

    def _note_trouble(self, words: str, *, traceback: bool = False) -> None:
        if words != self._trouble:
            self._trouble = words
            log.error("%s", words, exc_info=traceback)
            with contextlib.suppress(StoreError):  # the disk may be full: then the log has it
                self._publish("running")
                self.bench.store.event("engine_trouble", words=words)

    def _clear_trouble(self) -> None:
        if self._trouble:
            self._trouble = ""
            self._publish("running")

    async def _pause_between_looks(self) -> None:
        busy = not self._trouble and (self.bench.store.live_runs() or self._holding())  # in trouble, nothing is read
        wait = BUSY_LOOK if busy else IDLE_LOOK
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self.bench.wake.wait()
        self.bench.wake.clear()

    def _holding(self) -> bool:
        """An approved experiment waits for its undo window to close."""
        return self.bench.store.counts()[State.APPROVED] > 0

    def _done(self) -> int | None:
        """The exit code once a wanted number of verdicts is there, or none can come any more."""
        if self.experiments is None or self._trouble:
            return None
        if sum(self.bench.store.verdict_counts().values()) - self._first_verdict >= self.experiments:
            return 0
        counts = self.bench.store.counts()
        working = counts[State.APPROVED] + counts[State.RUNNING] + len(self.bench.store.live_runs())
        if paused := self.bench.store.paused():
            log.error("stopped early: %s", paused)
            return 1
        if self.bench.store.setting("preparation", {}).get("state") == "failed":
            return 1
        if self.proposing.dry and not working and not counts[State.PROPOSED]:
            log.error("stopped early: the researcher has nothing more to propose")
            return 1
        return None

    async def _wind_up(self, server: asyncio.Server) -> None:
        """End what is to end; the record may not be writable meanwhile, and no run goes on for that."""
        processes = self.running.stop_all() if self._stop is not None and self._stop.runs else []
        self._publish_if_possible("stopping")
        server.close()
        await self.proposing.stop()
        if self._preparation is not None:
            self._preparation.cancel()
            await asyncio.gather(self._preparation, return_exceptions=True)
        deadline = time.monotonic() + 15
        while any(self.bench.executor.alive(p) for p in processes) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._publish_if_possible("stopped")
        with contextlib.suppress(OSError):
            self.bench.lab.socket.unlink()

    def _told_to_stop(self) -> None:
        self._stop = StopEngine(runs=False, actor="signal")
        self.bench.wake.set()

    def _publish_if_possible(self, state: str) -> None:
        try:
            self._publish(state)
        except StoreError as error:
            log.error("%s", error.message)

    def _publish(self, state: str) -> None:
        from core import __version__

        old = self.bench.store.setting("engine", {})
        started = old.get("started") if old.get("pid") == os.getpid() else self.bench.now()
        self.bench.store.set(
            "engine",
            {"pid": os.getpid(), "started": started, "version": __version__, "state": state, "problem": self._trouble},
        )

    # ---- requests ----------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> dict[str, Any]:
        """Carry out one request; it is committed when this returns.

        Raises:
            Refused: it cannot be done; nothing was changed.
        """
        match request:
            case Ping():
                return {"pid": os.getpid(), "lab": str(self.bench.lab.root)}
            case Approve():
                return self.reviewing.approve(request)
            case Revise():
                return self.reviewing.revise(request)
            case Veto():
                return self.reviewing.veto(request)
            case Defer():
                return self.reviewing.defer(request)
            case Undo():
                return self.reviewing.undo(request)
            case Override():
                self.judging.override(self.reviewing.overridable(request), request)
                return {}
            case Audit():
                return self.auditing.ask(request)
            case _:
                return self._command(request)

    def _command(self, request: Request) -> dict[str, Any]:
        store = self.bench.store
        match request:
            case SetAutonomy(level, actor):
                return self._set_autonomy(level, actor)
            case Pause(reason, actor):
                with store.transaction():
                    store.set("paused", reason or "paused")
                    store.event("paused", reason=reason, actor=actor)
            case Resume(actor):
                with store.transaction():
                    store.set("paused", "")
                    store.set("aside", {})
                    store.event("resumed", actor=actor)
                if (self._preparation is None or self._preparation.done()) and not self.preparing.ready:
                    self._preparation = asyncio.create_task(self.preparing.run())
            case StopRun(run_id, actor):
                return self._stop_run(run_id, actor)
            case StopEngine():
                self._stop = request
                with contextlib.suppress(StoreError):  # a full disk is a reason to stop, not one to go on
                    store.event("engine_stopping", actor=request.actor, runs=request.runs)
            case Tell(body, kind, actor):
                if not body.strip() or kind not in ("message", "idea"):
                    raise Refused("an empty message says nothing" if not body.strip() else f"unknown kind {kind!r}")
                store.add_message(body.strip(), actor=actor, kind=kind)
            case _:
                raise Refused("unknown request")
        self.bench.wake.set()
        return {}

    def _set_autonomy(self, level: Autonomy, actor: str) -> dict[str, Any]:
        if refusal := self.reviewing.autonomy_refusal(level):
            raise Refused(refusal, hint="review.allow_unsandboxed = true in autoresearch.toml takes the risk")
        store = self.bench.store
        with store.transaction():
            old = store.autonomy()
            store.set("autonomy", level)
            store.event("autonomy", level=level, was=old, actor=actor)
        self.bench.wake.set()
        return {"was": old}

    def _stop_run(self, run_id: int, actor: str) -> dict[str, Any]:
        run = self.bench.store.run(run_id)
        if run is None:
            raise Refused(f"there is no run {run_id}")
        if not run.is_live:
            raise Refused(f"run {run_id} has already ended ({run.state})")
        self.bench.store.event("stop_run", experiment_id=run.experiment_id, run_id=run_id, actor=actor)
        self.running.stop_run(run)
        return {}


# ---- opening and starting ----------------------------------------------------------------------------------------


@contextmanager
def locked(lab: Lab) -> Iterator[IO[str]]:
    """The engine lock; the kernel lets go of it however the engine ends.

    Raises:
        LabError: another engine holds it.
    """
    try:
        file = lab.lock.open("a+")
    except OSError as error:
        raise LabError(
            f"{lab.root} cannot be written ({error.strerror})",
            hint="the lab can still be read: autoresearch-tui list LAB",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise LabError(
                f"{HELD} {lab.root} (process {file.read().strip() or 'unknown'})",
                hint=f"autoresearch-tui {lab.root} attaches to it; autoresearch-tui stop {lab.root} ends it",
            ) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield file


def make_bench(lab: Lab) -> Bench:
    """Open a lab for work; the lock must be held.

    Raises:
        LabError: the configuration, the database, the repository or the devices are not usable.
    """
    forget_other_repositories()
    config = lab.load_config()
    found = devices.find(config.runs.devices)
    kept_in = sandbox.probe([device.name for device in found], wanted=config.sandbox.use)
    lab.runs.mkdir(exist_ok=True)
    store = Writer(lab.database)
    bench = Bench(lab, config, store, Workspace(lab.repo, lab=lab.name), LocalExecutor(), found, kept_in)
    if store.setting("autonomy") is None:
        store.set("autonomy", config.review.autonomy)
    make_repository(bench)
    bench.workspace.remove_stale_locks()
    bench.workspace.set_champion(bench.champion())  # the record is the truth; a ref may have been left behind
    store.set("aside", {})
    store.set("sandbox", {"tier": kept_in.tier, "detail": kept_in.detail, "fix": kept_in.fix})
    known = str(store.setting("manifest", {}).get("sha256", ""))  # until the data is ready, and it is read again
    store.set("devices", [{"name": d.name, "class": in_class(d, known).kind} for d in found])
    target = config.target
    store.rank(target.direction)
    store.set(
        "lab",
        {
            "profile": target.profile,
            "metric": target.metric,
            "direction": target.direction,
            "corpus": target.corpus,
            "editable": target.editable,
        },
    )
    return bench


def take_key(settings: configuration.Researcher) -> Secret | None:
    """The key, out of the environment before any child is started.

    A file that was meant to hold it and cannot be used is a `Secret` with nothing in it: Claude says what is wrong.
    """
    try:
        return secrets.take(settings.key_file)
    except ConfigError as error:
        log.warning("%s", error)
        return Secret("", settings.key_file or str(secrets.default_file()))


def make_researcher(bench: Bench, secret: Secret | None) -> Researcher:
    """Who proposes in this lab."""
    from core.researchers.offline import OfflineResearcher

    settings = bench.config.researcher
    offline = settings.kind == "offline" or (settings.kind == "auto" and secret is None)
    missing = settings.kind != "offline" and (secret is None or not secret.value)
    kind = "offline" if offline else "claude"
    bench.store.set("researcher", {"kind": kind, "state": "idle", "detail": "", "key_missing": missing})
    if offline:
        return OfflineResearcher()
    from core.researchers.claude import ClaudeResearcher, FallbackResearcher

    claude = ClaudeResearcher(bench.lab, bench.config, bench.store, secret)
    if settings.fallback == "offline":
        return FallbackResearcher(claude, OfflineResearcher(), journal=bench.store.event)
    return claude


def work(lab: Lab, *, experiments: int | None = None, autonomy: Autonomy | None = None, echo: bool = False) -> int:
    """Run the engine of a lab in this process until it is told to stop."""
    secrets.harden()
    with locked(lab):
        logging_to(lab.log, echo=echo)
        secret = take_key(lab.load_config().researcher)
        bench = make_bench(lab)
        try:
            engine = Engine(bench, make_researcher(bench, secret), experiments=experiments)
            if autonomy is not None:
                engine.handle(SetAutonomy(autonomy, actor="command line"))
            return asyncio.run(engine.run())
        finally:
            bench.store.close()


def logging_to(path: Path, *, echo: bool) -> None:
    """engine.log, rotated at 1 MB; and standard error when in the foreground."""
    handlers: list[logging.Handler] = [logging.handlers.RotatingFileHandler(path, maxBytes=1 << 20, backupCount=3)]
    if echo:
        handlers.append(logging.StreamHandler(sys.stderr))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
