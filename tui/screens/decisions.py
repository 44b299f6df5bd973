"""The Decisions screen: every review in a table, the one under the cursor in full, how reviews and verdicts agree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input

from core.errors import StoreError
from core.models import Review
from core.store.reader import Reader
from core.store.rows import Summary
from tui.actions import ON_DECISIONS, View, key_of
from tui.client import Client
from tui.listing import next_of
from tui.reviews import Decided, Whole, Wishes, decided, people_in, rules_in, said_in, whole, wishes_in_words
from tui.screens.go import Go
from tui.screens.page import bindings
from tui.screens.paned import Paned
from tui.widgets.decision import Record, agreement, decision
from tui.widgets.decisions_table import DecisionsTable
from tui.widgets.line import Line, Part
from tui.widgets.scrolling import scroll
from tui.widgets.text_pane import TextPane

REST_SECONDS = 0.15
"""the cursor has to stand still for so long until the review is read in full"""


class Decisions(Paned):
    """Holds what is listed; decides nothing."""

    DEFAULT_CSS = """
    Decisions #table { width: 1fr; height: 1fr; }
    Decisions #right { width: 42; height: 1fr; border-left: vkey $surface-lighten-2; }
    Decisions .side { height: 1fr; }
    Decisions #info { background: $surface; }
    Decisions .pane-title { height: 1; background: $surface; }
    Decisions.-one #table, Decisions.-one #right, Decisions.-one .side { display: none; }
    Decisions.-one .pane-title { display: none; }
    Decisions.-one #right { width: 1fr; border-left: none; }
    Decisions.-one.-table #table { display: block; }
    Decisions.-one.-decision #right, Decisions.-one.-decision #decision-side { display: block; }
    Decisions.-one.-agreement #right, Decisions.-one.-agreement #agreement-side { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(ON_DECISIONS)
    HERE = ON_DECISIONS
    TITLES: ClassVar[Mapping[str, str]] = {"table": "Table", "decision": "Decision", "agreement": "Agreement"}
    FIND = "words in titles, reasons and names"
    INFO_IS_FIELD = True
    LEAD = "Every review of the lab, newest first. Enter shows the experiment on the Review screen; nothing is decided."
    FOOTER: ClassVar[Mapping[str, int]] = {
        "open": 0, "find": 0, "filter_decision": 1, "filter_person": 3, "filter_rule": 2, "next_pane": 4, "zoom": 7,
        "back": 0, "help": 0, "palette": 8, "detach": 6,
    }  # fmt: skip

    def __init__(self, client: Client, *, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__(client, keymap=keymap)
        self.wishes = Wishes()
        self.rows: list[Decided] = []
        """all of them, newest first"""
        self.records: tuple[Record, ...] = ()
        self.loaded = False
        self._reviews: dict[int, Review] = {}
        self._seq = -1
        """the last entry of the journal that has been read"""
        self._reading = False
        self._drawn: object = None
        """what the rows of the table were made from"""
        self._found: Whole | None = None
        self._asked: Decided | None = None
        self._in_pane: int | None = None
        """the review that the pane beside the table shows"""
        self._rest: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Line(id="status")
        with Horizontal(id="body"):
            yield DecisionsTable(id="table")
            with Vertical(id="right"):
                for pane in self.panes[1:]:
                    with Vertical(id=f"{pane}-side", classes="side"):
                        yield Line(id=f"{pane}-title", classes="pane-title")
                        yield TextPane(id=pane)
        yield Line(id="info")
        yield self.field()
        yield Line(id="keys")

    def on_mount(self) -> None:
        self.place()

    @property
    def table(self) -> DecisionsTable:
        return self.query_one(DecisionsTable)

    @property
    def view(self) -> View:
        row = self.table.cursor_row
        return View(
            at=row.review.experiment_id if row else None,
            reviews=len(self.rows),
            ruled=any(row.rule for row in self.rows),
        )

    # ---- what is known -----------------------------------------------------------------------------------------

    def draw(self) -> None:
        if not self.is_mounted:
            return
        self._read_what_is_new()
        with self.app.batch_update():
            self._draw_rows()
            self._draw_words()
        self._read_soon()

    def _draw_rows(self) -> None:
        made_from = (id(self.lab.history), self._seq, self.wishes, int(self.lab.at // 60), self.loaded)
        if made_from == self._drawn:
            return
        self._drawn = made_from
        self.rows = decided(self._reviews, self.lab.by_id, self.rows)
        table, back = self.table, key_of("back", self.keymap)
        if self.wishes.narrowed:
            table.empty_text = f"Nothing matches.\n{back} shows all reviews again."
        elif self.loaded or self.lab.missing:
            table.empty_text = (
                f"No review yet: every decision about a patch will stand here.\n{back} goes back to the review."
            )
        else:
            table.empty_text = "The reviews are being read."
        table.show([row for row in self.rows if self.wishes.take(row)], at=self.lab.at)

    def _draw_words(self) -> None:
        count = len(self.rows)
        self.query_one("#status", Line).show_parts(
            self.heading("Decisions", f"{count:,} review{'' if count == 1 else 's'}")
        )
        self.query_one("#info", Line).show_parts(self._info())
        self.query_one("#keys", Line).show_parts(self.keys(), 1)
        for pane in self.panes[1:]:
            self.query_one(f"#{pane}-title", Line).show_parts([self.tab(pane)])
        self.query_one("#agreement", TextPane).show(agreement(self.records))
        self._draw_decision()

    def _draw_decision(self) -> None:
        pane, found = self.query_one("#decision", TextPane), self._found
        row = self.table.cursor_row
        if row is None:
            pane.show(Content())
        elif found is not None and found.row.review.id == row.review.id:
            same = found.row.review.id == self._in_pane
            pane.show(decision(found, self.lab, width=(pane.size.width or 42) - 3), keep_place=same)
            self._in_pane = found.row.review.id

    def _info(self) -> list[Part]:
        """Panes where only one is in sight, and what is left out of the table."""
        parts = [self.tab(pane) for pane in self.panes] if self.one else [self.tab("table")]
        shown = len(self.table.rows)
        if self.wishes.narrowed:
            parts.append(Part(Content.styled(f"{shown:,} of {len(self.rows):,}", "bold $text-warning"), 0))
            short = Content(wishes_in_words(self.wishes, brief=True))
            parts.append(Part(Content(wishes_in_words(self.wishes)), 2, short))
        else:
            parts.append(Part(Content("newest first" if shown else ""), 2))
        return parts

    # ---- reading -----------------------------------------------------------------------------------------------

    def _read_what_is_new(self) -> None:
        """All reviews at first; later those of the experiments that something happened to."""
        if self._reading or not self.lab.at or self.lab.seq <= self._seq:
            return
        changed = None
        if self.loaded:
            changed = [number for number, seq in self.lab.touched.items() if seq > self._seq]
            if not changed:
                self._seq = self.lab.seq
                return
        self._reading = True
        self._read_reviews(changed, self.lab.seq, self.lab.history)

    @work(exclusive=True, group="reviews")
    async def _read_reviews(self, experiments: list[int] | None, seq: int, history: tuple[Summary, ...]) -> None:
        known = dict(self._reviews)

        def read(reader: Reader) -> tuple[dict[int, Review], tuple[Record, ...]]:
            from core.reporting.claims import agreements
            from core.reporting.words import deeds

            new = reader.reviews() if experiments is None else [r for n in experiments for r in reader.reviews(n)]
            known.update((review.id, review) for review in new)
            found = agreements(history, [known[number] for number in sorted(known)], reader.overridden(), apart=True)
            return known, tuple(Record(one.who, one.by_policy, deeds(one)) for one in found)

        try:
            self._reviews, self.records = await asyncio.to_thread(self.client.with_reader, read)
        except StoreError:
            return  # the first row says what is wrong with the record; the next look tries again
        finally:
            self._reading = False
        self._seq, self.loaded = seq, True
        self.draw()

    @on(DecisionsTable.Moved)
    def _read_soon(self) -> None:
        """Read the review in full when the cursor has come to rest: a held key reads nothing."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_SECONDS, self._read)

    def _read(self) -> None:
        row = self.table.cursor_row
        if row is self._asked or not self.query_one("#decision").is_on_screen:
            return
        self._asked = row
        if row is not None:
            self._read_whole(row)
        else:
            self._draw_decision()

    @work(exclusive=True, group="decision")
    async def _read_whole(self, row: Decided) -> None:
        try:
            self._found = await asyncio.to_thread(self.client.with_reader, lambda reader: whole(reader, row))
        except StoreError:
            self._asked = None
            return
        self._draw_decision()

    # ---- keys --------------------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        rows = self.rows
        match action_id:
            case "open":
                self._open()
            case "filter_decision":
                self._list(replace(self.wishes, said=next_of(self.wishes.said, said_in(rows))))
            case "filter_person":
                self._list(replace(self.wishes, who=next_of(self.wishes.who, people_in(rows)), rule=None))
            case "filter_rule":
                self._list(replace(self.wishes, rule=next_of(self.wishes.rule, rules_in(rows)), who=None))
            case "next_pane" | "previous_pane":
                self.cycle(1 if action_id == "next_pane" else -1)
            case "zoom":
                self.zoom()
            case "find":
                self.open_field(self.wishes.words)
            case _:
                scroll(self.table if self.pane == "table" else self.query_one(f"#{self.pane}", TextPane), action_id)

    @on(DecisionsTable.Opened)
    def _open(self) -> None:
        if (row := self.table.cursor_row) is not None:
            self.post_message(Go("review", (row.review.experiment_id,)))
        else:
            self.toast("no review is listed", severity="warning")

    def leave(self) -> bool:
        """Out of the field, the zoom, the pane, the filter."""
        if self.step_back():
            return True
        if self.wishes.narrowed:
            self._list(Wishes())
            return True
        return False

    def _list(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.draw()

    @on(Input.Submitted, "#find")
    def _submitted(self, event: Input.Submitted) -> None:
        self.close_field()
        self._list(replace(self.wishes, words=event.value.strip()))

    # ---- where things stand ------------------------------------------------------------------------------------

    def fit_parts(self) -> None:
        self.query_one("#right").styles.width = "1fr" if self.one else max(42, self.app.size.width * 35 // 100)
