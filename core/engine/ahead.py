"""The next run of a device starts up while the last one is evaluated, and waits at its gate until that has ended.

Nothing is decided by it: the gate opens for the run that would have been started then anyway, and what is not wanted
any more is ended and made again when its time has come. Whether a gate is open lies in the run's directory, so an
engine that is killed leaves nothing that the next one cannot read there.
"""

from __future__ import annotations

from core.engine.bench import Bench, Work, log
from core.engine.judging import STOPPED
from core.failpoints import failpoint
from core.models import Purpose, Run, RunState, State
from core.runs import gate, memory
from core.runs.devices import Device
from core.target import waits_at_gate

SETTLED = (Purpose.BASELINE, Purpose.NULL, Purpose.CANDIDATE, Purpose.AUDIT)
"""purposes after which the next run is mostly known; after a confirmation it depends on the result"""
FAILURES = 3
"""runs in a row that failed before their turn, and not when made again, after which none starts early"""


class Ahead:
    """Runs that stand ready."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._no_room: set[int] = set()
        """runs beside whose evaluation no other fits"""
        self._failures = 0

    # ---- starting ----------------------------------------------------------------------------------------------

    def may_start(self, working: list[Run]) -> bool:
        """Whether a run may start up beside what its device does now."""
        if not (self.bench.config.runs.overlap and waits_at_gate(self.bench.config)) or len(working) != 1:
            return False
        run = working[0]
        settled = run.purpose in SETTLED and (run.is_screening or run.experiment_id is None)
        return run.phase == "evaluating" and settled and run.id not in self._no_room and self._failures < FAILURES

    def suits(self, work: Work, device: Device, working: list[Run]) -> bool:
        """Whether this run may be the one: not one that was lost while it waited, nor one that trains nothing; and
        there must be memory for two, which is asked once while a run is evaluated.
        """
        if work.of is not None or any(
            run.state == RunState.LOST and not run.error.startswith((STOPPED, *gate.WITHDRAWN))
            for run in self.bench.store.runs(commit_sha=work.commit)
            if (run.experiment_id, run.seed) == (work.experiment_id, work.seed)
        ):
            return False
        known = self.bench.store.runs(commit_sha=self.bench.champion())
        measured = [run for run in known if run.state == RunState.FINISHED and run.device_class == device.kind]
        if memory.room_for_two(device, measured, self.bench.store.setting("profile", {})):
            return True
        self._no_room.update(run.id for run in working)
        return False

    # ---- the gate ----------------------------------------------------------------------------------------------

    def waits(self, run: Run) -> bool:
        """Whether a live run stands, or will stand, at a closed gate."""
        return gate.closed(self.bench.lab.run_directory(run.id))

    def withdraw_if_pointless(self, run: Run) -> bool:
        """End a waiting run that would not be started any more."""
        if why := self._pointless(run):
            self._withdraw(run, why)
        return bool(why)

    def _pointless(self, run: Run) -> str:
        if self.bench.store.paused():
            return "the lab was paused"
        if run.device not in {device.name for device in self.bench.working_devices()}:
            return f"{run.device} gets no more runs"
        if self.bench.manifest is not None and run.manifest != self.bench.manifest.sha256:
            return "what it is measured with has changed"
        if run.experiment_id is None:
            moved = not run.is_audit and run.commit_sha != self.bench.champion()
            return "the champion has changed" if moved else ""
        experiment = self.bench.store.experiment(run.experiment_id)
        if experiment is None or experiment.state not in (State.APPROVED, State.RUNNING):
            return f"#{run.experiment_id} is not to run"
        if experiment.commit_sha != run.commit_sha:
            return "its patch has changed"
        return "the champion has changed" if experiment.parent_commit != self.bench.champion() else ""

    def open_or_withdraw(self, run: Run, urgent: Work | None) -> None:
        """The device is free: let the run go on, unless something else goes first."""
        if urgent is not None:
            whose = "the champion" if urgent.experiment_id is None else f"#{urgent.experiment_id}"
            self._withdraw(run, f"another run goes first: {whose}, {urgent.purpose}")
            return
        store = self.bench.store
        with store.transaction():
            if run.experiment_id is not None and run.is_screening:
                store.update_experiment(run.experiment_id, state=State.RUNNING)
            store.update_run(run.id, event="gate_opened", started_at=self.bench.now())
        failpoint("gate_recorded")
        gate.let_go(self.bench.lab.run_directory(run.id))
        failpoint("gate_opened")

    def _withdraw(self, run: Run, why: str) -> None:
        log.info("run %d is withdrawn: %s", run.id, why)
        gate.withdraw(self.bench.lab.run_directory(run.id), why)
        failpoint("run_withdrawn")

    def note_end(self, state: RunState, *, gated: bool, early: bool) -> None:
        """Where run after run fails before its turn, but not when it is made again by itself, no two fit."""
        if early:
            self._failures += 1
            if self._failures == FAILURES:
                log.warning("%d runs failed before their turn: none starts early until the next engine", FAILURES)
        elif gated or state == RunState.CRASHED:
            self._failures = 0

    def note_stopped(self, run: Run) -> None:
        """A person stopped a run, perhaps at its gate: its experiment is to be judged by that, not started again."""
        if run.experiment_id is None or not run.is_screening:
            return
        experiment = self.bench.store.experiment(run.experiment_id)
        if experiment is not None and experiment.state == State.APPROVED and experiment.commit_sha == run.commit_sha:
            self.bench.store.update_experiment(run.experiment_id, state=State.RUNNING)
