"""Starts runs on idle devices, follows them while they live, and takes in how they ended."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from typing import Any

from core import patches
from core.engine.auditing import Auditing
from core.engine.bench import Bench, log
from core.engine.judging import STOPPED, Judging, Work
from core.engine.preparing import Preparing
from core.engine.reviewing import Reviewing
from core.errors import LabError, PatchError
from core.failpoints import failpoint
from core.models import Experiment, Purpose, Run, RunState, State
from core.runs import devices, local
from core.runs.devices import Device
from core.runs.local import Process, Spec
from core.runs.memory import DeviceMemory
from core.runs.metrics import MetricsTail, metric_from_log
from core.target import children

WRITE_EVERY = 0.5
"""seconds between two writes of a live curve"""
GAUGE_EVERY = 1.0
KEEP_GAUGES = 3600.0


class Running:
    """The only room that starts and ends runs."""

    def __init__(
        self, bench: Bench, reviewing: Reviewing, judging: Judging, auditing: Auditing, preparing: Preparing
    ) -> None:
        self.bench = bench
        self.reviewing = reviewing
        self.judging = judging
        self.auditing = auditing
        self.preparing = preparing
        self._tails: dict[int, MetricsTail] = {}
        self._next_write: dict[int, float] = {}
        self._next_gauge = 0.0
        self._memory = DeviceMemory()

    # ---- after a restart ---------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Take over what the last engine left running; what is gone without a result is made again."""
        for run in self.bench.store.live_runs():
            directory = self.bench.lab.run_directory(run.id)
            process = _process(run)
            if process is None and (process := local.start_process(directory)) is not None:
                self._record_process(run.id, process)
            if process is not None and self.bench.executor.alive(process):
                self.bench.store.event("adopted", experiment_id=run.experiment_id, run_id=run.id, pid=process.pid)
                log.info("run %d goes on under this engine", run.id)

    # ---- live runs ---------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Read what live runs have written; end those that have ended."""
        live = self.bench.store.live_runs()
        for run in live:
            self._collect(run)
        now = time.monotonic()
        if live and now >= self._next_gauge:
            self._next_gauge = now + GAUGE_EVERY
            self.bench.store.add_gauges(devices.sample(self.bench.devices), run_id=live[0].id, keep_seconds=KEEP_GAUGES)

    def _collect(self, run: Run) -> None:
        directory = self.bench.lab.run_directory(run.id)
        process = _process(run)
        alive = process is not None and self.bench.executor.alive(process)
        ended = local.read_exit(
            directory, run=run.id, attempt=run.attempt
        )  # after `alive`: an exit written between counts
        if ended is not None:
            failpoint("result_read")
            self._follow(run, last=True)
            self._end(run, ended)
        elif not alive:
            self._follow(run, last=True)
            self._lose(run, "the runner is gone and left no result")
        elif time.monotonic() >= self._next_write.get(run.id, 0.0):
            self._next_write[run.id] = time.monotonic() + WRITE_EVERY
            self._follow(run, last=False)

    def _follow(self, run: Run, *, last: bool) -> None:
        """Bring the record up to what the run has written so far."""
        directory = self.bench.lab.run_directory(run.id)
        tail = self._tails.setdefault(run.id, MetricsTail(directory / "out" / "metrics.jsonl"))
        points = tail.read()
        while last and (more := tail.read()):
            points += more
        phase = local.read_phase(directory)
        changes: dict[str, Any] = {}
        if phase != run.phase:
            changes["phase"] = phase
        if run.state == RunState.STARTING and (points or phase == "training"):
            changes["state"] = RunState.RUNNING
        if tail.progress > run.progress:
            changes["progress"] = tail.progress
        if points or changes:
            with self.bench.store.transaction():
                self.bench.store.add_points(run.id, points)
                if changes:
                    event = "run_training" if "state" in changes else ""
                    self.bench.store.update_run(run.id, event=event, **changes)

    def _end(self, run: Run, ended: dict[str, Any]) -> None:
        """Take in an exit.json, once."""
        state, error = RunState(ended["state"]), str(ended.get("error") or "")[:1000]
        metric = None
        if state == RunState.FINISHED:
            metric = self._metric(run, ended)
            if metric is None:
                state, error = RunState.CRASHED, f"the run left no {self.bench.config.target.metric}"
        detail = {
            "rc": ended.get("rc"),
            "seconds": ended.get("seconds"),
            "usage": ended.get("usage"),
            "train": ended.get("train"),
            "result": ended.get("result"),
            "queue_seconds": (run.started_at or run.created_at) - run.created_at,
            "bad_metric_lines": self._tails[run.id].bad_lines if run.id in self._tails else 0,
        }
        self.bench.store.update_run(
            run.id,
            event=f"run_{state}",
            note={"metric": metric, "error": error},
            state=state,
            phase="done",
            metric=metric,
            error=error,
            progress=1.0 if state == RunState.FINISHED else self.bench.store.run(run.id).progress,  # type: ignore[union-attr]
            detail=detail,
            ended_at=float(ended.get("at") or self.bench.now()),
        )
        failpoint("run_ended")
        outcome = error if metric is None else metric
        log.info("run %d (%s, seed %d): %s %s", run.id, run.purpose, run.seed, state, outcome)
        self._forget(run)
        if metric is not None:
            self.judging.publish_noise(run.device_class)
        elif (
            run.experiment_id is None and run.purpose != Purpose.AUDIT
        ):  # nothing can be compared with a champion that does not run
            self.pause(f"the champion's own run {run.id} ended {state} ({error}): see its log, then resume")

    def _metric(self, run: Run, ended: dict[str, Any]) -> float | None:
        target = self.bench.config.target
        name = target.audit_metric if run.purpose == Purpose.AUDIT and target.evaluate else target.metric
        if self.bench.config.target.evaluate:
            value = ((ended.get("result") or {}).get("metric") or {}).get(name)
        else:
            value = metric_from_log(self.bench.lab.run_directory(run.id) / "stdout.log", name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        return None

    def _lose(self, run: Run, why: str) -> None:
        self.bench.store.update_run(
            run.id, event="run_lost", note={"why": why}, state=RunState.LOST, phase="done", error=why,
            ended_at=self.bench.now(),
        )  # fmt: skip
        log.warning("run %d is lost (%s) and will be made again", run.id, why)
        self._forget(run)

    def _forget(self, run: Run) -> None:
        self._tails.pop(run.id, None)
        self._next_write.pop(run.id, None)
        self.bench.wake.set()

    # ---- starting ----------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Give every idle device its next run, if there is one."""
        if not self.preparing.ready:
            return
        busy = {run.device for run in self.bench.store.live_runs()}
        for device in self.bench.devices:
            if device.name in busy or self._still_held(device):
                continue
            work = self._next(device)
            if work is not None:
                self._start(work, device)

    def _next(self, device: Device) -> Work | None:
        confirmations = self.judging.confirmation_work(device.kind)  # also judges what needs no more runs
        if self.bench.store.paused() or not self._room_on_disk():
            return None
        if baseline := self.judging.baseline_work(device.kind):
            return baseline[0]
        if confirmations:
            return confirmations[0]
        if audit := self.auditing.work(device.kind):
            return audit[0]
        for experiment in self.bench.store.experiments(State.APPROVED):
            if (experiment.hold_until or 0.0) <= self.bench.now():
                commit = self._commit(experiment)
                if commit is not None and (work := self.judging.screening_work(experiment, commit, device.kind)):
                    return work
        return None

    def pause(self, reason: str) -> None:
        self.bench.store.set("paused", reason)
        self.bench.store.event("paused", reason=reason, actor="engine")
        log.warning("paused: %s", reason)

    def _still_held(self, device: Device) -> bool:
        """Something of the last run keeps the device's memory: wait, and after a minute ask for help."""
        held = self._memory.held(device)
        if held and self._memory.overdue(device) and not self.bench.store.paused():
            self._memory.accept(device)  # whoever resumes takes it as it is
            self.pause(f"{held}: see nvidia-smi, then resume")
        return bool(held)

    def _room_on_disk(self) -> bool:
        free = shutil.disk_usage(self.bench.lab.root).free / 2**30
        least = self.bench.config.runs.min_free_gigabytes
        if free < least:
            self.pause(f"only {free:.1f} GB of disk is free ({least:g} are wanted): free some, then resume")
        return free >= least

    def _commit(self, experiment: Experiment) -> str | None:
        """The commit of an approved experiment, on the champion; None where it no longer fits."""
        champion = self.bench.champion()
        if experiment.parent_commit != champion:
            if not self.reviewing.rebase(experiment, champion, self.bench.champion_files()):
                return None
            experiment = self.bench.store.experiment(experiment.id) or experiment
        if experiment.commit_sha is not None:
            return experiment.commit_sha
        files = self.bench.workspace.files(champion, self.bench.config.target.editable)
        try:
            patch = patches.parse(self.bench.store.patch(experiment.patch_sha256 or "") or "")
            after = patches.apply(patch, files)
            changed = {path: text for path, text in after.items() if files.get(path) != text}
            commit = self.bench.workspace.commit(
                experiment.id, champion, changed, message=experiment.title, at=experiment.decided_at or self.bench.now()
            )
        except PatchError as error:
            self.bench.store.update_experiment(
                experiment.id, event="does_not_apply", state=State.PROPOSED, hold_until=None, problem=error.message
            )
            return None
        self.bench.store.update_experiment(experiment.id, event="committed", note={"commit": commit}, commit_sha=commit)
        failpoint("commit_recorded")
        return commit

    def _start(self, work: Work, device: Device) -> None:
        """Intent first, then the tree, then the process: a crash between two of them is found at the next start."""
        store = self.bench.store
        with store.transaction():
            run_id = store.add_run(
                experiment_id=work.experiment_id,
                purpose=work.purpose,
                commit_sha=work.commit,
                seed=work.seed,
                device=device.name,
                device_class=device.kind,
                attempt=work.attempt,
            )
            if work.experiment_id is not None and work.purpose == Purpose.CANDIDATE:
                store.update_experiment(work.experiment_id, state=State.RUNNING)
        failpoint("run_recorded")
        self._memory.remember(device)
        directory = self.bench.lab.run_directory(run_id)
        try:
            self.bench.workspace.export(work.commit, directory / "src")
            failpoint("source_exported")
            trainer, evaluator = children(
                self.bench.config,
                self.bench.lab,
                directory,
                device=device.name,
                seed=work.seed,
                split="audit" if work.purpose == Purpose.AUDIT else "val",
                data=str(store.setting("preparation", {}).get("ready", "")),
                profile=store.setting("profile", {}),
                seconds=self._wall_clock(device.kind),
                sandbox=self.bench.sandbox,
            )
            process = self.bench.executor.start(
                directory,
                Spec(
                    run_id,
                    work.attempt,
                    trainer,
                    evaluator,
                    int(self.bench.config.runs.log_megabytes * 2**20),
                    OUT_BYTES,
                ),
            )
        except (LabError, OSError) as error:
            run = store.run(run_id)
            assert run is not None
            self._lose(run, f"could not be started: {error}")
            self.pause(f"run {run_id} could not be started: {error}")
            return
        failpoint("runner_started")
        self._record_process(run_id, process)
        failpoint("runner_recorded")

    def _record_process(self, run_id: int, process: Process) -> None:
        self.bench.store.update_run(
            run_id,
            event="run_started",
            note={"pid": process.pid},
            pid=process.pid,
            pid_started=process.started,
            boot_id=process.boot_id,
            started_at=self.bench.now(),
        )

    def _wall_clock(self, kind: str) -> float:
        """The longest a trainer may take: a multiple of the champion's time, so that uncounted work gains nothing."""
        limits = self.bench.config.runs
        took = [
            float((run.detail.get("seconds") or {}).get("train") or 0.0)
            for run in self.bench.store.runs(commit_sha=self.bench.champion())
            if run.state == RunState.FINISHED and run.device_class == kind
        ]
        took = [seconds for seconds in took if seconds > 0]
        if not took:
            return limits.wall_clock_seconds
        return min(limits.wall_clock_seconds, max(10.0, limits.wall_clock_factor * statistics.median(took)))

    # ---- stopping ----------------------------------------------------------------------------------------------

    def stop_run(self, run: Run) -> None:
        """Ask a live run to end; it is collected like any other."""
        process = _process(run)
        if process is not None:
            self.bench.executor.stop(process)

    def stop_all(self) -> list[Process]:
        """End every live run so that the next engine makes it again; returns the runners, which still take a moment."""
        processes = []
        for run in self.bench.store.live_runs():
            if (process := _process(run)) is not None:
                self.bench.executor.stop(process)
                processes.append(process)
            self._lose(run, STOPPED)
        return processes


OUT_BYTES = 64 * 2**30
"""the most a run may write into its `out/`"""


def _process(run: Run) -> Process | None:
    if run.pid is None or run.pid_started is None:
        return None
    return Process(run.pid, run.pid_started, run.boot_id)
