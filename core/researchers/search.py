"""The search over the constants of a file: Optuna's TPE sampler, asked anew each time and told every earlier outcome.

A constant nobody moved yet gets a first probe, one moderate step to a side. After that the sampler chooses which
constant to follow up and to which value, from what all outcomes said. Now and then two changes that each looked
better, but too little to be kept, are tried together. A constant closes after `MISSES` misses in a row.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from core.researchers.constants import Constant, Domain, domain_of
from core.researchers.outcomes import Fate, Outcome, levels

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

MISSES = 4
"""outcomes in a row that were not kept, after which a constant is left alone"""
PARAMETER = "value"
"""each study has one parameter"""
REACH = 2.5
"""steps around the best value so far that a follow-up may go"""
ATTEMPTS = 24
"""values the sampler may name that cannot be proposed, before a plain sweep takes over"""
SINGLES_BETWEEN_PAIRS = 5

How = Literal["probe", "sampler", "sweep", "pair"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A constant that is still open, and what is known about it."""

    constant: Constant
    domain: Domain
    low: float
    high: float
    """bounds as positions, vetoed sides cut off"""
    past: tuple[Outcome, ...]
    known: set[float] = field(default_factory=set)
    """values that were proposed or stood there before"""

    @property
    def name(self) -> str:
        return self.constant.name

    def within(self, value: float) -> bool:
        return self.low - 1e-9 <= self.domain.position(value) <= self.high + 1e-9

    def allows(self, value: float) -> bool:
        return self.within(value) and not any(self.domain.near(value, known) for known in self.known)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """New values for one or two constants of one file."""

    values: dict[Constant, float]
    how: How
    told: int
    """outcomes the search has been told"""
    past: tuple[Outcome, ...]
    """earlier outcomes of these constants"""


def suggestions(
    constants: Sequence[Constant], found: Sequence[Outcome], *, seed: int, sigma: float | None = None
) -> Iterator[Suggestion]:
    """Changes worth a run, best first, none proposed before; ends when the search has run dry."""
    slots = open_slots(constants, found)
    told = sum(outcome.fate in (Fate.SCORED, Fate.FAILED, Fate.VETOED) for outcome in found)
    asked = len({outcome.experiment for outcome in found})
    pair = near_misses(slots, found, sigma)
    if pair:
        both = tuple(outcome for slot, _ in pair for outcome in slot.past)
        yield Suggestion({slot.constant: value for slot, value in pair}, "pair", told, both)
    probes, samples, sweeps = first_probes(slots, seed), sampled(slots, found, seed + asked), swept(slots)
    # every other time the sampler goes first, once there is something to learn from
    order: list[tuple[How, Iterator[tuple[Slot, float]]]] = [("probe", probes), ("sampler", samples), ("sweep", sweeps)]
    if asked % 2 and told >= 4:
        order[:2] = order[1::-1]
    for how, source in order:
        for slot, value in source:
            slot.known.add(value)
            yield Suggestion({slot.constant: value}, how, told, slot.past)


def open_slots(constants: Sequence[Constant], found: Sequence[Outcome]) -> list[Slot]:
    """The constants a search may move now: not in an experiment that still waits, not missed too often."""
    slots = []
    for constant in constants:
        past = tuple(outcome for outcome in found if outcome.name == constant.name)
        domain = domain_of(constant, [outcome.after for outcome in past])
        if domain is None or any(outcome.fate is Fate.PENDING for outcome in past) or misses(past) >= MISSES:
            continue
        low, high = domain.low, domain.high
        for outcome in past:
            if outcome.fate is Fate.VETOED and outcome.alone:  # that side of where it stood is not ours to try
                if outcome.after > outcome.before:
                    high = min(high, domain.position(outcome.before))
                else:
                    low = max(low, domain.position(outcome.before))
        if high - low > 0.3 * domain.step:
            known = {constant.value, *(value for outcome in past for value in (outcome.before, outcome.after))}
            slots.append(Slot(constant, domain, low, high, past, known))
    return slots


def misses(past: Sequence[Outcome]) -> int:
    """Outcomes since the last one kept that were not."""
    count = 0
    for outcome in past:
        if outcome.kept:
            count = 0
        elif outcome.alone and outcome.fate in (Fate.SCORED, Fate.FAILED):
            count += 1
    return count


def first_probes(slots: Sequence[Slot], seed: int) -> Iterator[tuple[Slot, float]]:
    """One moderate step for each constant nobody moved yet, to a side the seed picks; likely ones to matter first."""
    for slot in sorted((slot for slot in slots if not slot.past), key=_rank):
        here, step = slot.domain.position(slot.constant.value), slot.domain.step
        if here < slot.domain.low:  # zero, on a logarithmic scale
            here = (slot.low + slot.high) / 2 - step
        side = random.Random(f"{seed}:{slot.name}").choice((1, -1))
        for position in (here + side * step, here - side * step):
            value = slot.domain.value(max(position, slot.low))
            if slot.allows(value):
                yield slot, value
                break


