"""What the end of a run means: what it measured, whether it says anything of its patch, and when somebody must look."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from core.engine.bench import Bench, log
from core.engine.comparing import Comparing
from core.engine.excluding import BROKEN_OFF, Excluding
from core.engine.judging import ATTEMPTS, FAILED_EARLY, Judging, counts_as_lost
from core.engine.room import Room
from core.engine.starting import Starting
from core.models import Run, RunState
from core.runs.metrics import metric_from_log
from core.runs.sandbox import Tier

STOPS = 100
"""requests to stop a run among which this one's is looked for"""


class Outcome(NamedTuple):
    """How a run ended, in the end."""

    state: RunState
    error: str
    metric: float | None
    """of a run that finished"""


class Ending:
    """Reads an exit.json for what it says; changes no run."""

    def __init__(
        self,
        bench: Bench,
        judging: Judging,
        comparing: Comparing,
        excluding: Excluding,
        starting: Starting,
        room: Room,
    ) -> None:
        self.bench = bench
        self.judging = judging
        self.comparing = comparing
        self.excluding = excluding
        self.starting = starting
        self.room = room

    def outcome(self, run: Run, ended: dict[str, Any]) -> Outcome:
        """What is to be recorded of a run."""
        state, error = RunState(ended["state"]), str(ended.get("error") or "")[:1000]
        at_gate = ended.get("gate") or {}
        if at_gate and not at_gate.get("opened") and state not in (RunState.KILLED, RunState.LOST):
            state, error = RunState.LOST, f"{FAILED_EARLY}: {error}"[:1000]  # beside another run: that proves nothing
        if state == RunState.KILLED and run.error:  # not by a person
            state, error = RunState.TIMEOUT, run.error
        elif state == RunState.KILLED and not self._asked_to_stop(run):
            state, error = RunState.LOST, "ended by a signal that no request here sent: was the machine shut down?"
        metric = None
        if state == RunState.CRASHED and self.room.was_wanted(error):
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
        return Outcome(state, error, metric)

    def champion_failed(self, run: Run, state: RunState, error: str) -> None:
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

    def pause_if_lost_again(self, run: Run, why: str) -> None:
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
