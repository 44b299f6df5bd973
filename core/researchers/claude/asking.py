"""What is new each time: noise, open proposals, the human's words and changes, the notebook, and the question. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.models import OPEN_STATES, Experiment, Review, Verdict
from core.researchers.base import Situation
from core.researchers.claude.history import DIGITS, outcome
from core.researchers.claude.question import CATEGORIES, Asked, Question, by_category
from core.researchers.claude.words import estimate, quoted
from core.text import clean, number, one_line

VETOES, EDITS, NOTES = 12, 3, 40
"""the newest ones that are told whole"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the record says beside the situation, read once for a question."""

    noise: Mapping[str, float | None]
    """sigma, df, low, high of the first device's class; empty before it is measured"""
    device: str
    champion_metric: float | None
    edits: Sequence[tuple[Review, str, str]]
    """a human's changes of a patch: the review, the patch as proposed, the patch as approved; newest first"""
    notebook: Sequence[str]
    z: float
    traceback: str = ""
    """of the crash to repair"""
    crashed_patch: str = ""


def news(situation: Situation, facts: Facts, asked: Question, tokens: int) -> str:
    """Everything but the question, most important first, until the budget is used up."""
    parts = [
        _noise(situation, facts),
        _open(situation.history),
        _vetoes(situation),
        _categories(situation.history),
        _notebook(facts.notebook),
        _edits(facts),
    ]
    shown: list[str] = []
    for part in parts:
        size = estimate(part)
        if part and size <= tokens:
            shown.append(part)
            tokens -= size
    return "\n\n".join(shown)


def _noise(situation: Situation, facts: Facts) -> str:
    sigma, df = facts.noise.get("sigma"), facts.noise.get("df")
    metric = facts.champion_metric
    best = f"The champion measures {number(metric, DIGITS)}. " if metric is not None else ""
    if not sigma:
        return f"# Noise\n{best}The noise of {situation.metric} here is not measured yet."
    known = f" (95%: {number(facts.noise.get('low'), DIGITS)} to {number(facts.noise.get('high'), DIGITS)})"
    gain = facts.z * sigma * (1 / 2 + 1 / 3) ** 0.5
    return (
        f"# Noise\n{best}One run of the same code with another seed differs by σ = {number(sigma, DIGITS)}"
        f"{known if df else ''} on {facts.device}. A change of about {number(gain, DIGITS)} is the smallest that two "
        "fresh runs can confirm; anything below is luck."
    )


def _open(history: Sequence[Experiment]) -> str:
    rows = [f"#{e.id} {e.state}: {one_line(e.title, 120)}" for e in history if e.state in OPEN_STATES]
    return "# Under way (do not propose these again)\n" + "\n".join(rows[-20:]) if rows else ""


def _vetoes(situation: Situation) -> str:
    """The newest decisions that came with words, whole."""
    by_id = {e.id: e for e in situation.history}
    said = [
        review
        for reviews in situation.reviews.values()
        for review in reviews
        if review.reason and not review.policy and review.experiment_id in by_id
    ]
    rows = []
    for review in sorted(said, key=lambda r: (r.decided_at, r.id))[-VETOES:]:
        title = one_line(by_id[review.experiment_id].title, 100)
        words = clean(review.reason)[:600]
        rows.append(f"#{review.experiment_id} “{title}”: {review.decision} by {review.actor}: {words}")
    return "# What the human said about your patches, newest last\n" + "\n".join(rows) if rows else ""


def _categories(history: Sequence[Experiment]) -> str:
    found = by_category(history)
    rows = []
    for name in [*CATEGORIES, *sorted(set(found) - set(CATEGORIES))]:
        mine = found.get(name, [])
        kept = sum(e.verdict is Verdict.KEEP for e in mine)
        rows.append(f"{name} {len(mine)}/{kept}" if mine else f"{name} 0")
    return "# Categories: tried/kept\n" + ", ".join(rows)


def _notebook(notes: Sequence[str]) -> str:
    rows = [f"- {one_line(note, 400)}" for note in notes[-NOTES:]]
    return "# Your notebook\n" + "\n".join(rows) if rows else ""


def _edits(facts: Facts) -> str:
    rows = []
    for review, before, after in facts.edits[:EDITS]:
        changed = [
            row
            for row in difflib.unified_diff(_bare(before), _bare(after), "proposed", "approved", lineterm="", n=1)
            if not row.startswith("@@")
        ]
        rows.append(f"#{review.experiment_id}\n" + "\n".join(changed[:40]))
    if not rows:
        return ""
    return "# How the human changed your patches before they ran\n" + quoted("changes", "\n".join(rows), 6_000)


def _bare(patch: str) -> list[str]:
    return [row for row in patch.splitlines() if not row.startswith(("@@", "diff --git"))]


def request(situation: Situation, facts: Facts, asked: Question) -> str:
    """The question itself."""
    parts = ["# The question"]
    match asked.asked:
        case Asked.REVISION if situation.revision is not None:
            parts.append(_revision(situation))
        case Asked.IDEA if asked.idea is not None:
            parts.append(
                f"{asked.idea.actor} has an idea of their own. Turn it into a patch, faithful and as small as can be. "
                "Where it leaves something open, choose, and say in the rationale what you chose.\n"
                f"The idea: {clean(asked.idea.body)}"
            )
        case Asked.REPAIR if asked.experiment is not None:
            parts.append(_repair(asked.experiment, facts))
        case _:
            parts.append("What is the next experiment?")
    if asked.demand:
        parts.append(asked.demand)
    if asked.messages:
        words = "\n".join(f"{message.actor}: {clean(message.body)}" for message in asked.messages)
        parts.append(f"The human has written to you. Take it into account, and answer in `reply`:\n{words}")
    return "\n\n".join(parts)


def _revision(situation: Situation) -> str:
    revision = situation.revision
    assert revision is not None
    experiment = revision.experiment
    return (
        f"#{experiment.id} “{one_line(experiment.title, 120)}” was sent back with a note. Propose its new version: the "
        "same idea, changed as the note says. Your edits are applied to the champion's files, not to that patch: "
        f"include all that should stay of it.\nThe note: {clean(revision.note)}\n"
        + quoted(f"what was said of #{experiment.id}", f"{experiment.hypothesis}\n{experiment.rationale}", 4_000)
        + "\n"
        + quoted(f"the earlier patch of #{experiment.id}", revision.patch, 16_000)
    )


def _repair(experiment: Experiment, facts: Facts) -> str:
    return (
        f"#{experiment.id} “{one_line(experiment.title, 120)}” crashed. If the idea is sound and the code is at fault, "
        "propose it again with the fault mended: there is one try. Your edits are applied to the champion's files, so "
        "include the whole change. If the idea itself is at fault, propose another experiment and say so.\n"
        + quoted(f"the patch of #{experiment.id}", facts.crashed_patch, 16_000)
        + "\n"
        + quoted(f"the end of its output; {outcome(experiment)}", facts.traceback, 6_000)
    )
