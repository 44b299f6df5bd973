"""The field for what is to be found. While it is asked for, letters are words and no keys."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class FindField(Input):
    """One row, hidden until it is asked for; `Input.Submitted` of `#find` brings the words."""

    def __init__(self, asks: str) -> None:
        super().__init__(placeholder=asks, compact=True, id="find")
        self.cursor_blink = False
        self.display = False

    def ask(self, words: str = "") -> None:
        """Show it, with these words to go on from."""
        self.display = True
        self.value = words
        self.screen.set_focus(self)

    def close(self) -> None:
        self.display = False
        if self.has_focus:
            self.screen.set_focus(None)

    def on_hide(self, event: events.Hide) -> None:
        """That it was hidden is heard late; when it is asked for again by then, it keeps the focus."""
        if self.display:
            event.prevent_default()
