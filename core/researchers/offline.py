"""The researcher that needs no network: a notebook of ideas, and a search over the constants of the file.

It works in a fixed order. Pages of the notebook come first, and every third proposal is a change of constants; when the
notebook is used up only the search goes on. All it knows it reads from the record, so the same history and seed give
the same proposal. It has no understanding of language and says so where a human's words would need one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import ResearcherError
from core.models import Proposal
from core.researchers.base import Revision, Say, Situation
from core.researchers.constants import Constant, domain_of, find_constants, with_values, written
from core.researchers.notebook import Page, Skipped, notebook, pages
from core.researchers.notes import read_note
from core.researchers.outcomes import Change, change_of, outcomes, read_key
from core.researchers.search import suggestions
from core.researchers.wording import Words, constants_words, notebook_rationale

CONSTANTS_EVERY = 3
"""while the notebook has pages, one proposal in so many changes constants"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change of constants, written out."""

    files: dict[str, str]
    key: str
    category: str
    words: Words


class OfflineResearcher:
    """Proposes from the notebook and from a search over constants."""

    name = "offline"

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        """The next experiment, or None when notebook and search have run dry.

        Raises:
            ResearcherError: a human sent an experiment back with a note it cannot follow.
        """
        if situation.revision is not None:
            return self._revised(situation, situation.revision, say)
        mine = sum(experiment.author.startswith("offline/") for experiment in situation.history)
        sources = [self._from_notebook, self._from_constants]
        if mine % CONSTANTS_EVERY == CONSTANTS_EVERY - 1:
            sources.reverse()
        for source in sources:
            proposal = await source(situation, say)
            if proposal is not None:
                return proposal
        say("has run dry: no page of the notebook applies, and every constant has been tried")
        return None

    async def _from_notebook(self, situation: Situation, say: Say) -> Proposal | None:
        say("leafing through the notebook")
        ideas = await asyncio.to_thread(notebook)
        left = pages(ideas, situation.files, situation.history, situation.champion)
        while (page := await asyncio.to_thread(next, left, None)) is not None:
            if isinstance(page, Skipped):
                say(f"passes over “{page.idea.title}”: {page.reason}")
            elif situation.tried(page.files) is None:
                return _from_page(page, situation)
        return None

    async def _from_constants(self, situation: Situation, say: Say) -> Proposal | None:
        say("searching the constants")
        found = candidates(situation)
        while (candidate := await asyncio.to_thread(next, found, None)) is not None:
            if situation.tried(candidate.files) is None:  # asked here: it reads the engine's database
                return _from_candidate(candidate, situation, "offline/constants")
        return None

    def _revised(self, situation: Situation, revision: Revision, say: Say) -> Proposal:
        say("reading the note")
        candidate = revised(situation, revision)
        same = situation.tried(candidate.files)
        if same is not None and same != revision.experiment.id:
            raise ResearcherError(
                f"The note asks for what experiment {same} already tried.", hint="Edit the patch (e) or veto it."
            )
        return _from_candidate(candidate, situation, revision.experiment.author)


def candidates(situation: Situation) -> Iterator[Candidate]:
    """Changes of constants nobody proposed yet, best first; in each file in turn. Slow: run it in a thread."""
    for path, content in sorted(situation.files.items()):
        constants = find_constants({path: content})
        found = outcomes(situation.history, situation.reviews, situation.direction, path)
        if not constants:
            continue
        for suggestion in suggestions(constants, found, seed=situation.seed, sigma=situation.sigma):
            words = constants_words(suggestion, situation.metric, situation.direction, situation.sigma)
            yield _candidate(path, content, suggestion.values, words)


def _candidate(path: str, content: str, values: dict[Constant, float], words: Words, idea: str = "") -> Candidate:
    change = Change(path, {c.name: c.value for c in values}, {c.name: value for c, value in values.items()})
    key = change.key("notebook", idea=idea) if idea else change.key("constants")
    return Candidate({path: with_values(content, values)}, key, next(iter(values)).category, words)


def revised(situation: Situation, revision: Revision) -> Candidate:
    """The change of one constant that a human's note asks for instead of the one sent back.

    Raises:
        ResearcherError: the experiment is not a change of one constant, or the note is not understood.
    """
    change = change_of(revision.experiment.key)
    if change is None or len(change.after) != 1:
        raise _cannot_follow("It follows notes only where an experiment changes a single number.")
    ((name, after),) = change.after.items()
    content = situation.files.get(change.file, "")
    constant = next((one for one in find_constants({change.file: content}) if one.name == name), None)
    past = [
        outcome
        for outcome in outcomes(situation.history, situation.reviews, situation.direction, change.file)
        if outcome.name == name
    ]
    domain = domain_of(constant, [outcome.after for outcome in past]) if constant else None
    if constant is None or domain is None:
        raise _cannot_follow(f"{change.file} has no constant {name} any more.")
    wish = read_note(revision.note, change.before[name], after, domain)
    if wish is None or wish.value in (after, constant.value) or (constant.integer and wish.value % 1):
        raise _cannot_follow("It understands one new value, or “smaller”, “larger”, “half the step”, without a “not”.")
    text = written(constant, wish.value)
    words = Words(
        title=f"{name} {constant.text} → {text}",
        hypothesis=f"{name} does better at {text}, as the reviewer's note asks.",
        rationale=(
            f"Sent back at {after:g} with the note: {revision.note.strip()}\nRead by a simple rule as: {wish.reading}. "
            "If that is not what was meant, edit the patch."
        ),
        expected=revision.experiment.expected,
    )
    idea = str(read_key(revision.experiment.key).get("idea", ""))
    return _candidate(change.file, content, {constant: wish.value}, words, idea)


def _cannot_follow(why: str) -> ResearcherError:
    return ResearcherError(
        f"The offline researcher cannot follow this note. {why}",
        hint="Edit the patch yourself (e), veto it, or set ANTHROPIC_API_KEY for a researcher that reads.",
    )


def _from_page(page: Page, situation: Situation) -> Proposal:
    return Proposal(
        title=page.idea.title,
        hypothesis=page.idea.hypothesis,
        rationale=_with_silence(notebook_rationale(page.idea), situation),
        category=page.idea.category,
        files=page.files,
        author="offline/notebook",
        expected=page.idea.expected,
        key=page.key,
    )


def _from_candidate(candidate: Candidate, situation: Situation, author: str) -> Proposal:
    return Proposal(
        title=candidate.words.title,
        hypothesis=candidate.words.hypothesis,
        rationale=_with_silence(candidate.words.rationale, situation),
        category=candidate.category,
        files=candidate.files,
        author=author,
        expected=candidate.words.expected,
        key=candidate.key,
    )


def _with_silence(rationale: str, situation: Situation) -> str:
    """The rationale, and a word on messages that nobody here can answer."""
    if not situation.messages:
        return rationale
    return f"{rationale}\n\nThis does not answer the message that waits: the offline researcher cannot read prose."
