"""What the offline researcher understands of a human's note: a number, or a word for larger, smaller or half. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.researchers.constants import Domain

_NUMBER = re.compile(
    r"(?<![\w.])[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    r"(?![\w×]|\.[0-9]|\s*(?:%|percent|times|x\b))"  # a factor is no value
)
_NOT = re.compile(r"\b(not|no|never|neither|nor|cannot|without|unless)\b|n't\b", re.IGNORECASE)
_GENTLER = re.compile(
    r"\b(half|halve|halfway|gentler|milder|too (far|much)|less far|(smaller|shorter) (step|change))\b",
    re.IGNORECASE,
)
_LOWER = re.compile(r"\b(smaller|lower|less|fewer|decrease|reduce|down|too (high|large|big))\b", re.IGNORECASE)
_HIGHER = re.compile(r"\b(larger|higher|bigger|more|increase|raise|up|too (low|small))\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wish:
    """A value a note asks for, and how the note was read."""

    value: float
    reading: str


def read_note(note: str, before: float, after: float, domain: Domain) -> Wish | None:
    """What to put in place of `after`, proposed for a constant that stood at `before`; None: not understood.

    Anything with a negation, or with words for both directions, is not understood rather than guessed at.
    """
    if _NOT.search(note):
        return None
    numbers = {float(number.replace("_", "")) for number in _NUMBER.findall(note)}
    here, there = domain.position(before), domain.position(after)
    halfway = domain.value((here + there) / 2)
    if _GENTLER.search(note):
        return None if numbers - {before, after} else Wish(halfway, f"half of the step, from {before:g}")
    lower, higher = bool(_LOWER.search(note)), bool(_HIGHER.search(note))
    if lower != higher and not numbers - {before, after}:
        back = lower == (there > here)  # towards where it stood
        value = halfway if back else domain.value(there + (there - here) / 2)
        return Wish(value, f"a {'smaller' if lower else 'larger'} value than {after:g}")
    if len(numbers) == 1 and not (lower and higher):
        (value,) = numbers
        fits = (not lower or value < after) and (not higher or value > after)
        return Wish(value, f"the value {value:g}") if fits else None
    return None
