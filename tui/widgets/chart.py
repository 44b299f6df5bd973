"""A live curve over the champion's. A tick repaints only the cells that changed, at most twice a second, and only while
somebody can see it: over a slow link that is 0.3 kB instead of 10.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from core.models import Series
from core.text import one_line
from tui.render.braille import Cell, Symbols
from tui.render.curves import SMOOTHING, XAxis, changed_spans, draw, in_words, newest, smooth, trace
from tui.render.curves import Chart as Drawing
from tui.widgets.cells import strip_of
from tui.widgets.sight import in_sight

REPAINT_SECONDS = 0.5
AXES = ("seconds", "steps", "progress")
NOTHING = Series("", (), (), ())


class Chart(Widget):
    """One curve, the champion's dotted behind it at equal training time, and a line that says the same in words."""

    DEFAULT_CSS = """
    Chart { height: 1fr; min-height: 3; }
    Chart > .chart--title { text-style: bold; }
    Chart > .chart--live { color: $text-accent; }
    Chart > .chart--champion { color: $text-muted; &:ansi { text-style: dim; } }
    Chart > .chart--axis { color: $text-disabled; &:ansi { text-style: dim; } }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--title", "chart--live", "chart--champion", "chart--axis"}
    ALLOW_SELECT = False

    def __init__(
        self,
        *,
        symbols: str = "braille",
        slow: bool = False,
        compact: bool = False,
        clock: Callable[[], float] = time.monotonic,
        id: str | None = None,  # noqa: A002 (Textual's word)
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.symbols = symbols
        """`braille`, `block` or `ascii`"""
        self.repaint_seconds = REPAINT_SECONDS * (2 if slow else 1)
        self.compact = compact
        """one of several: its name and its newest value over the curve, no line in words"""
        self.clock = clock
        self.log_scale = False
        self.smoothing = 0
        """index into SMOOTHING"""
        self.timed = True
        """budgets are in seconds, so equal times are compared; else equal steps"""
        self.axis = 0
        """index into AXES"""
        self.whole = False
        """the first fifth of the curve decides the height of the window too"""
        self._series, self._champion, self._end = NOTHING, NOTHING, 0.0
        self._words = ("", "", "")  # title, unit, note
        self._over = False
        self._drawing: Drawing | None = None
        self._head, self._foot = "", ""
        self._names: list[str] = []  # component class of each trace
        self._fitted = Size(0, 0)
        self._painted = -REPAINT_SECONDS
        self._stale = True
        self._timer: Timer | None = None

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def show(
        self,
        series: Series,
        champion: Series | None,
        *,
        title: str = "",
        unit: str = "",
        note: str = "",
        end: float | None = None,
        over: bool = False,
    ) -> None:
        """The newest state of the curve. `end`: training seconds the run will take, where known; `over`: it has ended,
        no point will follow.
        """
        new = (series, champion or NOTHING, end or 0.0, (title, unit, note), over)
        if new == (self._series, self._champion, self._end, self._words, self._over):
            return
        other = (series.name, title, new[1].step[:1]) != (self._series.name, self._words[0], self._champion.step[:1])
        other = other or (over != self._over and not series.step)
        self._series, self._champion, self._end, self._words, self._over = new
        self._stale = True
        if other and self._visible:
            self._repaint()  # another curve: its window starts afresh, and whoever asked for it does not wait
        else:
            self._drawing = None if other else self._drawing
            self._paint_soon()

    def toggle_log(self) -> None:
        self.log_scale = not self.log_scale
        self._repaint()

    def toggle_whole(self) -> None:
        """The whole height of the curve, or the part after its start."""
        self.whole = not self.whole
        self._repaint()

    def smooth(self, delta: int) -> None:
        """One step smoother (+1) or rougher (-1)."""
        self.smoothing = max(0, min(self.smoothing + delta, len(SMOOTHING) - 1))
        self._repaint()

    def next_axis(self) -> None:
        """Over training seconds, steps, or the share of the time."""
        self.axis = (self.axis + 1) % len(AXES)
        if AXES[self.axis] == "progress" and not (self._end or self._champion.t):
            self.axis = AXES.index("seconds")  # nobody knows how long it will take
        self._repaint()

    def reset(self) -> None:
        self.log_scale, self.smoothing, self.axis, self.whole = False, 0, self._first_axis, False
        self._repaint()

    def count_in_seconds(self, timed: bool) -> None:
        """What a budget is in: the axis at first, and what the words compare at."""
        if timed == self.timed:
            return
        was, self.timed = self._first_axis, timed
        if self.axis == was:
            self.axis = self._first_axis
        self._stale = True
        self._paint_soon()

    @property
    def _first_axis(self) -> int:
        return AXES.index("seconds" if self.timed else "steps")

    def look_like(self, other: Chart) -> None:
        """The same scale, smoothing and axis as another one."""
        theirs = (other.log_scale, other.smoothing, other.axis, other.whole)
        if theirs != (self.log_scale, self.smoothing, self.axis, self.whole):
            self.log_scale, self.smoothing, self.axis, self.whole = theirs
            self._repaint()

    @property
    def summary(self) -> str:
        """What the chart says, in one line."""
        if self._over and not self._series.value:
            return f"{one_line(self._series.name, 40)}: no value"
        x: XAxis = "t" if self.timed else "step"
        return in_words(self._series, self._champion if self._champion.step else None, x=x)

    # ---- when to paint -----------------------------------------------------------------------------------------

    def on_show(self) -> None:
        self._paint_soon()

    def _repaint(self) -> None:
        """Now and whole: the reader asked for another picture."""
        self._drawing, self._stale = None, True
        self._paint()

    def _paint_soon(self) -> None:
        if not self._stale or self._timer is not None or not self._visible:
            return
        wait = self._painted + self.repaint_seconds - self.clock()
        if wait <= 0:
            self._paint()
        else:
            self._timer = self.set_timer(wait, self._paint)

    @property
    def _visible(self) -> bool:
        return bool(self.size) and in_sight(self)

    def _paint(self) -> None:
        """Compares the new picture with the one on the screen and refreshes the difference."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.size:
            return
        before, head, foot = self._drawing, self._head, self._foot
        if before is None or before.window is None or self._fitted != self.size:  # words may stand where cells come
            self._make_picture(None)
            self.refresh()
            return
        drawing = self._make_picture(before)
        width, height = self.size
        regions = [Region(x, y + 1, length, 1) for x, y, length in changed_spans(before, drawing)]
        for y, old, new in ((0, head, self._head), (height - 1, foot, self._foot))[: 1 if self.compact else 2]:
            regions += [Region(x, y, length, 1) for x, length in _changed(old, new, width)]
        if regions:
            self.refresh(*regions)

    # ---- the picture -------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        if self._drawing is None or self._fitted != self.size:
            self._make_picture(None)

    def _make_picture(self, before: Drawing | None) -> Drawing:
        """Everything that `render_line` shows; `before` keeps the axes where they were."""
        self._painted, self._stale, self._fitted = self.clock(), False, self.size
        width, height = self.size
        self._drawing = self._draw(width, max(height - (1 if self.compact else 2), 0), before)
        self._head, self._foot = self._headline(width), "" if self.compact else one_line(self.summary, width)
        return self._drawing

    def _draw(self, width: int, height: int, before: Drawing | None) -> Drawing:
        x: XAxis = "step" if self.axis else "t"
        series, champion, end = self._series, self._champion, self._last_x()
        if AXES[self.axis] == "progress":
            series, champion, end = _shares(series, end), _shares(champion, end), 100.0
        curves = [("chart--champion", champion)] if champion.step else []
        curves.append(("chart--live", series))
        self._names = [name for name, _ in curves]
        weight = SMOOTHING[self.smoothing]
        return draw(
            [trace(smooth(curve, weight), x, dotted=name == "chart--champion") for name, curve in curves],
            width,
            height,
            x=x,
            x_end=end or None,
            log=self.log_scale,
            whole=self.whole,
            window=before.window if before else None,
            symbols=Symbols(self.symbols),
            ends=not self.compact,
        )

    def _last_x(self) -> float:
        """Where the x axis ends: with the budget, or else with the champion's run."""
        if AXES[self.axis] == "steps":
            return float(max(self._champion.step, default=0))
        return self._end or max((*self._champion.t[-1:], *(self._series.t[-1:] if self.axis else ())), default=0.0)

    def _headline(self, width: int) -> str:
        title, unit, note = self._words
        if self.compact:
            return one_line(f"{title or self._series.name} {newest(self._series)}", width)
        words = [one_line(title or self._series.name, width)]
        words += [f"({one_line(unit, 20)})"] if unit else []
        words += ["dotted: champion"] if self._champion.step else []
        words += [f"x: {'% of the time' if AXES[self.axis] == 'progress' else 'steps'}"] if self.axis else []
        words += [f"smoothed {SMOOTHING[self.smoothing]}"] if self.smoothing else []
        cannot = self._drawing.note if self._drawing else ""
        words += [cannot or "log scale"] if self.log_scale else []
        words += [one_line(note, width)] if note else []
        return one_line("  ".join(words), width) if len(words) == 1 else "  ".join(words)[:width]

    def render_line(self, y: int) -> Strip:
        self._fit()  # the first paint of a new size comes before on_resize
        assert self._drawing is not None
        width, height = self.size
        if y == 0:
            return self._text(self._head, "chart--title")
        if y == height - 1 and not self.compact:
            return self._text(self._foot, "")
        if self._drawing.window is None and y == 1:
            if self._over:
                words = "No points" if self.compact else "No points: the run ended before its first training step."
            else:
                words = "No points yet"
                words += "" if self.compact else ": the curve begins with the first training step."
            return self._text(words, "chart--champion")
        rows = self._drawing.rows
        return self._cells(rows[y - 1]) if y - 1 < len(rows) else Strip.blank(width, self.rich_style)

    def _text(self, text: str, component: str) -> Strip:
        style = self.get_component_rich_style(component) if component else self.rich_style
        return Strip([Segment(text, style)]).crop_extend(0, self.size.width, style)

    def _cells(self, cells: Sequence[Cell]) -> Strip:
        styles: dict[int | None, Style] = {i: self.get_component_rich_style(name) for i, name in enumerate(self._names)}
        styles[None] = self.get_component_rich_style("chart--axis")
        return strip_of(cells, styles)


def _shares(series: Series, whole: float) -> Series:
    """The series with percent of `whole` seconds in the place of steps."""
    return replace(series, t=tuple(100 * t / whole if whole else 0.0 for t in series.t))


def _changed(old: str, new: str, width: int) -> list[tuple[int, int]]:
    """The one span of cells that differ, as (x, width); the whole row where a character is no single cell."""
    if old == new:
        return []
    if cell_len(old + new) != len(old + new):
        return [(0, width)]
    pairs = zip(old.ljust(width), new.ljust(width), strict=False)
    differing = [x for x, (a, b) in enumerate(pairs) if a != b]
    return [(differing[0], differing[-1] - differing[0] + 1)] if differing else []
