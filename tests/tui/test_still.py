"""What lies under a dialog is not painted again until it is on top: a slow link pays for nothing it cannot see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet

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


async def test_a_screen_that_is_gone_back_to_is_not_styled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cockpit(tmp_path) as human:
        for key, name in ("5", "Experiments"), ("1", "Review"), ("5", "Experiments"), ("1", "Review"):
            await human.press(key)
            await human.until(lambda name=name: type(human.app.screen).__name__ == name, name)  # type: ignore[misc]
        styled: list[object] = []
        monkeypatch.setattr(Stylesheet, "update_nodes", lambda sheet, nodes, animate=False: styled.extend(nodes))
        for key, name in ("5", "Experiments"), ("1", "Review"):
            await human.press(key)
            await human.until(lambda name=name: type(human.app.screen).__name__ == name, name)  # type: ignore[misc]
            await human.pilot.pause(0.1)
        assert styled == []


async def test_what_happens_meanwhile_is_drawn_when_one_comes_back(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("5")
        await human.until(lambda: human.app.screen is not human.review, "the Experiments screen")
        drawn: list[None] = []
        human.review.drawing.everything = lambda: drawn.append(None)  # type: ignore[method-assign]
        [run] = human.lab.writer.live_runs()
        human.lab.trains(run.id, 0.8)
        human.app.client.nudge()
        await human.until(lambda: human.review.lab.run and human.review.lab.run.progress == 0.8)
        await human.pilot.pause(0.1)
        assert drawn == []
        del human.review.drawing.everything
        await human.press("1")
        await human.sees("80%")


@pytest.mark.parametrize(("key", "at"), [("", "#heading"), ("colon", "Input"), ("v", "#refusal"), ("e", "TextArea")])
async def test_what_waits_to_be_painted_is_not_forgotten_when_a_slow_link_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, at: str
) -> None:
    painted: set[int] = set()
    display = AutoresearchApp._display

    def noted(app: AutoresearchApp, screen: Any, renderable: Any) -> None:
        painted.update(y for y, _, _ in getattr(renderable, "spans", ()))
        display(app, screen, renderable)

    async with cockpit(tmp_path) as human:
        await human.press(*[key] if key else [])
        await human.pilot.pause(0.1)
        screen = human.app.screen
        changed = screen.query_one(at)
        monkeypatch.setattr(AutoresearchApp, "_display", noted)
        with human.app.batch_update():  # so frames are held while the link is busy
            changed.refresh()
            await human.until(lambda: changed in screen._dirty_widgets, f"{at} to be painted")
        screen._compositor_refresh()
        assert changed.region.y in painted
