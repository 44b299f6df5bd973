"""What is new each time: noise, open proposals, the human's words and changes, the notebook, and the question. Pure."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from statistics import NormalDist

from core.models import OPEN_STATES, Experiment, State, Verdict
from core.researchers.base import Situation
from core.researchers.claude.facts import EDITS, Facts
from core.researchers.claude.history import DIGITS, outcome
from core.researchers.claude.question import CATEGORIES, Asked, Question, by_category, misses
from core.researchers.claude.words import estimate, quoted
from core.text import clean, number, one_line
from core.verdict.quantiles import t_quantile

VETOES, NOTES = 12, 40
"""the newest ones that are told whole"""


def news(situation: Situation, facts: Facts, asked: Question, tokens: int) -> str:
    """Everything but the question, most important first, until the budget is used up."""
    parts = [
        _standing(situation, facts),
        _noise(situation, facts),
        f"# The bench\n{facts.bench}" if facts.bench else "",
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


def _standing(situation: Situation, facts: Facts) -> str:
    """How far the lab has come, and how long ago it last got further."""
    began = f", from {number(facts.baseline, DIGITS)} at the start" if facts.baseline is not None else ""
    best = f"The champion measures {number(facts.champion, DIGITS)}{began}. " if facts.champion is not None else ""
    judged = [e for e in situation.history if e.state is State.JUDGED]
    kept = sum(e.verdict is Verdict.KEEP for e in judged)
    count = f"Judged: {len(judged)}. Kept: {kept}. In a row, up to now, not kept: {misses(situation.history)}."
    return f"# Where the lab stands\n{best}{count if judged else 'Nothing is judged yet.'}"


def _noise(situation: Situation, facts: Facts) -> str:
    sigma, df = facts.noise.get("sigma"), int(facts.noise.get("df") or 0)
    if not sigma:
        return f"# Noise\nThe noise of {situation.metric} here is not measured yet."
    known = f" (95%: {number(facts.noise.get('low'), DIGITS)} to {number(facts.noise.get('high'), DIGITS)})"
    words = (
        f"# Noise\nOne run of the same code with another seed differs by σ = {number(sigma, DIGITS)}"
        f"{known if df else ''} on {facts.device}. "
    )
    if not df:
        return words
    t = t_quantile(NormalDist().cdf(facts.z), df)
    few, most = (t * sigma * math.sqrt(1 / n + 1 / max(2, facts.champion_runs)) for n in (2, facts.confirmations))
    return (
        f"{words}A gain of about {number(few, DIGITS)} is the smallest that two fresh seeds can confirm, "
        f"{number(most, DIGITS)} with {facts.confirmations}, the most there are. A smaller one is not kept, be it true "
        "or not."
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
        decision = f"{review.decision} to {review.verdict}" if review.verdict else review.decision
        rows.append(f"#{review.experiment_id} “{title}”: {decision} by {review.actor}: {words}")
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
