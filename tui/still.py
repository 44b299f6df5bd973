"""A screen that stands still while another lies over it.

Textual 8.2.8 repaints both whenever a widget below changes: 20 kB for a help page over a running curve, twice a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.screen import Screen

if TYPE_CHECKING:
    Base = Screen[Any]
else:
    Base = object


class StillBelow(Base):
    """For a Screen: `class Review(StillBelow, Screen[None])`. What changed below is painted when it is on top again."""

    def _compositor_refresh(self) -> None:
        # while the app holds its frames back, Textual would draw this one and throw it away: so it did with the first
        if (self is not self.app.screen or self.app._batch_count) and not self.app.is_inline:
            return
        whole = self._compositor.size.region in self._compositor._dirty_regions
        super()._compositor_refresh()
        if whole:
            self._repaint_required = False  # a screen that has just come up would be painted whole once more
