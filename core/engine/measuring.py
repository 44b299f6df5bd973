"""What was measured, and how well: a champion's honest results, the noise of the metric, the drift of the machine.

Results compare within one device class. A class is a device and a manifest (core/manifest.py): what a run was made
and measured with.
"""

from __future__ import annotations

import math
from typing import Any

from core import verdict as statistics
from core.engine.bench import Bench, log
from core.models import CHAMPION_PURPOSES, Experiment, Run, RunState, Verdict
from core.store import Reader
from core.verdict import Measured, Noise

SEEDS = 16
"""fresh seeds to choose from"""
FAILED = {
    RunState.CRASHED: Verdict.CRASHED,
    RunState.TIMEOUT: Verdict.CRASHED,
    RunState.DIVERGED: Verdict.DISCARD,
    RunState.VOID: Verdict.VOID,
    RunState.KILLED: Verdict.VOID,
}
"""ends without a metric, and what they make of an experiment"""


class Measuring:
    """Reads the record; writes only what it publishes for screens."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def own(self, commit: str, kind: str) -> list[Measured]:
        """The honest results of a champion: runs of its own, never those by which it was chosen."""
        return _by_seed(self.own_runs(commit, kind))

    def own_runs(self, commit: str, kind: str) -> list[Run]:
        return [run for run in self._finished(commit, kind) if run.experiment_id is None]

    def confirmations(self, commit: str, kind: str) -> list[Measured]:
        """A candidate's results, the screening run left out."""
        return _by_seed([run for run in self._finished(commit, kind) if run.experiment_id is not None])

    def _finished(self, commit: str, kind: str) -> list[Run]:
        return [
            run
            for run in self.bench.store.runs(commit_sha=commit)
            if run.metric is not None and run.purpose in CHAMPION_PURPOSES and run.device_class == kind
        ]

    def failed_seeds(self, champion: str, measured: list[Measured], kind: str) -> list[Measured]:
        """Seeds on which the champion's own run failed in this class: they are not asked for again."""
        done = {m.seed for m in measured}
        failed = {
            run.seed
            for run in self.bench.store.runs(commit_sha=champion)
            if run.experiment_id is None and not run.is_audit
            if run.state in FAILED and run.device_class == kind
        }
        return [Measured(seed, math.nan) for seed in sorted(failed - done)]

    def seeds(self, champion: str, kind: str) -> list[int]:
        """The seeds to compare on, those the champion has first.

        Never the seeds on which the champion itself was found to be good: those results were chosen, not measured.
        """
        chosen = {run.seed for run in self.bench.store.runs(commit_sha=champion) if run.experiment_id is not None}
        known = [m.seed for m in self.own(champion, kind)]
        fresh = [seed for seed in range(len(chosen) + len(known) + SEEDS) if seed not in chosen]
        return list(dict.fromkeys([*known, *fresh]))

    def missing(self, champion: str, kind: str, wanted: int) -> list[int]:
        """Seeds the champion must run on before anything is compared in this class; none once the noise is known."""
        measured = {m.seed for m in self.own(champion, kind)}
        diverged = {  # and would again: other seeds have to do
            run.seed
            for run in self.bench.store.runs(commit_sha=champion)
            if run.state == RunState.DIVERGED and run.experiment_id is None and run.device_class == kind
        } - measured
        if self._is_first(champion):
            usable = [seed for seed in range(wanted + len(diverged)) if seed not in diverged]
            return [seed for seed in usable[:wanted] if seed not in measured]
        known = sum(m.experiment_id is None for m in self.bench.store.measurements(kind))
        fresh = [seed for seed in self.seeds(champion, kind) if seed not in measured | diverged]
        return fresh[: max(0, wanted - known)]

    def _is_first(self, commit: str) -> bool:
        return self.bench.store.champions()[0].commit_sha == commit

    # ---- noise and drift ---------------------------------------------------------------------------------------

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

    def effect_spread(self, sigma: float) -> float:
        """How large true effects are here, from what was confirmed so far."""
        effects = [(delta, (high - low) / (2 * 1.96)) for delta, low, high in self.bench.store.effects()]
        return statistics.effect_spread(effects, sigma)

    def publish(self, kind: str) -> None:
        """Write the noise and the drift of one device class down for the screens; a new drift is an event."""
        noise = self.noise(kind)
        body = {
            "sigma": noise.sigma,
            "df": noise.df,
            "low": noise.low,
            "high": noise.high,
            "paired_sigma": noise.paired_sigma,
            "paired_df": noise.paired_df,
        }
        self._write("noise", kind, body)
        champion = self.bench.champion()
        runs = [(run.ended_at or 0.0, run.metric or 0.0) for run in self.own_runs(champion, kind)]
        found = statistics.drift(runs, self._calm_noise(kind))
        if found is None:
            return
        before = self.bench.store.setting("drift", {}).get(kind, {})
        words = statistics.drift_text(found, len(runs), self.bench.config.target.metric)
        self._write(
            "drift",
            kind,
            {"commit": champion, "runs": len(runs), "shift": found.shift, "drifting": found.drifting, "words": words},
        )
        if found.drifting and not (before.get("drifting") and before.get("commit") == champion):
            self.bench.store.event("drifting", commit=champion, device_class=kind, words=words)
            log.warning("%s", words)

    def _calm_noise(self, kind: str) -> Noise:
        own: dict[str, list[float]] = {}
        confirmed: dict[tuple[int, str], list[float]] = {}
        for m in self.bench.store.measurements(kind):
            if m.experiment_id is None:
                own.setdefault(m.commit_sha, []).append(m.metric)
            else:
                confirmed.setdefault((m.experiment_id, m.commit_sha), []).append(m.metric)
        return statistics.calm_noise(own.values(), confirmed.values())

    def _write(self, key: str, kind: str, body: dict[str, Any]) -> None:
        self.bench.store.set(key, {**self.bench.store.setting(key, {}), kind: body})

    # ---- what an experiment's runs are held against -------------------------------------------------------------

    def champion_details(self, experiment: Experiment, kind: str) -> list[dict[str, Any]]:
        """What the honest runs of an experiment's champion left behind."""
        return [run.detail for run in self.own_runs(experiment.parent_commit, kind)]


def audits(store: Reader, commit: str, seed: int, kind: str) -> list[Run]:
    """The runs that scored a commit on the hidden split with a seed, or tried to, oldest first."""
    return [
        run for run in store.runs(commit_sha=commit) if run.is_audit and run.seed == seed and run.device_class == kind
    ]


def _by_seed(runs: list[Run]) -> list[Measured]:
    """The newest result of each seed."""
    latest = {run.seed: run.metric or 0.0 for run in runs}
    return [Measured(seed, value) for seed, value in sorted(latest.items())]
