"""A pane of wrapped text: scrolls by lines, finds words. The text is data: it is never parsed as markup."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual


class TextPane(ScrollView, can_focus=False):
    """Draws only the rows in view; the wrapping is kept until the text or the width changes."""

    DEFAULT_CSS = """
    TextPane { height: 1fr; padding: 0 0 0 1; overflow-x: hidden; scrollbar-size-vertical: 1; }
    TextPane > .text-pane--match { text-style: reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"text-pane--match"}
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self._content = Content()
        self._rows: list[Strip] = []
        self._match: int | None = None

    def show(self, content: Content, *, keep_place: bool = True) -> None:
        """Put this text into the pane."""
        if content.is_same(self._content):
            return
        self._content, self._match = content, None
        self._wrap()
        if not keep_place:
            self.scroll_to(y=0, animate=False, immediate=True)

    # ---- moving ------------------------------------------------------------------------------------------------

    def scroll_line(self, delta: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + delta, animate=False)

    def scroll_page(self, delta: float) -> None:
        self.scroll_line(round(delta * max(self.scrollable_content_region.height - 1, 1)))

    def top(self) -> None:
        self.scroll_to(y=0, animate=False)

    def bottom(self) -> None:
        self.scroll_to(y=self.virtual_size.height, animate=False)

    def find(self, text: str, backwards: bool = False) -> bool:
        """Goes to the next row with this text, around the end; False when there is none."""
        wanted = text.lower()
        found = [index for index, strip in enumerate(self._rows) if wanted and wanted in strip.text.lower()]
        if not found:
            self._match = None
            self.refresh()
            return False
        at = self._match if self._match is not None else self.scroll_offset.y - (0 if backwards else 1)
        after = [index for index in found if (index < at if backwards else index > at)]
        self._match = (after[-1] if backwards else after[0]) if after else found[-1 if backwards else 0]
        self.scroll_to(y=max(0, self._match - self.size.height // 2), animate=False)
        self.refresh()
        return True

    # ---- Textual -----------------------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        self._wrap()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._wrap()

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width - 1  # a column free before the scroll bar
        if width <= 0:
            return
        before = self._rows
        self._rows = Visual.to_strips(self, self._content, width, None, self.visual_style, pad=True)
        size = Size(width, len(self._rows))
        if size != self.virtual_size or len(before) != len(self._rows):
            if self.show_vertical_scrollbar == (size.height > self.container_size.height):
                # nothing moves: a layout would paint the whole screen again
                self.set_reactive(TextPane.virtual_size, size)
                self._scroll_update(size)
                if self.scroll_offset.y > self.max_scroll_y:
                    self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
            else:
                self.virtual_size = size
            self.refresh()
            return
        for row, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if list(old) != list(new):
                self.refresh_line(row)

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        style = self.rich_style
        if row >= len(self._rows):
            return Strip.blank(self.size.width, style)
        strip = self._rows[row]
        if row == self._match:
            strip = strip.apply_style(self.get_component_rich_style("text-pane--match", partial=True))
        return strip.extend_cell_length(self.size.width, style)
