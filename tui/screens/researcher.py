"""The Researcher screen: what it reads and writes now, the conversation with it, its notebook, what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input

from core.errors import LabError, StoreError
from core.models import State
from core.store.reader import Reader
from core.text import one_line
from tui.actions import ON_RESEARCHER, View, key_of
from tui.detail import Sources
from tui.research import Learned, Research, learned, research
from tui.screens import steering
from tui.screens.page import bindings
from tui.screens.paned import Paned
from tui.snapshot import Snapshot
from tui.widgets.conversation import conversation, unanswered
from tui.widgets.growing_pane import GrowingPane
from tui.widgets.line import Line, Part
from tui.widgets.notebook import learning, notes
from tui.widgets.scrolling import scroll
from tui.widgets.spending import spending
from tui.widgets.text_pane import TextPane
from tui.widgets.writing import state, writing

if TYPE_CHECKING:
    from tui.screens.review import Review

READ = 6
"""of what it looked at for one question, the newest that are listed"""
USAGE_SECONDS = 5.0
"""between two looks at what it has used while it works: a call is written down when it is over"""


class Researcher(Paned):
    """Holds what is looked at; messages and ideas go the same way as from the Review screen."""

    DEFAULT_CSS = """
    Researcher #state { background: $surface; }
    Researcher #info { background: $surface; display: none; }
    Researcher #left { width: 1fr; height: 1fr; }
    Researcher #right { width: 46; height: 1fr; border-left: vkey $surface-lighten-2; }
    Researcher .side { height: 1fr; }
    Researcher #now-side { height: 2fr; }
    Researcher .pane-title { height: 1; background: $surface; }
    Researcher.-one .side, Researcher.-one .pane-title { display: none; }
    Researcher.-one #left, Researcher.-one #right { display: none; width: 1fr; border-left: none; }
    Researcher.-one #info { display: block; }
    Researcher.-one.-now #left, Researcher.-one.-now #now-side { display: block; }
    Researcher.-one.-talk #left, Researcher.-one.-talk #talk-side { display: block; }
    Researcher.-one.-notebook #right, Researcher.-one.-notebook #notebook-side { display: block; }
    Researcher.-one.-cost #right, Researcher.-one.-cost #cost-side { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(ON_RESEARCHER)
    HERE = ON_RESEARCHER
    TITLES: ClassVar[Mapping[str, str]] = {
        "now": "Now", "talk": "Conversation", "notebook": "Notebook", "cost": "Cost",
    }  # fmt: skip
    FIND = "find"
    LEAD = "Who proposes the experiments, and what it is doing. Words you send are answered by its next proposal."
    FOOTER: ClassVar[Mapping[str, int]] = {
        "message": 0, "idea": 0, "restart_engine": 1, "next_match": 2, "previous_match": 3, "find": 4, "next_pane": 3,
        "zoom": 7, "back": 0, "help": 0, "palette": 8, "detach": 6,
    }  # fmt: skip
    UNSEEN = ("restart_engine", "next_match", "previous_match")

    def __init__(self, review: Review, sources: Sources, *, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__(review.client, keymap=keymap)
        self.sought = ""
        """the words that are being sought"""
        self.found = Research()
        self.learned: Learned | None = None
        self.problem = ""
        """why it cannot be said what the offline researcher has left"""
        self.read: list[str] = []
        """what the model looked at for the question it is answering"""
        self._review, self._sources = review, sources
        self._question = 0.0
        self._doing: object = None
        """what the second row says, times and numbers aside"""
        self._read_at: object = None
        self._learned_at: object = None

    def compose(self) -> ComposeResult:
        yield Line(id="status")
        yield Line(id="state")
        with Horizontal(id="body"):
            for column, panes in (("left", self.panes[:2]), ("right", self.panes[2:])):
                with Vertical(id=column):
                    for pane in panes:
                        with Vertical(id=f"{pane}-side", classes="side"):
                            yield Line(id=f"{pane}-title", classes="pane-title")
                            yield GrowingPane(id=pane) if pane == "now" else TextPane(id=pane)
        yield Line(id="info")
        yield self.field()
        yield Line(id="keys")

    def on_mount(self) -> None:
        self.set_interval(2.0 if self._review.look.slow else 1.0, self._tick)
        self.place()

    @property
    def writing(self) -> GrowingPane:
        return self.query_one(GrowingPane)

    @property
    def view(self) -> View:
        """What Review would say of steering: words take the same way from here."""
        return replace(self._review.view, sought=bool(self.sought))

    # ---- what is known -----------------------------------------------------------------------------------------

    def lab_changed(self, lab: Snapshot) -> None:
        self._follow_question(lab)
        super().lab_changed(lab)

    def _follow_question(self, lab: Snapshot) -> None:
        """Keep what it looks at for one question."""
        note = lab.researcher
        if note.state != "thinking" or note.since != self._question:
            self._question, self.read = note.since, []
        doing = one_line(note.doing, 120)
        if note.state == "thinking" and not note.words and doing and doing not in self.read[-1:]:
            self.read = [*self.read, doing][-READ:]

    def draw(self) -> None:
        if not self.is_mounted:
            return
        self._follow_question(self.lab)
        self._read_what_is_new()
        with self.app.batch_update():
            self._draw_panes()
            self._draw_words()

    def _draw_panes(self) -> None:
        lab, found = self.lab, self.found
        thinking = lab.researcher.state == "thinking"
        changed_state = thinking != self.writing.follows
        self.writing.follow(thinking)
        can_start = self._review.start_engine is not None
        self.writing.show(writing(lab, found, self.read, can_start=can_start), keep_place=not changed_state or thinking)
        self._pane("talk").show(conversation(found.messages, lab))
        self._pane("notebook").show(
            learning(self.learned, lab, self.problem) if self._offline else notes(found.notes, lab)
        )
        self._pane("cost").show(spending(found, lab))

    def _draw_words(self) -> None:
        note = self.lab.researcher
        name = f"{one_line(note.kind, 16)} researcher" if note.kind else ""
        if note.kind == "claude" and self.found.settings is not None:
            name = one_line(self.found.settings.model, 32)
        self.query_one("#status", Line).show_parts(self.heading("Researcher", name))
        doing = (note.state, note.doing, note.until, self.lab.alive, self.size.width)
        if doing != self._doing:  # numbers alone wait for the next second
            self._doing = doing
            self._draw_state()
        for pane in self.panes:
            self.query_one(f"#{pane}-title", Line).show_parts([self.tab(pane), self._fact(pane)])
        self.query_one("#info", Line).show_parts([*(self.tab(pane) for pane in self.panes), self._fact(self.pane)])
        self.query_one("#keys", Line).show_parts(self.keys(), 1)

    def _draw_state(self) -> None:
        parts = state(self.lab, now=self.client.now(), width=self.size.width)
        self.query_one("#state", Line).show_parts(parts)

    def _tick(self) -> None:
        """Elapsed time and countdowns."""
        if self.is_current and self.lab.researcher.kind:
            self._draw_state()

    @property
    def _offline(self) -> bool:
        """The offline researcher proposes: by choice, or in the place of a model."""
        note = self.lab.researcher
        return note.kind == "offline" or bool(note.instead)

    def _pane(self, name: str) -> TextPane:
        return self.query_one(f"#{name}", TextPane)

    def _fact(self, pane: str) -> Part:
        """A few words beside the title."""
        words, style = "", "$foreground-muted"
        match pane:
            case "now" if not self.writing.at_end and self.lab.researcher.state == "thinking":
                words = f"{key_of('bottom', self.keymap)} follows the text again"
            case "talk" if waiting := unanswered(self.found.messages):
                words, style = f"{waiting} not answered", "bold $text-warning"
            case "notebook" if self._offline and self.learned:
                left = len(self.learned.next)
                words = f"{left} idea{'' if left == 1 else 's'} left"
            case "notebook" if self.found.notes and not self._offline:
                count = len(self.found.notes)
                words = f"{count} note{'' if count == 1 else 's'}"
        return Part(Content.styled(words, style), 1)

    # ---- reading -----------------------------------------------------------------------------------------------

    def _read_what_is_new(self) -> None:
        lab, note = self.lab, self.lab.researcher
        if not lab.at or lab.missing:
            return
        working = int(lab.at // USAGE_SECONDS) if note.state == "thinking" else None
        wanted = (lab.seq, note.state, note.since, working)
        if wanted != self._read_at:
            self._read_at = wanted
            self._read_research(note.since if note.state == "thinking" else None)
        counts = lab.counts
        about = (lab.champion, counts.get(State.JUDGED), counts.get(State.VETOED), len(lab.history))
        if self._offline and lab.champion and about != self._learned_at:
            self._learned_at = about
            self._read_learned(lab.champion.commit_sha)

    @work(exclusive=True, group="research")
    async def _read_research(self, since: float | None) -> None:
        config, now = self.client.lab.root / "autoresearch.toml", self.client.now()

        def read(reader: Reader) -> Research:
            return research(reader, config, now=now, since=since)

        try:
            self.found = await asyncio.to_thread(self.client.with_reader, read)
        except StoreError:
            self._read_at = None  # the first row says what is wrong with the record
            return
        self.draw()

    @work(exclusive=True, group="learned")
    async def _read_learned(self, commit: str) -> None:
        def read(reader: Reader) -> Learned:
            return learned(reader, self._sources, commit, self.lab.lab.direction)

        try:
            self.learned = await asyncio.to_thread(self.client.with_reader, read)
        except LabError as error:
            self.problem = f"What it has left cannot be said: {error.message}"
        else:
            self.problem = ""
        self.draw()

    # ---- keys --------------------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        match action_id:
            case "message" | "idea" | "restart_engine":
                steering.ACTIONS[action_id](self._review)
            case "next_pane" | "previous_pane":
                self.cycle(1 if action_id == "next_pane" else -1)
            case "zoom":
                self.zoom()
            case "find":
                self.open_field(self.sought)
            case "next_match" | "previous_match":
                self._find(backwards=action_id == "previous_match")
            case _:
                scroll(self._pane(self.pane), action_id)
                self.call_after_refresh(self._draw_words)

    @on(Input.Submitted, "#find")
    def _submitted(self, event: Input.Submitted) -> None:
        self.sought = event.value.strip()
        self.close_field()
        if self.sought:
            self._find()

    def _find(self, *, backwards: bool = False) -> None:
        if not self._pane(self.pane).find(self.sought, backwards):
            self.toast(f"not found in this pane: {one_line(self.sought, 40)}", severity="warning")
            self.sought = ""
        self._draw_words()

    def leave(self) -> bool:
        """Out of the field, the search, the zoom, the pane."""
        if self.sought and not self.finding:
            self.sought = ""
            self._draw_words()
            return True
        return self.step_back()

    # ---- where things stand ------------------------------------------------------------------------------------

    def fit_parts(self) -> None:
        self.query_one("#right").styles.width = "1fr" if self.one else max(46, self.app.size.width * 35 // 100)
