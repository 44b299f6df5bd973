"""Starts runs: the commit of an approved experiment, the intent, the tree, the process."""

from __future__ import annotations

import statistics

from core import patches
from core.engine.bench import Bench, Work, log
from core.engine.comparing import Comparing
from core.engine.reviewing import Reviewing
from core.errors import LabError, PatchError
from core.failpoints import failpoint
from core.models import Experiment, Purpose, Run, RunState, State
from core.runs import caches, phases
from core.runs.devices import Device
from core.runs.local import Process, Spec
from core.runs.memory import DeviceMemory
from core.target import children

OUT_BYTES = 64 * 2**30
"""the most a run may write into its `out/`"""


class Starting:
    """Everything between a decision to run and a runner that runs."""

    def __init__(self, bench: Bench, reviewing: Reviewing, comparing: Comparing) -> None:
        self.bench = bench
        self.reviewing = reviewing
        self.comparing = comparing
        self.memory = DeviceMemory()

    def commit(self, experiment: Experiment) -> str | None:
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

    def start(self, work: Work, device: Device, *, ahead: bool = False) -> None:
        """Intent first, then the tree, then the process: a crash between two of them is found at the next start.

        `ahead`: another run is still being evaluated on the device. This one waits at its gate, and its experiment
        stays approved, so that the decision can be taken back.
        """
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
                manifest=self.bench.manifest.sha256 if self.bench.manifest else "",
            )
            if work.experiment_id is not None and work.purpose == Purpose.CANDIDATE and not ahead:
                store.update_experiment(work.experiment_id, state=State.RUNNING)
        failpoint("run_recorded")
        if not ahead:
            self.memory.remember(device)
        try:
            process = self._launch(run_id, work, device, ahead=ahead)
        except (LabError, OSError) as error:
            run = store.run(run_id)
            assert run is not None
            self.lose(run, f"could not be started: {error}")
            self.pause(f"run {run_id} could not be started: {error}")
            return
        failpoint("runner_started")
        self.record_process(run_id, process)
        failpoint("runner_recorded")

    def _launch(self, run_id: int, work: Work, device: Device, *, ahead: bool) -> Process:
        bench, directory = self.bench, self.bench.lab.run_directory(run_id)
        limits = bench.config.runs
        bench.workspace.export(work.commit, directory / "src")
        self.comparing.note(directory)
        failpoint("source_exported")
        trainer, evaluator = children(
            bench.config,
            bench.lab,
            directory,
            device=device.name,
            seed=work.seed,
            split="audit" if work.purpose == Purpose.AUDIT else "val",
            data=str(bench.store.setting("preparation", {}).get("ready", "")),
            profile=bench.store.setting("profile", {}),
            seconds=self._wall_clock(device.kind),
            sandbox=bench.sandbox,
            gated=ahead,
            checkpoint=None if work.of is None else bench.lab.run_directory(work.of) / "out",
        )
        # longer than that no evaluation takes; the engine may be gone by then
        patience = limits.evaluate_seconds + limits.wall_clock_seconds if ahead else None
        lineage = [champion.commit_sha for champion in reversed(bench.store.champions())]
        if work.commit in lineage:
            lineage = lineage[lineage.index(work.commit) :]
        spec = Spec(
            run_id,
            work.attempt,
            trainer if work.of is None else None,
            evaluator,
            int(limits.log_megabytes * 2**20),
            OUT_BYTES,
            gate=patience,
            compiled_from=caches.find(bench.lab.caches, lineage, device.kind),
            keep_compiled=work.experiment_id is None and not caches.find(bench.lab.caches, [work.commit], device.kind),
        )
        return bench.executor.start(directory, spec)

    def record_process(self, run_id: int, process: Process) -> None:
        self.bench.store.update_run(
            run_id,
            event="run_started",
            note={"pid": process.pid},
            pid=process.pid,
            pid_started=process.started,
            boot_id=process.boot_id,
            started_at=self.bench.now(),
        )

    def lose(self, run: Run, why: str, *, at: float | None = None, seconds: dict[str, float] | None = None) -> None:
        """A run that will be made again. `at`: when it ended, where that is not now; `seconds`: of each phase."""
        self.bench.store.update_run(
            run.id, event="run_lost", note={"why": why}, state=RunState.LOST, phase="done", error=why,
            ended_at=self.bench.now() if at is None else at, detail={**run.detail, "seconds": seconds or {}},
        )  # fmt: skip
        log.warning("run %d is lost (%s) and will be made again", run.id, why)

    def pause(self, reason: str) -> None:
        with self.bench.store.transaction():
            self.bench.store.set("paused", reason)
            self.bench.store.event("paused", reason=reason, actor="engine")
        log.warning("paused: %s", reason)

    def _wall_clock(self, kind: str) -> float:
        """The longest a trainer may take: a multiple of the champion's time, so that uncounted work gains nothing."""
        limits = self.bench.config.runs
        took = [
            phases.trainer(run.detail.get("seconds") or {})
            for run in self.bench.store.runs(commit_sha=self.bench.champion())
            if run.state == RunState.FINISHED and run.device_class == kind
        ]
        took = [seconds for seconds in took if seconds > 0]
        if not took:
            return limits.wall_clock_seconds
        return min(limits.wall_clock_seconds, max(10.0, limits.wall_clock_factor * statistics.median(took)))
