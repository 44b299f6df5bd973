"""From runs to verdicts: which run an experiment needs next, and what its runs said once none is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from core import verdict as statistics
from core.engine.bench import Bench, Work, log
from core.engine.hidden import HiddenSplit
from core.engine.measuring import FAILED, Measuring
from core.engine.reviewing import Reviewing
from core.errors import LabError
from core.failpoints import failpoint
from core.models import CHAMPION_PURPOSES, Decision, Experiment, Purpose, Run, RunState, State, Verdict
from core.requests import Override
from core.runs import gate
from core.runs.collapse import EARLY
from core.runs.doubts import doubts, same_on_every_seed
from core.verdict import Hidden, Judged, Measured, Policy, RunSeeds

ATTEMPTS = 3
"""times a run that was lost is made again"""
STOPPED = "stopped with the engine"
FAILED_EARLY = "failed before its turn"
"""how the error of a run begins that ended while it stood ready: it is made again by itself, and then its end counts"""
UNCOUNTED = (STOPPED, FAILED_EARLY, *gate.WITHDRAWN)
"""such a lost run does not count as an attempt"""


def counts_as_lost(run: Run) -> bool:
    """Whether a run was lost by itself, and not because its time had not come."""
    return run.state == RunState.LOST and not run.error.startswith(UNCOUNTED)


class Judging:
    """Verdicts, and the work they still need."""

    def __init__(self, bench: Bench, reviewing: Reviewing) -> None:
        self.bench = bench
        self.reviewing = reviewing
        self.measuring = Measuring(bench)
        self.hidden = HiddenSplit(bench, self.measuring)
        judging = bench.config.judging
        self.policy = Policy(
            z=judging.z, max_confirmations=judging.max_confirmations, direction=bench.config.target.direction
        )

    # ---- what is needed ----------------------------------------------------------------------------------------

    def baseline_work(self, kind: str) -> list[Work]:
        """The runs of the champion that must be there before anything is compared with it in this class.

        A later champion is measured as its challengers need it: `statistics.next_step` asks for the seeds.
        """
        champion = self.bench.champion()
        work = []
        for seed in self.measuring.missing(champion, kind, self.bench.config.judging.null_runs):
            purpose = Purpose.BASELINE if seed == 0 else Purpose.NULL
            work.append(self._work(None, purpose, champion, seed))
        return [item for item in work if item is not None] or self._rerun_work(champion, kind)

    def _rerun_work(self, champion: str, kind: str) -> list[Work]:
        """The champion once more on a fresh seed, when many verdicts have passed since its last own run."""
        every = self.bench.config.judging.rerun_every
        own = [
            r
            for r in self.bench.store.runs(commit_sha=champion)
            if r.experiment_id is None and r.purpose in CHAMPION_PURPOSES and r.device_class == kind
        ]
        if not every or not own or own[-1].is_live:
            return []
        if self.bench.store.judged_since(own[-1].ended_at or 0.0) < every:
            return []
        work = self.champion_again(kind)
        return [] if work is None else [work]

    def champion_again(self, kind: str) -> Work | None:
        """A run of the champion on a seed on which it has none."""
        champion = self.bench.champion()
        done = {
            run.seed
            for run in self.bench.store.runs(commit_sha=champion)
            if run.experiment_id is None and not run.is_audit and run.device_class == kind
        }
        seeds = self.measuring.seeds(champion, kind)
        fresh = next((seed for seed in seeds if seed not in done), 1 + max(seeds))
        return self._work(None, Purpose.NULL, champion, fresh)

    def confirmation_work(self, kind: str) -> list[Work]:
        """Runs that experiments under judgement still need; judges those that need none."""
        work: list[Work | None] = []
        for experiment in self.bench.store.experiments(State.RUNNING):
            try:
                work += self.judge(experiment, kind)
            except LabError:
                raise
            except Exception as error:  # an edge: what cannot be judged holds up no other
                log.exception("#%d cannot be judged", experiment.id)
                words = f"it cannot be judged ({type(error).__name__}: {error}); engine.log has the details"
                self._end(experiment, Verdict.VOID, words, kind)
        return [item for item in work if item is not None]

    def screening_work(self, experiment: Experiment, commit: str, kind: str) -> Work | None:
        seed = self.measuring.seeds(self.bench.champion(), kind)[0]
        return self._work(experiment.id, Purpose.CANDIDATE, commit, seed)

    def _work(self, experiment_id: int | None, purpose: Purpose, commit: str, seed: int) -> Work | None:
        """A run to make, unless it is under way."""
        same = [
            r
            for r in self.bench.store.runs(commit_sha=commit)
            if r.seed == seed
            and r.experiment_id == experiment_id
            and r.is_screening == (purpose == Purpose.CANDIDATE)
            and not r.is_audit
        ]
        if any(r.is_live for r in same):
            return None
        return Work(experiment_id, purpose, commit, seed, 1 + max((r.attempt for r in same), default=0))

    # ---- judging -----------------------------------------------------------------------------------------------

    def judge(self, experiment: Experiment, kind: str) -> list[Work | None]:
        """Judge an experiment from its runs, or say which runs it still needs."""
        assert experiment.commit_sha is not None
        runs = [r for r in self.bench.store.runs(experiment_id=experiment.id) if r.commit_sha == experiment.commit_sha]
        if any(r.is_live for r in runs) or self._judged_elsewhere(runs, kind):
            return []
        trained = [r for r in runs if not r.is_audit]
        if trained and (failed := trained[-1]).state in FAILED:
            verdict = Verdict.DISCARD if failed.error.startswith(EARLY) else FAILED[failed.state]
            return self._end(experiment, verdict, failed.error or str(failed.state), kind)
        looked = [r for r in runs if r.is_audit and r.device_class == kind]
        if looked and looked[-1].state in (RunState.VOID, RunState.KILLED):
            return self._end(experiment, Verdict.VOID, f"on the hidden split: {looked[-1].error}", kind)
        if len([r for r in runs if counts_as_lost(r)]) >= ATTEMPTS:
            return self._end(experiment, Verdict.VOID, f"its runs were lost {ATTEMPTS} times", kind)
        finished = [r for r in trained if r.metric is not None and r.device_class == kind]
        screening = [r for r in finished if r.is_screening]
        if not screening:
            return [self.screening_work(experiment, experiment.commit_sha, kind)]
        step = self._step(experiment, screening[-1], finished, kind)
        if isinstance(step, RunSeeds):
            # the champion's side first: once the candidate's is in, it would be judged without its pair
            if step.champion_seeds:
                return [self._work(None, Purpose.RETEST, experiment.parent_commit, s) for s in step.champion_seeds]
            return [self._work(experiment.id, Purpose.RETEST, experiment.commit_sha, s) for s in step.candidate_seeds]
        if step.verdict in (Verdict.KEEP, Verdict.SUSPECT):
            if found := self._doubts(experiment, finished, kind):
                step = replace(step, verdict=Verdict.SUSPECT, reason=f"{'; '.join(found)}: look before it is kept")
            elif self.bench.config.target.has_hidden_split and experiment.parent_commit == self.bench.champion():
                said = self.hidden.look(experiment, finished, kind)
                if not isinstance(said, Hidden):
                    return [*said]
                step = self._with_hidden(experiment, screening[-1], finished, kind, step, said)
        self.record(experiment, step, kind)
        return []

    def _judged_elsewhere(self, runs: list[Run], kind: str) -> bool:
        """Where a lab has several classes of devices, an experiment is judged in the one it was screened in."""
        classes = {device.kind for device in self.bench.working_devices()}
        screened = [r.device_class for r in runs if r.is_screening and r.metric is not None]
        return next((known for known in reversed(screened) if known in classes), kind) != kind

    def _step(
        self, experiment: Experiment, screening: Run, finished: list[Run], kind: str, *, cleared: bool = False
    ) -> RunSeeds | Judged:
        """What the statistics say next."""
        champion = self.measuring.own(experiment.parent_commit, kind)
        added, removed = self.bench.store.patch_size(experiment.patch_sha256 or "")
        noise = self.measuring.noise(kind, without=experiment.id)
        return statistics.next_step(
            Measured(screening.seed, screening.metric or 0.0),
            [Measured(r.seed, r.metric or 0.0) for r in finished if r.purpose == Purpose.RETEST],
            [*champion, *self.measuring.failed_seeds(experiment.parent_commit, champion, kind)],
            noise,
            self.policy,
            tau=self.measuring.effect_spread(noise.sigma),
            lines_delta=added - removed,
            seeds=self.measuring.seeds(experiment.parent_commit, kind),
            cleared=cleared,
        )

    def _with_hidden(
        self, experiment: Experiment, screening: Run, finished: list[Run], kind: str, step: Judged, said: Hidden
    ) -> Judged:
        """The verdict once the hidden split has spoken: it may hold a keep back, and clear one that was too good."""
        if said.contradicts:
            return replace(step, verdict=Verdict.SUSPECT, reason=f"{step.reason}, but {said.reason}")
        if step.verdict == Verdict.SUSPECT and said.confirms:
            cleared = self._step(experiment, screening, finished, kind, cleared=True)
            assert isinstance(cleared, Judged)  # the same runs, which were enough
            return replace(cleared, reason=f"{cleared.reason}; {step.reason}, but {said.reason}")
        return replace(step, reason=f"{step.reason}; {said.reason}")

    def _doubts(self, experiment: Experiment, runs: list[Run], kind: str) -> list[str]:
        """What does not fit about an experiment's runs, beside the champion's own."""
        champion = self.measuring.champion_details(experiment, kind)
        found = [words for run in runs for words in doubts(run.detail, champion, seed=run.seed)]
        if same_on_every_seed([run.metric for run in runs if run.metric is not None]):
            found.append("every seed gives the same metric to the last bit: the seed has no effect")
        return list(dict.fromkeys(found))

    def _end(self, experiment: Experiment, verdict: Verdict, reason: str, kind: str) -> list[Work | None]:
        self.record(experiment, Judged(verdict, reason), kind)
        return []

    def record(self, experiment: Experiment, judged: Judged, kind: str) -> None:
        """Write a verdict down; a keep moves the champion."""
        assert experiment.commit_sha is not None
        if judged.verdict == Verdict.KEEP and experiment.parent_commit != self.bench.champion():
            self._again(experiment)
            return
        store = self.bench.store
        values = [m.value for m in self.measuring.confirmations(experiment.commit_sha, kind)]
        if not values:  # those of an older champion's time, or of another class of devices, are not comparable
            runs = [r for r in store.runs(experiment_id=experiment.id) if r.commit_sha == experiment.commit_sha]
            values = [r.metric for r in runs if r.metric is not None and not r.is_audit and r.device_class == kind]
        with store.transaction():
            store.update_experiment(
                experiment.id,
                event="judged",
                note={"verdict": judged.verdict, "reason": judged.reason, "delta": judged.delta, "n": judged.n},
                state=State.JUDGED,
                verdict=judged.verdict,
                verdict_reason=judged.reason,
                metric=sum(values) / len(values) if values else None,
                delta=judged.delta,
                delta_low=judged.low,
                delta_high=judged.high,
                shrunken=judged.shrunken,
                confirmations=judged.n,
                judged_at=self.bench.now(),
            )
            if judged.verdict == Verdict.KEEP:
                store.add_champion(experiment.commit_sha, experiment_id=experiment.id)
        log.info("#%d: %s (%s)", experiment.id, judged.verdict, judged.reason)
        failpoint("verdict_recorded")
        if judged.verdict == Verdict.KEEP:
            self._crown(experiment)
        else:
            self.drop_checkpoints(store.runs(experiment_id=experiment.id))
        self.bench.wake.set()

    def override(self, experiment: Experiment, request: Override) -> None:
        """A human's verdict in place of the measured one, a review of its own; a keep moves the champion."""
        assert experiment.commit_sha is not None
        store = self.bench.store
        with store.transaction():
            store.add_review(
                experiment.id,
                Decision.OVERRIDE,
                reason=request.reason.strip(),
                patch_sha256=experiment.patch_sha256 or "",
                approved_sha256=None,
                seconds=request.seconds,
                actor=request.actor,
                via=request.via,
                verdict=request.verdict,
            )
            store.update_experiment(
                experiment.id,
                event="overridden",
                note={"verdict": request.verdict, "was": experiment.verdict, "reason": request.reason},
                verdict=request.verdict,
                verdict_reason=f"by hand: {request.reason.strip()}",
                overridden_by=request.actor,
            )
            if request.verdict == Verdict.KEEP:
                store.add_champion(experiment.commit_sha, experiment_id=experiment.id)
        if request.verdict == Verdict.KEEP:
            self._crown(experiment)

    def _crown(self, experiment: Experiment) -> None:
        """What follows from a keep that is on record."""
        self.bench.workspace.set_champion(experiment.commit_sha or "")
        self.reviewing.rebase_waiting()
        self.drop_checkpoints(self.bench.store.runs(commit_sha=experiment.parent_commit))

    def _again(self, experiment: Experiment) -> None:
        """Better than a champion that has been replaced meanwhile: carry it over and measure it against the new one."""
        self.bench.store.update_experiment(
            experiment.id, event="measured_again", state=State.APPROVED, hold_until=self.bench.now(), commit_sha=None
        )

    def drop_checkpoints(self, runs: Iterable[Run]) -> None:
        """Those of what was not kept, of a champion that was replaced, of an audit that is over: git has the code, and
        nothing needs the weights. Those of live runs stay.
        """
        for run in runs:
            if run.is_live:
                continue
            with contextlib.suppress(OSError):
                (self.bench.lab.run_directory(run.id) / "out" / "model.pt").unlink(missing_ok=True)
