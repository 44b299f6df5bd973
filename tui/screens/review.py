"""The Review screen: read the patch, decide with a key, watch it train over the champion."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from core.errors import LabError, StoreError
from core.models import Experiment, Run, State
from core.requests import NoEngine, Request
from core.store.reader import Reader
from tui.actions import ACTIONS, BY_ID, View, key_of
from tui.client import Client, LabChanged
from tui.desk import Desk
from tui.detail import Detail, Sources, blocked, left_over, load
from tui.look import Look
from tui.personal import Drafts
from tui.render.diff_rows import Rows, rows
from tui.rooms import AlikeRows
from tui.screens import deciding, reading, steering
from tui.screens.drawing import Drawing
from tui.screens.page import Page, bindings
from tui.snapshot import Snapshot
from tui.tour import Memory
from tui.widgets.diff import DiffView
from tui.widgets.find_field import FindField
from tui.widgets.line import Line
from tui.widgets.panes import MOVES, Panes
from tui.widgets.queue import ExperimentList
from tui.widgets.scrolling import scroll
from tui.widgets.states import Banner

if TYPE_CHECKING:
    from core.replay import Progress
    from tui.widgets.tour import Tour

ACTS: Mapping[str, Callable[[Review], None]] = {**deciding.ACTIONS, **steering.ACTIONS, **reading.ACTIONS}
"""what each action does: a function of this screen"""
FIRST_ROWS = 100
"""of a patch, made in the thread that reads it: a hunk can be very long"""


class Review(AlikeRows, Page):
    """Holds what is on the desk; widgets below only draw. Nothing here writes but through `client.ask`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(
        self,
        client: Client,
        sources: Sources,
        *,
        clock: Callable[[], float] = time.monotonic,
        start_engine: Callable[[], None] | None = None,
        read_only: str = "",
        replay: Callable[[], Progress] | None = None,
        look: Look | None = None,
        tour: Memory | None = None,
        drafts: Drafts | None = None,
    ) -> None:
        super().__init__()
        self.look = look or Look()
        self._tour = tour
        """remembers whether the tour was ever shown; None: no tour by itself"""
        self.client = client
        self.desk = Desk(clock, drafts=drafts or Drafts())
        self.start_engine = start_engine
        self.keymap = dict(self.look.keymap)
        for action in ACTIONS:
            if not action.keys and action.id in self.keymap:  # a binding that a key map could change needs a key
                self._bindings.bind(self.keymap[action.id], f"act('{action.id}')", show=False)
        self.lab = client.snapshot
        self.detail: Detail | None = None
        self.busy = ""
        self._sources = sources
        self._read_only = read_only if replay is None else "this is a replay: what you see has long been decided"
        self.replay = replay
        """how far the show has come; None: this is the lab itself"""
        self.left_over = ""
        """why the hunks that are left cannot run"""
        self._loading: tuple[object, ...] | None = None
        """what was last asked for: experiment, its last event, its state"""
        self._ready = False
        """every widget is there"""
        self.drawing = Drawing(self)
        self.finding = ""
        """the words that are being sought"""
        self.opened_from = ""
        """the screen to which Esc goes back, where what is shown was opened there"""
        self.curve = "loss"
        """which curve of a run is drawn"""
        # widgets that hardly anybody needs are made when they are wanted
        self.find_field: FindField | None = None
        self.tour_strip: Tour | None = None

    def compose(self) -> ComposeResult:
        yield Line(id="status")
        yield Line(id="activity")
        yield Line(id="heading")
        yield Banner()
        yield Panes(symbols=self.look.symbols, slow=self.look.slow)
        yield Line(id="keys")

    def on_mount(self) -> None:
        self._ready = True
        self.set_interval(2.0 if self.look.slow else 1.0, self._tick)
        if self._tour is not None and not self.read_only and self._tour.first_time():
            reading.tour(self)
        self.client.look()  # so that the first frame already has something to say
        self.lab = self.client.snapshot
        self.desk.follow(self.lab)
        self.draw()
        self.app.post_message(LabChanged(self.lab))  # behind that frame the patch is read

    # ---- what is known and shown -------------------------------------------------------------------------------

    @property
    def panes(self) -> Panes:
        return self.query_one(Panes)

    @property
    def shown(self) -> Experiment | None:
        """The experiment on the desk, once it has been read."""
        detail = self.detail
        return detail.experiment if detail and detail.experiment.id == self.desk.shown else None

    @property
    def read_only(self) -> str:
        if self.lab.newer:
            return "a newer autoresearch-tui wrote this lab; upgrade to decide"
        return self._read_only

    @property
    def blocked(self) -> str:
        """Why the patch on the screen cannot run as it stands."""
        champion = self.lab.champion.commit_sha if self.lab.champion else None
        return blocked(self.detail, champion) if self.detail and self.shown else ""

    @property
    def view(self) -> View:
        """What decides which actions can act."""
        lab, diff = self.lab, self.panes.diff
        shown = self.shown
        engine = "" if lab.alive else "the engine has not answered yet"
        if lab.alive is False:
            starts = f"; {key_of('restart_engine', self.keymap)} starts it" if self.start_engine else ""
            engine = f"the engine is not running{starts}"
        elif lab.problem:
            engine = "the record cannot be read"
        return View(
            shown=shown,
            read_only=self.read_only,
            engine=engine,
            can_start=self.start_engine is not None,
            busy=self.busy,
            loading=shown is None and self.desk.shown is not None,
            hidden="" if self.panes.patch_in_sight else self._out_of_sight,
            hunks_hidden="" if self.panes.hunks_in_sight else self._out_of_sight,
            problem=self.blocked or self.left_over,
            hunks=self.detail.hunks if shown and self.detail else 0,
            versions=len({version.sha256 for version in self.detail.versions}) if shown and self.detail else 0,
            kept=diff.kept,
            waiting=len(lab.queue),
            undo=self.desk.undoable(lab),
            run=lab.run.id if lab.run else None,
            paused=bool(lab.paused),
            curves="curves" in self.panes.in_sight,
            older=self.desk.neighbour(lab, -1) is not None,
            newer=self.desk.neighbour(lab, 1) is not None,
        )

    @property
    def _out_of_sight(self) -> str:
        """Why nothing is decided about a patch that is not on the screen."""
        if self.panes.current == "list":
            return f"the list covers the patch: {key_of('open', self.keymap)} opens it"
        return f"the patch is not on the screen: {key_of('pane_diff', self.keymap)} shows it"

    def lab_changed(self, lab: Snapshot) -> None:
        """Take in the newest look at the lab."""
        if not self._ready:
            return  # on_mount asks for it
        before, self.lab = self.lab, lab
        steering.tell_news(self, before)
        gone = self.desk.shown
        if self.desk.follow(lab) and gone is not None and before.by_id.get(gone) and gone not in self.desk.decided:
            was, now = before.by_id[gone], lab.by_id.get(gone)
            if now and was.state is State.PROPOSED and now.state is not State.PROPOSED and self.replay is None:
                self.toast(f"#{gone} was {now.state} elsewhere")
        self._load()
        self.draw()

    def _load(self) -> None:
        """Read what is on the desk, if it is another experiment or something happened to it."""
        shown = self.desk.shown
        wanted = None if shown is None else (shown, self.lab.touched.get(shown), self.lab.by_id.get(shown))
        if wanted == self._loading:
            return
        self._loading = wanted
        if shown is None:
            self.detail = None
        else:
            self._read(shown)

    def _wait_for_patch(self) -> None:
        """Another patch than the one on the desk must not stand there."""
        diff, words = self.panes.diff, f"#{self.desk.shown} is being read."
        if self.shown is None and self.desk.shown is not None and diff.empty_text != words:
            self.detail = None  # whoever comes back to it has it shown anew
            diff.empty_text = words
            diff.show(None)

    @work(exclusive=True, group="detail")
    async def _read(self, experiment_id: int) -> None:
        def read(reader: Reader) -> tuple[Detail | None, Rows | None]:
            found = load(reader, experiment_id, self._sources, self.client.log_of)
            if found is None or found.patch is None:
                return found, None
            made = rows(found.patch, found.files)
            made.prepare(FIRST_ROWS)
            return found, made

        try:
            detail, patch = await asyncio.to_thread(self.client.with_reader, read)
        except StoreError as error:
            self._loading = None
            self.toast(error.message, error.hint, severity="error")
            return
        if detail is None or experiment_id != self.desk.shown:
            return
        before, self.detail = self.detail, detail
        same = before is not None and before.experiment.id == experiment_id
        if not same or before is None or before.text != detail.text or before.files != detail.files:
            if same and detail.experiment.state is State.PROPOSED:
                self.desk.arrived = self.desk.clock()
                new = f"has a new version of its patch: {key_of('versions')} shows what changed"
                moved = "was carried over to the new champion, its patch unchanged"
                self.toast(f"#{experiment_id} {new if before and before.text != detail.text else moved}")
            self.left_over = ""
            self.panes.diff.empty_text = "There is no patch."
            self.panes.diff.show(patch)
        self.draw()

    # ---- drawing -----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Once a second: elapsed times, time left, the undo window."""
        if self.is_current and self._whole:
            self.drawing.times()

    def draw(self) -> None:
        """Put everything that is known on the screen, if it is looked at: it is drawn when one comes back to it."""
        if self._whole and self in self.app.screen_stack:
            self.drawn_for = self.app.size
            self._wait_for_patch()
            self.drawing.everything()

    @property
    def _whole(self) -> bool:
        """Mounted, and not being taken down: a read that returns while the screen ends finds its parts gone."""
        return self._ready and {"keys", "status"} <= {part.id for part in self.children}

    @property
    def run_in_view(self) -> Run | None:
        """The live run of what is shown, else its last one, else the live or the last run of anything."""
        shown = self.desk.shown
        own = [run for run in self.lab.live if run.experiment_id == shown and shown is not None]
        if not own and self.detail and self.shown:
            # an audit evaluates what a run made before it: the curve and the log to read are that run's
            own = [run for run in self.detail.runs if not run.is_audit] or list(self.detail.runs)
        return own[-1] if own else self.lab.run or self.lab.last_run

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_act(self, action_id: str) -> None:
        action = BY_ID[action_id]
        if self.has_class("-too-small") and action_id != "detach":
            return
        if isinstance(self.focused, Input) and action_id not in ("back", "detach"):
            return
        if reason := action.why_disabled(self.view):
            self.toast(reason, severity="warning")
            return
        if action.decides and self.desk.in_grace:
            self.toast(f"#{self.desk.shown} has only just come up: read it, then press again", severity="warning")
            return
        if reading.tour_takes(self, action_id):
            return
        if action_id in MOVES:
            if self.panes.scrolls is not None:
                scroll(self.panes.scrolls, action_id)
            return
        if action_id.startswith("pane_"):
            self.panes.select(action_id.removeprefix("pane_"))
            return
        ACTS[action_id](self)

    @on(ExperimentList.Opened)
    def opened(self, event: ExperimentList.Opened) -> None:
        self.open(event.experiment_id)

    @on(Input.Submitted, "#find")
    def find_submitted(self, event: Input.Submitted) -> None:
        reading.found(self, event.value)

    @on(Panes.Moved)
    def panes_moved(self) -> None:
        self.drawing.banner()
        self.drawing.keys()

    @on(DiffView.HunkToggled)
    def hunk_toggled(self) -> None:
        if self.detail and self.shown:
            kept = self.panes.diff.kept
            self.left_over = left_over(self.detail, kept) if len(kept) < self.detail.hunks else ""
            self.drawing.banner()
            self.drawing.diff_facts()
            self.drawing.keys()

    @on(DiffView.ReadOn)
    def read_on(self) -> None:
        self.drawing.diff_facts()

    def open(self, experiment_id: int) -> None:
        """Put this experiment on the screen."""
        self.desk.open(experiment_id)
        if self.panes.current == "list" and not self.panes.patch_in_sight:
            self.panes.select("diff")
        self._load()
        self.draw()

    # ---- requests ----------------------------------------------------------------------------------------------

    def send(self, request: Request, busy: str, done: Callable[[dict[str, Any]], None]) -> None:
        """Make a request in a worker; `done` is called with the answer after the engine has committed it."""
        self.busy = busy
        self.drawing.keys()
        self._send(request, done)

    @work(group="requests")
    async def _send(self, request: Request, done: Callable[[dict[str, Any]], None]) -> None:
        try:
            answer = await self.client.ask(request)
        except NoEngine as error:
            start = f"{key_of('restart_engine')} starts it" if self.start_engine else error.hint
            self.toast(error.message, start, severity="error", seconds=8)
        except LabError as error:
            self.toast(f"refused: {error.message}", error.hint, severity="error", seconds=8)
        else:
            self.busy = ""
            done(answer)
        finally:
            self.busy = ""
            self.draw()

    def on_screen_resume(self) -> None:
        self.draw()
