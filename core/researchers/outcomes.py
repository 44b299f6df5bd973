"""What earlier experiments said about each constant, read back from the record. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.models import OPEN_STATES, Decision, Experiment, Review, State, Verdict


class Fate(StrEnum):
    """How a change of a constant ended, as far as a search is concerned."""

    SCORED = "scored"  # trained and compared: `effect` says how it did
    FAILED = "failed"  # crashed or diverged
    VETOED = "vetoed"
    PENDING = "pending"  # waits, runs, or was sent back
    UNKNOWN = "unknown"  # void, suspect, invalid, or edited by hand: no outcome can be put down to this value


@dataclass(frozen=True, slots=True)
class Outcome:
    """One constant in one experiment."""

    experiment: int
    name: str
    before: float
    after: float
    fate: Fate
    effect: float = 0.0
    """change of the metric against the parent, this constant's share of it; negative is better"""
    kept: bool = False
    alone: bool = True
    """the only constant the experiment changed"""


@dataclass(frozen=True, slots=True)
class Change:
    """Values of constants of one file, as an experiment's key names them."""

    file: str
    before: Mapping[str, float]
    after: Mapping[str, float]

    def key(self, source: str, **more: Any) -> str:
        """The experiment's key: compact JSON."""
        body = {"source": source, **more, "file": self.file, "set": dict(self.after), "from": dict(self.before)}
        return json.dumps(body, separators=(",", ":"))


def read_key(key: str) -> dict[str, Any]:
    """The object in an experiment's key; empty for a key of another researcher."""
    try:
        found = json.loads(key) if key.startswith("{") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def change_of(key: str) -> Change | None:
    """The change of constants that a key names, if it names one."""
    found = read_key(key)
    before, after = found.get("from"), found.get("set")
    if not isinstance(before, dict) or not isinstance(after, dict) or not after or before.keys() != after.keys():
        return None
    if not all(isinstance(value, (int, float)) for value in (*before.values(), *after.values())):
        return None
    return Change(str(found.get("file", "")), before, after)


def outcomes(
    history: Sequence[Experiment], reviews: Mapping[int, Sequence[Review]], direction: str, path: str
) -> list[Outcome]:
    """What became of every change of a constant of one file, oldest first."""
    found = []
    for experiment in history:
        change = change_of(experiment.key)
        if change is None or change.file != path:
            continue
        fate = fate_of(experiment, reviews.get(experiment.id, ()))
        effect = 0.0
        if fate is Fate.SCORED and experiment.delta is not None:
            effect = (experiment.delta if direction == "min" else -experiment.delta) / len(change.after)
        kept = fate is Fate.SCORED and experiment.verdict is Verdict.KEEP
        for name, after in change.after.items():
            before, alone = float(change.before[name]), len(change.after) == 1
            found.append(Outcome(experiment.id, name, before, float(after), fate, effect, kept, alone))
    return found


def fate_of(experiment: Experiment, reviews: Iterable[Review]) -> Fate:
    """What an experiment says about the change its researcher proposed."""
    if experiment.state is State.VETOED:
        return Fate.VETOED
    if experiment.state in OPEN_STATES:
        return Fate.PENDING
    if any(review.decision is Decision.APPROVE_EDITED and review.undone_at is None for review in reviews):
        return Fate.UNKNOWN
    match experiment.verdict:
        case Verdict.KEEP | Verdict.DISCARD | Verdict.INCONCLUSIVE if experiment.delta is not None:
            return Fate.SCORED
        case Verdict.CRASHED:
            return Fate.FAILED
    return Fate.UNKNOWN


def levels(found: Iterable[Outcome]) -> list[tuple[Outcome, float]]:
    """Each scored outcome with how good its value is, on one scale for a constant whatever champion it was tried on.

    Effects are relative to the parent; where the constant was changed and kept in between, they add up. A value
    nobody of us set (another researcher moved the constant) counts as no better than the last one kept.
    """
    known: dict[str, dict[float, float]] = {}
    champion: dict[str, float] = {}
    scored = []
    for outcome in found:
        if outcome.fate is not Fate.SCORED:
            continue
        level = known.setdefault(outcome.name, {}).setdefault(outcome.before, champion.get(outcome.name, 0.0))
        level += outcome.effect
        known[outcome.name][outcome.after] = level
        if outcome.kept:
            champion[outcome.name] = level
        scored.append((outcome, level))
    return scored
