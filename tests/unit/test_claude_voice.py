"""What the screen is told of a text that grows: its end, from a place that stays for a while."""

from __future__ import annotations

from itertools import pairwise

from core.researchers.claude.voice import SHOWN, STEP, newest

TEXT = " ".join(f"word{number}" for number in range(3_000))


def test_a_short_text_is_shown_whole() -> None:
    assert newest(TEXT[:SHOWN]) == TEXT[:SHOWN]


def test_of_a_long_one_the_end_is_shown_and_it_begins_with_a_whole_word() -> None:
    for size in range(SHOWN + 1, len(TEXT), 97):
        shown = newest(TEXT[:size])
        assert shown.startswith("… word")
        assert TEXT[:size].endswith(shown.removeprefix("… "))
        assert SHOWN - STEP - 20 < len(shown) <= SHOWN + 2


def test_what_is_shown_begins_elsewhere_only_after_many_characters() -> None:
    beginnings = [newest(TEXT[:size])[:20] for size in range(SHOWN + 1, len(TEXT))]
    changes = sum(a != b for a, b in pairwise(beginnings))
    assert changes <= len(beginnings) // STEP + 1


def test_a_text_without_a_space_is_cut_all_the_same() -> None:
    assert len(newest("x" * 9_999)) <= SHOWN + 2
