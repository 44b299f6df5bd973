"""Every experiment by its number, the champion as steps, the noise around it; a row of words says the same.

Heights are differences that were measured, added up from the baseline on: see `core.reporting.heights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from core.models import Experiment, Verdict
from core.store.rows import Summary
from core.text import number, one_line, signed
from tui.render.braille import Cell, Symbols
from tui.render.curves import Chart, changed_spans
from tui.render.progress import (
    ASCII_SIGNS,
    SIGNS,
    Dot,
    Frame,
    Ink,
    Name,
    Progress,
    Reign,
    Rows,
    draw,
    inks,
    with_cursor,
)
from tui.survey import Survey
from tui.widgets.cells import strip_of

WORDS = {
    Ink.KEPT: "kept",
    Ink.SUSPECT: "suspect",
    Ink.UNCLEAR: "unclear",
    Ink.TRIED: "not kept",
    Ink.FAILED: "no metric",
    Ink.CHAMPION: "champion",
}
DIGITS = 4
NAMES = 14
"""keeps that are named, the largest gains first: more would cover each other"""


class ProgressPlot(Widget):
    """Repaints the cells that changed; moving the cursor changes two of them."""

    DEFAULT_CSS = """
    ProgressPlot { height: 1fr; min-height: 3; }
    ProgressPlot > .progress--title { text-style: bold; }
    ProgressPlot > .progress--axis { color: $text-disabled; &:ansi { text-style: dim; } }
    ProgressPlot > .progress--band { color: $text-disabled; &:ansi { text-style: dim; } }
    ProgressPlot > .progress--tried { color: $text-muted; &:ansi { text-style: dim; } }
    ProgressPlot > .progress--failed { color: $text-error; }
    ProgressPlot > .progress--champion { color: $text-accent; }
    ProgressPlot > .progress--suspect { color: $text-warning; text-style: bold; }
    ProgressPlot > .progress--kept { color: $text-success; text-style: bold; }
    ProgressPlot > .progress--name { color: $text-success; }
    ProgressPlot > .progress--cursor { color: $text-accent; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "progress--title",
        "progress--axis",
        "progress--band",
        "progress--tried",
        "progress--failed",
        "progress--champion",
        "progress--suspect",
        "progress--kept",
        "progress--name",
        "progress--cursor",
    }
    ALLOW_SELECT = False

    def __init__(self, *, symbols: str = "braille", id: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id)
        self.symbols = Symbols(symbols)
        """`braille`, `block` or `ascii`"""
        self.metric = ""
        self.empty_text = "No result yet: the first one appears here when a run has been evaluated."
        self._progress: Progress | None = None
        """None: not read yet"""
        self._sigma = 0.0
        self._at: int | None = None
        self._base: Rows = ()
        self._frame: Frame | None = None
        self._rows: Rows = ()
        self._fitted = Size(0, 0)
        self._head = ""

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def show(self, progress: Progress, *, metric: str, sigma: float) -> None:
        """The newest results."""
        if (progress, metric, sigma) == (self._progress, self.metric, self._sigma):
            return
        self._progress, self.metric, self._sigma = progress, metric, sigma
        before = self._rows
        if not self.size or self._fitted != self.size:
            self.refresh()
            return
        head = self._head
        self._draw()
        self._repaint(before)
        if self._head != head:
            self.refresh(Region(0, 0, self.size.width, 1))

    def point_at(self, experiment: int | None) -> None:
        """Mark the place of this experiment."""
        if experiment == self._at:
            return
        self._at = experiment
        if not self.size or self._fitted != self.size:
            return
        before = self._rows
        self._rows = with_cursor(self._base, self._frame, experiment, self.symbols)
        self._repaint(before)

    @property
    def summary(self) -> str:
        """What the plot says, in words."""
        if self._progress is None:
            return ""
        reigns, kept = self._progress.reigns, sum(dot.ink is Ink.KEPT for dot in self._progress.dots)
        text = f"{one_line(self.metric, 24)}: "
        if reigns:
            text += f"baseline {number(reigns[0].level, DIGITS)}, "
        text += f"{kept:,} kept of {len(self._progress.dots):,} judged"
        if len(reigns) > 1:
            text += f", added up Δ {signed(reigns[-1].level - reigns[0].level, DIGITS)}"
        return text

    # ---- drawing -----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._fitted = self.size
        width, height = self.size
        self._base, self._frame = draw(self._progress or Progress(), width, max(0, height - 1), self.symbols)
        self._rows = with_cursor(self._base, self._frame, self._at, self.symbols)
        self._head = self._title()

    def _repaint(self, before: Rows) -> None:
        spans = changed_spans(Chart(before, None), Chart(self._rows, None))
        if spans:
            self.refresh(*[Region(x, y + 1, length, 1) for x, y, length in spans])

    def _title(self) -> str:
        """What is drawn, what the marks mean, how loud the noise is; as much as there is room for."""
        if self._progress is None:
            return ""
        signs = ASCII_SIGNS if self.symbols is Symbols.ASCII else SIGNS | {Ink.CHAMPION: "─"}
        signs = {Ink.CHAMPION: "-"} | signs
        legend = [f"{signs[ink]} {WORDS[ink]}" for ink in inks(self._progress) if ink in WORDS]
        band = self._progress.band
        noise = f"{signs[Ink.BAND]} noise ±{number(band, DIGITS)} (95 %)" if band else "noise not measured"
        words = [self.summary, *legend, noise] if self._progress.dots else [self.summary]
        text = words[0]
        for word in words[1:]:
            longer = f"{text}  {word}"
            text = longer if len(longer) <= self.size.width else text
        return one_line(text, self.size.width) if len(text) > self.size.width else text

    def render_line(self, y: int) -> Strip:
        if self._fitted != self.size:
            self._draw()
        width, style = self.size.width, self.rich_style
        if y == 0:
            bold = self.get_component_rich_style("progress--title")
            return Strip([Segment(self._head, bold)]).crop_extend(0, width, bold)
        if self._frame is None:
            muted = self.get_component_rich_style("progress--tried")
            words = self.empty_text if y == 1 and self._progress is not None else ""
            return Strip([Segment(words, muted)]).crop_extend(0, width, muted)
        return self._cells(self._rows[y - 1]) if y - 1 < len(self._rows) else Strip.blank(width, style)

    def _cells(self, cells: Sequence[Cell]) -> Strip:
        styles: dict[int | None, Style] = {
            ink: self.get_component_rich_style(f"progress--{ink.name.lower()}")
            for ink in Ink
            if f"progress--{ink.name.lower()}" in self.COMPONENT_CLASSES
        }
        styles[Ink.UNCLEAR] = styles[Ink.TRIED]
        styles[None] = self.get_component_rich_style("progress--axis")
        return strip_of(cells, styles)


