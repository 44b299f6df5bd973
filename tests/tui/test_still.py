"""What lies under a dialog is not painted again until it is on top: a slow link pays for nothing it cannot see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tui.cockpit import cockpit
from tui.app import AutoresearchApp


@pytest.mark.parametrize("key", ["question_mark", "v", "e", "colon"])
async def test_a_run_that_goes_on_below_costs_nothing_until_one_is_back(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[str] = []
    display = AutoresearchApp._display

    def counted(app: AutoresearchApp, screen: Any, renderable: Any) -> None:
        painted.append(type(screen).__name__)
        display(app, screen, renderable)

    monkeypatch.setattr(AutoresearchApp, "_display", counted)
    async with cockpit(tmp_path) as human:
        [run] = human.lab.writer.live_runs()
        await human.press(key)
        await human.pilot.pause(0.5)
        painted.clear()
        human.lab.trains(run.id, 0.8)
        human.app.client.nudge()
        await human.until(lambda: human.review.lab.run and human.review.lab.run.progress == 0.8)
        await human.pilot.pause(0.3)
        assert painted == []
        await human.press("escape")
        await human.until(lambda: "Review" in painted, "the screen below")
        await human.sees("80%")
