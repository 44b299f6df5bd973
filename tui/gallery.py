"""Every widget in every state, to look at: `python -m tui.gallery [--state NAME] [--screenshot DIR]`.

`tab` and `shift+tab` flip through the states, `t` feeds the next sample to the ones that live, `r` fills a widget anew,
`q` leaves. The other keys are those of the Review screen. `--screenshot` writes an SVG a state and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Static

from tui.cropped import CroppedUpdates
from tui.exhibits import exhibits
from tui.hangup import EndsWithTerminal


class Gallery(CroppedUpdates, EndsWithTerminal, App[None]):
    """One exhibit at a time, its name above it."""

    CSS = """
    #name { height: 1; background: $panel; }
    #exhibit { height: 1fr; }
    #exhibit Chart { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "flip(1)", "Next", priority=True),
        Binding("shift+tab", "flip(-1)", "Previous", priority=True),
        ("t", "tick", "Next sample"),
        ("r", "refill", "Show it anew"),
        ("q", "quit", "Leave"),
        ("j,down", "on('scroll_line', 1)", "Down"),
        ("k,up", "on('scroll_line', -1)", "Up"),
        ("ctrl+d", "on('scroll_page', 0.5)", "Half a page down"),
        ("ctrl+u", "on('scroll_page', -0.5)", "Half a page up"),
        ("pagedown", "on('scroll_page', 1)", "Page down"),
        ("pageup", "on('scroll_page', -1)", "Page up"),
        ("left", "on('scroll_sideways', -16)", "Left"),
        ("right", "on('scroll_sideways', 16)", "Right"),
        ("g", "on('top')", "Top"),
        ("G", "on('bottom')", "Bottom"),
        ("n", "on('next_hunk')", "Next hunk"),
        ("p", "on('previous_hunk')", "Previous hunk"),
        ("space", "on('toggle_hunk')", "Hunk in or out"),
        ("slash", "on('find', 'loss')", "Find 'loss'"),
        ("L", "on('toggle_log')", "Log scale"),
        ("left_square_bracket", "on('smooth', -1)", "Less smooth"),
        ("right_square_bracket", "on('smooth', 1)", "Smoother"),
        ("x", "on('next_axis')", "x axis"),
        ("0", "on('reset')", "Reset"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, directory: Path, first: str = "") -> None:
        super().__init__()
        self.directory = directory
        self.exhibits = exhibits()
        self.index = next((i for i, exhibit in enumerate(self.exhibits) if exhibit.name == first), 0)
        self.ticks = 0

    def compose(self) -> ComposeResult:
        yield Static(id="name", markup=False)
        yield Container(id="exhibit")

    async def on_mount(self) -> None:
        self.animation_level = "none"
        await self.hang()

    async def hang(self) -> None:
        """Puts the current exhibit up."""
        exhibit, frame = self.exhibits[self.index], self.query_one("#exhibit")
        self.query_one("#name", Static).update(f" {self.index + 1}/{len(self.exhibits)} {exhibit.name}")
        await frame.remove_children()
        widget = exhibit.make()
        await frame.mount(widget)
        exhibit.fill(widget)
        if widget.focusable:
            widget.focus()

    async def action_flip(self, delta: int) -> None:
        self.index = (self.index + delta) % len(self.exhibits)
        await self.hang()

    def action_refill(self) -> None:
        self.exhibits[self.index].fill(self.query_one("#exhibit").children[0])

    def action_tick(self) -> None:
        self.ticks += 1
        tick = self.exhibits[self.index].tick
        if tick is not None:
            tick(self.query_one("#exhibit").children[0], self.ticks)

    def action_on(self, method: str, *arguments: object) -> None:
        act = getattr(self.query_one("#exhibit").children[0], method, None)
        if callable(act):
            act(*arguments)


async def photograph(directory: Path, size: tuple[int, int]) -> list[Path]:
    """An SVG of every exhibit."""
    pictures = []
    with tempfile.TemporaryDirectory() as scratch:
        app = Gallery(Path(scratch))
        async with app.run_test(size=size) as pilot:
            for exhibit in app.exhibits:
                await pilot.pause()
                pictures.append(directory / f"{exhibit.name}.svg")
                pictures[-1].write_text(app.export_screenshot(title=exhibit.name, simplify=True))
                await app.action_flip(1)
    return pictures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tui.gallery", description="Every widget in every state.")
    parser.add_argument(
        "--state", default="", choices=["", *(e.name for e in exhibits())], help="the one to begin with"
    )
    parser.add_argument("--screenshot", type=Path, metavar="DIR", help="write an SVG of each and end")
    parser.add_argument("--size", default="120x36", help="of the screenshots, in cells")
    options = parser.parse_args(arguments)
    if options.screenshot:
        options.screenshot.mkdir(parents=True, exist_ok=True)
        columns, rows_ = map(int, options.size.split("x"))
        for picture in asyncio.run(photograph(options.screenshot, (columns, rows_))):
            print(picture)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        Gallery(Path(scratch), options.state).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
