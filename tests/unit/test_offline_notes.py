"""What the offline researcher understands of a note, and that it does not guess at the rest."""

from __future__ import annotations

import pytest

from core.researchers.constants import domain_of, find_constants
from core.researchers.notes import Wish, read_note
from tests.unit.offline_fixtures import SMALL

MATRIX_LR = find_constants({"train.py": SMALL})[0]


def read(note: str, before: float = 0.04, after: float = 0.08) -> Wish | None:
    domain = domain_of(MATRIX_LR)
    assert domain is not None
    return read_note(note, before, after, domain)


@pytest.mark.parametrize(
    ("note", "value"),
    [
        ("try 0.05", 0.05),
        ("0.05", 0.05),
        ("Please use 5e-2 instead.", 0.05),
        ("lower, 0.06", 0.06),
        ("half the step", 0.057),
        ("smaller", 0.057),
        ("too high", 0.057),
        ("smaller than 0.08", 0.057),
        ("go further up", 0.115),
        ("larger!", 0.115),
        ("gentler please", 0.057),
    ],
)
def test_a_number_or_a_plain_word_is_followed(note: str, value: float) -> None:
    wish = read(note)
    assert wish is not None
    assert wish.value == value


def test_smaller_means_a_smaller_value_also_after_a_step_down() -> None:
    further, back = read("smaller", 0.04, 0.02), read("larger", 0.04, 0.02)
    assert further is not None
    assert back is not None
    assert further.value < 0.02 < back.value < 0.04


@pytest.mark.parametrize(
    "note",
    [
        "",
        "I do not like this",
        "not smaller",
        "don't go higher",
        "between 0.05 and 0.06",
        "either smaller or larger",
        "why?",
        "by 10 %",
        "2x",
        "3 times",
        "higher, 0.05",
        "see issue #12 and 7",
        "half, or 0.05",
    ],
)
def test_anything_else_is_not_guessed_at(note: str) -> None:
    assert read(note) is None
