"""A device on which run after run breaks off is tried with the champion's own code, and set aside where that fails too.

Otherwise one broken GPU of eight, free again after seconds, would draw every waiting experiment and have it judged as
crashed. What was judged so on a device that then proved broken is measured again on another.
"""

from __future__ import annotations

from core.engine.bench import Bench, Work, log
from core.engine.judging import Judging
from core.models import Run, RunState, State, Verdict
from core.runs.devices import Device

IN_A_ROW = 3
"""runs that break off one after the other before their device is doubted"""
LOOKED_BACK = 32
"""runs of a device that are looked through"""
BROKEN_OFF = (RunState.CRASHED, RunState.TIMEOUT)


class Excluding:
    """Which devices get runs. What is set aside stays so until somebody resumes, or the next engine starts."""

    def __init__(self, bench: Bench, judging: Judging) -> None:
        self.bench = bench
        self.judging = judging

    def trial(self, device: Device) -> Work | None:
        """The champion's run that a doubted device must show first."""
        last = self._broken_off(device.name)
        if len(last) < IN_A_ROW or all(run.experiment_id is None for run in last):
            return None
        return self.judging.champion_again(device.kind)

    def set_aside(self, run: Run, error: str) -> bool:
        """The champion's own run broke off. True: elsewhere it did not, so its device gets no more runs."""
        others = [device for device in self.bench.working_devices() if device.name != run.device]
        if not others or not self.judging.measuring.own(run.commit_sha, run.device_class):
            return False
        words = f"{run.device} gets no more runs: the champion's own run {run.id} broke off there ({error})"
        again = {one.experiment_id for one in self._broken_off(run.device)} - {None}
        store = self.bench.store
        with store.transaction():
            store.set("aside", {**store.setting("aside", {}), run.device: words})
            store.event("device_set_aside", run_id=run.id, device=run.device, words=words)
            for experiment in store.experiments(State.JUDGED) if again else ():
                if experiment.id in again and experiment.verdict == Verdict.CRASHED and not experiment.overridden_by:
                    self._reopen(experiment.id)
        log.warning("%s", words)
        return True

    def _broken_off(self, device: str) -> list[Run]:
        """The newest runs of a device, as far back as each of them broke off."""
        found: list[Run] = []
        for run in self.bench.store.newest_runs(device, LOOKED_BACK):
            if run.state not in BROKEN_OFF:
                break
            found.append(run)
        return found

    def _reopen(self, experiment_id: int) -> None:
        self.bench.store.update_experiment(
            experiment_id, event="measured_again", state=State.APPROVED, hold_until=self.bench.now(), verdict=None,
            verdict_reason="", metric=None, confirmations=None, judged_at=None,
        )  # fmt: skip
