"""The Live screen: what runs now. Its curves, its phases and the time left, the devices, the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input

from core.models import Run
from core.text import one_line
from tui.actions import MOVING, ON_LIVE, Action, View, key_of
from tui.client import Client
from tui.pace import Stopwatch
from tui.screens import steering
from tui.screens.go import Go
from tui.screens.live_drawing import LiveDrawing
from tui.screens.page import bindings
from tui.screens.paned import Paned
from tui.snapshot import Snapshot, pause_label
from tui.widgets.chart_grid import ChartGrid, in_order
from tui.widgets.diff import DiffView
from tui.widgets.gauges import Gauges
from tui.widgets.line import Line, Part, key_hint
from tui.widgets.log_tail import POLL_SECONDS, LogTail
from tui.widgets.phases import Phases
from tui.widgets.scrolling import scroll
from tui.widgets.states import Banner

if TYPE_CHECKING:
    from tui.screens.review import Review

NAMES_SECONDS = 2.0
"""between two looks which curves a run logs"""


class Live(Paned):
    """Holds which run is followed and how it is looked at. Stopping and pausing are Review's."""

    DEFAULT_CSS = """
    Live #run { background: $surface; }
    Live #body { height: 1fr; }
    Live #left { width: 1fr; height: 1fr; }
    Live .pane-title, Live #tabs { height: 1; background: $surface; }
    Live #curves-pane { height: 4fr; }
    Live #log-pane { height: 1fr; }
    Live #side { width: 48; height: 1fr; border-left: vkey $surface-lighten-2; }
    Live #gauges-room { height: 1fr; scrollbar-size-vertical: 1; margin-top: 1; }
    Live.-wide #strip, Live.-wide #tabs { display: none; }
    Live.-one .pane-title, Live.-one #curves-pane, Live.-one #log-pane { display: none; }
    Live.-one #left, Live.-one #side { display: none; }
    Live.-one #side { width: 1fr; border-left: none; }
    Live.-one.-curves #left, Live.-one.-curves #curves-pane { display: block; }
    Live.-one.-log #left, Live.-one.-log #log-pane { display: block; }
    Live.-one.-devices #side { display: block; }
    Live.-one.-devices #strip { display: none; }
    Live.-none #body, Live.-none #strip, Live.-none #tabs, Live.-none #run { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(ON_LIVE)
    HERE = ON_LIVE
    TITLES: ClassVar[Mapping[str, str]] = {"curves": "Curves", "devices": "Phases and devices", "log": "Log"}
    WIDE = 100
    FIND = "words in the log"
    LEAD = (
        "What runs now, over the champion's run with the same seed (dotted). Nothing is decided here: runs start when "
        "they were approved and a device is free."
    )
    FOOTER: ClassVar[Mapping[str, int]] = {
        "next_pane": 0, "large_next": 1, "zoom": 3, "log_scale": 4, "smoother": 6, "axis": 5, "run_next": 2,
        "find": 2, "follow": 3, "pause": 4, "stop_run": 2, "restart_engine": 0, "back": 0, "help": 0, "palette": 8,
        "detach": 6,
    }  # fmt: skip
    UNSEEN = ("restart_engine", "run_next")

    def __init__(self, client: Client, review: Review, *, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__(client, keymap=keymap)
        self.look = review.look
        self.chosen: int | None = None
        """the live run chosen by hand; None: the newest"""
        self.sought = ""
        """the words that are being sought in the log"""
        self._review = review
        self.stopwatch = Stopwatch()
        self._time(self.lab)
        self.drawing = LiveDrawing(self, review)
        self._names: tuple[int, float, tuple[str, ...]] = (0, 0.0, ())
        self._doing: object = None
        """what the rows say, times and numbers aside"""

    def compose(self) -> ComposeResult:
        symbols, slow = self.look.symbols, self.look.slow
        yield Line(id="status")
        yield Line(id="run")
        yield Line(id="strip")
        yield Banner()
        yield Line(id="tabs")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                with Vertical(id="curves-pane"):
                    yield Line(id="curves-title", classes="pane-title")
                    yield ChartGrid(symbols=symbols, slow=slow, id="charts")
                with Vertical(id="log-pane"):
                    yield Line(id="log-title", classes="pane-title")
                    yield LogTail(poll_seconds=POLL_SECONDS * (2 if slow else 1), id="log")
            with Vertical(id="side"):
                yield Line(id="devices-title", classes="pane-title")
                yield Phases(id="phases")
                with VerticalScroll(id="gauges-room", can_focus=False):
                    empty = "Devices report while a run is live."
                    yield Gauges(symbols=symbols, detailed=True, empty_text=empty, id="gauges")
        yield self.field()
        yield Line(id="keys")

    def on_mount(self) -> None:
        self.set_interval(2.0 if self.look.slow else 1.0, self._tick)
        self.place()

    # ---- what is known -----------------------------------------------------------------------------------------

    @property
    def run(self) -> Run | None:
        """The run on the screen: the chosen live one, else the newest, else the last."""
        chosen = next((run for run in self.lab.live if run.id == self.chosen), None)
        return chosen or self.lab.run or self.lab.last_run

    @property
    def names(self) -> tuple[str, ...]:
        """The curves of the run."""
        run, now = self.run, self.client.now()
        if run is None:
            return ()
        if run.id != self._names[0] or not 0 <= now - self._names[1] < NAMES_SECONDS or not self._names[2]:
            names = in_order(self.client.curve_names(run.id))
            self._names = (run.id, now, names)
        return self._names[2]

    @property
    def view(self) -> View:
        run, live = self.run, self.lab.live
        names = self.names
        return replace(
            self._review.view,
            run=run.id if run is not None and run in live else None,
            at=run.experiment_id if run else None,
            runs=len(live),
            curves=bool(names),
            curve_count=len(names),
            no_curve="no run has started: there is no curve yet" if run is None else "" if names else "no points yet",
            log=run is not None,
            nothing_to_find="" if run is not None else "no run has started: there is no log yet",
            sought=bool(self.sought),
        )

    def lab_changed(self, lab: Snapshot) -> None:
        self._time(lab)
        super().lab_changed(lab)

    def _time(self, lab: Snapshot) -> None:
        """See which phases have begun, on whatever screen one is."""
        now = self.client.now()
        for run in lab.live:
            self.stopwatch.look(run, now)
        self.stopwatch.forget(lab.live)

    # ---- drawing -----------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """The curves at every look; the rows only when more than numbers changed, for those wait for the next tick."""
        if not self._whole:
            return
        run, lab = self.run, self.lab
        with self.app.batch_update():
            self.set_class(run is None, "-none")
            self.log_tail.follow(self.client.log_of(run.id) if run else None)
            self.drawing.curves()
            doing = (
                run and (run.id, run.phase, run.state), self.names, len(lab.live), lab.alive, lab.starting, lab.paused,
                lab.preparation, lab.queue, lab.counts, self.sought, self._review.busy,
            )  # fmt: skip
            if doing != self._doing:
                self._doing = doing
                self.drawing.words()

    def _tick(self) -> None:
        """Once a second: elapsed times, time left, devices."""
        if self.is_current and self._whole:
            self.drawing.words()

    @property
    def _whole(self) -> bool:
        """Mounted, and neither this screen nor Review, which knows what can be asked, is being taken down."""
        return self.is_mounted and bool(self.query("#keys")) and bool(self._review.query(DiffView))

    def keys(self) -> list[Part]:
        if not self.sought:
            return super().keys()
        hints = (("next_match", "next match"), ("previous_match", "match before"), ("back", "end the search"))
        return [Part(key_hint(key_of(name, self.keymap), label), 0, None, name) for name, label in hints]

    def label(self, action: Action) -> str:
        return pause_label(self.lab) if action.id == "pause" else action.label

    # ---- keys --------------------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        if action_id in MOVING:
            self._move(action_id)
        else:
            ACTS[action_id](self)
        self.drawing.words()

    @property
    def charts(self) -> ChartGrid:
        return self.query_one(ChartGrid)

    @property
    def log_tail(self) -> LogTail:
        return self.query_one(LogTail)

    def look_at_curves(self, change: Callable[[ChartGrid], object]) -> None:
        """Change how the curves are drawn, with the curves in sight."""
        self.select("curves")
        change(self.charts)

    def other_run(self, step: int) -> None:
        """The next live run, or the one before."""
        live = [run.id for run in self.lab.live]
        at = live.index(self.run.id) if self.run is not None and self.run.id in live else 0
        self.chosen, self.sought = live[(at + step) % len(live)], ""
        self.draw()

    def follow(self) -> None:
        """Follow the end of the log, or stay."""
        self.select("log")
        if self.log_tail.following:
            self.log_tail.stay()
        else:
            self.log_tail.bottom()

    def sideways(self, step: int) -> None:
        self.select("log")
        self.log_tail.scroll_sideways(step)

    def ask_for_words(self) -> None:
        """Ask for words to find in the log."""
        self.select("log")
        self.open_field()

    def find(self, *, backwards: bool = False) -> None:
        """To the next line of the log with the words."""
        if not self.log_tail.find(self.sought, backwards=backwards):
            self.toast(f"not found in the log: {one_line(self.sought, 40)}", severity="warning")
            self.sought = ""
        self.drawing.words()

    def go_to_experiment(self, place: str) -> None:
        """The run's experiment on another screen."""
        run = self.run
        if run is not None and run.experiment_id is not None:
            self.post_message(Go(place, (run.experiment_id,)))

    def steer(self, how: Callable[[Review], None]) -> None:
        """What the Review screen does: it asks, and it hears the answer."""
        how(self._review)

    def _move(self, how: str) -> None:
        """In the devices where there are more than fit, else in the log."""
        room = self.query_one("#gauges-room", VerticalScroll)
        if self.pane != "devices" or not room.max_scroll_y:
            self.select("log")
            scroll(self.log_tail, how)
            return
        page = max(room.size.height - 1, 1)
        far = {"down": 1, "up": -1, "half_down": page // 2, "half_up": -page // 2, "page_down": page, "page_up": -page}
        to = {"top": 0, "bottom": room.max_scroll_y}.get(how, room.scroll_offset.y + far.get(how, 0))
        room.scroll_to(y=to, animate=False)

    def leave(self) -> bool:
        if self.finding:
            self.close_field()
        elif self.sought:
            self.sought = ""
            self.log_tail.bottom()
            self.drawing.words()
        elif self.zoomed:
            self.zoom()
        else:
            return False
        return True

    @on(Input.Submitted, "#find")
    def _submitted(self, event: Input.Submitted) -> None:
        self.sought = event.value.strip()
        self.close_field()
        if self.sought:
            self.find()

    @on(ChartGrid.Chosen)
    def _enlarged(self) -> None:
        self.drawing.words()

    # ---- where things stand ------------------------------------------------------------------------------------

    def fit_parts(self) -> None:
        self.charts.show_alone(self.zoomed and self.pane == "curves")
        self._doing = None


ACTS: Mapping[str, Callable[[Live], object]] = {
    "large_next": lambda screen: screen.look_at_curves(lambda charts: charts.choose(1)),
    "large_previous": lambda screen: screen.look_at_curves(lambda charts: charts.choose(-1)),
    "log_scale": lambda screen: screen.look_at_curves(ChartGrid.toggle_log),
    "whole_curve": lambda screen: screen.look_at_curves(ChartGrid.toggle_whole),
    "smoother": lambda screen: screen.look_at_curves(lambda charts: charts.smooth(1)),
    "rougher": lambda screen: screen.look_at_curves(lambda charts: charts.smooth(-1)),
    "axis": lambda screen: screen.look_at_curves(ChartGrid.next_axis),
    "plain_curves": lambda screen: screen.look_at_curves(ChartGrid.reset),
    "run_next": lambda screen: screen.other_run(1),
    "run_previous": lambda screen: screen.other_run(-1),
    "follow": Live.follow,
    "left": lambda screen: screen.sideways(-16),
    "right": lambda screen: screen.sideways(16),
    "find": Live.ask_for_words,
    "next_match": Live.find,
    "previous_match": lambda screen: screen.find(backwards=True),
    "next_pane": lambda screen: screen.cycle(1),
    "previous_pane": lambda screen: screen.cycle(-1),
    "zoom": Live.zoom,
    "run_experiment": lambda screen: screen.go_to_experiment("review"),
    "compare": lambda screen: screen.go_to_experiment("compare"),
    "stop_run": lambda screen: screen.steer(partial(steering.stop_run, run=screen.run)),
    "pause": lambda screen: screen.steer(steering.pause),
    "restart_engine": lambda screen: screen.steer(steering.restart_engine),
}
"""what each action does"""
