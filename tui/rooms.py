"""Parts of the screen that only hold others: nothing is seen of them but a side's border, and their rows are alike.

Textual 8.2.8 draws each row of each container that its children cover: a third of what a whole picture takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    Base = Widget
else:
    Base = object


class AlikeRows(Base):
    """For a container without borders above and below: `class Room(AlikeRows, Vertical)`. Draws one row for all."""

    def render_lines(self, crop: Region) -> list[Strip]:
        return super().render_lines(Region(crop.x, 0, crop.width, 1)) * crop.height


class Column(AlikeRows, Vertical):
    """Parts one above the other."""


class Columns(AlikeRows, Horizontal):
    """Parts side by side."""
