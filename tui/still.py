"""A screen that stands still while another one is looked at, and comes back as it was.

Textual 8.2.8 repaints both whenever a widget below changes: 20 kB for a help page over a running curve, twice a second.
And a screen that is gone back to is styled anew, each widget of it, as long as the rest of that key takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import events
from textual.screen import Screen

if TYPE_CHECKING:
    Base = Screen[Any]
else:
    Base = object


class StillBelow(Base):
    """For a Screen: `class Review(StillBelow, Screen[None])`. What changed below is painted when it is on top again."""

    def _on_screen_resume(self, event: events.ScreenResume) -> None:
        event.refresh_styles = False  # of its classes and of a new theme it has been told meanwhile

    def _compositor_refresh(self) -> None:
        # while the app holds its frames back, Textual would draw this one and throw it away: so it did with the first
        if (self is not self.app.screen or self.app._batch_count) and not self.app.is_inline:
            return
        # Textual forgets here who waits to be painted, painted or not, unless its own timer asked for this frame
        self._compositor.update_widgets(self._dirty_widgets)
        whole = self._compositor.size.region in self._compositor._dirty_regions
        super()._compositor_refresh()
        if whole:
            self._repaint_required = False  # a screen that has just come up would be painted whole once more