_INKS = {Verdict.KEEP: Ink.KEPT, Verdict.SUSPECT: Ink.SUSPECT, Verdict.INCONCLUSIVE: Ink.UNCLEAR}


def progress_of(history: Sequence[Summary], survey: Survey, direction: str) -> Progress:
    """What the plot shows of a lab; `history` is newest first."""
    from core.reporting.heights import height_of

    def height(row: Summary | Experiment) -> float | None:
        return None if row.metric is None else height_of(row.metric, row.delta, survey.beneath.get(row.id))

    dots = tuple(
        Dot(row.id, height(row), _INKS.get(row.verdict, Ink.TRIED)) for row in reversed(history) if row.verdict
    )
    reigns: list[Reign] = []
    for step in survey.steps:
        if step.height is not None:
            start = step.experiment.id if step.experiment else 0
            reigns.append(Reign(max(start, reigns[-1].start if reigns else 0), step.height))
    kept = [step.experiment for step in survey.steps if step.experiment and not step.doubtful]
    kept.sort(key=lambda one: -abs(one.shrunken if one.shrunken is not None else one.delta or 0.0))
    heights = ((one, height(one)) for one in kept[:NAMES])
    names = tuple(Name(one.id, at, one_line(one.title, 40)) for one, at in heights if at is not None)
    return Progress(dots, tuple(reigns), names, survey.band, direction, history[0].id if history else 0)
