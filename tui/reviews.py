"""Which reviews the Decisions screen lists, and what each of them says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from core.errors import PatchError
from core.models import Decision, Experiment, Review, State, Via
from core.store.reader import Reader
from core.store.rows import Summary
from core.text import one_line
from tui.listing import SIGNS, Outcome, outcome

if TYPE_CHECKING:  # imported inside the functions that run in a thread
    from core.patches import Hunk, Patch

ANY_RULE = "any rule"


class Said(StrEnum):
    """A decision as one word."""

    APPROVED = "approved"
    EDITED = "edited"
    PART = "in part"
    """approved without some hunks"""
    SENT_BACK = "sent back"
    VETOED = "vetoed"
    SETTLED = "settled"


SAID = {
    Decision.APPROVE: Said.APPROVED,
    Decision.APPROVE_EDITED: Said.EDITED,
    Decision.REVISE: Said.SENT_BACK,
    Decision.VETO: Said.VETOED,
    Decision.OVERRIDE: Said.SETTLED,
}
SAID_SIGNS = {
    Said.APPROVED: "▹",
    Said.EDITED: "±",
    Said.PART: "±",
    Said.SENT_BACK: "↺",
    Said.VETOED: "-",
    Said.SETTLED: "!",
}


@dataclass(frozen=True, slots=True)
class Decided:
    """A review and the experiment it is about, as that stands now."""

    review: Review
    summary: Summary | None

    @property
    def said(self) -> Said:
        return Said.PART if self.review.in_part else SAID[self.review.decision]

    @property
    def rule(self) -> str:
        """The rule of the autonomy dial that decided; empty for a person."""
        return (self.review.policy or self.review.actor) if self.review.via is Via.POLICY else ""

    @property
    def who(self) -> str:
        """The person, or the rule of the dial."""
        return f"dial {self.rule}" if self.rule else self.review.actor

    @property
    def undone(self) -> bool:
        return self.review.undone_at is not None

    @property
    def outcome(self) -> Outcome | None:
        """What came of it; None where nothing can come of it: taken back, or never run."""
        if self.undone or self.summary is None or self.summary.state is State.VETOED:
            return None
        return outcome(self.summary)

    @property
    def came_of_it(self) -> str:
        """The same as a word with its sign."""
        if self.undone:
            return "taken back"
        found = self.outcome
        return f"{SIGNS[found]} {found}" if found else ""

    @property
    def delta(self) -> float | None:
        return self.summary.delta if self.summary and self.outcome else None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to leave out of the list."""

    said: Said | None = None
    who: str | None = None
    """a person"""
    rule: str | None = None
    """a rule of the dial, or any of them"""
    words: str = ""

    @property
    def narrowed(self) -> bool:
        return self != Wishes()

    def take(self, row: Decided) -> bool:
        if self.said is not None and row.said is not self.said:
            return False
        if self.who is not None and (row.rule or row.review.actor != self.who):
            return False
        if self.rule is not None and (not row.rule or self.rule not in (ANY_RULE, row.rule)):
            return False
        return not self.words or self.words.lower() in _words(row)


def _words(row: Decided) -> str:
    """Everything a search looks through."""
    title = row.summary.title if row.summary else ""
    return f"#{row.review.experiment_id} {title}\n{row.review.reason}\n{row.who}\n{row.said}\n{row.came_of_it}".lower()


def decided(
    reviews: Mapping[int, Review], experiments: Mapping[int, Summary], known: Iterable[Decided] = ()
) -> list[Decided]:
    """The rows, newest first; rows of `known` that stand as they stood are the same objects."""
    before = {row.review.id: row for row in known}
    rows = []
    for number in sorted(reviews, reverse=True):
        review, old = reviews[number], before.get(number)
        summary = experiments.get(review.experiment_id)
        same = old is not None and old.review is review and old.summary is summary
        rows.append(old if same and old is not None else Decided(review, summary))
    return rows


def said_in(rows: Iterable[Decided]) -> list[Said]:
    """The decisions that occur, in their own order."""
    there = {row.said for row in rows}
    return [one for one in Said if one in there]


def people_in(rows: Iterable[Decided]) -> list[str]:
    return sorted({row.review.actor for row in rows if not row.rule})


def rules_in(rows: Iterable[Decided]) -> list[str]:
    """Any rule, then each of them; nothing where the dial never let anything through."""
    rules = sorted({row.rule for row in rows if row.rule})
    return [ANY_RULE, *rules] if rules else []


def wishes_in_words(wishes: Wishes, *, brief: bool = False) -> str:
    """What is listed, for the row under the table."""
    words = []
    if wishes.said is not None:
        words.append(str(wishes.said) if brief else f"only {wishes.said}")
    if wishes.who is not None:
        words.append(f"by {one_line(wishes.who, 8 if brief else 20)}")
    if wishes.rule is not None:
        words.append(one_line(wishes.rule, 16) if brief else f"let through by {one_line(wishes.rule, 20)}")
    if wishes.words:
        words.append(f"“{one_line(wishes.words, 8)}”" if brief else f"with “{one_line(wishes.words, 20)}”")
    return ", ".join(words)


# ---- one of them, with what the person changed ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """A review with everything there is to say about it."""

    row: Decided
    experiment: Experiment | None
    hunks: int = 0
    """hunks of the patch that was on the screen"""
    switched_out: tuple[Hunk, ...] = ()
    edited: tuple[str, ...] = ()
    """what an edit changed in the lines of the proposal, `no longer` and `now`"""


def whole(reader: Reader, row: Decided) -> Whole:
    """Read it; a patch that cannot be read is left out.

    Raises:
        StoreError: the record cannot be read.
    """
    from core.patches import parse

    review, experiment = row.review, reader.experiment(row.review.experiment_id)
    try:
        shown = parse(reader.patch(review.patch_sha256) or "")
        if review.decision is not Decision.APPROVE_EDITED:
            return Whole(row, experiment, len(shown.hunks))
        if review.hunks_kept is not None:
            out = tuple(hunk for hunk in shown.hunks if hunk.index not in review.hunks_kept)
            return Whole(row, experiment, len(shown.hunks), out)
        ran = parse(reader.patch(review.approved_sha256 or "") or "")
    except PatchError:
        return Whole(row, experiment)
    return Whole(row, experiment, len(shown.hunks), (), tuple(edits(shown, ran)))


def edits(shown: Patch, ran: Patch) -> list[str]:
    """What a person's edit changed: the lines that one patch changes and the other does not."""
    from difflib import SequenceMatcher

    before, after = _changed(shown), _changed(ran)
    lines = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            lines += [f"no longer {line}" for line in before[a:b]] + [f"now {line}" for line in after[c:d]]
    return lines


def _changed(patch: Patch) -> list[str]:
    return [line for hunk in patch.hunks for line in hunk.lines if line[0] in "+-"]
