"""The hidden split: checkpoints of what is about to be kept, and its champion's, are scored on it, in the audit form.

Nothing is trained for it: each score is a run of its own that evaluates a checkpoint which lies there. Only where that
has gone is the commit trained again on the seed. What was scored once stays scored; a kill at any point is found in the
table of runs like any other.
"""

from __future__ import annotations

from core.engine.bench import Bench, Work
from core.engine.measuring import Measuring, audits
from core.failpoints import failpoint
from core.models import CHAMPION_PURPOSES, Experiment, Purpose, Run, RunState
from core.verdict import Hidden, Scores, hidden_gain


class HiddenSplit:
    """Asks for the scores that are missing, and says what they mean once they are there."""

    def __init__(self, bench: Bench, measuring: Measuring) -> None:
        self.bench = bench
        self.measuring = measuring

    def look(self, experiment: Experiment, finished: list[Run], kind: str) -> Hidden | list[Work]:
        """What the hidden split says of a confirmed gain, or the runs it still takes; [] while they are under way."""
        assert experiment.commit_sha is not None
        confirmed = {run.seed: run for run in finished if run.purpose == Purpose.RETEST}
        own = self.measuring.own_runs(experiment.parent_commit, kind)
        champion = {run.seed: run for run in own if run.seed in confirmed}
        work: list[Work] = []
        live = False
        for run in [*champion.values(), *confirmed.values()]:
            made = audits(self.bench.store, run.commit_sha, run.seed, kind)
            live = live or any(one.is_live for one in made)
            if all(one.state == RunState.LOST for one in made):
                work.append(self._work(run, attempt=1 + len(made)))
        if work or live:
            return work
        failpoint("hidden_split_scored")
        for run in confirmed.values():  # the champion's failures leave pairs out, the candidate's are its own
            ended = audits(self.bench.store, run.commit_sha, run.seed, kind)[-1]
            if ended.state != RunState.FINISHED:
                said = ended.error or str(ended.state)
                return Hidden(True, False, f"on the hidden split, seed {run.seed}: {said}")
        earlier = {champion.commit_sha for champion in self.bench.store.champions()} - {experiment.parent_commit}
        others = [scores for commit in sorted(earlier) if (scores := self._scores(commit, kind))]
        return hidden_gain(
            self._scores(experiment.commit_sha, kind),
            self._scores(experiment.parent_commit, kind),
            others,
            self.measuring.noise(kind, without=experiment.id),
            self.bench.config.target.direction,
        )

    def _work(self, run: Run, *, attempt: int) -> Work:
        there = (self.bench.lab.run_directory(run.id) / "out" / "model.pt").is_file()
        of = run.id if there else None
        return Work(run.experiment_id, Purpose.AUDIT, run.commit_sha, run.seed, attempt, of=of)

    def _scores(self, commit: str, kind: str) -> Scores:
        """(open, hidden) metric of a commit by seed, as far as both are there; no screening score among them."""
        runs = [run for run in self.bench.store.runs(commit_sha=commit) if run.metric is not None]
        runs = [run for run in runs if run.device_class == kind]
        hidden = {run.seed: run.metric for run in runs if run.is_audit}
        opened = {run.seed: run.metric for run in runs if run.purpose in CHAMPION_PURPOSES}
        return {seed: (opened[seed] or 0.0, hidden[seed] or 0.0) for seed in opened if seed in hidden}
