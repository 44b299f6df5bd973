"""How far a run is: its phases with the time each took, and the time that is left with how that is known. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeGuard

from core.models import Run, RunState, Series
from core.runs import gate, phases

PHASES = dict(zip(phases.NAMES, ("queue", "starting", "compiling", "training", "evaluating", "judging"), strict=True))
"""the keys of `detail["seconds"]`, in order, and what the screen calls them"""
PRESENT = {
    "preparing": "start", "starting": "start", "compiling": "compile", "waiting": "queue", "training": "train",
    "saving": "train", "done": "evaluate", "evaluating": "evaluate",
}  # fmt: skip
"""what a live run says that it is doing -> the phase that takes the time: one that stands ready waits for the device,
`done` is a trainer's last word, and the evaluator starts
"""
LEAST_SHARE = 0.02
"""of the budget that must be spent before the pace says anything"""
ALONE = ("start", "compile", "train", "evaluate")
"""what a run does by itself, once it has the device"""


class Stage(StrEnum):
    """Where a phase stands."""

    DONE = "done"
    NOW = "now"
    FAILED = "failed"
    """the run ended in it"""
    AHEAD = "ahead"
    SKIPPED = "skipped"
    """it is past, and nothing says that it took any time"""


@dataclass(frozen=True, slots=True)
class Step:
    """One phase of a run."""

    name: str
    seconds: float | None
    """what it took, or has taken so far; None where nobody knows"""
    stage: Stage


@dataclass(frozen=True, slots=True)
class Left:
    """The rest of a run."""

    seconds: float
    how: str
    """what the estimate rests on"""


class Stopwatch:
    """When each phase of the live runs was seen to begin: the record has the times of a phase only once it is over."""

    def __init__(self) -> None:
        self._began: dict[int, dict[str, float]] = {}

    def look(self, run: Run, now: float) -> None:
        """Take in how a run stands; a phase that was under way at the first look began at an unknown time."""
        present = present_phase(run)
        began = self._began.setdefault(run.id, {})
        if present not in began:
            first = run.started_at or math.nan if present == "start" else math.nan
            began[present] = now if began else first

    def forget(self, live: tuple[Run, ...]) -> None:
        """Keep the live runs, and the last one."""
        last = max(self._began, default=0)
        kept = {run.id for run in live} | {last}
        self._began = {number: began for number, began in self._began.items() if number in kept}

    def since(self, run: Run) -> float | None:
        """When the present phase began."""
        began = self._began.get(run.id, {}).get(present_phase(run), math.nan)
        return began if math.isfinite(began) else None

    def took(self, run: Run) -> dict[str, float]:
        """Seconds of the phases that were seen to begin and to end."""
        began = sorted(self._began.get(run.id, {}).items(), key=lambda item: phases.NAMES.index(item[0]))
        return {name: end - start for (name, start), (_, end) in pairwise(began) if math.isfinite(end - start)}


def present_phase(run: Run) -> str:
    """The phase that takes the time now, as a key of PHASES."""
    return PRESENT.get(run.phase, "train") if run.is_live else "judge"


def recorded(run: Run) -> dict[str, float]:
    """Seconds of each phase, as the engine recorded them."""
    seconds = run.detail.get("seconds")
    found = seconds if isinstance(seconds, Mapping) else {}
    known = {name: float(found[name]) for name in phases.NAMES if _is_time(found.get(name))}
    if "queue" not in known and _is_time(queued := run.detail.get("queue_seconds")):
        known["queue"] = float(queued)
    if "queue" not in known and run.started_at is not None:
        known["queue"] = max(0.0, run.started_at - run.created_at)
    return known


def steps(run: Run, *, now: float, watch: Stopwatch, trained: float | None, judging: bool = False) -> list[Step]:
    """The phases in order. `trained`: seconds up to the newest point of its curve; `judging`: no verdict yet."""
    known: dict[str, float | None] = {**watch.took(run), **recorded(run)}
    if trained is not None:  # of a run that was stopped the record knows less
        known["train"] = max(trained, known.get("train") or 0.0)
    if run.is_live:
        present = present_phase(run)
        last = phases.NAMES.index("compile" if present == "queue" else present)  # it queues when it stands ready
        stages = {name: Stage.AHEAD if index > last else Stage.DONE for index, name in enumerate(phases.NAMES)}
        stages[present] = Stage.NOW
        known[present] = _elapsed(run, present, now, watch, trained)
    else:
        stages = dict.fromkeys(phases.NAMES, Stage.DONE)
        reached = [name for name in ALONE if known.get(name)]
        if run.state is not RunState.FINISHED and reached and not gate.was_withdrawn(run):
            stages[reached[-1]] = Stage.FAILED
        if judging and "judge" not in known:
            stages["judge"] = Stage.NOW
            known["judge"] = max(0.0, now - (run.ended_at or now))
    found = []
    for name, stage in stages.items():
        seconds = known.get(name) if stage is not Stage.AHEAD else None
        none = seconds is None or (name in ALONE and seconds < phases.NO_TIME)
        skipped = none and stage is Stage.DONE
        found.append(Step(PHASES[name], None if skipped else seconds, Stage.SKIPPED if skipped else stage))
    return found


def _elapsed(run: Run, present: str, now: float, watch: Stopwatch, trained: float | None) -> float | None:
    """Seconds in the present phase."""
    before = recorded(run)
    if "start" in before:
        return max(0.0, now - run.created_at - sum(before[name] for name in before if name != present))
    since = watch.since(run) or (run.started_at if present == "start" else None)
    if since is not None:
        return max(0.0, now - since)
    return trained if present == "train" else None


def left(run: Run, *, now: float, trained: float | None, like: Run | None, spent: float | None) -> Left | None:
    """Seconds until the run has its result; None where nothing says.

    `like`: the champion's run on the same kind of device; `spent`: seconds in the present phase.
    """
    if not run.is_live:
        return None
    theirs = recorded(like) if like is not None and like.state is RunState.FINISHED else {}
    evaluation = theirs.get("evaluate")
    match present_phase(run):
        case "train" if trained is not None and LEAST_SHARE <= run.progress <= 1:
            rest = trained * (1 - run.progress) / run.progress
            if evaluation is None:
                return Left(rest, "by its pace so far, evaluation not counted")
            return Left(rest + evaluation, "by its pace and the champion's evaluation")
        case "evaluate" if evaluation is not None and spent is not None and spent < evaluation:
            return Left(evaluation - spent, "by the champion's evaluation")
        case "start" | "compile" | "train" as present if "train" in theirs:
            done = sum(seconds for name, seconds in recorded(run).items() if name in ALONE and name != present)
            rest = sum(theirs.get(name, 0.0) for name in ALONE) - done - (spent or 0.0)
            return Left(rest, "by all that the champion's run took") if rest > 0 else None
    return None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


class Ends:
    """How many seconds runs will train: kept while it is about right, for it is the width of the chart."""

    def __init__(self) -> None:
        self._kept: dict[int, float] = {}

    def of(self, run: Run, curve: Series) -> float | None:
        """By what the run used so far; changes only when it is off by a tenth."""
        if not curve.t or not LEAST_SHARE < run.progress < 1:
            return None
        found, kept = curve.t[-1] / run.progress, self._kept.get(run.id)
        if kept is None or abs(found - kept) > 0.1 * kept or found > kept:
            kept = self._kept[run.id] = 1.03 * found
        return kept
