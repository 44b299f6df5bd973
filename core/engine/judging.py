"""From runs to verdicts: which run an experiment needs next, and what its runs said once none is needed."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace

from core import verdict as statistics
from core.engine.bench import Bench, log
from core.engine.reviewing import Reviewing
from core.failpoints import failpoint
from core.models import CHAMPION_PURPOSES, LIVE_RUNS, Experiment, Purpose, Run, RunState, State, Verdict
from core.requests import Override
from core.runs.doubts import doubts, same_on_every_seed
from core.verdict import Judged, Measured, Noise, Policy, RunSeeds

ATTEMPTS = 3
"""times a run that was lost is made again"""
STOPPED = "stopped with the engine"
"""the error of a run that was lost on purpose; it does not count as an attempt"""
SEEDS = 16
"""fresh seeds to choose from"""
FAILED = {
    RunState.CRASHED: Verdict.CRASHED,
    RunState.TIMEOUT: Verdict.CRASHED,
    RunState.DIVERGED: Verdict.DISCARD,
    RunState.VOID: Verdict.VOID,
    RunState.KILLED: Verdict.VOID,
}


@dataclass(frozen=True, slots=True)
class Work:
    """A run that should be made."""

    experiment_id: int | None
    purpose: Purpose
    commit: str
    seed: int
    attempt: int


class Judging:
    """Verdicts, and the work they still need."""

    def __init__(self, bench: Bench, reviewing: Reviewing) -> None:
        self.bench = bench
        self.reviewing = reviewing
        judging = bench.config.judging
        self.policy = Policy(
            z=judging.z, max_confirmations=judging.max_confirmations, direction=bench.config.target.direction
        )

    # ---- what is needed ----------------------------------------------------------------------------------------

    def baseline_work(self, kind: str) -> list[Work]:
        """The runs of the first champion that must be there before anything is compared with it.

        A later champion is measured as its challengers need it: `statistics.next_step` asks for the seeds.
        """
        champion = self.bench.champion()
        if not self._is_first(champion):
            return self._rerun_work(champion, kind)
        measured = {m.seed for m in self.champion_measured(champion, kind)}
        work = []
        for seed in range(self.bench.config.judging.null_runs):
            if seed not in measured:
                purpose = Purpose.BASELINE if seed == 0 else Purpose.NULL
                work.append(self._work(None, purpose, champion, seed))
        return [item for item in work if item is not None] or self._rerun_work(champion, kind)

    def _rerun_work(self, champion: str, kind: str) -> list[Work]:
        """The champion once more on a fresh seed, when many verdicts have passed since its last own run."""
        every = self.bench.config.judging.rerun_every
        own = [
            r
            for r in self.bench.store.runs(commit_sha=champion)
            if r.experiment_id is None and r.purpose in CHAMPION_PURPOSES
        ]
        if not every or not own or own[-1].state in LIVE_RUNS:
            return []
        if self.bench.store.judged_since(own[-1].ended_at or 0.0) < every:
            return []
        done = {run.seed for run in own}
        fresh = next(seed for seed in self.seeds(champion, kind) if seed not in done)
        work = self._work(None, Purpose.NULL, champion, fresh)
        return [] if work is None else [work]

    def _is_first(self, commit: str) -> bool:
        return self.bench.store.champions()[0].commit_sha == commit

    def confirmation_work(self, kind: str) -> list[Work]:
        """Runs that experiments under judgement still need; judges those that need none."""
        work: list[Work | None] = []
        for experiment in self.bench.store.experiments(State.RUNNING):
            for step in self.judge(experiment, kind):
                work.append(step)
        return [item for item in work if item is not None]

    def seeds(self, champion: str, kind: str) -> list[int]:
        """The seeds to compare on, those the champion has first.

        Never the seeds on which the champion itself was found to be good: those results were chosen, not measured.
        """
        chosen = {run.seed for run in self.bench.store.runs(commit_sha=champion) if run.experiment_id is not None}
        known = [m.seed for m in self.champion_measured(champion, kind)]
        fresh = [seed for seed in range(len(chosen) + len(known) + SEEDS) if seed not in chosen]
        return list(dict.fromkeys([*known, *fresh]))

    def screening_work(self, experiment: Experiment, commit: str, kind: str) -> Work | None:
        return self._work(experiment.id, Purpose.CANDIDATE, commit, self.seeds(self.bench.champion(), kind)[0])

    def _work(self, experiment_id: int | None, purpose: Purpose, commit: str, seed: int) -> Work | None:
        """A run to make, unless it is under way."""
        same = [
            r
            for r in self.bench.store.runs(commit_sha=commit)
            if r.seed == seed
            and r.experiment_id == experiment_id
            and (r.purpose == Purpose.CANDIDATE) == (purpose == Purpose.CANDIDATE)
        ]
        if any(r.state in LIVE_RUNS for r in same):
            return None
        return Work(experiment_id, purpose, commit, seed, 1 + max((r.attempt for r in same), default=0))

    # ---- what was measured -------------------------------------------------------------------------------------

    def champion_measured(self, commit: str, kind: str) -> list[Measured]:
        """The honest results of a champion: runs of its own, never those by which it was chosen."""
        return self._measured(commit, kind, own=True)

    def _measured(self, commit: str, kind: str, *, own: bool) -> list[Measured]:
        """Results of a commit by seed: runs of its own as champion, or its confirmations as a candidate."""
        latest = {
            r.seed: r.metric
            for r in self.bench.store.runs(commit_sha=commit)
            if r.state == RunState.FINISHED
            and r.metric is not None
            and r.purpose in CHAMPION_PURPOSES
            and (r.experiment_id is None) == own
            and r.device_class == kind
        }
        return [Measured(seed, value) for seed, value in sorted(latest.items())]

    def _failed_seeds(self, champion: str, measured: list[Measured]) -> list[Measured]:
        """Seeds on which the champion's own run failed: they are not asked for again."""
        done = {m.seed for m in measured}
        failed = {
            r.seed for r in self.bench.store.runs(commit_sha=champion) if r.experiment_id is None and r.state in FAILED
        }
        return [Measured(seed, math.nan) for seed in sorted(failed - done)]

    def noise(self, kind: str, *, without: int | None = None) -> Noise:
        """The noise of the metric on one device class, from all that was measured, one experiment left out."""
        own: dict[str, dict[int, float]] = {}
        confirmed: dict[tuple[int, str], dict[int, float]] = {}
        for m in self.bench.store.measurements(kind):
            if m.experiment_id is None:
                own.setdefault(m.commit_sha, {})[m.seed] = m.metric
            elif m.experiment_id != without:
                confirmed.setdefault((m.experiment_id, m.commit_sha), {})[m.seed] = m.metric
        parents = self.bench.store.parents()
        paired = [
            [value - own[parents[e]][seed] for seed, value in group.items() if seed in own.get(parents.get(e, ""), {})]
            for (e, _), group in confirmed.items()
        ]
        return statistics.measure_noise(
            [list(group.values()) for group in own.values()],
            [list(group.values()) for group in confirmed.values()],
            paired,
        )

    def _effect_spread(self, sigma: float) -> float:
        """How large true effects are here, from what was confirmed so far."""
        effects = [(delta, (high - low) / (2 * 1.96)) for delta, low, high in self.bench.store.effects()]
        return statistics.effect_spread(effects, sigma)

    def publish_noise(self, kind: str) -> None:
        noise = self.noise(kind)
        known = self.bench.store.setting("noise", {})
        body = {
            "sigma": noise.sigma,
            "df": noise.df,
            "low": noise.low,
            "high": noise.high,
            "paired_sigma": noise.paired_sigma,
        }
        self.bench.store.set("noise", {**known, kind: body})

    # ---- judging -----------------------------------------------------------------------------------------------

    def judge(self, experiment: Experiment, kind: str) -> list[Work | None]:
        """Judge an experiment from its runs, or say which runs it still needs."""
        assert experiment.commit_sha is not None
        runs = [r for r in self.bench.store.runs(experiment_id=experiment.id) if r.commit_sha == experiment.commit_sha]
        if any(r.state in LIVE_RUNS for r in runs):
            return []
        if runs and (failed := runs[-1]).state in FAILED:
            return self._end(experiment, FAILED[failed.state], failed.error or str(failed.state))
        if len([r for r in runs if r.state == RunState.LOST and r.error != STOPPED]) >= ATTEMPTS:
            return self._end(experiment, Verdict.VOID, f"its runs were lost {ATTEMPTS} times")
        finished = [r for r in runs if r.state == RunState.FINISHED and r.metric is not None and r.device_class == kind]
        screening = [Measured(r.seed, r.metric or 0.0) for r in finished if r.purpose == Purpose.CANDIDATE]
        if not screening:
            return [self.screening_work(experiment, experiment.commit_sha, kind)]
        champion = self.champion_measured(experiment.parent_commit, kind)
        added, removed = self.bench.store.patch_size(experiment.patch_sha256 or "")
        noise = self.noise(kind, without=experiment.id)
        step = statistics.next_step(
            screening[-1],
            [Measured(r.seed, r.metric or 0.0) for r in finished if r.purpose == Purpose.RETEST],
            [*champion, *self._failed_seeds(experiment.parent_commit, champion)],
            noise,
            self.policy,
            tau=self._effect_spread(noise.sigma),
            lines_delta=added - removed,
            seeds=self.seeds(experiment.parent_commit, kind),
        )
        if isinstance(step, RunSeeds):
            # the champion's side first: once the candidate's is in, it would be judged without its pair
            if step.champion_seeds:
                return [self._work(None, Purpose.RETEST, experiment.parent_commit, s) for s in step.champion_seeds]
            return [self._work(experiment.id, Purpose.RETEST, experiment.commit_sha, s) for s in step.candidate_seeds]
        if step.verdict == Verdict.KEEP and (found := self._doubts(experiment, finished)):
            step = replace(step, verdict=Verdict.SUSPECT, reason=f"{'; '.join(found)}: look before it is kept")
        self.record(experiment, step)
        return []

    def _doubts(self, experiment: Experiment, runs: list[Run]) -> list[str]:
        """What does not fit about an experiment's runs, beside the champion's own."""
        champion = [r.detail for r in self.bench.store.runs(commit_sha=experiment.parent_commit) if self._honest(r)]
        found = [words for run in runs for words in doubts(run.detail, champion, seed=run.seed)]
        if same_on_every_seed([run.metric for run in runs if run.metric is not None]):
            found.append("every seed gives the same metric to the last bit: the seed has no effect")
        return list(dict.fromkeys(found))

    def _honest(self, run: Run) -> bool:
        return run.experiment_id is None and run.state == RunState.FINISHED and run.purpose in CHAMPION_PURPOSES

    def _end(self, experiment: Experiment, verdict: Verdict, reason: str) -> list[Work | None]:
        self.record(experiment, Judged(verdict, reason))
        return []

    def record(self, experiment: Experiment, judged: Judged) -> None:
        """Write a verdict down; a keep moves the champion."""
        assert experiment.commit_sha is not None
        if judged.verdict == Verdict.KEEP and experiment.parent_commit != self.bench.champion():
            self._again(experiment)
            return
        store = self.bench.store
        values = [m.value for m in self._measured(experiment.commit_sha, self.bench.devices[0].kind, own=False)]
        if not values:
            values = [r.metric for r in store.runs(experiment_id=experiment.id) if r.metric is not None]
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
            self.bench.workspace.set_champion(experiment.commit_sha)
            self.reviewing.rebase_waiting()
        else:
            self._drop_checkpoints(experiment)
        self.bench.wake.set()

    def override(self, experiment: Experiment, request: Override) -> None:
        """A human's verdict in place of the measured one; a keep moves the champion."""
        assert experiment.commit_sha is not None
        store = self.bench.store
        with store.transaction():
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
            self.bench.workspace.set_champion(experiment.commit_sha)
            self.reviewing.rebase_waiting()

    def _again(self, experiment: Experiment) -> None:
        """Better than a champion that has been replaced meanwhile: carry it over and measure it against the new one."""
        self.bench.store.update_experiment(
            experiment.id, event="measured_again", state=State.APPROVED, hold_until=self.bench.now(), commit_sha=None
        )

    def _drop_checkpoints(self, experiment: Experiment) -> None:
        """Checkpoints of what was not kept: git has the code, nothing needs the weights."""
        for run in self.bench.store.runs(experiment_id=experiment.id):
            with contextlib.suppress(OSError):
                (self.bench.lab.run_directory(run.id) / "out" / "model.pt").unlink(missing_ok=True)
