"""What every screen of a lab has: keys from the registry, words in the corner, nothing where it could not be read."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.notifications import Notification, Notify
from textual.screen import Screen

from core.text import clean
from tui.actions import Action
from tui.still import StillBelow
from tui.widgets.line import Line
from tui.widgets.states import TooSmall

SMALLEST = (60, 16)
"""columns and rows"""


def bindings(actions: Sequence[Action]) -> list[BindingType]:
    """Actions as Textual's bindings; the ids are what a user's key map names."""
    return [
        Binding(action.keys, f"act('{action.id}')", action.label, id=action.id, tooltip=action.help, show=False)
        for action in actions
        if action.keys
    ]


class Page(StillBelow, Screen[None]):
    """Review, and all the screens beside it."""

    DEFAULT_CSS = """
    Page.-too-small > * { display: none; }
    Page.-too-small > TooSmall { display: block; }
    """
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self.drawn_for = Size()
        """the window that the last picture was made for, where a screen notes it"""
        self._too_small: TooSmall | None = None
        self._said: Notification | None = None
        """the toast that answered the last key"""

    def action_act(self, action_id: str) -> None:
        """Every key, click and command comes through here: a disabled action says why instead of acting."""
        raise NotImplementedError

    def draw(self) -> None:
        """Put everything that is known on the screen."""
        raise NotImplementedError

    def toast(self, words: str, hint: str = "", *, severity: str = "information", seconds: float = 5.0) -> None:
        """A few words in the corner; data, never markup. They answer the newest key: what answered an earlier one goes,
        unless it was an error.
        """
        text = clean(f"{words}\n{hint}" if hint else words)
        level = severity if severity in ("warning", "error") else "information"
        if self._said is not None:
            self.app._unnotify(self._said, refresh=False)
        note = Notification(text, severity=level, timeout=seconds, markup=False)  # type: ignore[arg-type]
        self._said = note if level != "error" else None
        self.app.post_message(Notify(note))

    @on(Line.Pressed)
    def pressed(self, event: Line.Pressed) -> None:
        self.action_act(event.action)

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(small, "-too-small")
        if small:
            if self._too_small is None:
                self._too_small = TooSmall()
                self.mount(self._too_small)
            self._too_small.say(width, height, SMALLEST)
        if event.size != self.drawn_for:
            self.draw()
