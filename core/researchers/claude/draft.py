"""From what the model proposes to a proposal, or to the words that tell it what to mend.

Everything the engine would refuse later is refused here, while the model can still do better: edits that do not fit,
frozen files, invisible characters, code that does not parse, code that was tried, and what a human vetoed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from core import patches
from core.errors import PatchError
from core.models import Edit, Experiment, Proposal, Verdict
from core.researchers.base import Situation
from core.researchers.claude.forms import Propose
from core.researchers.claude.likeness import meaning
from core.researchers.claude.question import NAME, Asked, Question
from core.researchers.claude.repeats import Vetoed, near_repeat, resembling
from core.researchers.claude.words import shortened, valid
from core.text import clean, one_line

COMPLAINT = 4_000
"""characters of one complaint"""


class Mend(Exception):
    """The proposal cannot be taken; the words tell the model why."""


class Resembles(Mend):
    """The proposal reads like a vetoed one; the model has to say what is different, or choose another."""


def proposal(form: Propose, situation: Situation, asked: Question, vetoed: Sequence[Vetoed]) -> Proposal:
    """The proposal a form makes.

    Raises:
        Mend: it cannot be run, was tried or vetoed already, or leaves the human without an answer.
        Resembles: it reads like a vetoed one and does not say what is different.
    """
    if asked.messages and not form.reply.strip():
        raise Mend("`reply` is empty, but the human's messages must be answered in it.")
    files = _files(form, situation.files)
    patch = _patch(files, situation.files)
    _refuse_repeats(files, patch, situation, asked, vetoed)
    like = None if asked.asked is Asked.IDEA else _resembled(form, patch, situation, vetoed)
    return Proposal(
        title=valid(" ".join(clean(form.title).split()))[:160],
        hypothesis=valid(form.hypothesis.strip()),
        rationale=valid(_rationale(form, asked, like)),
        category=one_line(form.category, 30).lower(),
        files=files,
        author=asked.idea.actor if asked.idea is not None else NAME,
        expected=one_line(form.expected, 200),
        key=asked.key,
        answers=answered(asked),
    )


def given_up(asked: Question, situation: Situation, why: str, title: str = "") -> Proposal:
    """What goes on record when the model did not get a proposal right."""
    words = {
        Asked.REVISION: "A revision that did not come about",
        Asked.IDEA: "An idea that did not become a patch",
        Asked.REPAIR: "A repair that did not come about",
        Asked.NEXT: "A proposal that did not come about",
    }
    origin = f" ({one_line(asked.idea.body, 80)})" if asked.idea is not None else ""
    return Proposal(
        title=valid(one_line(title, 120)) or f"{words[asked.asked]}{origin}",
        hypothesis="",
        rationale="",
        category="",
        files={},
        author=asked.idea.actor if asked.idea is not None else NAME,
        key=asked.key,
        problem=valid(one_line(why, 500)),
        answers=() if asked.idea is None else (asked.idea.id,),
    )


def answered(asked: Question) -> tuple[int, ...]:
    """The messages a proposal to this question answers."""
    own = () if asked.idea is None else (asked.idea.id,)
    return (*own, *(message.id for message in asked.messages))


def _files(form: Propose, files: Mapping[str, str]) -> dict[str, str]:
    frozen = sorted({edit.path for edit in form.edits} - set(files))
    if frozen:
        names = ", ".join(one_line(path, 80) for path in frozen[:5])
        raise Mend(f"{names}: frozen or not there. Only these may be changed: {', '.join(sorted(files))}.")
    try:
        return patches.from_edits(files, [Edit(edit.path, edit.search, edit.replace) for edit in form.edits])
    except PatchError as error:
        raise Mend(shortened(f"{error.message}\n{error.hint}", COMPLAINT)) from error


def _patch(files: Mapping[str, str], before: Mapping[str, str]) -> patches.Patch:
    try:
        patch = patches.diff({path: before[path] for path in files}, files)
        found = patches.problems(patch, before, list(before))
    except PatchError as error:
        raise Mend(shortened(f"{error.message}\n{error.hint}", COMPLAINT)) from error
    if not patch.hunks:
        raise Mend("The edits cancel out: nothing changes.")
    if found:
        raise Mend(shortened("This cannot run:\n" + "\n".join(found), COMPLAINT))
    return patch


def _refuse_repeats(
    files: Mapping[str, str], patch: patches.Patch, situation: Situation, asked: Question, vetoed: Sequence[Vetoed]
) -> None:
    own = asked.experiment.id if asked.experiment is not None else None
    same = situation.tried(files)
    if same is not None and not (asked.asked is Asked.REVISION and same == own):
        raise Mend(f"This is the very code of #{same} ({_fate(same, situation.history)}). Propose something else.")
    if asked.asked is Asked.IDEA:  # the human asks for it by name
        return
    if idea := near_repeat(patch, vetoed):
        raise Mend(f"Nearly {_veto(idea)}. A vetoed idea is not proposed again in another size: choose another.")


def _resembled(form: Propose, patch: patches.Patch, situation: Situation, vetoed: Sequence[Vetoed]) -> Vetoed | None:
    """The vetoed idea this reads like; the proposal says what is different."""
    told = meaning(form.title, form.hypothesis, patch)
    idea = resembling(told, patch, vetoed, situation.history, situation.files)
    if idea is not None and not form.unlike.strip():
        raise Resembles(
            f"This reads like {_veto(idea)}. If it is that idea in other words, choose another. If it is not, send it "
            "again and say in `unlike` what is different and why the human's reason does not hold for it."
        )
    return idea


def _veto(idea: Vetoed) -> str:
    reason = f": “{one_line(idea.reason, 300)}”" if idea.reason.strip() else " without a reason"
    return f"#{idea.experiment} “{one_line(idea.title, 100)}”, which {one_line(idea.actor, 30)} vetoed{reason}"


def _fate(experiment_id: int, history: Collection[Experiment]) -> str:
    found = next((e for e in history if e.id == experiment_id), None)
    return "still open" if found is None else str(found.verdict or found.state)


def _rationale(form: Propose, asked: Question, like: Vetoed | None) -> str:
    parts = []
    if like is not None:
        parts.append(f"Reads like #{like.experiment}, which was vetoed. What is different: {form.unlike.strip()}")
    if asked.idea is not None:
        parts.append(f"An idea of {asked.idea.actor}: “{asked.idea.body.strip()}”")
    if asked.asked is Asked.REPAIR and asked.experiment is not None:
        parts.append(f"Repairs #{asked.experiment.id}, which {Verdict.CRASHED}.")
    if asked.messages:
        parts.append(f"To your message: {form.reply.strip()}")
    elif asked.asked is Asked.REVISION and form.reply.strip():
        parts.append(f"To your note: {form.reply.strip()}")
    parts.append(form.rationale.strip())
    if form.scaling.strip():
        parts.append(f"With depth: {form.scaling.strip()}")
    return "\n\n".join(parts)
