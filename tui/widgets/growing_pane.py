"""A pane of text that grows at its end, and follows it: what a model writes, word by word."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from tui.widgets.line import changed
from tui.widgets.text_pane import TextPane


def follow_top(rows: int, height: int) -> int:
    """The first row in view so that the last one is in it. It moves by most of a page: lines that moved up by one at
    each new line would repaint the pane for every few words.
    """
    step = max(height * 3 // 4, 1)
    return -(-max(rows - height, 0) // step) * step


def whole_row(strip: Strip, width: int, style: Style) -> Strip:
    """A row with its margins in as few pieces as its looks allow: each piece costs forty bytes on the line."""
    pieces = [Segment(" ", style), *strip, Segment(" " * max(width - strip.cell_length - 1, 0), style)]
    return Strip([Segment(text, look(kind)) for text, kind, _ in pieces if text], width).simplify()


def look(style: Style | None) -> Style:
    """What can be seen of a style: two that look the same are equal."""
    if style is None:
        return Style()
    return Style(
        color=style.color, bgcolor=style.bgcolor, bold=style.bold or None, dim=style.dim or None,
        italic=style.italic or None, underline=style.underline or None, reverse=style.reverse or None,
    )  # fmt: skip


class GrowingPane(TextPane):
    """Repaints the cells that changed. Scrolled up it stays where it is; back at the end it follows again."""

    DEFAULT_CSS = """
    GrowingPane { overflow: hidden scroll; scrollbar-size: 0 0; padding: 0; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self.follows = False
        self._to_end = False

    def follow(self, on: bool) -> None:
        """Go to the end and stay there from now on, until somebody scrolls up; or no longer."""
        self._to_end = self._to_end or (on and not self.follows)
        self.follows = on

    @property
    def at_end(self) -> bool:
        """The last row is in view."""
        return self.scroll_offset.y + self.size.height >= len(self._rows)

    def bottom(self) -> None:
        self.scroll_to(y=follow_top(len(self._rows), self.size.height), animate=False)

    def _wrap(self) -> None:
        width, height = self.size.width - 2, self.size.height
        if width <= 0:
            return
        followed = self.follows and (self._to_end or self.at_end)
        self._to_end = False
        before, was = [self.render_line(y) for y in range(height)], self.scroll_offset.y
        wrapped = Visual.to_strips(self, self._content, width, None, self.visual_style, pad=True)
        self._rows = [whole_row(strip, self.size.width, self.rich_style) for strip in wrapped]
        count = len(self._rows)
        top = follow_top(count, height) if followed else min(was, max(count - height, 0))
        # the size that the layout sees never changes with the text: a layout would repaint the whole screen
        self.set_reactive(ScrollView.virtual_size, Size(width, max(count, top + height)))
        if top != was:
            self.scroll_to(y=top, animate=False, immediate=True)
            return
        self._refresh_differences(before)

    def _refresh_differences(self, before: list[Strip]) -> None:
        regions = []
        for y, old in enumerate(before):
            new = self.render_line(y)
            if new != old and (cells := changed(old, new)) is not None:
                regions.append(Region(cells[0], y, cells[1] - cells[0], 1))
        if regions:
            self.refresh(*regions)
