"""The rows of lab.db as values: which columns are read of each, and how they become one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.models import (
    CHAMPION_PURPOSES,
    Decision,
    Event,
    Experiment,
    Purpose,
    Review,
    Run,
    RunState,
    State,
    Verdict,
    Via,
)


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of a list of experiments: what a table shows, without the long texts."""

    id: int
    state: State
    title: str
    author: str
    category: str
    verdict: Verdict | None
    metric: float | None
    delta: float | None
    delta_low: float | None
    delta_high: float | None
    commit_sha: str | None
    hold_until: float | None
    deferred_at: float | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Champion:
    """One row of the lineage of kept commits."""

    seq: int
    commit_sha: str
    experiment_id: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """One telemetry sample of one device. None where the device does not say."""

    device: str
    at: float
    utilization: float | None
    """percent"""
    memory_used: float | None
    """bytes"""
    memory_total: float | None
    power: float | None
    """watts"""
    temperature: float | None
    """°C"""
    clock: float | None = None
    """MHz of the compute units"""
    load: float | None = None
    """of a processor: tasks that ran or wanted to, the mean of a minute"""
    cores: str = ""
    """of a processor: a digit a core, tenths of it that were busy; 9 is 90 % and more"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One result that counts."""

    commit_sha: str
    experiment_id: int | None
    """None: the champion's own run"""
    seed: int
    metric: float


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment that holds the words of a search, and where it holds them."""

    id: int
    title: bool
    texts: bool
    """hypothesis or rationale"""
    patch: bool


EXPERIMENT = ", ".join(Experiment.__dataclass_fields__)
STATE, VERDICT = (list(Experiment.__dataclass_fields__).index(name) for name in ("state", "verdict"))
SUMMARY = ", ".join(Summary.__dataclass_fields__)
RUN = ", ".join(Run.__dataclass_fields__)
REVIEW = ", ".join(Review.__dataclass_fields__)
EVENT = ", ".join(Event.__dataclass_fields__)
GAUGE = ", ".join(Gauge.__dataclass_fields__)
CHAMPION = ", ".join(Champion.__dataclass_fields__)
COMPARABLE = ", ".join(f"'{purpose}'" for purpose in CHAMPION_PURPOSES)


def experiment_of(row: Sequence[Any]) -> Experiment:
    values = list(row)
    values[STATE] = State(values[STATE])
    values[VERDICT] = Verdict(values[VERDICT]) if values[VERDICT] else None
    return Experiment(*values)


def summary_of(row: Sequence[Any]) -> Summary:
    verdict = Verdict(row[5]) if row[5] else None
    return Summary(row[0], State(row[1]), row[2], row[3], row[4], verdict, *row[6:])


def run_of(row: Sequence[Any]) -> Run:
    r = Run(*row)
    return replace(r, purpose=Purpose(r.purpose), state=RunState(r.state), detail=json.loads(str(r.detail)))


def review_of(row: Sequence[Any]) -> Review:
    r = Review(*row)
    return replace(
        r,
        decision=Decision(r.decision),
        via=Via(r.via),
        verdict=Verdict(r.verdict) if r.verdict else None,
        hunks_kept=_ints(r.hunks_kept),
        hunks_seen=_ints(r.hunks_seen),
    )


def event_of(row: Sequence[Any]) -> Event:
    return Event(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]))


def _ints(text: Any) -> tuple[int, ...] | None:
    return None if text is None else tuple(json.loads(text))
