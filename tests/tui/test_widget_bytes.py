"""Bytes on the wire, counted on a real pty at 120x36 with the widget on the whole screen."""

from __future__ import annotations

import sys

import pytest

from tests.tui.byte_counter import Pty

pytestmark = pytest.mark.slow


def gallery(state: str) -> Pty:
    terminal = Pty([sys.executable, "-m", "tui.gallery", "--state", state])
    terminal.settle(quiet=1.5)
    return terminal


@pytest.mark.parametrize("state", ["chart", "gauges", "log"])
def test_a_live_tick_costs_less_than_400_bytes_and_idling_nothing(state: str) -> None:
    with gallery(state) as terminal:
        assert terminal.idle(1.5) == 0
        ticks = [terminal.count("t", quiet=0.7) for _ in range(5)]
        assert max(ticks) <= 400


def test_a_page_of_a_long_diff_costs_less_than_eight_kilobytes() -> None:
    with gallery("diff-long") as terminal:
        assert terminal.idle(1.5) == 0
        assert terminal.count("pagedown") <= 8_000
        assert terminal.count("j") <= 600
        assert terminal.text.count("▸") == 1


@pytest.mark.soak
def test_hostile_text_reaches_the_terminal_as_pictures() -> None:
    for state in ("diff-hostile", "log-hostile", "chart-hostile"):
        with gallery(state) as terminal:
            assert b"\x1b]52" not in terminal.written
            assert b"\x1bc" not in terminal.written
            assert "\u202e".encode() not in terminal.written
            assert "\x9b".encode() not in terminal.written


def test_a_text_that_grows_costs_little_more_than_itself_save_when_a_page_is_turned() -> None:
    with gallery("writing") as terminal:
        assert terminal.idle(1.5) == 0
        ticks = [terminal.count("t", quiet=0.7) for _ in range(12)]  # fifty characters each
        assert sum(ticks) - max(ticks) <= 200 * 11
