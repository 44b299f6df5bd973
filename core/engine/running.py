"""Gives devices their runs, follows them while they live, and takes in how they ended."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from typing import Any

from core.engine.ahead import Ahead
from core.engine.auditing import Auditing
from core.engine.bench import Bench, Work, log
from core.engine.comparing import Comparing
from core.engine.excluding import BROKEN_OFF, Excluding
from core.engine.judging import ATTEMPTS, FAILED_EARLY, STOPPED, Judging, counts_as_lost
from core.engine.pacing import Pacing
from core.engine.preparing import Preparing
from core.engine.reviewing import Reviewing
from core.engine.starting import Starting
from core.errors import LabError, StoreError
from core.failpoints import failpoint
from core.models import Experiment, Purpose, Run, RunState, State
from core.runs import caches, devices, local, phases
from core.runs.devices import Device
from core.runs.local import Process
from core.runs.metrics import MetricsTail, metric_from_log
from core.runs.sandbox import Tier

WRITE_EVERY = 0.5
"""seconds between two writes of a live curve"""
GAUGE_EVERY = 1.0
KEEP_GAUGES = 24 * 3600.0
ROUNDING = 1.0
"""seconds by which two readings of a clock that is right may differ"""
STOPS = 100
"""requests to stop a run among which this one's is looked for"""
DISK_FULL = "of disk is free"
"""in the reason of a pause that ends by itself"""
NO_ROOM = ("[Errno 28]", "[Errno 122]", "No space left on device", "Disk quota exceeded")
"""in the last words of a program that found the disk, or its share of it, full"""
ROOM_AGAIN = 1.1
"""times the least free space, so that it does not stop and go"""
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
        process = _process(run)
        if process is not None and self.bench.executor.alive(process):
            return
        state = RunState.CRASHED
        self.bench.store.update_run(
            run.id, event=f"run_{state}", note={"error": words}, state=state, phase="done", error=words,
            ended_at=self.bench.now(),
        )  # fmt: skip
        self._forget(run)
        if run.experiment_id is None and not run.is_audit:
            self._champion_failed(run, state, words)

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
        state, error = RunState(ended["state"]), str(ended.get("error") or "")[:1000]
        at_gate = ended.get("gate") or {}
        if at_gate and not at_gate.get("opened") and state not in (RunState.KILLED, RunState.LOST):
            state, error = RunState.LOST, f"{FAILED_EARLY}: {error}"[:1000]  # beside another run: that proves nothing
        if state == RunState.KILLED and run.error:  # not by a person
            state, error = RunState.TIMEOUT, run.error
        elif state == RunState.KILLED and not self._asked_to_stop(run):
            state, error = RunState.LOST, "ended by a signal that no request here sent: was the machine shut down?"
        metric = None
        if state == RunState.CRASHED and self._wanted_room(error):
            state, error = RunState.LOST, f"there was no room on the disk: {error}"[:1000]
        if state == RunState.FINISHED:
            metric = self._metric(run, ended)
            if metric is None:
                state, error = RunState.CRASHED, f"the run left no {self._metric_of(run)}"
            elif not math.isfinite(metric):
                state, error, metric = RunState.DIVERGED, f"its {self._metric_of(run)} is {metric}", None
            if words := self.comparing.broken(run):
                # without a sandbox the candidate may have done it itself
                in_sandbox = self.bench.sandbox.tier != Tier.NONE
                state, error, metric = RunState.LOST if in_sandbox else RunState.VOID, words, None
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
            self._pause_if_lost_again(run, error)
        elif run.experiment_id is None and not run.is_audit:
            self._champion_failed(run, state, error)

    def _champion_failed(self, run: Run, state: RunState, error: str) -> None:
        """Nothing can be compared with a champion that does not run: somebody must look."""
        measured = self.judging.measuring.own(run.commit_sha, run.device_class)
        if state == RunState.DIVERGED and measured:
            return  # on this seed; it is compared on others
        if state in BROKEN_OFF and self.excluding.set_aside(run, error):
            return
        if state in BROKEN_OFF and measured and not self._broke_off_before(run):
            log.warning(
                "run %d of the champion ended %s: once is chance, it is compared on another seed", run.id, state
            )
            return
        self.starting.pause(f"the champion's own run {run.id} ended {state} ({error}): see its log, then resume")

    def _broke_off_before(self, run: Run) -> bool:
        """The champion's own run before this one broke off, too."""
        own = [
            one
            for one in self.bench.store.runs(commit_sha=run.commit_sha)
            if one.experiment_id is None
            and not one.is_audit
            and one.id < run.id
            and one.device_class == run.device_class
        ]
        return bool(own) and own[-1].state in BROKEN_OFF

    def _pause_if_lost_again(self, run: Run, why: str) -> None:
        """A run of the champion's that is lost each time would be made again for ever; an experiment's is judged."""
        if run.experiment_id is not None:
            return
        own = [one for one in self.bench.store.runs(commit_sha=run.commit_sha) if one.experiment_id is None]
        if len(own) >= ATTEMPTS and all(map(counts_as_lost, own[-ATTEMPTS:])):
            self.starting.pause(
                f"the champion's own runs were lost {ATTEMPTS} times ({why}): see their logs, then resume"
            )

    def _asked_to_stop(self, run: Run) -> bool:
        """Whether a person wanted this run to end."""
        return any(event.run_id == run.id for event in self.bench.store.newest_events(["stop_run"], STOPS))

    def _metric_of(self, run: Run) -> str:
        """The name of what is measured on this run."""
        target = self.bench.config.target
        return target.audit_metric if run.is_audit and target.has_hidden_split else target.metric

    def _metric(self, run: Run, ended: dict[str, Any]) -> float | None:
        """Perhaps not finite; None where there is none."""
        name = self._metric_of(run)
        if not self.bench.config.target.evaluate:
            return metric_from_log(self.bench.lab.run_directory(run.id) / "stdout.log", name)
        result = ended.get("result")
        found = result.get("metric") if isinstance(result, dict) else None
        value = found.get(name) if isinstance(found, dict) else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def _took(self, run: Run, now: float, *, trained: bool = False, **ended: Any) -> dict[str, float]:
        """Seconds of each phase of a run; a curve shows that it trained."""
        since, tail = local.read_since(self.bench.lab.run_directory(run.id)), self._tails.get(run.id)
        trained = trained or (tail is not None and bool(tail.names))
        return phases.split(since, created=run.created_at, now=now, trained=trained, **ended)

    def _lose(self, run: Run, why: str, *, at: float | None = None) -> None:
        """`at`: when it ended, where that is not now."""
        at = self.bench.now() if at is None else at
        self.starting.lose(run, why, at=at, seconds=self._took(run, at))
        self._pause_if_lost_again(run, why)
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
        self._go_on_after_full_disk()
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
        if self.bench.store.paused() or not self._room_on_disk():
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

    def _room_on_disk(self) -> bool:
        free = shutil.disk_usage(self.bench.lab.root).free / 2**30
        least = self.bench.config.runs.min_free_gigabytes
        if free < least:
            self.starting.pause(f"only {free:.1f} GB {DISK_FULL} ({least:g} are wanted): free some, and it goes on")
        return free >= least

    def _wanted_room(self, error: str) -> bool:
        """A run broke off for want of disk, which says nothing of its patch: it is made again when there is room."""
        room, full = self._room_on_disk(), any(words in error for words in NO_ROOM)
        if full and room:  # what it wrote is gone again, or it has a share of the disk of its own: that needs somebody
            self.starting.pause("a run found the disk full though there is room now: see its log, then resume")
        return full or not room

    def _go_on_after_full_disk(self) -> None:
        """What the engine paused for want of room goes on by itself once there is more than just enough."""
        if DISK_FULL not in self.bench.store.paused():
            return
        least = self.bench.config.runs.min_free_gigabytes
        if shutil.disk_usage(self.bench.lab.root).free / 2**30 >= ROOM_AGAIN * least:
            with self.bench.store.transaction():
                self.bench.store.set("paused", "")
                self.bench.store.event("resumed", actor="engine", reason="there is room on the disk again")

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
