"""A replay says on the screen that it is one: how fast, how far, and that it has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from core.models import Decision, Via
from core.replay import Progress
from tests.tui.cockpit import cockpit

NOON = datetime(2026, 5, 3, 12, 0, 0).timestamp()


@dataclass
class Show:
    """How far the show is, as a test says."""

    progress: Progress

    def __call__(self) -> Progress:
        return self.progress


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_first_row_says_how_fast_and_how_far_and_then_that_it_is_over(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    show = Show(Progress(60.0, NOON, 0.41, over=False))
    async with cockpit(tmp_path, replay=show, size=size) as human:
        first = human.screen.splitlines()[0]
        assert "REPLAY" in first
        assert "×60  12:00:00  41%" in first
        assert "engine" not in first
        assert "Read-only" not in human.screen
        show.progress = Progress(60.0, NOON + 3600, 1.0, over=True)
        human.review.drawing.times()  # nothing of the record changes any more: the second does
        await human.sees("the recording has ended, q leaves")


async def test_nothing_is_decided_elsewhere_in_a_replay_and_nothing_here(tmp_path: Path) -> None:
    async with cockpit(tmp_path, replay=Show(Progress(60.0, NOON, 0.5, over=False))) as human:
        await human.press("a")
        assert human.toasts == ["this is a replay: what you see has long been decided"]
        human.lab.decides(6, Decision.APPROVE, via=Via.POLICY)
        await human.until(lambda: human.review.shown and human.review.shown.id == 7)
        assert not any("elsewhere" in toast for toast in human.toasts)
        assert human.asked == []


async def test_a_lab_is_not_called_new_over_its_first_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while its patch is still being read."""
    async with cockpit(tmp_path, "empty") as human:
        await human.sees("This lab is new")
        may_read, read = threading.Event(), human.app.client.with_reader

        def slowly(work: Callable[[Any], Any]) -> Any:
            may_read.wait(30)
            return read(work)

        monkeypatch.setattr(human.app.client, "with_reader", slowly)
        human.lab.proposes()
        await human.sees("#1 is being read.")
        assert "This lab is new" not in human.screen
        may_read.set()
        await human.sees("hunk 1/")
