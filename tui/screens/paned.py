"""A screen of panes: side by side where there is room, else one at a time; with tabs, a zoom, a field to find with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.content import Content

from tui.client import Client
from tui.screens.lab_screen import LabScreen
from tui.widgets.classes import wear
from tui.widgets.find_field import FindField
from tui.widgets.line import Part

CLICKED = "show "
"""before the name of a pane: its tab was clicked"""


class Paned(LabScreen):
    """Holds which pane is current. The classes `-one` or `-wide`, and `-PANE` for the current one, are for the CSS."""

    TITLES: ClassVar[Mapping[str, str]]
    """of the panes, in their order"""
    WIDE: ClassVar[int] = 120
    """columns from which more than one pane is shown"""
    FIND: ClassVar[str] = ""
    """what the field asks for"""
    INFO_IS_FIELD: ClassVar[bool] = False
    """the field stands in the place of the row `#info`"""

    def __init__(self, client: Client, *, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__(client, keymap=keymap)
        self.panes = tuple(self.TITLES)
        self.pane = self.panes[0]
        self.zoomed = False

    # ---- where things stand ------------------------------------------------------------------------------------

    @property
    def one(self) -> bool:
        """Only the current pane is shown."""
        return self.app.size.width < self.WIDE or self.zoomed

    def tab(self, pane: str) -> Part:
        """The title of a pane; a click makes it the current one."""
        here = pane == self.pane
        style = "bold $text-primary on $primary-muted" if here else "$foreground-muted"
        return Part(Content.styled(f"{'▌' if here else ' '}{self.TITLES[pane]} ", style), 0, None, f"{CLICKED}{pane}")

    def select(self, pane: str) -> None:
        """Make this the current pane."""
        if pane != self.pane:
            self.pane = pane
            self.place()

    def cycle(self, step: int) -> None:
        """The next pane, or the one before."""
        self.select(self.panes[(self.panes.index(self.pane) + step) % len(self.panes)])

    def zoom(self) -> None:
        """The current pane alone, or all again."""
        self.zoomed = not self.zoomed
        self.place()

    def place(self) -> None:
        """Classes for the width, the zoom and the current pane; the style sheet does the rest."""
        with self.app.batch_update():
            wear(self, self.worn())
            self.fit_parts()
        self.call_after_refresh(self.draw)

    def worn(self) -> dict[str, bool]:
        """Which classes the screen has now, and which not."""
        return {"-one": self.one, "-wide": not self.one, **{f"-{pane}": self.pane == pane for pane in self.panes}}

    def fit_parts(self) -> None:
        """Sizes that a style sheet cannot say."""

    def on_resize(self, event: events.Resize) -> None:
        self.place()  # Page's handler comes after this one by itself

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_act(self, action_id: str) -> None:
        if action_id.startswith(CLICKED):
            self.select(action_id.removeprefix(CLICKED))
        else:
            super().action_act(action_id)

    def step_back(self) -> bool:
        """Out of the field, the zoom, back to the first pane; False when none of it was to be left."""
        if self.finding:
            self.close_field()
        elif self.zoomed:
            self.zoom()
        elif self.pane != self.panes[0]:
            self.select(self.panes[0])
        else:
            return False
        return True

    # ---- finding -----------------------------------------------------------------------------------------------

    def field(self) -> FindField:
        """The field for what is to be found; hidden until it is asked for."""
        return FindField(self.FIND)

    @property
    def finding(self) -> bool:
        """Words are being typed."""
        return bool(self.query_one(FindField).display)

    def open_field(self, words: str = "") -> None:
        """Ask for words; `Input.Submitted` of `#find` brings them."""
        self.query_one(FindField).ask(words)
        self._make_room()

    def close_field(self) -> None:
        self.query_one(FindField).close()
        self._make_room()

    def _make_room(self) -> None:
        if self.INFO_IS_FIELD:
            self.query_one("#info").display = not self.finding
