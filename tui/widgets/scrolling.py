"""The keys that move, carried out on whatever pane they are about."""

from __future__ import annotations

from typing import Protocol


class Scrollable(Protocol):
    """A pane that is read line by line."""

    def scroll_line(self, delta: int) -> object: ...
    def scroll_page(self, delta: float) -> object: ...
    def top(self) -> object: ...
    def bottom(self) -> object: ...


def scroll(pane: Scrollable, how: str) -> None:
    """Carry out one of the moving actions on a pane; to the sides only where it can be moved there."""
    match how:
        case "down" | "up":
            pane.scroll_line(1 if how == "down" else -1)
        case "half_down" | "half_up":
            pane.scroll_page(0.5 if how == "half_down" else -0.5)
        case "page_down" | "page_up":
            pane.scroll_page(1 if how == "page_down" else -1)
        case "top":
            pane.top()
        case "bottom":
            pane.bottom()
        case "left" | "right":
            if sideways := getattr(pane, "scroll_sideways", None):
                sideways(16 if how == "right" else -16)
