"""One row of text that repaints only the cells that changed: what a slow link pays for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a row. Where the row is too narrow, parts are shortened, then left out, the largest `rank` first."""

    content: Content
    rank: int = 0
    """0: never left out"""
    short: Content | None = None
    """what is shown instead in a narrow row"""
    action: str = ""
    """what a click on it does"""


def key_hint(key: str, label: str, *, dim: bool = False) -> Content:
    """A key and what it does, for a last row; dim where it cannot act."""
    if dim:
        return Content.styled(f" {key} {label}", "$foreground-disabled")
    return Content.assemble((f" {key}", "bold $text-accent"), f" {label}")


def fit(parts: Sequence[Part], width: int, gap: int = 2) -> list[Part]:
    """The parts that fit into `width` cells, shortened and left out by rank."""
    kept = list(parts)

    def used() -> int:
        return sum(part.content.cell_length for part in kept) + gap * max(len(kept) - 1, 0)

    for shorten in (True, False):
        while used() > width:
            candidates = [part for part in kept if (part.short is not None if shorten else part.rank)]
            if not candidates:
                break
            worst = max(candidates, key=lambda part: part.rank)
            index = kept.index(worst)
            if worst.short is not None:
                kept[index] = Part(worst.short, worst.rank, None, worst.action)
            else:
                del kept[index]
    return kept


def row(parts: Iterable[Part], gap: int = 2) -> Content:
    """The parts side by side."""
    return Content(" " * gap).join([part.content for part in parts])


class Line(Widget):
    """A row of text. `show` compares it with what stands there and refreshes the difference."""

    DEFAULT_CSS = """
    Line { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    ALLOW_SELECT = False

    class Pressed(Message):
        """Somebody clicked on a part that stands for an action."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self._content = Content()
        self._strip: Strip | None = None
        self._spots: list[tuple[int, int, str]] = []

    def show(self, content: Content) -> None:
        """Put this text into the row."""
        if content.is_same(self._content):
            return
        self._content = content
        if not self.size.width or self._strip is None:
            self.refresh()
            return
        strip = self._drawn(self.size.width)
        if (cells := changed(self._strip, strip)) is not None:
            self.refresh(Region(cells[0], 0, cells[1] - cells[0], 1))
        self._strip = strip

    def show_parts(self, parts: Sequence[Part], gap: int = 2) -> None:
        """Put these parts into the row, as many as fit."""
        kept = fit(parts, self.size.width or self.app.size.width, gap)
        self._spots, x = [], 0
        for part in kept:
            end = x + part.content.cell_length
            if part.action:
                self._spots.append((x, end, part.action))
            x = end + gap
        self.show(row(kept, gap))

    def on_click(self, event: events.Click) -> None:
        for start, end, action in self._spots:
            if start <= event.x < end:
                self.post_message(self.Pressed(action))

    def render(self) -> Content:
        if self.size.width:
            self._strip = self._drawn(self.size.width)
        return self._content

    def _drawn(self, width: int) -> Strip:
        strips = Visual.to_strips(self, self._content, width, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(width)


def changed(old: Strip, new: Strip) -> tuple[int, int] | None:
    """From the first cell that differs to behind the last one."""
    before, after = _cells(old), _cells(new)
    if before is None or after is None or len(before) != len(after):
        return (0, new.cell_length)
    differ = [x for x, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    return (differ[0], differ[-1] + 1) if differ else None


def _cells(strip: Strip) -> list[tuple[str, Style | None]] | None:
    """A character and its style a cell; None where a character takes another number of cells than one."""
    cells = [(char, segment.style) for segment in strip for char in segment.text]
    return cells if len(cells) == strip.cell_length else None
