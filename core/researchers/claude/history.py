"""The record as a model reads it: a line an experiment, older ones summarised until everything fits. Pure.

Lines are in the order in which experiments were settled, so that the text only grows at its end, and are handed out in
chunks of a fixed length: a whole chunk never changes again, which is what a prompt cache needs. What no longer fits is
summarised by category, in steps of several chunks, so that the cut moves rarely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.models import OPEN_STATES, Decision, Experiment, Review, State, Verdict
from core.researchers.claude.question import by_category, near_misses
from core.researchers.claude.words import estimate
from core.text import one_line, signed

CHUNK = 25
"""lines of one block"""
STEP = 4 * CHUNK
"""the cut between summarised and whole moves by so many experiments"""
REASON = 160
VETOES = 60
"""older vetoes that are still named"""
HEADS = 200
"""tokens that headings take"""
DIGITS = 5
"""behind the point: real gains in val_bpb begin at the fourth"""


@dataclass(frozen=True, slots=True)
class History:
    """The settled experiments as text."""

    older: str
    """the summary of those that do not fit; empty while all do"""
    chunks: tuple[str, ...]
    """whole chunks, which will not change again"""
    newest: str
    """the lines after the last whole chunk"""


def settled(history: Sequence[Experiment]) -> list[Experiment]:
    """Experiments that will not move any more, in the order in which that became so."""
    done = [e for e in history if e.state not in OPEN_STATES]
    return sorted(done, key=lambda e: (e.judged_at or e.decided_at or e.created_at, e.id))


def line(experiment: Experiment, reviews: Sequence[Review] = ()) -> str:
    """One experiment in one line."""
    title = one_line(experiment.title, 120)
    return f"#{experiment.id} {outcome(experiment, reviews)} | {one_line(experiment.category, 30)} | {title}"


def outcome(experiment: Experiment, reviews: Sequence[Review] = ()) -> str:
    """What became of an experiment, in a few words."""
    match experiment.state:
        case State.VETOED:
            vetoes = [r for r in reviews if r.decision is Decision.VETO and r.undone_at is None]
            why = f" by {one_line(vetoes[-1].actor, 20)}: “{one_line(vetoes[-1].reason, REASON)}”" if vetoes else ""
            return f"vetoed{why}"
        case State.INVALID:
            return f"invalid: {one_line(experiment.problem, REASON)}"
        case State.JUDGED:
            by_hand = f" (by {one_line(experiment.overridden_by, 20)})" if experiment.overridden_by else ""
            verdict = f"{experiment.verdict}{by_hand}"
            if experiment.delta is None:
                return f"{verdict}: {one_line(experiment.verdict_reason, REASON)}"
            runs = f" n={experiment.confirmations}" if experiment.confirmations else ""
            return f"{verdict} Δ{signed(experiment.delta, DIGITS)}{interval(experiment)}{runs}"
    return str(experiment.state)


def interval(experiment: Experiment) -> str:
    """The 95 % interval of the difference."""
    if experiment.delta_low is None or experiment.delta_high is None:
        return ""
    return f" [{signed(experiment.delta_low, DIGITS)}, {signed(experiment.delta_high, DIGITS)}]"


def history(
    experiments: Sequence[Experiment], reviews: Mapping[int, Sequence[Review]], direction: str, tokens: int
) -> History:
    """The settled experiments in at most about so many tokens: the newest whole, older ones summarised."""
    done = settled(experiments)
    lines = _newest(done, reviews, tokens)
    cut = _cut(len(done), lines, tokens)
    older = summary(done[:cut], reviews, direction) if cut else ""
    if older:  # it takes room, too
        first, cut = cut, _cut(len(done), lines, tokens - estimate(older) - HEADS)
        older = older if cut == first else summary(done[:cut], reviews, direction)
    shown = lines[: len(done) - cut][::-1]
    whole = len(shown) - len(shown) % CHUNK
    chunks = tuple("\n".join(shown[at : at + CHUNK]) for at in range(0, whole, CHUNK))
    return History(older, chunks, "\n".join(shown[whole:]))


def _newest(done: Sequence[Experiment], reviews: Mapping[int, Sequence[Review]], tokens: int) -> list[str]:
    """The lines of the newest experiments, newest first, as many as could fit."""
    lines: list[str] = []
    left = tokens
    for experiment in reversed(done):
        lines.append(line(experiment, reviews.get(experiment.id, ())))
        left -= estimate(lines[-1])
        if left < 0:
            break
    return lines


def _cut(count: int, lines: Sequence[str], tokens: int) -> int:
    """How many of the oldest are summarised so that the rest fits: a whole number of steps, so that it moves rarely."""
    fit, left = 0, tokens
    for text in lines:
        left -= estimate(text)
        if left < 0:
            break
        fit += 1
    return min(-(-(count - fit) // STEP) * STEP, count)


def summary(older: Sequence[Experiment], reviews: Mapping[int, Sequence[Review]], direction: str) -> str:
    """Experiments that are not shown one by one: a line a category, what nearly worked, and every veto that fits."""
    rows = []
    for category, mine in sorted(by_category(older).items(), key=lambda item: (-len(item[1]), item[0])):
        kept = [e for e in mine if e.verdict is Verdict.KEEP]
        counts = {
            "kept": len(kept),
            "discarded": sum(e.verdict in (Verdict.DISCARD, Verdict.INCONCLUSIVE) for e in mine),
            "crashed": sum(e.verdict is Verdict.CRASHED for e in mine),
            "void or suspect": sum(e.verdict in (Verdict.VOID, Verdict.SUSPECT) for e in mine),
            "vetoed": sum(e.state is State.VETOED for e in mine),
        }
        words = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        close = near_misses(mine, direction)[:3]
        near = "; ".join(f"#{e.id} {one_line(e.title, 60)} (Δ{signed(e.delta, DIGITS)})" for e in close)
        rows.append(f"{category}: {len(mine)} proposed, {words}" + (f". Near misses: {near}" if near else ""))
    rows += _vetoes(older, reviews)
    return "\n".join(rows)


def _vetoes(older: Sequence[Experiment], reviews: Mapping[int, Sequence[Review]]) -> list[str]:
    """What humans do not want, in few words: it holds for ever, so it is not summarised away."""
    vetoed = [e for e in older if e.state is State.VETOED]
    rows = [
        f"#{e.id} {one_line(e.title, 80)} ({one_line(veto.reason, 80) or 'no reason given'})"
        for e in vetoed[-VETOES:]
        if (veto := next((r for r in reversed(reviews.get(e.id, ())) if r.decision is Decision.VETO), None))
    ]
    missing = len(vetoed) - len(rows)
    more = f" ({missing} earlier ones: `experiments` with state vetoed)" if missing else ""
    return [f"Vetoed, not to be proposed again{more}:", *rows] if rows else []


def lineage(experiments: Sequence[Experiment], direction: str, tokens: int) -> str:
    """Every kept change, oldest first; where they do not fit, the oldest are counted."""
    kept = [e for e in settled(experiments) if e.verdict is Verdict.KEEP]
    lines = [f"{line(e)}{_expected(e)}" for e in kept]
    left = tokens
    shown: list[str] = []
    for text in reversed(lines):
        left -= estimate(text)
        if left < 0:
            break
        shown.append(text)
    missing = len(lines) - len(shown)
    head = [f"({missing} earlier ones; `experiments` with verdict keep shows them)"] if missing else []
    return "\n".join([*head, *reversed(shown)])


def _expected(experiment: Experiment) -> str:
    return f" (expected: {one_line(experiment.expected, 60)})" if experiment.expected else ""
