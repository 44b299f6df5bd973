"""The lab as a whole: the champion's lineage with its levels, the noise, and which past keeps it no longer supports.

Read in a thread: of ten thousand experiments this takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import LabError
from core.models import Experiment
from core.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Step:
    """One champion of the lineage."""

    experiment: Experiment | None
    """None: the unchanged code the lab began with"""
    level: float | None
    """its metric: over runs of its own, before there are any the result it was kept for"""
    height: float | None
    """where it stands in the plot"""
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
    beneath: Mapping[int, float] = field(default_factory=dict)
    """experiment -> where the champion that it was tried against stands in the plot"""
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
    # imported here: with the configuration they take longer than the first paint may
    from core.reporting.claims import Measurements
    from core.reporting.heights import heights
    from core.verdict import interval

    measurements = Measurements(reader.measured_runs())
    champions, confirmed = reader.champions(), reader.confirmed()
    kind = measurements.main_class(champions)
    published = reader.setting("noise", {})
    noise = measurements.noise(champions, confirmed, kind, published.get(kind) if isinstance(published, dict) else None)
    known, z = {e.id: e for e in confirmed}, _z(config)
    stand = heights(champions, known, lambda c: measurements.level(c, known.get(c.experiment_id or 0), kind))
    steps = []
    for champion in champions:
        kept = known.get(champion.experiment_id or 0)
        steps.append(
            Step(
                kept,
                measurements.level(champion, kept, kind),
                stand.get(champion.commit_sha),
                len(measurements.own(champion.commit_sha, kind)),
                champion.at,
                kept is not None and kept.overridden_by is not None,
                kept is not None and measurements.now_noise(kept, noise, kind, z) is True,
            )
        )
    band = interval(0.0, noise.sigma, noise.df)[1] if noise.df and noise.sigma > 0 else 0.0
    beneath = {number: stand[parent] for number, parent in reader.parents().items() if parent in stand}
    return Survey(tuple(steps), noise.sigma if noise.df else 0.0, band, beneath, reader.experiment_sizes())


def _z(config: Path) -> float:
    """How strict this lab is."""
    from core.config import load
    from core.verdict import Policy

    try:
        return load(config).judging.z
    except LabError:
        return Policy().z
