"""Sample values for the gallery's words and tables: reviews, a conversation, a notebook, a bill."""

from __future__ import annotations

from dataclasses import replace

from core.models import Decision, Message, Review, State, Verdict, Via
from core.store.rows import Summary
from tui.research import Note, Research, Spending, Tokens, Use
from tui.reviews import Decided
from tui.snapshot import ResearcherNote, Snapshot

NOW = 1_790_000_000.0
RATIONALE = (
    "The queries and keys are normalised, so the scale of the logits is fixed at one. A model this small then attends "
    "too evenly: the entropy of its attention rows stays near the maximum until half of the budget is gone. A gain of "
    "1.2 sharpens them from the first step on and costs no parameter and no time.\n\n"
    "It was tried at depth 24 by others, with a gain of 0.002. Here the heads are narrower, so it should help more. "
    "Against it speaks that the gain could be learned, but at this budget a learned one has not moved by the end. "
)


def summaries(titles: tuple[str, ...] = ("Sharpen QK-norm with a multiplier", "SOFTCAP 15 → 22")) -> list[Summary]:
    """Three kept or discarded experiments and one that waits, of every title."""
    verdicts = (Verdict.KEEP, Verdict.DISCARD, Verdict.CRASHED, None)
    found = []
    for number in range(4 * len(titles)):
        verdict, delta = verdicts[number % 4], (-0.0093, 0.0061, None, None)[number % 4]
        state = State.JUDGED if verdict else State.PROPOSED
        row = Summary(
            number + 1, state, titles[number % len(titles)], "claude", "optimizer", verdict, None, delta,
            None, None, None, None, None, NOW - 9_000,
        )  # fmt: skip
        found.append(row)
    return found


def reviews(count: int, words: str = "small and clear") -> list[Decided]:
    """Reviews of every kind, newest first."""
    kinds = tuple(Decision)
    known = summaries((words,)) if words != "small and clear" else summaries()
    found = []
    for number in range(count, 0, -1):
        decision = kinds[number % len(kinds)]
        policy = "guarded/small" if number % 7 == 0 and decision is Decision.APPROVE else ""
        review = Review(
            number, known[number % len(known)].id, decision, words, "a" * 64, None, None, None,
            None if policy else 7.0 * number % 300, "autonomy guarded" if policy else ("anna", "ben")[number % 2],
            Via.POLICY if policy else Via.TUI, policy, NOW - 400 * (count - number),
            NOW if number % 11 == 0 else None, Verdict.DISCARD if decision is Decision.OVERRIDE else None,
        )  # fmt: skip
        found.append(Decided(review, known[number % len(known)]))
    return found


def lab(words: str = "") -> Snapshot:
    """A lab whose researcher is a model that writes these words."""
    doing = "writes “Sharpen QK-norm with a multiplier” · 14,210 tokens"
    note = ResearcherNote("claude", "thinking", NOW - 42, f"{doing}\n{words}" if words else doing)
    return Snapshot(at=NOW, seq=1, alive=True, researcher=note, history=tuple(reversed(summaries())))


def research(*, words: str = "Leave the evaluation alone, please.", capped: bool = False) -> Research:
    """What the Researcher screen reads, with words from outside."""
    used = Tokens(38, 41_200, 18_930, 402_110, 22_040, 1.27)
    asked = Message(2, NOW - 120, "anna", "message", words, None)
    uses = (
        Use("proposal", 12_400, 400_000, 0.0, 0.0),
        Use("day", 82_170, 80_000 if capped else 500_000, 1.27, 0.0),
        Use("lab", 82_170, 0, 1.27, 20.0),
    )
    return Research(
        (asked, replace(asked, id=1, at=NOW - 7_200, kind="idea", answered_by=1)),
        (Note(words, NOW - 300), Note("Warm-up below 0.01 diverges at this batch.", None)),
        spending=Spending(used, used, uses, 0.042, 0.63, 2, 30),
    )
