"""The lab as a whole: the champion's lineage with its levels, the noise, and which past keeps it no longer supports.

Read in a thread: of ten thousand experiments this takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from core.errors import LabError
from core.models import Experiment, Verdict
from core.store.reader import Reader

if TYPE_CHECKING:  # imported inside the function: with the configuration they take longer than the first paint may
    from core.reporting.claims import Measurements
    from core.verdict import Noise

PAIRS = 3
"""degrees of freedom from which the noise of same-seed differences counts"""


@dataclass(frozen=True, slots=True)
class Step:
    """One champion of the lineage."""

    experiment: Experiment | None
    """None: the unchanged code the lab began with"""
    level: float | None
    """its metric: over runs of its own, before there are any the result it was kept for"""
    runs: int
    """runs of its own behind the level"""
    at: float
    by_hand: bool = False
    """a human put his verdict over the measured one"""
    doubtful: bool = False
    """today's noise would not keep it"""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the plot and the lineage need beside the list of experiments."""

    steps: tuple[Step, ...] = ()
    """baseline first"""
    sigma: float = 0.0
    """noise of one run; 0: not measured"""
    band: float = 0.0
    """95 % of re-runs of one commit lie within this of its level"""
    sizes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """experiment -> lines added and removed"""

    @property
    def doubtful(self) -> frozenset[int]:
        """Kept experiments that today's noise would not keep."""
        return frozenset(step.experiment.id for step in self.steps if step.experiment and step.doubtful)


def survey(reader: Reader, config: Path) -> Survey:
    """Read a lab's lineage and noise.

    Raises:
        StoreError: the record cannot be read.
    """
    from core.reporting.claims import Measurements
    from core.verdict import interval

    measurements = Measurements(reader.measured_runs())
    champions, confirmed = reader.champions(), reader.confirmed()
    kind = measurements.main_class(champions)
    noise = _noise(measurements.noise(champions, confirmed, kind), reader.setting("noise", {}), kind)
    known, z = {e.id: e for e in confirmed}, _z(config)
    steps = []
    for champion in champions:
        kept, own = known.get(champion.experiment_id or 0), measurements.own(champion.commit_sha, kind)
        by_hand = kept is not None and kept.overridden_by is not None
        steps.append(
            Step(
                kept,
                fmean(own.values()) if own else kept.metric if kept else None,
                len(own),
                champion.at,
                by_hand,
                kept is not None and not by_hand and _doubtful(kept, measurements, noise, kind, z),
            )
        )
    band = interval(0.0, noise.sigma, noise.df)[1] if noise.df and noise.sigma > 0 else 0.0
    return Survey(tuple(steps), noise.sigma if noise.df else 0.0, band, reader.experiment_sizes())


def _doubtful(kept: Experiment, measurements: Measurements, noise: Noise, kind: str, z: float) -> bool:
    """Whether today's noise would not keep it; False where nothing can be said."""
    from core.verdict import within_noise

    if not noise.df or kept.delta is None or kept.verdict is not Verdict.KEEP:
        return False
    n = kept.confirmations or 0
    of_parent = len(measurements.own(kept.parent_commit, kind, before=kept.judged_at))
    quieter = noise.paired_df >= PAIRS and noise.paired_sigma is not None and noise.paired_sigma < noise.sigma
    paired = quieter and n > 0 and len(measurements.pairs(kept, kind)) == n
    return within_noise(kept.delta, noise, n or 1, of_parent or 1, paired=paired, z=z)


def _noise(measured: Noise, published: Any, kind: str) -> Noise:
    """What the runs say; what the engine last wrote down where they say nothing."""
    from core.verdict import Noise

    entry = published.get(kind) if isinstance(published, dict) else None
    if measured.df or not isinstance(entry, dict) or not isinstance(entry.get("df"), int):
        return measured
    return Noise(float(entry.get("sigma") or 0.0), entry["df"])


def _z(config: Path) -> float:
    """How strict this lab is."""
    from core.config import load
    from core.verdict import Policy

    try:
        return load(config).judging.z
    except LabError:
        return Policy().z
