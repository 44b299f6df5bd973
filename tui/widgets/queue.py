"""The queue on top, then every experiment, newest first. Only the rows in view are drawn, of ten or ten thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.models import State, Verdict
from core.store.rows import Summary
from core.text import one_line, signed

SIGNS = {
    State.DRAFTING: ("…", "queue--quiet", "writing"),
    State.PROPOSED: ("?", "queue--waiting", "waits"),
    State.REVISING: ("↺", "queue--quiet", "sent back"),
    State.VETOED: ("-", "queue--quiet", "vetoed"),
    State.INVALID: ("x", "queue--bad", "invalid"),
    State.APPROVED: ("▹", "queue--running", "approved"),
    State.RUNNING: ("▶", "queue--running", "running"),
}
VERDICTS = {
    Verdict.KEEP: ("✓", "queue--good", "kept"),
    Verdict.DISCARD: ("·", "queue--quiet", "discard"),
    Verdict.INCONCLUSIVE: ("~", "queue--quiet", "unclear"),
    Verdict.SUSPECT: ("!", "queue--waiting", "suspect"),
    Verdict.VOID: ("○", "queue--quiet", "void"),
    Verdict.CRASHED: ("✗", "queue--bad", "crashed"),
}


class ExperimentList(ScrollView, can_focus=False):
    """Rows of experiments with a cursor of its own; what is on the screen is marked."""

    DEFAULT_CSS = """
    ExperimentList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    ExperimentList > .queue--quiet { color: $text-muted; &:ansi { text-style: dim; } }
    ExperimentList > .queue--waiting { color: $text-warning; text-style: bold; }
    ExperimentList > .queue--running { color: $text-primary; }
    ExperimentList > .queue--good { color: $text-success; }
    ExperimentList > .queue--bad { color: $text-error; }
    ExperimentList > .queue--shown { background: $surface-lighten-2; text-style: bold; }
    ExperimentList > .queue--cursor { text-style: reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "queue--quiet",
        "queue--waiting",
        "queue--running",
        "queue--good",
        "queue--bad",
        "queue--shown",
        "queue--cursor",
    }
    ALLOW_SELECT = False

    class Opened(Message):
        """A row was chosen to be shown."""

        def __init__(self, experiment_id: int) -> None:
            super().__init__()
            self.experiment_id = experiment_id

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's word)
        super().__init__(id=id, classes=classes)
        self._rows: tuple[Summary, ...] = ()
        self._given: tuple[object, object] = (None, None)
        self._shown: int | None = None
        self._cursor: int | None = None
        self._active = False

    def show(self, queue: Sequence[Summary], history: Sequence[Summary], shown: int | None) -> None:
        """Put these rows into the list."""
        if shown != self._shown:
            self._shown = shown
            self.refresh()
        if queue is self._given[0] and history is self._given[1]:
            return
        self._given = (queue, history)
        waiting = {summary.id for summary in queue}
        rows = (*queue, *(summary for summary in history if summary.id not in waiting))
        if rows == self._rows:
            return
        at = self.cursor_id
        self._rows = rows
        self._cursor = next((i for i, summary in enumerate(rows) if summary.id == at), None)
        self.virtual_size = Size(self.size.width, len(rows))
        self.refresh()

    def activate(self, active: bool) -> None:
        """The keys move this list's cursor from now on, or no longer."""
        if active and self._cursor is None:
            self._cursor = next((i for i, summary in enumerate(self._rows) if summary.id == self._shown), 0)
        self._active = active
        self.refresh()

    @property
    def cursor_id(self) -> int | None:
        return self._rows[self._cursor].id if self._cursor is not None and self._cursor < len(self._rows) else None

    # ---- moving ------------------------------------------------------------------------------------------------

    def scroll_line(self, delta: int) -> None:
        self._move((self._cursor or 0) + delta)

    def scroll_page(self, delta: float) -> None:
        self.scroll_line(round(delta * max(self.size.height - 1, 1)))

    def top(self) -> None:
        self._move(0)

    def bottom(self) -> None:
        self._move(len(self._rows) - 1)

    def find(self, text: str, backwards: bool = False) -> bool:
        """Goes to the next title with this text, around the end."""
        count, step = len(self._rows), -1 if backwards else 1
        start = self._cursor or 0
        for offset in range(1, count + 1):
            index = (start + step * offset) % count
            if text.lower() in self._rows[index].title.lower():
                self._move(index)
                return True
        return False

    def _move(self, index: int) -> None:
        if not self._rows:
            return
        self._cursor = min(max(index, 0), len(self._rows) - 1)
        top, height = self.scroll_offset.y, self.size.height
        if not top <= self._cursor < top + height:
            self.scroll_to(y=self._cursor - (0 if self._cursor < top else height - 1), animate=False)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y
        if index < len(self._rows):
            self._cursor = index
            self.refresh()
            self.post_message(self.Opened(self._rows[index].id))

    # ---- Textual -----------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        index, width, style = self.scroll_offset.y + y, self.scrollable_content_region.width, self.rich_style
        if index >= len(self._rows):
            words = "No experiments yet." if index == 0 else ""
            return Strip([Segment(words, style)]).crop_extend(0, width, style)
        summary = self._rows[index]
        sign, name, word = (
            VERDICTS[summary.verdict] if summary.verdict else SIGNS.get(summary.state, ("·", "queue--quiet", ""))
        )
        if summary.delta is not None:
            word = signed(summary.delta)
        number = f"{summary.id:>5}"
        room = max(width - len(number) - len(word) - 5, 0)
        title = one_line(summary.title, room)
        row_style = style
        if summary.id == self._shown:
            row_style += self._look("queue--shown")
        if self._active and index == self._cursor:
            row_style += self._look("queue--cursor")
        mark = row_style + self._look(name)
        edge = "▌" if summary.id == self._shown else " "
        segments = [
            Segment(edge, row_style),
            Segment(f"{sign} ", mark),
            Segment(f"{number.lstrip()} ", row_style),
            Segment(title, row_style),
        ]
        strip = Strip(segments).crop_extend(0, max(width - len(word) - 1, 0), row_style)
        return Strip.join([strip, Strip([Segment(f" {word}", mark)])]).crop_extend(0, width, row_style)

    def _look(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)
