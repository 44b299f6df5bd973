"""Everything a report says, as plain values: read from the record once, computed here, drawn elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.config import Config
from core.errors import LabError
from core.lab import Lab
from core.models import Experiment, Review, Verdict
from core.reporting.claims import Agreement, Claim, Hours, Measurements, agreements, claim
from core.reporting.drift import Reruns, reruns
from core.reporting.heights import heights
from core.reporting.provenance import Provenance, provenance, read_config
from core.store import Reader
from core.store.rows import Champion
from core.verdict import Noise

PAGE = 10_000
"""events read at a time"""


@dataclass(frozen=True, slots=True)
class Tried:
    """One experiment and what became of it."""

    experiment: Experiment
    added: int
    removed: int
    by_hand: bool
    """a human put a verdict of his own in the place of the measured one"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One step of the champion's lineage."""

    experiment: Experiment
    patch: str
    added: int
    removed: int
    by_hand: bool
    at: float
    now_noise: bool | None
    """today's noise would not keep it; None: nothing can be said (kept by hand, or the noise is unknown)"""


@dataclass(frozen=True, slots=True)
class Decided:
    """One review and what came of it."""

    review: Review
    title: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Model:
    """What one model used."""

    name: str
    calls: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    seconds: float
    cost: float | None
    """money; None where no call had a price"""
    unpriced: int
    """calls without a price"""


@dataclass(frozen=True, slots=True)
class Cost:
    """The view `cost_per_keep`, and the models behind it."""

    models: tuple[Model, ...]
    kept: int
    cost: float | None
    tokens: int | None
    device_hours: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole lab, ready to be drawn."""

    name: str
    metric: str
    direction: str
    tried: tuple[Tried, ...]
    kept: tuple[Kept, ...]
    decided: tuple[Decided, ...]
    agreements: tuple[Agreement, ...]
    claim: Claim
    champions: tuple[Champion, ...]
    heights: Mapping[str, float]
    """where each champion's commit stands in the picture"""
    kind: str
    """the device class that the claim is about"""
    noises: tuple[tuple[str, Noise], ...]
    """by device class"""
    reruns: Reruns | None
    """of the champions over time; None before one ran twice"""
    hours: tuple[Hours, ...]
    cost: Cost
    config: Config
    provenance: Provenance

    @property
    def noise(self) -> Noise:
        return dict(self.noises).get(self.kind, Noise())


def gather(lab: Lab, reader: Reader, *, now: float) -> Report:
    """Read a lab's record.

    Raises:
        StoreError: it cannot be read.
    """
    config, config_text = read_config(lab)
    experiments, reviews, runs, champions = (
        reader.experiments(), reader.reviews(), reader.runs(), reader.champions(),
    )  # fmt: skip
    known = {e.id: e for e in experiments}
    by_hand = frozenset(e.id for e in experiments if e.overridden_by is not None)
    sizes = reader.patch_sizes()
    setting = reader.setting("lab", {})
    metric, direction = (
        str(setting.get("metric", config.target.metric)),
        str(setting.get("direction", config.target.direction)),
    )
    measurements = Measurements(runs)
    kind = measurements.main_class(champions)
    kinds = measurements.classes()
    published = reader.setting("noise", {})
    noises = {k: measurements.noise(champions, experiments, k, published.get(k)) for k in kinds}
    kept = _kept(reader, experiments, champions, by_hand, sizes, measurements, noises.get(kind, Noise()), kind, config)
    return Report(
        name=lab.name,
        metric=metric,
        direction=direction,
        tried=tuple(Tried(e, *sizes.get(e.patch_sha256 or "", (0, 0)), e.id in by_hand) for e in experiments),
        kept=kept,
        decided=_decided(experiments, reviews),
        agreements=agreements(experiments, reviews, by_hand),
        claim=claim(measurements, champions, experiments, by_hand, noises.get(kind, Noise()), kind),
        champions=tuple(champions),
        heights=heights(champions, known, lambda c: measurements.level(c, known.get(c.experiment_id or 0), kind)),
        kind=kind,
        noises=tuple(noises.items()),
        reruns=reruns(runs, champions, noises.get(kind, Noise()), kind, metric),
        hours=measurements.hours(),
        cost=_cost(reader),
        config=config,
        provenance=provenance(reader, config, config_text, now),
    )


# ---- the record ----------------------------------------------------------------------------------------------------


def _decided(experiments: Sequence[Experiment], reviews: Sequence[Review]) -> tuple[Decided, ...]:
    known = {e.id: e for e in experiments}
    found = []
    for review in reviews:
        e = known.get(review.experiment_id)
        outcome = "taken back" if review.undone_at is not None else str((e.verdict or e.state) if e else "")
        found.append(Decided(review, e.title if e else "", outcome))
    return tuple(found)


def _kept(
    reader: Reader,
    experiments: Sequence[Experiment],
    champions: Sequence[Champion],
    by_hand: frozenset[int],
    sizes: dict[str, tuple[int, int]],
    measurements: Measurements,
    noise: Noise,
    kind: str,
    config: Config,
) -> tuple[Kept, ...]:
    known = {e.id: e for e in experiments}
    found = []
    for champion in champions:
        e = known.get(champion.experiment_id or 0)
        if e is None:
            continue
        doubtful = measurements.now_noise(e, noise, kind, config.judging.z)
        body = (reader.patch(e.patch_sha256) or "") if e.patch_sha256 else ""
        added, removed = sizes.get(e.patch_sha256 or "", (0, 0))
        found.append(Kept(e, body, added, removed, e.id in by_hand, champion.at, doubtful))
    return tuple(found)


def _cost(reader: Reader) -> Cost:
    kept, cost, tokens, hours = reader.cost_per_keep()
    return Cost(tuple(Model(*row) for row in reader.usage_by_model()), kept, cost, tokens, hours)


def record_of(lab: Lab) -> Reader:
    """A lab's record, to read only.

    Raises:
        LabError: the lab has none yet, or it cannot be read.
    """
    if not lab.database.exists():
        raise LabError(
            f"{lab.root} has no record yet: no engine has worked in it",
            hint=f"autoresearch-tui {lab.root} opens it and starts its engine",
        )
    return Reader(lab.database)


def verdict_counts(report: Report) -> Counter[Verdict]:
    """How many experiments got each verdict, those that a human changed left out."""
    return Counter(t.experiment.verdict for t in report.tried if t.experiment.verdict is not None and not t.by_hand)


__all__ = ["Cost", "Decided", "Kept", "Model", "Provenance", "Report", "Tried", "gather", "record_of", "verdict_counts"]
