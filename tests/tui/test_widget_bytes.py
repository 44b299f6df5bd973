"""Bytes on the wire, counted on a real pty at 120x36 with the widget on the whole screen."""

from __future__ import annotations

import sys

import pytest

from tests.tui.byte_counter import Pty

pytestmark = pytest.mark.slow


def shown(terminal: Pty) -> str:
    """The exhibit that is up."""
    return terminal.text.split("\n", 1)[0].split()[1]


def flip_to(terminal: Pty, state: str) -> None:
    """Goes on to an exhibit, and waits until it stands still: left alone it writes nothing."""
    while (before := shown(terminal)) != state:
        terminal.send("\t")
        while shown(terminal) == before:
            assert terminal.settle(quiet=0.05), terminal.text
    terminal.settle(quiet=1.5, first=False)
    assert terminal.idle(1.5) == 0


def test_a_widget_that_lives_costs_little_on_the_wire_and_one_that_rests_nothing() -> None:
    """In one gallery: starting it takes longer than all that is measured."""
    with Pty([sys.executable, "-m", "tui.gallery", "--state", "diff-long"]) as terminal:
        terminal.settle(quiet=1.5)
        flip_to(terminal, "diff-long")
        assert terminal.count("pagedown", quiet=1.0) <= 8_000
        assert terminal.count("j", quiet=1.0) <= 600
        assert terminal.text.count("▸") == 1
        for state in ("chart", "log", "gauges"):
            flip_to(terminal, state)
            ticks = [terminal.count("t", quiet=0.7) for _ in range(5)]
            assert 0 < max(ticks) <= 400, state
        flip_to(terminal, "writing")  # a text that grows costs little more than itself, save when a page is turned
        ticks = [terminal.count("t", quiet=0.7) for _ in range(12)]  # fifty characters each
        assert 0 < sum(ticks) - max(ticks) <= 200 * 11
        terminal.send("q")
        terminal.settle(first=False)
