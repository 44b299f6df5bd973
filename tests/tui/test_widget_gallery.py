"""Every widget hangs in the gallery in every state, at every size, and answers."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
from textual.widget import Widget

import tui.widgets
from tui.exhibits import exhibits
from tui.gallery import Gallery, photograph


@pytest.mark.parametrize("size", [(40, 10), (160, 50)])  # 80x24: below
async def test_every_exhibit_hangs_ticks_and_answers(tmp_path: Path, size: tuple[int, int]) -> None:
    app = Gallery(tmp_path)
    async with app.run_test(size=size) as pilot:
        for exhibit in app.exhibits:
            assert exhibit.name in str(app.query_one("#name").render())
            app.action_tick()
            for key in ("scroll_line", "scroll_page", "scroll_sideways", "smooth"):
                app.action_on(key, 1)
            for key in (
                "bottom",
                "toggle_hunk",
                "next_hunk",
                "toggle_log",
                "toggle_whole",
                "next_axis",
                "reset",
                "top",
            ):
                app.action_on(key)
            app.action_on("find", "loss")
            await pilot.pause()
            await app.action_flip(1)


async def test_the_gallery_is_walked_by_keys(tmp_path: Path) -> None:
    app = Gallery(tmp_path, "chart")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "L", "tab", "shift+tab", "shift+tab")
        assert app.exhibits[app.index].name == "diff-empty"


async def test_screenshots_are_written_for_every_exhibit(tmp_path: Path) -> None:
    pictures = await photograph(tmp_path, (80, 24))
    assert len(pictures) == len({picture.name for picture in pictures}) == len(list(tmp_path.glob("*.svg")))
    assert all("\x1b" not in picture.read_text() and "<svg" in picture.read_text() for picture in pictures)


def test_every_widget_has_an_exhibit() -> None:
    shown = {type(exhibit.make()) for exhibit in exhibits()}
    known: set[type[Widget]] = set()
    for module in pkgutil.iter_modules(tui.widgets.__path__, "tui.widgets."):
        found = importlib.import_module(module.name)
        known |= {
            kind
            for kind in vars(found).values()
            if isinstance(kind, type) and issubclass(kind, Widget) and kind.__module__ == module.name
        }
    # a base, and what is made of other widgets: a row of a screen and the panes of Review
    assert {kind.__name__ for kind in known - shown} == {"RowsTable", "Line", "Panes"}
