"""What is asked this time. Decided from the record alone, so that the same record asks the same question. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.models import Experiment, Message, State, Verdict
from core.researchers.base import Situation
from core.researchers.outcomes import read_key
from core.text import one_line, signed

NAME = "claude"
CATEGORIES = (
    "architecture", "optimizer", "schedule", "initialisation", "regularisation", "batch", "efficiency",
    "simplification", "combination",
)  # fmt: skip
RECENT = 20
"""a crash further back than so many verdicts is not repaired any more"""
MISSES = (Verdict.DISCARD, Verdict.INCONCLUSIVE, Verdict.CRASHED)
NEAR_MISSES = 6


class Asked(StrEnum):
    """The kinds of question."""

    NEXT = "next"
    REVISION = "revision"
    IDEA = "idea"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Question:
    """One question, answered by one proposal."""

    asked: Asked
    experiment: Experiment | None = None
    """the one to revise or to repair"""
    idea: Message | None = None
    messages: tuple[Message, ...] = ()
    """words of the human that the proposal must answer"""
    demand: str = ""
    """what a plateau asks for; empty where there is none"""

    @property
    def key(self) -> str:
        """The experiment's key: what links it to the record."""
        links: dict[str, object] = {"source": NAME}
        if self.asked is Asked.REPAIR and self.experiment is not None:
            links["repairs"] = self.experiment.id
        if self.idea is not None:
            links["message"] = self.idea.id
        return json.dumps(links, separators=(",", ":"))


def question(situation: Situation, plateau: int) -> Question:
    """A human's note first, then a human's idea, then a crash that can be repaired, then the next experiment."""
    messages = tuple(m for m in situation.messages if m.kind != "idea")
    if situation.revision is not None:
        return Question(Asked.REVISION, situation.revision.experiment, messages=messages)
    if idea := next((m for m in situation.messages if m.kind == "idea"), None):
        return Question(Asked.IDEA, idea=idea, messages=messages)
    if crashed := to_repair(situation.history):
        return Question(Asked.REPAIR, crashed, messages=messages)
    return Question(Asked.NEXT, messages=messages, demand=demand(situation.history, situation.direction, plateau))


def to_repair(history: Sequence[Experiment]) -> Experiment | None:
    """The newest crash of ours that nobody has tried to repair; a repair that crashes is not repaired again."""
    tried = {read_key(e.key).get("repairs") for e in history}
    judged = [e for e in history if e.state is State.JUDGED]
    for experiment in reversed(judged[-RECENT:]):
        link = read_key(experiment.key)
        ours = link.get("source") == NAME and "repairs" not in link
        if ours and experiment.verdict is Verdict.CRASHED and experiment.id not in tried:
            return experiment
    return None


def misses(history: Sequence[Experiment]) -> int:
    """Experiments in a row, up to now, that were trained and not kept."""
    judged = sorted((e for e in history if e.state is State.JUDGED), key=lambda e: (e.judged_at or 0.0, e.id))
    count = 0
    for experiment in reversed(judged):
        if experiment.verdict is Verdict.KEEP:
            break
        count += experiment.verdict in MISSES
    return count


def demand(history: Sequence[Experiment], direction: str, plateau: int) -> str:
    """What to do differently on a plateau: another category, a combination, a simplification, in turn."""
    count = misses(history)
    if count < plateau:
        return ""
    begin = f"The last {count} experiments were not kept. Small steps in the same direction are used up. This time "
    match (count - plateau) % 3:
        case 0:
            rare = ", ".join(least_tried(history))
            return f"{begin}choose a category that was tried least ({rare}), and an idea that is not in the record."
        case 1:
            near = near_misses(history, direction)
            shown = "; ".join(f"#{e.id} {one_line(e.title, 80)} (Δ {signed(e.delta, 5)})" for e in near)
            if len(near) >= 2:
                return f"{begin}combine near misses that touch different parts, each too small to show alone: {shown}."
            return f"{begin}combine two changes of different parts that earlier results speak for."
        case _:
            return f"{begin}propose a simplification: remove or merge something whose loss should not be measurable."


def least_tried(history: Sequence[Experiment]) -> list[str]:
    """The three categories with the fewest experiments."""
    tried = Counter(e.category for e in history if e.state is not State.INVALID)
    return sorted(CATEGORIES[:-2], key=lambda name: (tried[name], CATEGORIES.index(name)))[:3]


def near_misses(history: Sequence[Experiment], direction: str) -> list[Experiment]:
    """Experiments that looked better and were not kept, the best first."""
    sign = 1.0 if direction == "min" else -1.0
    missed = [e for e in history if e.state is State.JUDGED and e.verdict in MISSES]
    looked_better = [e for e in missed if e.delta is not None and sign * e.delta < 0]
    return sorted(looked_better, key=lambda e: (sign * (e.delta or 0.0), e.id))[:NEAR_MISSES]


def by_category(history: Sequence[Experiment]) -> Mapping[str, list[Experiment]]:
    """Experiments that were not invalid, by category."""
    raw: dict[str, list[Experiment]] = {}
    for experiment in history:
        if experiment.state is not State.INVALID:
            raw.setdefault(experiment.category, []).append(experiment)
    found: dict[str, list[Experiment]] = {}
    for category, mine in raw.items():
        found.setdefault(one_line(category, 30) or "other", []).extend(mine)
    return found
