"""The whole patch, to read and to decide about hunk by hunk. Only the rows on the screen are ever rendered.

A hunk that stays is marked `▌`, one that is switched out `·` and in words; `▸` is the cursor. Meaning never hangs on
colour. A changed line that is longer than the pane goes on behind `↳`. From 140 columns on, what was and what will be
stand side by side.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from tui.render.diff_lines import Lines, is_whole
from tui.render.diff_rows import Rows
from tui.widgets.diff_line import NARROW_COLUMNS, Pen, holds, numbers, room
from tui.widgets.sight import in_sight

PALETTE = {
    "diff--added": (194, 22), "diff--removed": (224, 52),
    "diff--added-word": (157, 28), "diff--removed-word": (217, 88),
}  # fmt: skip
"""backgrounds on a light and on a dark theme, where a terminal has 256 colours: most have no more over SSH"""
SPLIT_COLUMNS = 140
SEEN_SECONDS = 0.3
"""how long a hunk's last row has to be on the screen until the hunk counts as seen"""


class DiffView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows diff rows. The screen binds the keys; the cursor row says which hunk they are about."""

    DEFAULT_CSS = """
    DiffView { height: 1fr; overflow: hidden scroll; scrollbar-size: 0 0; }
    DiffView > .diff--file { background: $panel; text-style: bold; }
    DiffView > .diff--hunk { color: $text-accent; text-style: bold; }
    DiffView > .diff--gutter { color: $text-muted; &:ansi { text-style: dim; } }
    DiffView > .diff--added { background: $success 12%; }
    DiffView > .diff--removed { background: $error 12%; }
    DiffView > .diff--added-word { background: $success 40%; text-style: bold; }
    DiffView > .diff--removed-word { background: $error 40%; text-style: bold; }
    DiffView:nocolor > .diff--added-word { text-style: underline; }
    DiffView:nocolor > .diff--removed-word { text-style: underline; }
    DiffView:ansi > .diff--added { color: $success; background: transparent; }
    DiffView:ansi > .diff--removed { color: $error; background: transparent; }
    DiffView:ansi > .diff--added-word { color: $success; background: transparent; text-style: bold underline; }
    DiffView:ansi > .diff--removed-word { color: $error; background: transparent; text-style: bold underline; }
    DiffView > .diff--out { color: $text-disabled; text-style: dim; }
    DiffView > .diff--cursor { background: $foreground 20%; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "diff--file",
        "diff--hunk",
        "diff--gutter",
        "diff--added",
        "diff--removed",
        "diff--added-word",
        "diff--removed-word",
        "diff--out",
        "diff--cursor",
    }
    ALLOW_SELECT = False

    class HunkToggled(Message):
        """The reader switched a hunk out or in again."""

        def __init__(self, view: DiffView, hunk: int, kept: bool) -> None:
            super().__init__()
            self.view = view
            self.hunk = hunk
            self.kept = kept

        @property
        def control(self) -> DiffView:
            return self.view

    class ReadOn(Message):
        """The cursor has come to another hunk, or more hunks have been seen."""

        def __init__(self, view: DiffView) -> None:
            super().__init__()
            self.view = view

        @property
        def control(self) -> DiffView:
            return self.view

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, DiffView.ReadOn) and message.view is self.view

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        id: str | None = None,  # noqa: A002 (Textual's word)
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.clock = clock
        self.empty_text = "There is no patch to show."
        """stands there when there are no rows"""
        self.kept: frozenset[int] = frozenset()
        """indices of the hunks that stay"""
        self.seen: frozenset[int] = frozenset()
        """indices of the hunks that were read to their last row"""
        self.cursor = 0
        """index of the cursor's line"""
        self._rows = Rows()
        self._lines = Lines(self._rows, split=False)  # as drawn; a unified line is its own two sides
        self._split = False
        self._fitted = -1  # width that the lines were laid out for
        self._number_width = 3
        self._left = 0
        self._needle = ""
        self._since: dict[int, float] = {}  # hunk -> when its last row came on the screen
        self._look_timer: Timer | None = None
        self._strips: LRUCache[tuple[int, bool], Strip] = LRUCache(1024)
        self._styles_by_name: dict[str, Style] = {}

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def show(self, rows: Rows | None) -> None:
        """Shows another patch, or none, from its first hunk on, nothing seen yet; rows say which are switched out."""
        self._rows = rows or Rows()
        self.kept = self._rows.kept
        self.seen = frozenset()
        highest = max((part.highest for part in self._rows.parts), default=0)
        self._number_width = max(len(str(highest)), 3)
        self._left, self._needle = 0, ""
        self._since.clear()
        self.cursor = 0
        self._lay_out()
        self.cursor = self._lines.heads[0] if self._lines.heads else 0
        self.scroll_to(y=0)
        self.refresh()
        self._look_later()

    @property
    def hunks(self) -> int:
        return self._rows.hunks

    @property
    def cursor_hunk(self) -> int | None:
        """The hunk under the cursor; None on a file's name and where there is nothing."""
        return self._lines.hunk(self.cursor) if self.cursor < len(self._lines) else None

    def next_hunk(self) -> None:
        at = bisect_left(self._lines.heads, self.cursor + 1)
        if at < len(self._lines.heads):
            self._go_to_hunk(at)

    def previous_hunk(self) -> None:
        at = bisect_left(self._lines.heads, self.cursor)
        if at > 0:
            self._go_to_hunk(at - 1)

    def toggle_hunk(self) -> None:
        """Switches the hunk under the cursor out, or in again."""
        hunk = self.cursor_hunk
        if hunk is None:
            return
        self.set_kept(self.kept ^ {hunk})
        self.post_message(self.HunkToggled(self, hunk, hunk in self.kept))

    def set_kept(self, kept: frozenset[int]) -> None:
        kept = kept & frozenset(range(self.hunks))
        if kept == self.kept:
            return
        before, self.kept = self._lines, kept
        self._rows = self._rows.keeping(kept)
        self._lines = self._lines.of(self._rows)
        self._strips.clear()
        for line in range(self.scroll_offset.y, min(self.scroll_offset.y + self.size.height, len(before))):
            if self._lines[line] != before[line]:
                self._refresh_line(line)

    def find(self, text: str, backwards: bool = False) -> bool:
        """The cursor goes to the next line with this text, around the end; empty text ends the search."""
        if text != self._needle:
            self._needle = text
            self._strips.clear()
            self.refresh()
        if not text or not self._lines:
            return False
        for line in self._lines.around(self.cursor, text, backwards=backwards):
            if holds(self._lines[line], text, self._lines.room):
                self._go_to(line, centre=True)
                return True
        return False

    def scroll_line(self, delta: int) -> None:
        """Moves the cursor."""
        self._go_to(self.cursor + delta)

    def scroll_page(self, delta: float) -> None:
        """By pages of what is visible, the cursor with it: -0.5 is half a page up."""
        rows = round(delta * max(self.size.height - 1, 1))
        target = self.cursor + rows
        self.scroll_to(y=self.scroll_offset.y + rows)
        self._go_to(target)

    def scroll_sideways(self, delta: int) -> None:
        """For lines that are longer than the pane; the gutter stays."""
        top = self.scroll_offset.y
        visible = range(top, min(top + self.size.height, len(self._lines)))
        rows = (row for line in visible for row in self._lines[line][:2] if row)
        longest = max((cell_len(row.text) for row in rows if not is_whole(row, self._lines.room)), default=0)
        left = max(min(self._left + delta, longest - 8), 0)
        if left != self._left:
            self._left = left
            self._strips.clear()
            self.refresh()

    def top(self) -> None:
        self._go_to(0)

    def bottom(self) -> None:
        self._go_to(len(self._lines) - 1)

    # ---- moving ------------------------------------------------------------------------------------------------

    def _put_cursor(self, line: int) -> int:
        """The cursor's line before."""
        before, hunk = self.cursor, self.cursor_hunk
        self.cursor = line
        if self.cursor_hunk != hunk:
            self.post_message(self.ReadOn(self))
        return before

    def _go_to(self, line: int, *, centre: bool = False) -> None:
        line = max(min(line, len(self._lines) - 1), 0)
        before = self._put_cursor(line)
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if not top <= line < top + height:
            wanted = line - height // 2 if centre else line if line < top else line - height + 1
            self.scroll_to(y=wanted)
        for changed in {before, line} if before != line else ():
            self._refresh_line(changed)

    def _go_to_hunk(self, index: int) -> None:
        """The whole hunk comes into view; one that is higher than the view begins at its top."""
        line, last = self._lines.heads[index], self._lines.ends[index]
        if last >= self.scroll_offset.y + self.size.height:
            before = self._put_cursor(line)  # inside the new view, so scrolling leaves it alone
            self.scroll_to(y=min(line, last - self.size.height + 1) if last - line < self.size.height else line)
            self._refresh_line(before)
        self._go_to(line)

    def scroll_to(self, x: float | None = None, y: float | None = None, **options: object) -> None:
        """Never animated: frames between two positions would only flood a slow link."""
        super().scroll_to(x, y, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        top = self.scroll_offset.y
        self._put_cursor(max(min(self.cursor, top + self.size.height - 1, len(self._lines) - 1), top, 0))
        self._look_later()

    def on_click(self, event: events.Click) -> None:
        if self._lines:
            self._go_to(self.scroll_offset.y + event.y)

    # ---- what was seen -----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Notes which hunks end on the screen now, and which have for long enough to count as seen."""
        now = self.clock()
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        visible = {hunk for hunk, line in enumerate(self._lines.ends) if top <= line < bottom and hunk not in self.seen}
        if not in_sight(self):
            visible = set()
        self._since = {hunk: self._since.get(hunk, now) for hunk in visible}
        seen = {hunk for hunk, since in self._since.items() if now - since >= SEEN_SECONDS}
        if seen:
            self.seen |= seen
            self.post_message(self.ReadOn(self))
            for hunk in seen:
                del self._since[hunk]
                self._refresh_line(self._lines.heads[hunk])

    def _look_later(self) -> None:
        """Looks after the next paint and once more when that has stood long enough; no timer runs in between."""
        if self.is_attached:
            self.call_after_refresh(self._look_twice)

    def _look_twice(self) -> None:
        if not self.is_attached:  # the screen has closed since
            return
        self.look()
        if self._look_timer is not None:
            self._look_timer.stop()
        self._look_timer = self.set_timer(SEEN_SECONDS + 0.02, self.look) if self._since else None

    def on_mount(self) -> None:
        self._look_later()

    def on_show(self) -> None:
        self._look_later()

    def on_hide(self) -> None:
        self._since.clear()

    # ---- drawing -----------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._fit()
        self.scroll_to(y=self.scroll_offset.y)  # the end may be nearer now
        self._go_to(self.cursor)
        self._look_later()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles_by_name.clear()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        self._fit()  # the first paint of a new size comes before on_resize
        line = self.scroll_offset.y + y
        width, plain = self.size.width, self._style("")
        if not self._lines:
            words = Segment(self.empty_text if y == 0 else "", self._style("diff--gutter"))
            return Strip([words]).crop_extend(0, width, plain)
        if line >= len(self._lines):
            return Strip.blank(width, plain)
        thumb = self._thumb()
        if thumb and width > NARROW_COLUMNS // 2:
            width -= 1
        key = (line, line == self.cursor)
        strip = self._strips.get(key)
        if strip is None or strip.cell_length != width:
            strip = self._strips[key] = self._pen().line(self._lines[line], width, cursor=key[1])
        if width == self.size.width:
            return strip
        end = Segment("▐", self._style("diff--gutter")) if y in thumb else Segment(" ", strip._segments[-1].style)
        return Strip([*strip, end], width + 1).simplify()

    def _thumb(self) -> range:
        """Rows of the view that say where it stands in the whole; a real scrollbar would cost 1.5 kB a page."""
        height, lines = self.size.height, len(self._lines)
        if lines <= height:
            return range(0)
        length = max(height * height // lines, 1)
        start = round((height - length) * self.scroll_offset.y / (lines - height))
        return range(start, start + length)

    def _lay_out(self) -> None:
        """The lines for this width, with the numbers that the kept hunks give."""
        split = self.size.width >= SPLIT_COLUMNS
        here = self.cursor_hunk if split != self._split else None
        self._split = split
        self._lines = Lines(self._rows, split=split, room=room(self.size.width, self._number_width, split=split))
        if here is not None:  # lines are others now: stay at the hunk
            self.cursor = self._lines.heads[here]
        self.cursor = max(min(self.cursor, len(self._lines) - 1), 0)
        self._strips.clear()
        self._fitted = self.size.width
        # the size that the layout sees never changes with the patch: a layout would repaint the whole screen
        self.set_reactive(DiffView.virtual_size, Size(self.size.width, len(self._lines)))

    def _fit(self) -> None:
        if self._fitted != self.size.width:
            self._lay_out()

    def _refresh_line(self, line: int) -> None:
        for cursor in (False, True):
            self._strips.discard((line, cursor))
        self.refresh(Region(0, line - self.scroll_offset.y, self.size.width, 1))

    def _pen(self) -> Pen:
        columns = numbers(self.size.width, split=self._split)
        return Pen(
            self._style, self.kept, self.seen, self._needle, self._left, self._number_width, self._split, columns,
            self._lines.room,
        )  # fmt: skip

    def _style(self, name: str, *, cursor: bool = False) -> Style:
        key = f"{name}{'*' * cursor}"
        if key not in self._styles_by_name:
            style = self.get_component_rich_style(name) if name else self.rich_style
            few = self.app.console.color_system == "256" and not self.app.native_ansi_color
            if few and name in PALETTE:  # a tint this faint would round to black
                style += Style(bgcolor=Color.from_ansi(PALETTE[name][self.app.current_theme.dark]))
            if cursor:
                style += Style(bgcolor=self.get_component_rich_style("diff--cursor").bgcolor)
            self._styles_by_name[key] = style
        return self._styles_by_name[key]
