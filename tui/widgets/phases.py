"""The phases of a run with the time each took: in a row, or one below the other with the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from core.text import UNKNOWN, duration
from tui.pace import PHASES, Left, Stage, Step
from tui.widgets.line import Line, Part

SIGNS: Final = {
    Stage.DONE: ("✓", "$text-success"),
    Stage.NOW: ("▶", "bold $text-primary"),
    Stage.FAILED: ("✗", "bold $text-error"),
    Stage.AHEAD: ("·", "$foreground-muted"),
    Stage.SKIPPED: ("·", "$foreground-muted"),
}


def strip(steps: Sequence[Step], left: Left | None) -> list[Part]:
    """All phases in one row; where it is narrow, what is over goes before what is under way."""
    parts = []
    if left is not None:
        parts.append(Part(Content.styled(f" {left_text(left)}", "bold"), 0))
    for index, step in enumerate(steps):
        if step.stage is Stage.SKIPPED:
            continue
        sign, style = SIGNS[step.stage]
        words = f" {sign} {step.name}" + (f" {time_text(step)}" if step.seconds is not None else "")
        rank = 0 if step.stage in (Stage.NOW, Stage.FAILED) else len(steps) - index
        parts.append(Part(Content.styled(words, style), rank, Content.styled(f" {sign} {step.name}", style)))
    return parts


def left_text(left: Left) -> str:
    """In whole seconds: it is an estimate."""
    return f"about {_whole(max(left.seconds, 1.0))} left"


def time_text(step: Step) -> str:
    """What a phase took; of the one under way whole seconds, for each change is bytes on the line."""
    if step.seconds is None:
        return UNKNOWN
    return _whole(step.seconds) if step.stage is Stage.NOW else duration(step.seconds)


def _whole(seconds: float) -> str:
    return f"{int(seconds)}s" if seconds < 60 else duration(int(seconds))


class Phases(Vertical):
    """A row a phase, then the time left and what the estimate rests on. Repaints only what changed."""

    DEFAULT_CSS = """
    Phases { height: auto; }
    """

    def compose(self) -> ComposeResult:
        for key in PHASES:
            yield Line(id=f"phase-{key}")
        yield Line(id="time-left")
        yield Line(id="time-left-how")

    def show(self, steps: Sequence[Step], left: Left | None) -> None:
        """How the run stands; no steps: there is no run."""
        lines = list(self.query(Line).results(Line))
        for line, step in zip(lines, steps, strict=False):
            sign, style = SIGNS[step.stage]
            seconds = "" if step.stage is Stage.AHEAD else time_text(step)
            line.show(Content.styled(f" {sign} {step.name:<11}{seconds:>7}", style))
        if not steps:
            for line in lines:
                line.show(Content())
        self.query_one("#time-left", Line).show(Content.styled("" if left is None else f" {left_text(left)}", "bold"))
        how = "" if left is None else f"   {left.how}"
        self.query_one("#time-left-how", Line).show(Content.styled(how, "$foreground-muted"))
