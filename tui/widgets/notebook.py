"""The researcher's notebook: what a model wrote down for itself; what the offline one has left and learned. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from core.text import clean, one_line, signed
from tui.research import Learned, Note
from tui.snapshot import Snapshot
from tui.widgets.why import Part, when

FEW = 8
"""of the rest the number is enough"""


def notes(written: tuple[Note, ...], lab: Snapshot) -> Content:
    """What a model remembers, newest first."""
    if not written:
        return Content("The notebook is empty. What the model wants to remember between two proposals stands here.")
    parts: list[Part] = []
    for note in written:
        age = f"{when(lab.at - note.at)}: " if note.at is not None else ""
        parts += [(age, "$foreground-muted"), f"{clean(note.words.strip())}\n\n"]
    return Content.assemble(*parts)


def learning(found: Learned | None, lab: Snapshot, problem: str = "") -> Content:
    """What the offline researcher has left to try, and what it learned."""
    if problem:
        return Content.styled(clean(problem), "$text-error")
    if found is None:
        return Content(
            "The offline researcher's ideas are being read."
            if lab.champion
            else "No champion yet: the offline researcher looks at its ideas when the unchanged code is measured."
        )
    parts: list[Part] = []
    used = found.ideas - len(found.next) - len(found.passed_over)
    parts += [
        (f"Ideas: {len(found.next)} left of {found.ideas}", "bold"),
        f", {used} had their turn, {len(found.passed_over)} do not fit now\n",
        *(
            f"{'next: ' if number == 0 else ''}{one_line(title, 100)}\n"
            for number, title in enumerate(found.next[:FEW])
        ),
        *_more(len(found.next) - FEW),
        ("\nConstants it searches", "bold"),
        f": {len(found.open)} open, {len(found.closed)} closed\n",
    ]
    for slot in found.open[:FEW]:
        tried = f", {len(slot.past)} tried" if slot.past else ", not tried yet"
        domain = slot.domain
        low, high = (domain.value(bound) for bound in (slot.low, slot.high))
        parts.append(f"{one_line(slot.name, 32)} {one_line(slot.constant.text, 16)}  in {low:g} … {high:g}{tried}\n")
    parts += [*_more(len(found.open) - FEW), ("\nWhat it learned\n", "bold"), *_outcomes(found, lab)]
    if found.passed_over:
        parts.append(("\nPassed over\n", "bold"))
        parts += [f"{one_line(title, 60)}: {one_line(why, 120)}\n" for title, why in found.passed_over[:FEW]]
        parts += _more(len(found.passed_over) - FEW)
    return Content.assemble(*parts)


def _more(count: int) -> Iterable[Part]:
    if count > 0:
        yield (f"and {count} more\n", "$foreground-muted")


def _outcomes(found: Learned, lab: Snapshot) -> Iterable[Part]:
    if not found.outcomes:
        yield "Nothing yet: no change of a single constant has been measured.\n"
        return
    sign = 1.0 if lab.lab.direction == "min" else -1.0
    for one in found.outcomes[:FEW]:
        mark, style = ("✓", "$text-success") if one.kept else ("·", "$foreground-muted")
        words = (
            f" {one_line(one.name, 32)} {one.before:g} → {one.after:g}: {signed(sign * one.effect)} (#{one.experiment})"
        )
        yield (mark, style)
        yield f"{words}{', kept' if one.kept else ''}\n"
    yield from _more(len(found.outcomes) - FEW)
