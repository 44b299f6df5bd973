"""Whether anybody can see a widget: what is out of sight reads no file, paints nothing, and counts nothing as seen."""

from __future__ import annotations

from textual.widget import Widget


def in_sight(widget: Widget) -> bool:
    """Laid out on the current screen (or on one behind a dialog). False too while it is being removed."""
    return widget.is_attached and widget.is_mounted and widget.screen.is_current and widget.is_on_screen
