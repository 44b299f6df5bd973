"""Gives devices their runs, follows them while they live, and takes in how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from core.engine.ahead import Ahead
from core.engine.auditing import Auditing
from core.engine.bench import Bench, Work, log
from core.engine.comparing import Comparing
from core.engine.ending import Ending
from core.engine.excluding import Excluding
from core.engine.judging import FAILED_EARLY, STOPPED, Judging
from core.engine.pacing import Pacing
from core.engine.preparing import Preparing
from core.engine.reviewing import Reviewing
from core.engine.room import Room
from core.engine.starting import Starting
from core.errors import LabError, StoreError
from core.failpoints import failpoint
from core.models import Experiment, Purpose, Run, RunState, State
from core.runs import caches, devices, local, phases
from core.runs.devices import Device
from core.runs.local import Process
from core.runs.metrics import MetricsTail

WRITE_EVERY = 0.5
"""seconds between two writes of a live curve"""
GAUGE_EVERY = 1.0
KEEP_GAUGES = 24 * 3600.0
ROUNDING = 1.0
"""seconds by which two readings of a clock that is right may differ"""
URGENCY = {Purpose.BASELINE: 0, Purpose.NULL: 0, Purpose.RETEST: 1, Purpose.AUDIT: 2, Purpose.CANDIDATE: 3}
"""what goes first when a device is free"""


class Running:
    """The only room that starts and ends runs."""

    def __init__(
        self, bench: Bench, reviewing: Reviewing, judging: Judging, auditing: Auditing, preparing: Preparing
    ) -> None:
        self.bench = bench
        self.judging = judging
        self.auditing = auditing
        self.preparing = preparing
        self.comparing = Comparing(bench)
        self.excluding = Excluding(bench, judging)
        self.starting = Starting(bench, reviewing, self.comparing)
        self.room = Room(bench, self.starting)
        self.ending = Ending(bench, judging, self.comparing, self.excluding, self.starting, self.room)
        self.pacing = Pacing(bench, judging.measuring)
        self.ahead = Ahead(bench)
        self._tails: dict[int, MetricsTail] = {}
        self._next_write: dict[int, float] = {}
        self._next_gauge = 0.0
        self._unjudged: dict[int, float] = {}
        """runs that have ended since the last look, and when"""
        self._puzzling: set[int] = set()
        """runs over which something here has stumbled"""

    # ---- after a restart ---------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Take over what the last engine left running; what is gone without a result is made again."""
        for run in self.bench.store.live_runs():
            directory = self.bench.lab.run_directory(run.id)
            process = _process(run)
            if process is None and (process := local.start_process(directory)) is not None:
                self.starting.record_process(run.id, process)
            if process is not None and self.bench.executor.alive(process):
                self.bench.store.event("adopted", experiment_id=run.experiment_id, run_id=run.id, pid=process.pid)
                log.info("run %d goes on under this engine", run.id)

    # ---- live runs ---------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Read what live runs have written; end those that have ended."""
        live = self.bench.store.live_runs()
        for run in live:
            self._collect_or_note(run)
        now = time.monotonic()
        if live and now >= self._next_gauge:
            self._next_gauge = now + GAUGE_EVERY
            self.bench.store.add_gauges(devices.sample(self.bench.devices), run_id=live[0].id, keep_seconds=KEEP_GAUGES)

    def _collect_or_note(self, run: Run) -> None:
        try:
            self._collect(run)
        except LabError:
            raise
        except Exception as error:  # an edge: what one run has written holds up no other
            self._cannot_be_reckoned_with(run, error)

    def _collect(self, run: Run) -> None:
        directory = self.bench.lab.run_directory(run.id)
        process = _process(run)
        alive = process is not None and self.bench.executor.alive(process)
        ended = local.read_exit(
            directory, run=run.id, attempt=run.attempt
        )  # after `alive`: an exit written between counts
        if ended is not None or not alive:
            failpoint("result_read")
            if self._follow(run, last=True):
                return  # the rest at the next look: others must not wait for it
            if ended is not None:
                self._end(run, ended)
            else:
                began, wrote = run.started_at or run.created_at, local.last_written(directory)
                at = min(self.bench.now(), max(began, wrote))  # a machine that was off for a night trained nothing
                self._lose(run, "the runner is gone and left no result", at=at)
        elif time.monotonic() >= self._next_write.get(run.id, 0.0):
            self._next_write[run.id] = time.monotonic() + WRITE_EVERY
            self._follow(run, last=False)

    def _cannot_be_reckoned_with(self, run: Run, error: Exception) -> None:
        """A mistake here, or a target nobody thought of. A run that lives goes on; one that has ended is crashed."""
        words = f"what it left cannot be reckoned with ({type(error).__name__}: {error}); engine.log has the details"
        if run.id not in self._puzzling:
            self._puzzling.add(run.id)
            log.exception("run %d: %s", run.id, words)
        process, now = _process(run), self.bench.store.run(run.id)
        if now is None or not now.is_live:
            return  # its result is on record: what came after it failed
        if process is not None and self.bench.executor.alive(process):
            return
        state = RunState.CRASHED
        self.bench.store.update_run(
            run.id, event=f"run_{state}", note={"error": words}, state=state, phase="done", error=words,
            ended_at=self.bench.now(),
        )  # fmt: skip
        self._forget(run)
        if run.experiment_id is None and not run.is_audit:
            self.ending.champion_failed(run, state, words)

    def _follow(self, run: Run, *, last: bool) -> bool:
        """Bring the record up to what the run has written so far. True: there is more than fits into one look."""
        directory = self.bench.lab.run_directory(run.id)
        tail = self._tails.setdefault(run.id, MetricsTail(directory / "out" / "metrics.jsonl"))
        points = tail.read()
        phase = local.read_phase(directory)
        changes: dict[str, Any] = {}
        if phase != run.phase:
            changes |= {"phase": phase, "detail": {**run.detail, "seconds": self._took(run, self.bench.now())}}
        if run.state == RunState.STARTING and (points or phase in ("training", "evaluating")):
            changes["state"] = RunState.RUNNING
        if tail.progress > run.progress:
            changes["progress"] = tail.progress
        if points or changes:
            try:
                with self.bench.store.transaction():
                    self.bench.store.add_points(run.id, points)
                    if changes:
                        event = "run_training" if "state" in changes else ""
                        self.bench.store.update_run(run.id, event=event, **changes)
            except StoreError:  # a full disk: what was read is read again when there is room
                del self._tails[run.id]
                raise
        if not last and self.pacing.too_slow(run, points, tail.progress):
            self.stop_run(run)
        return tail.behind

    def _end(self, run: Run, ended: dict[str, Any]) -> None:
        """Take in an exit.json, once."""
        state, error, metric = self.ending.outcome(run, ended)
        at_gate = ended.get("gate") or {}
        at = float(ended.get("at") or self.bench.now())
        waited = float(at_gate.get("seconds") or 0.0)
        seconds = self._took(run, at, ended=ended.get("seconds") or {}, waited=waited, trained=metric is not None)
        if state == RunState.FINISHED and run.experiment_id is None:
            directory = self.bench.lab.run_directory(run.id)
            try:
                caches.take(directory, caches.place(self.bench.lab.caches, run.commit_sha, run.device_class))
            except OSError as trouble:  # the next run compiles anew
                log.warning("what run %d has compiled is not kept: %s", run.id, trouble)
        tail = self._tails.get(run.id)
        detail = {
            "rc": ended.get("rc"),
            "seconds": seconds,
            "gate": ended.get("gate"),
            "usage": ended.get("usage"),
            "train": ended.get("train"),
            "result": ended.get("result"),
            "bad_metric_lines": tail.bad_lines if tail else 0,
        }
        with self.bench.store.transaction():
            self.bench.store.update_run(
                run.id,
                event=f"run_{state}",
                note={"metric": metric, "error": error},
                state=state,
                phase="done",
                metric=metric,
                error=error,
                progress=1.0 if state == RunState.FINISHED else max(run.progress, tail.progress if tail else 0.0),
                detail=detail,
                ended_at=at,
            )
            if state == RunState.KILLED:
                self.ahead.note_stopped(run)
        self.ahead.note_end(state, gated=bool(at_gate), early=error.startswith(FAILED_EARLY))
        failpoint("run_ended")
        self._unjudged[run.id] = at
        outcome = error if metric is None else metric
        log.info("run %d (%s, seed %d): %s %s", run.id, run.purpose, run.seed, state, outcome)
        self._forget(run)
        if metric is not None:
            self.judging.measuring.publish(run.device_class)
        elif state == RunState.LOST:
            self.ending.pause_if_lost_again(run, error)
        elif run.experiment_id is None and not run.is_audit:
            self.ending.champion_failed(run, state, error)

    def _took(self, run: Run, now: float, *, trained: bool = False, **ended: Any) -> dict[str, float]:
        """Seconds of each phase of a run; a curve shows that it trained."""
        since, tail = local.read_since(self.bench.lab.run_directory(run.id)), self._tails.get(run.id)
        trained = trained or (tail is not None and bool(tail.names))
        return phases.split(since, created=run.created_at, now=now, trained=trained, **ended)

    def _lose(self, run: Run, why: str, *, at: float | None = None) -> None:
        """`at`: when it ended, where that is not now."""
        at = self.bench.now() if at is None else at
        self.starting.lose(run, why, at=at, seconds=self._took(run, at))
        self.ending.pause_if_lost_again(run, why)
        self._forget(run)

    def _forget(self, run: Run) -> None:
        self._tails.pop(run.id, None)
        self._next_write.pop(run.id, None)
        self.bench.wake.set()

    # ---- starting ----------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Give every device its next run, if there is one; to one that evaluates, a run that stands ready."""
        if not self.preparing.ready:
            return
        self.comparing.refresh()
        self.room.go_on()
        live = self.bench.store.live_runs()
        usable = self.bench.working_devices()
        for device in self.bench.devices:
            self._dispatch(device, [run for run in live if run.device == device.name], usable=device in usable)
        self._note_judged()

    def _dispatch(self, device: Device, live: list[Run], *, usable: bool) -> None:
        waiting = next((run for run in live if self.ahead.waits(run)), None)
        working = [run for run in live if run is not waiting]
        if waiting is not None:
            urgent = None if working else next(self._works(device, before=URGENCY[waiting.purpose]), None)
            # after judging, which may have moved the champion
            if not self.ahead.withdraw_if_pointless(waiting) and not working:
                self.ahead.open_or_withdraw(waiting, urgent)
        elif not usable:
            return
        elif not working:
            if not self._still_held(device) and (work := self._next(device)) is not None:
                self.starting.start(work, device)
        elif self.ahead.may_start(working) and (work := self._next(device)) and self.ahead.suits(work, device, working):
            self.starting.start(work, device, ahead=True)

    def _next(self, device: Device) -> Work | None:
        return next(self._works(device), None)

    def _works(self, device: Device, *, before: int = len(URGENCY)) -> Iterator[Work]:
        """What the device could do next, the most urgent first, as far as an urgency."""
        confirmations = self.judging.confirmation_work(device.kind)  # also judges what needs no more runs
        if self.bench.store.paused() or not self.room.enough():
            return
        if before > URGENCY[Purpose.BASELINE]:
            if trial := self.excluding.trial(device):
                yield trial
            yield from self.judging.baseline_work(device.kind)
        if before > URGENCY[Purpose.RETEST]:
            yield from confirmations
        if before > URGENCY[Purpose.AUDIT]:
            yield from self.auditing.work(device.kind)
        for experiment in self.bench.store.experiments(State.APPROVED) if before > URGENCY[Purpose.CANDIDATE] else ():
            if not self._undo_is_open(experiment):
                commit = self.starting.commit(experiment)
                if commit is not None and (work := self.judging.screening_work(experiment, commit, device.kind)):
                    yield work

    def _undo_is_open(self, experiment: Experiment) -> bool:
        """Whether its undo window keeps it back; a clock that was set back does not."""
        left = (experiment.hold_until or 0.0) - self.bench.now()
        return 0 < left <= self.bench.config.review.undo_seconds + ROUNDING

    def _note_judged(self) -> None:
        """Judging was the last thing that was done for the runs that have ended."""
        for run_id, at in self._unjudged.items():
            if (run := self.bench.store.run(run_id)) is not None:
                seconds = {**(run.detail.get("seconds") or {}), "judge": max(0.0, self.bench.now() - at)}
                self.bench.store.update_run(run_id, detail={**run.detail, "seconds": seconds})
        self._unjudged.clear()

    def _still_held(self, device: Device) -> bool:
        """Something of the last run keeps the device's memory: wait, and after a minute ask for help."""
        memory = self.starting.memory
        held = memory.held(device)
        if held and memory.overdue(device) and not self.bench.store.paused():
            memory.accept(device)  # whoever resumes takes it as it is
            self.starting.pause(f"{held}: see nvidia-smi, then resume")
        return bool(held)

    # ---- stopping ----------------------------------------------------------------------------------------------

    def stop_run(self, run: Run) -> None:
        """Ask a live run to end; it is collected like any other."""
        process = _process(run)
        if process is not None:
            self.bench.executor.stop(process)

    def stop_all(self) -> list[Process]:
        """End every live run so that the next engine makes it again; returns the runners, which still take a moment."""
        live = self.bench.store.live_runs()
        processes = [process for run in live if (process := _process(run)) is not None]
        for process in processes:
            self.bench.executor.stop(process)
        for run in live:
            try:
                directory = self.bench.lab.run_directory(run.id)
                if local.read_exit(directory, run=run.id, attempt=run.attempt) is not None:
                    self._collect_or_note(run)  # it had come to its end by itself
                if (now := self.bench.store.run(run.id)) is None or now.is_live:
                    self._lose(run, STOPPED)
            except LabError as error:
                log.error("run %d is stopped, but not on record: %s", run.id, error.message)
        return processes


def _process(run: Run) -> Process | None:
    if run.pid is None or run.pid_started is None:
        return None
    return Process(run.pid, run.pid_started, run.boot_id)
