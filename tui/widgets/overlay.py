"""The curves of up to six runs over each other. A step of the crosshair repaints two columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from core.models import Series
from core.text import duration, number
from tui.comparison import LETTERS
from tui.render.braille import Cell, Symbols, Trace
from tui.render.curves import SMOOTHING, Chart, XAxis, changed_spans, smooth
from tui.render.overlay import Picture, Sight, draw, extent, value_at
from tui.widgets.cells import strip_of

AXES = ("training time", "steps", "% of the budget", "tokens")


@dataclass(frozen=True, slots=True)
class Curve:
    """A run's curve and what its other axes need."""

    series: Series
    progress: float = 1.0
    """share of the budget at its end"""
    tokens: float | None = None
    """at its end"""

    def trace(self, axis: str, weight: float, *, dotted: bool) -> Trace:
        """The line over one of the axes."""
        series = smooth(self.series, weight)
        xs: Sequence[float] = series.t
        if axis == "steps":
            xs = series.step
        elif axis != "training time" and series.t:
            by, whole = (series.t, 100 * self.progress) if axis[0] == "%" else (series.step, self.tokens or 0.0)
            last = by[-1] or 1
            xs = [x / last * whole for x in by]
        ys: Sequence[float] = series.value
        if any(a > b for a, b in pairwise(xs)):  # a restarted script writes its steps again
            order = sorted(range(len(xs)), key=xs.__getitem__)
            xs, ys = [xs[i] for i in order], [ys[i] for i in order]
        return Trace(xs, ys, dotted)