def _rank(slot: Slot) -> int:
    """Learning rates, then the schedule, weight decay, initialisation, and the rest."""
    if "LR" in slot.constant.words and slot.constant.category == "optimizer":
        return 0
    if "DECAY" in slot.constant.words:
        return 2
    return {"schedule": 1, "initialisation": 3, "batch": 4, "architecture": 4}.get(slot.constant.category, 5)


def sampled(slots: Sequence[Slot], found: Sequence[Outcome], seed: int) -> Iterator[tuple[Slot, float]]:
    """What the TPE sampler says, of the constants that have an outcome already: first which one, then its value."""
    tried = {slot.name: slot for slot in slots if slot.past}
    if not tried:
        return
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState

    names = sorted(tried)
    shape = CategoricalDistribution(names)
    told = [
        (o.name, o.effect if o.fate is Fate.SCORED else None, shape) for o in found if o.name in tried and _counts(o)
    ]
    which = _study(seed, told)
    values: dict[str, optuna.Study] = {}
    for _ in range(ATTEMPTS):
        choice = which.ask()
        slot = tried[choice.suggest_categorical(PARAMETER, names)]
        scored = positions(slot)
        low, high = around_best(slot, scored)
        if slot.name not in values:
            shapes = [FloatDistribution(min(low, position), max(high, position)) for position, _ in scored]
            values[slot.name] = _study(seed, [(*pair, shape) for pair, shape in zip(scored, shapes, strict=True)])
        trial = values[slot.name].ask()
        value = slot.domain.value(trial.suggest_float(PARAMETER, low, high))
        if slot.allows(value):
            yield slot, value
        # it cannot be proposed (again): look elsewhere
        which.tell(choice, state=TrialState.PRUNED)
        values[slot.name].tell(trial, state=TrialState.PRUNED)


def _counts(outcome: Outcome) -> bool:
    return outcome.fate in (Fate.SCORED, Fate.FAILED, Fate.VETOED)


def positions(slot: Slot) -> list[tuple[float, float | None]]:
    """Where a constant has been and how good that was, None for a failure; last where it is now, at the champion."""
    reached = {outcome.experiment: level for outcome, level in levels(slot.past)}
    told = [(slot.domain.position(o.after), reached.get(o.experiment)) for o in slot.past if _counts(o)]
    kept = [reached[outcome.experiment] for outcome in slot.past if outcome.kept]
    return [*told, (slot.domain.position(slot.constant.value), kept[-1] if kept else 0.0)]


def around_best(slot: Slot, scored: Sequence[tuple[float, float | None]]) -> tuple[float, float]:
    """The part of the domain a follow-up stays in: a few steps around the best position so far."""
    best = min((score, position) for position, score in scored if score is not None)[1]
    best = min(max(best, slot.low), slot.high)
    return max(slot.low, best - REACH * slot.domain.step), min(slot.high, best + REACH * slot.domain.step)


def _study(seed: int, told: Sequence[tuple[Any, float | None, BaseDistribution]]) -> optuna.Study:
    """A study of one parameter, told values with their scores; None tells of a failure."""
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=1, multivariate=False)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for value, score, shape in told:
        state = TrialState.PRUNED if score is None else TrialState.COMPLETE
        params, shapes = {PARAMETER: value}, {PARAMETER: shape}
        study.add_trial(create_trial(state=state, value=score, params=params, distributions=shapes))
    return study


def swept(slots: Sequence[Slot]) -> Iterator[tuple[Slot, float]]:
    """Step by step away from where each constant stands, for values the sampler did not name."""
    reach = max((math.ceil((slot.high - slot.low) / slot.domain.step) for slot in slots), default=0)
    for distance in range(1, reach + 1):
        for slot in sorted(slots, key=_rank):
            here = slot.domain.position(slot.constant.value)
            for side in (1, -1):
                position = here + side * distance * slot.domain.step
                value = slot.domain.value(position)
                if slot.low <= position <= slot.high and slot.allows(value):
                    yield slot, value


def near_misses(slots: Sequence[Slot], found: Sequence[Outcome], sigma: float | None) -> list[tuple[Slot, float]]:
    """Two changes that each looked better from where the constants still stand, but were not kept; or nothing."""
    last_pair = max((outcome.experiment for outcome in found if not outcome.alone), default=0)
    since = [outcome for outcome in found if outcome.alone and outcome.experiment > last_pair]
    if len(since) < SINGLES_BETWEEN_PAIRS:
        return []
    paired = {(outcome.name, outcome.after) for outcome in found if not outcome.alone}
    best: list[tuple[float, Slot, float]] = []
    for slot in slots:
        candidates = [
            (outcome.effect, slot, outcome.after)
            for outcome in slot.past
            if outcome.fate is Fate.SCORED
            and outcome.alone
            and not outcome.kept
            and outcome.before == slot.constant.value
            and outcome.effect < -0.5 * (sigma or 0.0)
            and slot.within(outcome.after)
            and (slot.name, outcome.after) not in paired
        ]
        best += sorted(candidates, key=lambda candidate: candidate[0])[:1]
    best.sort(key=lambda candidate: candidate[0])
    return [(slot, value) for _, slot, value in best[:2]] if len(best) >= 2 else []
