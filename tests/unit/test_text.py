"""Untrusted text, made safe; numbers, made readable."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.text import (
    ago,
    bytes_text,
    clean,
    clip,
    duration,
    invisible,
    log_lines,
    number,
    one_line,
    reveal,
    signed,
    width,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)  # lone surrogates included
HIDDEN = [
    "\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069",  # bidirectional
    "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad",  # zero width
    "\u2028", "\u2029", "\x80", "\x85", "\x9b", "\x9d",  # separators and C1
    "\ud800", "\udfff", "\ufe0f", "\U000e0100", "\U000e0041",  # surrogates, variation selectors, tags
]  # fmt: skip


@settings(deadline=None)
@given(ANY_TEXT)
def test_cleaned_text_holds_nothing_a_terminal_obeys_or_hides(text: str) -> None:
    shown = clean(text)
    assert not any((ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert not any(char in shown for char in HIDDEN)
    shown.encode()  # writable to any UTF-8 stream


@settings(deadline=None)
@given(ANY_TEXT)
def test_cleaning_keeps_every_character_in_its_place_and_cleaning_twice_changes_nothing(text: str) -> None:
    assert len(clean(text)) == len(text)
    assert clean(clean(text)) == clean(text)
    assert reveal(reveal(text)) == reveal(text)


@pytest.mark.parametrize("char", HIDDEN)
def test_a_hidden_character_takes_one_cell_on_screens_and_is_named_in_diffs(char: str) -> None:
    assert clean(f"a{char}b") == "a\ufffdb"
    assert reveal(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"
    assert [found.column for found in invisible(f"x\na{char}b")] == [2]


def test_control_characters_become_their_pictures() -> None:
    assert clean("\x1b]52;c;aGk=\x07\x7f") == "␛]52;c;aGk=␇␡"
    assert reveal("\x1bc") == "␛c"
    assert clean("tab\there\nnext") == "tab\there\nnext"


def test_ordinary_text_of_any_language_stays_as_it_is() -> None:
    text = "learning rate σ=0.1 → 学習率 é\u00a0ñ 🙂 ⟨x⟩"
    assert clean(text) == reveal(text) == text
    assert invisible(text) == []


def test_suspicious_characters_are_reported_by_line_column_and_name() -> None:
    found = invisible("one\r\nif x:\u202e # y\r\n\x1b[2J")
    assert [(item.line, item.column) for item in found] == [(2, 6), (3, 1)]
    assert found[0].name == "U+202E RIGHT-TO-LEFT OVERRIDE"
    assert found[1].name == "U+001B ESCAPE"


@pytest.mark.parametrize(
    ("chunk", "lines"),
    [
        ("", []),
        ("a\nb\n", ["a", "b"]),
        ("a\n\nb", ["a", "", "b"]),
        ("step 1\rstep 2\rstep 3\n", ["step 3"]),
        ("windows\r\nline\r\n", ["windows", "line"]),
        ("step 1\r", ["step 1"]),
        ("\x1b[1;31mred\x1b[0m plain", ["red plain"]),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\ end", ["link end"]),
        ("\x1bP1$r0m\x1b\\dcs \x1bc reset \x1b(B", ["dcs  reset "]),
        ("\x9b31mred \x9d0;title\x9c.", ["red ."]),
        ("never \x1b]0;closed", ["never ␛]0;closed"]),
        ("a\x0bb\x85c\u2028d", ["a␋b\ufffdc\ufffdd"]),
        ("[/] [6n {x}", ["[/] [6n {x}"]),
    ],
)
def test_training_output_becomes_safe_lines(chunk: str, lines: list[str]) -> None:
    assert log_lines(chunk) == lines


def test_a_ten_megabyte_line_is_cut_to_a_thousand_characters() -> None:
    (line,) = log_lines("x" * 10_000_000)
    assert len(line) == 1000
    assert line.endswith("x…")


@settings(deadline=None)
@given(ANY_TEXT)
def test_log_lines_hold_no_escape_and_no_line_breaks(chunk: str) -> None:
    for line in log_lines(chunk):
        assert "\x1b" not in line
        assert "\n" not in line
        assert "\r" not in line


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("学習率", 6, "学習率"),
        ("学習率", 5, "学習…"),
        ("学習率", 4, "学…"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
    ],
)
def test_clipping_counts_cells_and_marks_the_cut(text: str, limit: int, shown: str) -> None:
    assert clip(text, limit) == shown


@settings(deadline=None)
@given(ANY_TEXT, st.integers(0, 40))
def test_one_line_is_one_safe_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert width(line) <= limit
    assert not set(line) & set("\n\r\t\x1b")


def test_a_title_on_several_lines_is_joined_with_single_spaces() -> None:
    assert one_line("  sharpen\n\tQK-norm  ", 40) == "sharpen QK-norm"


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (None, 4, "–"),
        (math.nan, 4, "–"),
        (math.inf, 4, "∞"),
        (-math.inf, 4, "-∞"),
        (0.0, 2, "0.00"),
        (-0.00001, 4, "0.0000"),
        (1.02345, 4, "1.0234"),
        (1234567.8, 0, "1,234,568"),
        (-1234.5, 1, "-1,234.5"),
    ],
)
def test_a_number_that_is_not_known_is_a_dash_and_never_zero(value: float | None, digits: int, shown: str) -> None:
    assert number(value, digits) == shown


@pytest.mark.parametrize(
    ("delta", "shown"),
    [(None, "–"), (math.nan, "–"), (0.004, "+0.0040"), (-0.0123, "-0.0123"), (0.0, "0.0000"), (1e-9, "0.0000"),
     (1234.0, "+1,234.0000"), (math.inf, "+∞")],
)  # fmt: skip
def test_a_difference_carries_its_sign(delta: float | None, shown: str) -> None:
    assert signed(delta) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (math.nan, "–"), (0, "0.0s"), (4.23, "4.2s"), (9.99, "10s"), (42, "42s"), (59.7, "1m00s"),
     (192, "3m12s"), (7500, "2h05m"), (3 * 86400 + 4 * 3600, "3d04h"), (-5, "-5.0s")],
)  # fmt: skip
def test_durations_read_like_a_clock(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (-3, "just now"), (2, "just now"), (45, "45s ago"),
      (200, "3m ago"), (7300, "2h ago"), (500_000, "5d ago")],
)  # fmt: skip
def test_ago_uses_one_unit(seconds: float | None, shown: str) -> None:
    assert ago(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, "–"), (0, "0 B"), (512, "512 B"), (1023, "1.0 KiB"), (3_565_158, "3.4 MiB"), (149_250_000_000, "139 GiB"),
     (5 * 1024**5, "5120 TiB")],
)  # fmt: skip
def test_sizes_use_binary_units(count: float | None, shown: str) -> None:
    assert bytes_text(count) == shown
