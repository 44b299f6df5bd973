"""The panes of the Review screen and where they stand: one at a time, side by side, or with the list on the left.

Below 100 columns one pane is on the screen; from 100 the diff beside Why over Curves (or the log in their place); from
140 the list joins on the left. `z` shows the current pane alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from tui.actions import key_of
from tui.rooms import AlikeRows, Column, Columns
from tui.widgets.chart import Chart
from tui.widgets.classes import wear
from tui.widgets.diff import DiffView
from tui.widgets.gauges import Gauges
from tui.widgets.line import Line, Part
from tui.widgets.log_tail import LogTail
from tui.widgets.queue import ExperimentList
from tui.widgets.scrolling import Scrollable
from tui.widgets.text_pane import TextPane

PANES = ("diff", "why", "curves", "log", "list")
TITLES = {"diff": "Diff", "why": "Why", "curves": "Curves", "log": "Log", "list": "List"}
MOVES = ("down", "up", "half_down", "half_up", "page_down", "page_up", "top", "bottom", "left", "right")
SIDE = {"why", "curves", "log"}
WIDE, ULTRA = 100, 140


class Searchable(Scrollable, Protocol):
    """A pane in which words can be found."""

    def find(self, text: str, backwards: bool = False) -> bool: ...


def layout(width: int, current: str, *, lower: str, zoomed: bool, listed: bool) -> tuple[str, ...]:
    """The panes that are visible, in the order in which `tab` goes through them."""
    if zoomed or width < WIDE:
        return (current,)
    if width >= ULTRA:
        return ("list", "diff", "why", lower)
    return ("list", "diff") if listed else ("diff", "why", lower)


class Panes(AlikeRows, Widget):
    """Diff, Why, Curves, Log and the list; one of them is the current one, which the keys move."""

    DEFAULT_CSS = """
    Panes { height: 1fr; layout: vertical; }
    Panes #tabs { display: none; height: 1; background: $surface; }
    Panes.-one #tabs { display: block; }
    Panes.-one .pane-title { display: none; }
    Panes #columns { height: 1fr; }
    Panes .pane { height: 1fr; width: 1fr; display: none; }
    Panes.-list #list-pane, Panes.-diff #diff-pane, Panes.-why #why-pane { display: block; }
    Panes.-curves #curves-pane, Panes.-log #log-pane { display: block; }
    Panes .pane-title { height: 1; background: $surface; }
    Panes #side { width: 1fr; display: none; }
    Panes.-side #side { display: block; }
    Panes.-columns #diff-pane { width: 3fr; }
    Panes.-columns #side { width: 2fr; border-left: vkey $surface-lighten-2; }
    Panes.-columns #list-pane { width: 38; border-right: vkey $surface-lighten-2; }
    """

    class Moved(Message):
        """Another pane is the current one, or others are visible."""

    def __init__(self, *, symbols: str = "braille", slow: bool = False) -> None:
        super().__init__(id="panes")
        self._symbols, self._slow = symbols, slow
        self.current = "diff"
        self.zoomed = False
        self._lower = "curves"
        self._listed = False
        self._info: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Line(id="tabs")
        self._class_by(self.in_sight)
        with Columns(id="columns"):
            with Column(id="list-pane", classes="pane"):
                yield Line(id="list-title", classes="pane-title")
                yield ExperimentList(id="list")
            with Column(id="diff-pane", classes="pane"):
                yield Line(id="diff-title", classes="pane-title")
                yield DiffView(id="diff")
            with Column(id="side"):
                with Column(id="why-pane", classes="pane"):
                    yield Line(id="why-title", classes="pane-title")
                    yield TextPane(id="why")
                with Column(id="curves-pane", classes="pane"):
                    yield Line(id="curves-title", classes="pane-title")
                    yield Chart(id="chart", symbols=self._symbols, slow=self._slow)
                    yield Gauges(id="gauges", symbols=self._symbols)
                with Column(id="log-pane", classes="pane"):
                    yield Line(id="log-title", classes="pane-title")
                    yield LogTail(id="log")

    # ---- the panes' widgets ------------------------------------------------------------------------------------

    @property
    def diff(self) -> DiffView:
        return self.query_one(DiffView)

    @property
    def why(self) -> TextPane:
        return self.query_one("#why", TextPane)

    @property
    def chart(self) -> Chart:
        return self.query_one(Chart)

    @property
    def gauges(self) -> Gauges:
        return self.query_one(Gauges)

    @property
    def log_tail(self) -> LogTail:
        return self.query_one(LogTail)

    @property
    def experiments(self) -> ExperimentList:
        return self.query_one(ExperimentList)

    @property
    def scrolls(self) -> Searchable | None:
        """The current pane, if it can be moved in."""
        found: dict[str, Searchable] = {
            "diff": self.diff,
            "why": self.why,
            "log": self.log_tail,
            "list": self.experiments,
        }
        return found.get(self.current)

    # ---- where they stand --------------------------------------------------------------------------------------

    @property
    def in_sight(self) -> tuple[str, ...]:
        return layout(self.app.size.width, self.current, lower=self._lower, zoomed=self.zoomed, listed=self._listed)

    @property
    def patch_in_sight(self) -> bool:
        """What is decided about is on the screen: the patch, or why it was proposed."""
        return not {"diff", "why"}.isdisjoint(self.in_sight)

    @property
    def hunks_in_sight(self) -> bool:
        return "diff" in self.in_sight

    def select(self, pane: str) -> None:
        """Make this the current pane; the list a second time puts it away."""
        if pane == "list" and self.current == "list":
            self._listed = False
            pane = "diff"
        elif pane == "list":
            self._listed = True
        elif pane in ("why", "curves", "log"):
            self._listed = False
        self.current = pane
        if pane in ("curves", "log"):
            self._lower = pane
        self.place()

    def cycle(self, step: int) -> None:
        """The next pane that is visible; where only one is, the next of all."""
        around = self.in_sight if len(self.in_sight) > 1 else PANES
        self.select_in(around[(around.index(self.current) + step) % len(around)])

    def select_in(self, pane: str) -> None:
        if pane != self.current:
            self.select(pane)

    def zoom(self) -> None:
        self.zoomed = not self.zoomed
        self.place()

    def leave(self) -> bool:
        """Esc: out of the zoom, then out of the list. False when there was nothing to leave."""
        if self.zoomed:
            self.zoom()
        elif self.current == "list":
            self.select("list")
        else:
            return False
        return True

    def place(self) -> None:
        """Show and hide panes for the width, the zoom and the current pane."""
        with self.app.batch_update():
            self._class_by(self.in_sight)
        self.experiments.activate(self.current == "list")
        self._titles()
        self.post_message(self.Moved())

    def _class_by(self, visible: tuple[str, ...]) -> None:
        """A class for each pane that is visible; the style sheet hides the others."""
        shown = {"-one": len(visible) == 1, "-columns": len(visible) > 1, "-side": bool(SIDE & set(visible))}
        wear(self, shown | {f"-{pane}": pane in visible for pane in PANES})

    def inform(self, **info: str) -> None:
        """Short facts for the titles of panes: `diff="+14 -6  hunk 2/5"`."""
        said = {pane: words for pane, words in info.items() if words != self._info.get(pane, "")}
        if said:
            self._info.update(said)
            self._titles(said)

    def _titles(self, panes: Iterable[str] = PANES) -> None:
        if not self.is_mounted:
            return
        for pane in panes:
            self.query_one(f"#{pane}-title", Line).show_parts([self._title(pane), self._fact(pane)])
        if len(self.in_sight) == 1:
            tabs = [self._title(pane) for pane in PANES]
            self.query_one("#tabs", Line).show_parts([*tabs, self._fact(self.current)], 1)

    def _title(self, pane: str) -> Part:
        key, title = key_of(f"pane_{pane}"), TITLES[pane]
        if pane == self.current:
            words = Content.styled(f"▌{key} {title} ", "bold $text-primary on $primary-muted")
        else:
            words = Content.styled(f" {key} {title} ", "$foreground-muted")
        return Part(words, 0, None, f"pane_{pane}")

    def _fact(self, pane: str) -> Part:
        return Part(Content.styled(self._info.get(pane, ""), "$foreground-muted"), 1)

    def on_mount(self) -> None:
        self.place()

    def on_resize(self) -> None:
        self.place()
