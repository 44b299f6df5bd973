"""Stops an experiment's run whose speed has collapsed; the rule is in core/runs/collapse.py."""

from __future__ import annotations

from collections.abc import Sequence

from core.engine.bench import Bench, log
from core.engine.measuring import Measuring
from core.failpoints import failpoint
from core.models import Run
from core.runs.collapse import Pace, collapsed, pace
from core.runs.metrics import Point


class Pacing:
    """Compares live runs with the champion they are measured against."""

    def __init__(self, bench: Bench, measuring: Measuring) -> None:
        self.bench = bench
        self.measuring = measuring
        self._paces: dict[tuple[str, str], Pace] = {}
        """by champion and device class"""

    def too_slow(self, run: Run, points: Sequence[Point], progress: float) -> str:
        """Why a live run must end now; what was said once stays said, whoever asks."""
        if run.error or not points or run.experiment_id is None or run.is_audit:
            return run.error
        champion = self._pace(run)
        if champion is None:
            return ""
        tokens = max((value for name, _, _, value in points if name == "tokens"), default=0.0)
        slower = 2 * self.bench.config.runs.wall_clock_factor
        why = collapsed(max(t for _, _, t, _ in points), progress, tokens, champion, slower)
        if why:
            log.info("run %d: %s", run.id, why)
            self.bench.store.update_run(run.id, event="run_too_slow", note={"words": why}, error=why)
            failpoint("too_slow_recorded")
        return why

    def _pace(self, run: Run) -> Pace | None:
        experiment = self.bench.store.experiment(run.experiment_id or 0)
        if experiment is None:
            return None
        key = (experiment.parent_commit, run.device_class)
        if key not in self._paces:
            own = self.measuring.own_runs(*key)
            found = pace([(self.bench.store.trained_until(r.id), r.detail) for r in own])
            if found is None:
                return None  # its runs may yet come
            self._paces = {key: found}
        return self._paces[key]
