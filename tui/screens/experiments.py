"""The Experiments screen: every experiment in a table, the lab's progress over it, lineage and details beside it."""

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
from core.models import State
from core.store.reader import Reader
from core.store.rows import Found
from core.text import one_line
from tui.actions import ON_EXPERIMENTS, View, key_of
from tui.client import Client
from tui.detail import Detail
from tui.listing import Listing, authors_of, listed, next_of, outcomes_of
from tui.screens.go import Go
from tui.screens.page import bindings
from tui.screens.paned import Paned
from tui.survey import Survey, survey
from tui.widgets.details import details
from tui.widgets.experiments_table import ExperimentsTable
from tui.widgets.line import Line, Part
from tui.widgets.lineage import lineage
from tui.widgets.progress_plot import ProgressPlot, progress_of
from tui.widgets.scrolling import scroll
from tui.widgets.text_pane import TextPane

REST_SECONDS = 0.15
"""the cursor has to stand still for so long until the details beside it are read"""
MOST = 6
"""experiments that can be compared"""
FOUND_LIMIT = 2_000
UNREAD = Survey()
"""until the lab has been surveyed: the plot waits for its champions"""


class Experiments(Paned):
    """Holds what is listed, marked and looked for; decides nothing."""

    DEFAULT_CSS = """
    Experiments #left { width: 1fr; height: 1fr; }
    Experiments #right { width: 42; height: 1fr; display: none; border-left: vkey $surface-lighten-2; }
    Experiments #info { background: $surface; }
    Experiments .pane-title { height: 1; background: $surface; }
    Experiments.-narrow #right { width: 1fr; border-left: none; }
    Experiments.-narrow .pane-title { display: none; }
    Experiments.-narrow #body { layout: vertical; }
    Experiments.-narrow.-aside #left { height: auto; }
    Experiments.-narrow.-aside ExperimentsTable { display: none; }
    Experiments.-narrow.-aside #right, Experiments.-wide #right { display: block; }
    Experiments.-only-details #lineage, Experiments.-only-lineage #details { display: none; }
    Experiments.-only-details #lineage-title, Experiments.-only-lineage #details-title { display: none; }
    Experiments.-plain ProgressPlot { display: none; }
    Experiments.-plain.-aside #left { display: none; }
    Experiments.-plain.-aside #right { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(ON_EXPERIMENTS)
    HERE = ON_EXPERIMENTS
    TITLES: ClassVar[Mapping[str, str]] = {"table": "Table", "details": "Details", "lineage": "Lineage"}
    FIND = "words in titles, rationales and patches"
    INFO_IS_FIELD = True
    LEAD = "Every experiment of the lab. Enter shows one on the Review screen; nothing is decided here."
    FOOTER: ClassVar[Mapping[str, int]] = {
        "open": 0, "find": 0, "sort": 2, "reverse": 8, "filter_outcome": 1, "filter_author": 7, "mark": 3,
        "compare_marked": 3, "unmark": 9, "next_pane": 5, "zoom": 10, "back": 0, "help": 0, "palette": 8, "detach": 6,
    }  # fmt: skip

    def __init__(self, client: Client, *, keymap: Mapping[str, str] | None = None, symbols: str = "braille") -> None:
        super().__init__(client, keymap=keymap)
        self._symbols = symbols
        self.listing = Listing()
        self.marked: list[int] = []
        """in the order in which they were marked"""
        self.survey = UNREAD
        self.detail: Detail | None = None
        self._surveyed: object = None
        """what the survey was asked for at"""
        self._drawn: object = None
        """what the rows of the table were made from"""
        self._plotted: object = None
        """what the plot was made from"""
        self._told: object = None
        """what the lineage was told from"""
        self._rest: Timer | None = None
        self._asked: tuple[object, ...] = ()
        """whose details were asked for, and in which state"""
        self._search: Reader | None = None
        self._looking_for = ""

    def compose(self) -> ComposeResult:
        yield Line(id="status")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield ProgressPlot(symbols=self._symbols, id="progress")
                yield ExperimentsTable(id="table")
            with Vertical(id="right"):
                yield Line(id="details-title", classes="pane-title")
                yield TextPane(id="details")
                yield Line(id="lineage-title", classes="pane-title")
                yield TextPane(id="lineage")
        yield Line(id="info")
        yield self.field()
        yield Line(id="keys")

    def on_mount(self) -> None:
        self.place()

    @property
    def table(self) -> ExperimentsTable:
        return self.query_one(ExperimentsTable)

    @property
    def view(self) -> View:
        return View(at=self.table.cursor_id, marked=len(self.marked))

    # ---- what is known -----------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Rows, plot and lineage, each only if it changed."""
        if not self.is_mounted:
            return
        wanted = (self.lab.champion, self.lab.counts.get(State.JUDGED), len(self.lab.history))
        if wanted != self._surveyed and self.lab.seq:
            self._surveyed = wanted
            self._take_survey()
        with self.app.batch_update():
            self._draw_rows()
            self._draw_words()
        self._read_soon()

    def _draw_rows(self) -> None:
        table, lab = self.table, self.lab
        made_from = (id(lab.history), self.listing, id(self.listing.found), id(self.survey))
        if made_from == self._drawn:
            return
        self._drawn = made_from
        doubtful = self.survey.doubtful
        rows = listed(
            lab.history, self.listing, doubtful=doubtful, sizes=self.survey.sizes, direction=lab.lab.direction
        )
        table.metric = one_line(lab.lab.metric, 24)
        table.empty_text = (
            f"Nothing matches.\n{key_of('back', self.keymap)} shows all experiments again."
            if self.listing.narrowed
            else f"No experiment yet: the researcher's first proposal will stand here.\n"
            f"{key_of('pane_diff', self.keymap)} goes back to the review; there {key_of('idea')} gives the researcher "
            "an idea."
        )
        table.show(rows, self.listing, marked=self.marked, doubtful=doubtful, sizes=self.survey.sizes)
        plot, plotted = self.query_one(ProgressPlot), (id(lab.history), id(self.survey))
        if plotted != self._plotted and (self.survey is not UNREAD or not lab.seq):
            self._plotted = plotted
            progress = progress_of(lab.history, self.survey, lab.lab.direction)
            plot.show(progress, metric=lab.lab.metric, sigma=self.survey.sigma)
        plot.point_at(table.cursor_id)

    def _draw_words(self) -> None:
        counts = self.lab.counts
        words = f"{sum(counts.values()):,} in all, {counts.get(State.JUDGED, 0):,} judged"
        self.query_one("#status", Line).show_parts(self.heading("Experiments", words))
        self.query_one("#info", Line).show_parts(self._info())
        self.query_one("#keys", Line).show_parts(self.keys(), 1)
        for pane in self.panes[1:]:
            self.query_one(f"#{pane}-title", Line).show_parts([self.tab(pane)])
        story = self.query_one("#lineage", TextPane)
        told = (id(self.survey), self.lab.lab.metric, story.size.width or 40)
        if told != self._told:
            self._told = told
            story.show(lineage(self.survey.steps, metric=told[1], width=told[2]))

    def _info(self) -> list[Part]:
        """Panes where only one is in sight; what is left out of the table; what is marked."""
        parts = [self.tab(pane) for pane in self.panes] if self.has_class("-narrow") else []
        wishes, shown = self.listing, len(self.table.rows)
        order = "newest first" if wishes == Listing() else f"sorted by {wishes.column}"
        words = [f"{shown:,} experiment{'' if shown == 1 else 's'}, {order}"]
        if wishes.narrowed or self._looking_for:
            words = []
        if wishes.outcome:
            words.append(f"only {wishes.outcome}")
        if wishes.author is not None:
            words.append(f"by {one_line(wishes.author, 20)}")
        if self._looking_for:
            words.append(f"looking for “{one_line(self._looking_for, 20)}” … Esc stops")
        elif wishes.found is not None:
            words.append(f"“{one_line(wishes.words, 20)}” {_places(wishes.found)}")
        if wishes.narrowed:
            parts.append(Part(Content.styled(f"{shown:,} of {len(self.lab.history):,}", "bold $text-warning"), 0))
        short = Content(f"“{one_line(wishes.words, 12)}”") if wishes.found is not None else None
        parts.append(Part(Content(", ".join(words)), 2, short))
        if self.marked:
            marks = " ".join(f"#{number}" for number in self.marked)
            parts.append(Part(Content.styled(f"{len(self.marked)} marked: {marks}", "$text-accent"), 1))
        return parts

    @work(exclusive=True, group="survey")
    async def _take_survey(self) -> None:
        config = self.client.lab.root / "autoresearch.toml"
        try:
            self.survey = await asyncio.to_thread(self.client.with_reader, lambda reader: survey(reader, config))
        except StoreError:
            self._surveyed = None  # the first row says what is wrong with the record
            return
        self.draw()

    # ---- the experiment under the cursor -----------------------------------------------------------------------

    @on(ExperimentsTable.Moved)
    def _read_soon(self) -> None:
        """Read its details when the cursor has come to rest: a held key reads nothing."""
        self.query_one(ProgressPlot).point_at(self.table.cursor_id)
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_SECONDS, self._read)

    def _read(self) -> None:
        number = self.table.cursor_id
        wanted = (number, self.lab.by_id.get(number or 0), id(self.survey))
        if wanted == self._asked or not self.query_one("#details").is_on_screen:
            return
        self._asked = wanted
        if number is None:
            self.query_one("#details", TextPane).show(Content())
        else:
            self._read_details(number)

    @work(exclusive=True, group="details")
    async def _read_details(self, number: int) -> None:
        def read(reader: Reader) -> Detail | None:
            found = reader.experiment(number)
            if found is None:
                return None
            runs, reviews = reader.runs(experiment_id=number), reader.reviews(number)
            return Detail(found, reviews=tuple(reviews), runs=tuple(runs))

        try:
            self.detail = await asyncio.to_thread(self.client.with_reader, read)
        except StoreError:
            self._asked = ()
            return
        if self.detail is not None and self.table.cursor_id == number:
            size, doubtful = self.survey.sizes.get(number), number in self.survey.doubtful
            words = details(self.detail, self.lab, size=size, doubtful=doubtful)
            self.query_one("#details", TextPane).show(words, keep_place=False)

    # ---- keys --------------------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        match action_id:
            case "down" | "up" | "half_down" | "half_up" | "page_down" | "page_up" | "top" | "bottom":
                self._move(action_id)
            case "open":
                self._open()
            case "mark":
                self._mark()
            case "unmark":
                self.marked.clear()
                self._remark()
            case "compare" | "compare_marked":
                self._compare()
            case "sort":
                columns = self.table.columns
                at = columns.index(self.listing.column) if self.listing.column in columns else -1
                self._sort(replace(self.listing, column=columns[(at + 1) % len(columns)], reverse=False))
            case "reverse":
                self._sort(replace(self.listing, reverse=not self.listing.reverse))
            case "filter_outcome":
                choices = outcomes_of(self.lab.history, self.survey.doubtful)
                self._list(replace(self.listing, outcome=next_of(self.listing.outcome, choices)))
            case "filter_author":
                self._list(replace(self.listing, author=next_of(self.listing.author, authors_of(self.lab.history))))
            case "next_pane" | "previous_pane":
                self.cycle(1 if action_id == "next_pane" else -1)
            case "zoom":
                self.zoom()
            case "find":
                self.open_field(self.listing.words)

    def _move(self, how: str) -> None:
        pane = self.table if self.pane == "table" else self.query_one(f"#{self.pane}", TextPane)
        scroll(pane, how)

    @on(ExperimentsTable.Opened)
    def _open(self) -> None:
        if (number := self.table.cursor_id) is not None:
            self.post_message(Go("review", (number,)))

    def leave(self) -> bool:
        """Out of the field, the search, the zoom, the pane, the filter."""
        if self._looking_for and not self.finding:
            self._end_search()
        elif self.step_back():
            pass
        elif self.listing.narrowed:
            self._list(Listing(self.listing.column, self.listing.reverse))
        else:
            return False
        return True

    def _list(self, wishes: Listing) -> None:
        self.listing = wishes
        self.draw()

    def _sort(self, wishes: Listing) -> None:
        """What was sorted for is on top: look there."""
        self._list(wishes)
        self.table.top()

    def _mark(self) -> None:
        number = self.table.cursor_id
        if number in self.marked:
            self.marked.remove(number)
        elif len(self.marked) == MOST:
            self.toast(f"{MOST} are marked, more cannot be told apart: unmark one first", severity="warning")
            return
        elif number is not None:
            self.marked.append(number)
        self._remark()
        self.table.scroll_line(1)

    def _remark(self) -> None:
        table = self.table
        table.show(table.rows, self.listing, marked=list(self.marked), doubtful=self.survey.doubtful)
        self._draw_words()

    def _compare(self) -> None:
        number = self.table.cursor_id
        chosen = self.marked if len(self.marked) > 1 else [number] if number is not None else self.marked
        self.post_message(Go("compare", tuple(chosen)))

    # ---- searching ---------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#find")
    def _submitted(self, event: Input.Submitted) -> None:
        words = event.value.strip()
        self.close_field()
        self._end_search()
        if words:
            self._looking_for = words
            self._search_for(words)
        else:
            self._list(replace(self.listing, words="", found=None))

    def _end_search(self) -> None:
        self._looking_for = ""
        if self._search is not None:
            self._search.db.interrupt()
        self._draw_words()

    @work(exclusive=True, group="search")
    async def _search_for(self, words: str) -> None:
        def read(reader: Reader) -> list[Found]:
            self._search = reader
            try:
                return reader.search(words, limit=FOUND_LIMIT)
            finally:
                self._search = None

        self._draw_words()
        try:
            found = await asyncio.to_thread(self.client.with_reader, read)
        except StoreError as error:
            if self._looking_for == words:  # nobody ended it
                self._looking_for = ""
                self.toast(error.message, error.hint, severity="error")
            return
        if self._looking_for == words:
            self._looking_for = ""
            self._list(replace(self.listing, words=words, found={one.id: one for one in found}))

    # ---- where things stand ------------------------------------------------------------------------------------

    def worn(self) -> dict[str, bool]:
        wide, aside = self.app.size.width >= self.WIDE, self.pane != "table"
        alone = {f"-only-{pane}": (self.zoomed or not wide) and self.pane == pane for pane in self.panes[1:]}
        beside = wide and not (self.zoomed and not aside)
        return super().worn() | alone | {
            "-wide": beside, "-narrow": not wide, "-aside": aside, "-plain": self.zoomed,
        }  # fmt: skip

    def fit_parts(self) -> None:
        width, height = self.app.size
        self.query_one(ProgressPlot).styles.height = max(5, (height - 3) * 35 // 100)
        wide = width >= self.WIDE and not self.zoomed
        self.query_one("#right").styles.width = max(42, width * 35 // 100) if wide else "1fr"


def _places(found: Mapping[int, Found]) -> str:
    """Where the words were found, in numbers."""
    if not found:
        return "is nowhere"
    counts = {
        ("title", "titles"): sum(one.title for one in found.values()),
        ("reason", "reasons"): sum(one.texts for one in found.values()),
        ("patch", "patches"): sum(one.patch for one in found.values()),
    }
    words = ", ".join(f"{count:,} {many if count > 1 else one}" for (one, many), count in counts.items() if count)
    return f"the newest {FOUND_LIMIT:,}: {words}" if len(found) == FOUND_LIMIT else f"in {words}"
