"""A table with a cursor: only the rows on the screen are ever drawn, and a step of the cursor repaints two of them.

What a row is and how it is written is said by `ExperimentsTable` and `DecisionsTable`; moving, scrolling and repainting
no more than what changed is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Row = TypeVar("Row")


class Cell(NamedTuple):
    """What stands in one column of a row; `width` in cells, a blank after it not counted."""

    text: str
    width: int
    right: bool
    style: Style


class RowsTable(ScrollView, Generic[Row], can_focus=False, inherit_bindings=False):
    """Rows under a head. The screen binds the keys and says which rows."""

    DEFAULT_CSS = """
    RowsTable { height: 1fr; overflow: hidden scroll; scrollbar-size: 0 0; }
    RowsTable > .table--head { background: $surface; text-style: bold; }
    RowsTable > .table--quiet { color: $text-muted; &:ansi { text-style: dim; } }
    RowsTable > .table--waiting { color: $text-warning; }
    RowsTable > .table--running { color: $text-primary; }
    RowsTable > .table--good { color: $text-success; }
    RowsTable > .table--bad { color: $text-error; }
    RowsTable > .table--cursor { background: $foreground 20%; }
    RowsTable:ansi > .table--cursor, RowsTable:nocolor > .table--cursor { text-style: reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--head",
        "table--quiet",
        "table--waiting",
        "table--running",
        "table--good",
        "table--bad",
        "table--cursor",
    }
    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor has come to another row."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RowsTable.Moved)

    class Opened(Message):
        """A row was clicked a second time."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self._empty_text = ""
        self.rows: Sequence[Row] = ()
        self.cursor = 0
        """index of the cursor's row"""
        self._styles: dict[object, Style] = {}
        self._strips: LRUCache[tuple[int, bool, str], Strip] = LRUCache(256)
        """rows as they were drawn: index, whether the cursor stands there, the thumb beside it"""

    # ---- what a table says about its rows ----------------------------------------------------------------------

    def key(self, row: Row) -> int:
        """What makes it the same row in another list."""
        raise NotImplementedError

    def head(self, width: int) -> str:
        """The names of the columns."""
        raise NotImplementedError

    def drawn(self, row: Row, width: int, *, cursor: bool) -> Strip:
        """A row in so many cells."""
        raise NotImplementedError

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def replace(self, rows: Sequence[Row], before: tuple[int, list[Strip]]) -> None:
        """Other rows, or the same in another state; the cursor stays on its row. `before`: `picture()` until now."""
        old, here = self.rows, self.cursor_key
        self.rows = rows
        self._strips.clear()
        at = self.cursor
        if here is not None and not (at < len(rows) and self.key(rows[at]) == here):
            at = next((index for index, row in enumerate(rows) if self.key(row) == here), at)
        moved_by = at - self.cursor
        self.cursor = max(0, min(at, len(rows) - 1))
        # the size that the layout sees never changes with the rows: a layout would repaint the whole screen
        self.set_reactive(RowsTable.virtual_size, Size(self.size.width, len(rows) + 1))
        if moved_by and old:
            self.scroll_to(y=self.scroll_offset.y + moved_by)  # the cursor keeps its place on the screen
        self._into_view()
        self._repaint(before)
        if self.cursor_key != here:
            self.post_message(self.Moved())

    @property
    def empty_text(self) -> str:
        """What stands where there is no row."""
        return self._empty_text

    @empty_text.setter
    def empty_text(self, text: str) -> None:
        if text != self._empty_text:
            self._empty_text = text
            if not self.rows:
                self.refresh()

    @property
    def cursor_row(self) -> Row | None:
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    @property
    def cursor_key(self) -> int | None:
        row = self.cursor_row
        return None if row is None else self.key(row)

    def scroll_line(self, delta: int) -> None:
        self._go_to(self.cursor + delta)

    def scroll_page(self, delta: float) -> None:
        """The view moves by pages and the cursor with it."""
        step = round(delta * max(self._height - 1, 1))
        self.scroll_to(y=self.scroll_offset.y + step)
        self._go_to(self.cursor + step)

    def top(self) -> None:
        self._go_to(0)

    def bottom(self) -> None:
        self._go_to(len(self.rows) - 1)

    # ---- moving ------------------------------------------------------------------------------------------------

    @property
    def _height(self) -> int:
        """Rows in view; the first line is the head."""
        return max(self.size.height - 1, 1)

    def _go_to(self, index: int) -> None:
        index = max(0, min(index, len(self.rows) - 1))
        if not self.rows or index == self.cursor:
            return
        before, self.cursor = self.cursor, index
        self._into_view()
        for row in (before, index):
            self._refresh_row(row)
        self.post_message(self.Moved())

    def _into_view(self) -> None:
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor)
        elif self.cursor >= top + self._height:
            self.scroll_to(y=self.cursor - self._height + 1)

    def scroll_to(self, x: float | None = None, y: float | None = None, **options: object) -> None:
        """Never animated: frames between two positions would only flood a slow link."""
        super().scroll_to(x, y, animate=False, immediate=True)

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y - 1
        if event.y < 1 or index >= len(self.rows):
            return
        if index == self.cursor:
            self.post_message(self.Opened())
        self._go_to(index)

    # ---- drawing -----------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._strips.clear()
        self.set_reactive(RowsTable.virtual_size, Size(self.size.width, len(self.rows) + 1))
        self._into_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def picture(self) -> tuple[int, list[Strip]]:
        """What stands on the screen now, to compare with."""
        return self.scroll_offset.y, [self.render_line(y) for y in range(self.size.height)]

    def _repaint(self, before: tuple[int, list[Strip]]) -> None:
        """Refresh the lines that differ."""
        strips = before[1]
        lines = [y for y, strip in enumerate(strips) if self.render_line(y) != strip]
        if lines:
            self.refresh(*[Region(0, y, self.size.width, 1) for y in lines])

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            style = self.style_of("table--head")
            return Strip([Segment(self.head(width - 1), style)]).crop_extend(0, width, style)
        index = self.scroll_offset.y + y - 1
        if index >= len(self.rows):
            words = self._empty_text.split("\n")
            text = words[y - 2] if not self.rows and 2 <= y < len(words) + 2 else ""
            style = self.style_of("table--quiet")
            return Strip([Segment(f"  {text}", style)]).crop_extend(0, width, style)
        key = (index, index == self.cursor, self._thumb(y - 1))
        strip = self._strips.get(key)
        if strip is None or strip.cell_length != width:
            row = self.drawn(self.rows[index], width - 1, cursor=key[1])
            strip = self._strips[key] = Strip([*row, Segment(key[2], self.style_of("table--quiet"))], width)
        return strip

    def _thumb(self, y: int) -> str:
        """Says where the view stands in the whole; a real scrollbar would cost a column of every row a page."""
        height, count = self._height, len(self.rows)
        if count <= height:
            return " "
        length = max(height * height // count, 1)
        start = round((height - length) * self.scroll_offset.y / (count - height))
        return "▐" if start <= y < start + length else " "

    # ---- for the subclasses' rows --------------------------------------------------------------------------------

    def in_columns(self, edge: str, cells: Sequence[Cell], width: int, plain: Style) -> Strip:
        """Cells side by side, a blank after each; neighbours of one style are one piece."""
        pieces = [Segment(edge, plain)]
        for cell in cells:
            text = cell.text.rjust(cell.width) if cell.right else cell.text
            left = cell.width - cell_len(text)
            words = text if left >= 0 else set_cell_size(text, cell.width)
            pieces += (Segment(words, cell.style), Segment(" " * (1 + max(left, 0)), plain))
        strip = Strip(Segment.simplify(pieces), cell_len(edge) + sum(cell.width + 1 for cell in cells))
        return strip if strip.cell_length == width else strip.crop_extend(0, width, plain)

    def style_of(self, name: str) -> Style:
        """The style of a component class; empty: plain."""
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(name) if name else self.rich_style
        return self._styles[name]

    def row_style(self, *, cursor: bool, bold: bool = False, ink: str = "") -> Style:
        """What the cells of a row have in common; with the `ink` of a component class, those that stand out."""
        key = (cursor, bold, ink)
        if key not in self._styles:
            style = self.style_of("") + Style(bold=bold or None)
            if cursor:
                bar = self.style_of("table--cursor")
                style += Style(bgcolor=bar.bgcolor, bold=True, reverse=bar.reverse or None)
            if ink:  # over whatever background the row has
                full = self.style_of(ink)
                style += Style(color=full.color, bold=full.bold or None, dim=full.dim or None)
            self._styles[key] = style
        return self._styles[key]
