"""A table of experiments: only the rows on the screen are ever rendered, and a step of the cursor repaints two of them.

`▸` is the cursor, `*` an experiment marked to be compared; what became of one is a sign and a word, not a colour alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.store.reader import Summary
from core.text import UNKNOWN, number, one_line, signed
from tui.listing import SIGNS, Column, Listing, Outcome, outcome

LOOKS = {
    Outcome.KEPT: "table--good",
    Outcome.DOUBTFUL: "table--waiting",
    Outcome.WAITS: "table--waiting",
    Outcome.SUSPECT: "table--waiting",
    Outcome.RUNNING: "table--running",
    Outcome.APPROVED: "table--running",
    Outcome.CRASHED: "table--bad",
    Outcome.INVALID: "table--bad",
}
"""every other outcome is quiet"""
MARKED = "*"


class Field(NamedTuple):
    """A column on the screen."""

    column: Column
    width: int
    right: bool = False


def fields(width: int) -> list[Field]:
    """The columns that fit into a width, the title with what is left; two cells before them are cursor and mark."""
    found = [Field(Column.NUMBER, 6, True), Field(Column.OUTCOME, 12)]
    if width >= 60:
        found.append(Field(Column.METRIC, 8, True))
    found.append(Field(Column.DELTA, 17 if width >= 72 else 9, True))
    tail = []
    if width >= 96:
        tail.append(Field(Column.SIZE, 9, True))
    if width >= 110:
        tail.append(Field(Column.AUTHOR, 18))
    used = 2 + sum(field.width + 1 for field in (*found, *tail))
    return [*found, Field(Column.TITLE, max(width - used, 8)), *tail]


class ExperimentsTable(ScrollView, can_focus=False, inherit_bindings=False):
    """Rows with a cursor. The screen binds the keys and says which rows."""

    DEFAULT_CSS = """
    ExperimentsTable { height: 1fr; overflow: hidden scroll; scrollbar-size: 0 0; }
    ExperimentsTable > .table--head { background: $surface; text-style: bold; }
    ExperimentsTable > .table--quiet { color: $text-muted; &:ansi { text-style: dim; } }
    ExperimentsTable > .table--waiting { color: $text-warning; }
    ExperimentsTable > .table--running { color: $text-primary; }
    ExperimentsTable > .table--good { color: $text-success; }
    ExperimentsTable > .table--bad { color: $text-error; }
    ExperimentsTable > .table--cursor { background: $foreground 20%; }
    ExperimentsTable:ansi > .table--cursor, ExperimentsTable:nocolor > .table--cursor { text-style: reverse; }
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
        """The cursor has come to another experiment."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, ExperimentsTable.Moved)

    class Opened(Message):
        """A row was clicked a second time."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self.empty_text = "No experiment yet."
        self.metric = "metric"
        """name of the metric, for the head of its column"""
        self.rows: Sequence[Summary] = ()
        self.cursor = 0
        """index of the cursor's row"""
        self._listing = Listing()
        self._marked: Collection[int] = frozenset()
        self._doubtful: Collection[int] = frozenset()
        self._sizes: Mapping[int, tuple[int, int]] = {}
        self._styles: dict[str, Style] = {}

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def show(
        self,
        rows: Sequence[Summary],
        listing: Listing,
        *,
        marked: Collection[int],
        doubtful: Collection[int] = frozenset(),
        sizes: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        """Other rows, or the same in another state; the cursor stays on its experiment."""
        old, here, before = self.rows, self.cursor_id, self._picture()
        self.rows, self._listing, self._marked, self._doubtful = rows, listing, marked, doubtful
        self._sizes = self._sizes if sizes is None else sizes
        at = self.cursor
        if here is not None and not (at < len(rows) and rows[at].id == here):
            at = next((index for index, row in enumerate(rows) if row.id == here), at)
        moved_by = at - self.cursor
        self.cursor = max(0, min(at, len(rows) - 1))
        # the size that the layout sees never changes with the rows: a layout would repaint the whole screen
        self.set_reactive(ExperimentsTable.virtual_size, Size(self.size.width, len(rows) + 1))
        if moved_by and old:
            self.scroll_to(y=self.scroll_offset.y + moved_by)  # the cursor keeps its place on the screen
        self._into_view()
        self._repaint(before)
        if self.cursor_id != here:
            self.post_message(self.Moved())

    @property
    def cursor_id(self) -> int | None:
        """The experiment under the cursor."""
        return self.rows[self.cursor].id if self.cursor < len(self.rows) else None

    @property
    def columns(self) -> list[Column]:
        """What is on the screen, from the left."""
        return [field.column for field in fields(self.size.width or self.app.size.width)]

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
        """Rows of experiments in view; the first line is the head."""
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
        self.set_reactive(ExperimentsTable.virtual_size, Size(self.size.width, len(self.rows) + 1))
        self._into_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def _picture(self) -> tuple[int, list[Strip]]:
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
            return self._head(width)
        index = self.scroll_offset.y + y - 1
        if index >= len(self.rows):
            words = self.empty_text.split("\n")
            text = words[y - 2] if not self.rows and 2 <= y < len(words) + 2 else ""
            style = self._style("table--quiet")
            return Strip([Segment(f"  {text}", style)]).crop_extend(0, width, style)
        strip = self._row(self.rows[index], width - 1, cursor=index == self.cursor)
        return Strip([*strip, Segment(self._thumb(y - 1), self._style("table--quiet"))], width)

    def _thumb(self, y: int) -> str:
        """Says where the view stands in the whole; a real scrollbar would cost a column of every row a page."""
        height, count = self._height, len(self.rows)
        if count <= height:
            return " "
        length = max(height * height // count, 1)
        start = round((height - length) * self.scroll_offset.y / (count - height))
        return "▐" if start <= y < start + length else " "

    def _head(self, width: int) -> Strip:
        style = self._style("table--head")
        text = "  "
        for field in fields(width - 1):
            name = one_line(self.metric, field.width) if field.column is Column.METRIC else str(field.column)
            if field.column is Column.DELTA:
                name = "Δ  95 %" if field.width > 9 else "Δ"
            if field.column is self._listing.column:
                name += "▴" if self._listing.reverse else "▾"
            text += (name.rjust(field.width) if field.right else name.ljust(field.width)) + " "
        return Strip([Segment(text, style)]).crop_extend(0, width, style)

    def _row(self, row: Summary, width: int, *, cursor: bool) -> Strip:
        what = outcome(row, self._doubtful)
        plain = self._style("")
        if row.id in self._marked:
            plain += Style(bold=True)
        if cursor:
            cursor_style = self._style("table--cursor")
            plain += Style(bgcolor=cursor_style.bgcolor, bold=True, reverse=cursor_style.reverse or None)
        look = plain + self._ink(LOOKS.get(what, "table--quiet"))
        edge = f"{'▸' if cursor else ' '}{MARKED if row.id in self._marked else ' '}"
        pieces = [Segment(edge, plain)]
        for field in fields(width):
            text = self._text(row, field, what)
            text = text.rjust(field.width) if field.right else text
            coloured = field.column in (Column.OUTCOME, Column.DELTA)
            pieces += Strip([Segment(text, look if coloured else plain)]).crop_extend(0, field.width, plain)
            pieces.append(Segment(" ", plain))
        return Strip(pieces).simplify().crop_extend(0, width, plain)

    def _text(self, row: Summary, field: Field, what: Outcome) -> str:
        match field.column:
            case Column.NUMBER:
                return str(row.id)
            case Column.OUTCOME:
                return f"{SIGNS[what]} {what}"
            case Column.METRIC:
                return number(row.metric) if row.metric is not None or row.verdict else ""
            case Column.DELTA:
                return delta_text(row, field.width)
            case Column.SIZE:
                added, removed = self._sizes.get(row.id, (None, None))
                return "" if added is None else f"+{added} -{removed}"
            case Column.AUTHOR:
                return one_line(row.author, field.width)
            case _:
                return one_line(row.title, field.width)

    def _style(self, name: str) -> Style:
        """The style of a component class; empty: plain."""
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(name) if name else self.rich_style
        return self._styles[name]

    def _ink(self, name: str) -> Style:
        """The same, over whatever background the row has."""
        full = self._style(name)
        return Style(color=full.color, bold=full.bold or None, dim=full.dim or None)


def delta_text(row: Summary, room: int) -> str:
    """The difference to the champion with half its 95 % interval; `1 run` where there is no interval."""
    if row.delta is None:
        return UNKNOWN if row.verdict else ""
    text = signed(row.delta)
    if room < 16:
        return text
    if row.delta_low is None or row.delta_high is None:
        return f"{text}   1 run"
    return f"{text} ±{number((row.delta_high - row.delta_low) / 2)}"
