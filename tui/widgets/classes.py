"""Classes of a widget, all at once: Textual styles everything below it anew for each that is put on or taken off."""

from __future__ import annotations

from collections.abc import Mapping

from textual.widget import Widget


def wear(widget: Widget, classes: Mapping[str, bool]) -> None:
    """Put these classes on, or take them off where False."""
    before = widget.classes
    for name, worn in classes.items():
        widget.set_class(worn, name, update=False)
    if widget.classes != before:
        widget.update_node_styles()