class Overlay(Widget):
    """The first curve is dotted, the others are lines; each carries its letter."""

    DEFAULT_CSS = """
    Overlay { height: 1fr; min-height: 3; }
    Overlay > .overlay--axis { color: $text-disabled; &:ansi { text-style: dim; } }
    Overlay > .overlay--a { color: $text-muted; &:ansi { text-style: dim; } }
    Overlay > .overlay--b { color: $text-accent; }
    Overlay > .overlay--c { color: $text-success; }
    Overlay > .overlay--d { color: $text-error; }
    Overlay > .overlay--e { color: $text-primary; }
    Overlay > .overlay--f { color: $text-warning; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"overlay--axis", *(f"overlay--{letter.lower()}" for letter in LETTERS)}
    ALLOW_SELECT = False

    class Changed(Message):
        """Other values stand at the crosshair, or the picture is another."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Overlay.Changed)

    def __init__(self, *, symbols: str = "braille", id: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id)
        self.symbols = Symbols(symbols)
        self.log_scale = False
        self.smoothing = 0
        """index into SMOOTHING"""
        self.axis = self._first_axis = AXES[0]
        self.sight = Sight()
        self.empty_text = "No curve yet."
        self._curves: tuple[tuple[str, Curve], ...] = ()
        self._traces: list[Trace] = []
        self._picture = Picture((), None)
        self._fitted = Size(0, 0)

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def show(self, curves: Sequence[tuple[str, Curve]]) -> None:
        """These curves, each with its letter."""
        if tuple(curves) == self._curves:
            return
        self._curves = tuple(curves)
        if self.axis not in self.axes:
            self.axis = self._first_axis
        self._again()

    def count_in_seconds(self, timed: bool) -> None:
        """What a budget is in: the axis at first."""
        was, self._first_axis = self._first_axis, AXES[0 if timed else 1]
        if was != self._first_axis and self.axis == was:
            self.axis = self._first_axis
            self._again()

    @property
    def axes(self) -> list[str]:
        """What the curves can be drawn over: tokens only where every run says how many it had."""
        known = self._curves and all(curve.tokens for _, curve in self._curves)
        return [axis for axis in AXES if axis != "tokens" or known]

    def next_axis(self) -> None:
        axes = self.axes
        self.axis = axes[(axes.index(self.axis) + 1) % len(axes)]
        self.sight = Sight()
        self._again()

    def toggle_log(self) -> None:
        self.log_scale = not self.log_scale
        self._again()

    def smooth(self, delta: int) -> None:
        """One step smoother (+1) or rougher (-1)."""
        self.smoothing = max(0, min(self.smoothing + delta, len(SMOOTHING) - 1))
        self._again()

    def zoom(self, factor: float) -> None:
        """Closer (above 1) or farther, around the crosshair."""
        if self._picture.window is None:
            return
        self.sight = self.sight.closer(factor, extent(self._traces))
        self._again()

    def reset(self) -> None:
        """The whole curves, no crosshair."""
        self.sight = Sight()
        self._again()

    def move_cross(self, cells: int) -> None:
        """The crosshair by so many cells; it comes up in the middle, and the view goes along at its edges."""
        picture = self._picture
        if picture.window is None:
            return
        if self.sight.cross is None:
            self._cross_at(picture.across // 2)
            return
        column = picture.column_of(self.sight.cross) + cells
        if 0 <= column < picture.across:
            self._cross_at(column)
        elif self.sight.zoom > 1:
            step = (0.25 if cells > 0 else -0.25) / self.sight.zoom
            share = min(1.0, max(0.0, self.sight.centre + step))
            self.sight = replace(self.sight, centre=share)
            self._again()

    def _cross_at(self, column: int) -> None:
        self.sight = replace(self.sight, cross=self._picture.x_of(column))
        self._again()

    def on_click(self, event: events.Click) -> None:
        column = event.x - self._picture.left
        if self._picture.window is not None and 0 <= column < self._picture.across:
            self._cross_at(column)

    @property
    def values(self) -> dict[str, float | None]:
        """By letter: the value at the crosshair, or the last one where there is none."""
        return {
            letter: value_at(line, self.sight.cross)
            for (letter, _), line in zip(self._curves, self._traces, strict=True)
        }

    @property
    def words(self) -> list[str]:
        """How the curves are drawn, in words."""
        words = [f"over {self.axis}"]
        words += [self._picture.note or "log scale"] if self.log_scale else []
        words += [f"smoothed {SMOOTHING[self.smoothing]}"] if self.smoothing else []
        words += [f"{self.sight.zoom:g}× closer"] if self.sight.zoom > 1 else []
        if self.sight.cross is not None:
            words.append(f"at {self._place(self.sight.cross)}")
        return words

    def _place(self, x: float) -> str:
        match self.axis:
            case "training time":
                return duration(x)
            case "steps":
                return f"step {number(x, 0)}"
            case "tokens":
                return f"{number(x, 0)} tokens"
            case _:
                return f"{x:.1f} %"

    # ---- drawing -----------------------------------------------------------------------------------------------

    def _again(self) -> None:
        weight = SMOOTHING[self.smoothing]
        self._traces = [
            curve.trace(self.axis, weight, dotted=index == 0 and len(self._curves) > 1)
            for index, (_, curve) in enumerate(self._curves)
        ]
        if self.size and self._fitted == self.size:
            before = self._picture.rows
            self._draw()
            spans = changed_spans(Chart(before, None), Chart(self._picture.rows, None))
            if spans:
                self.refresh(*[Region(x, y, length, 1) for x, y, length in spans])
        else:
            self.refresh()
        self.post_message(self.Changed())

    def _draw(self) -> None:
        self._fitted = self.size
        x: XAxis = "t" if self.axis == "training time" else "step"
        letters = "".join(letter for letter, _ in self._curves)
        width, height = self.size
        self._picture = draw(
            self._traces, letters, width, height, sight=self.sight, x=x, log=self.log_scale, symbols=self.symbols
        )

    def render_line(self, y: int) -> Strip:
        if self._fitted != self.size:
            self._draw()
        width = self.size.width
        if self._picture.window is None:
            muted = self.get_component_rich_style("overlay--a")
            return Strip([Segment(self.empty_text if y == 0 else "", muted)]).crop_extend(0, width, muted)
        rows = self._picture.rows
        return self._cells(rows[y]) if y < len(rows) else Strip.blank(width, self.rich_style)

    def _cells(self, cells: Sequence[Cell]) -> Strip:
        styles: dict[int | None, Style] = {
            index: self.get_component_rich_style(f"overlay--{letter.lower()}")
            for index, (letter, _) in enumerate(self._curves)
        }
        styles[None] = self.get_component_rich_style("overlay--axis")
        return strip_of(cells, styles)
