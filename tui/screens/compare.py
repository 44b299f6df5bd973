"""The Compare screen: the curves of two to six experiments over each other, their numbers, the code between them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content

from core.errors import LabError, StoreError
from core.models import Run, RunState
from core.store.reader import Reader
from core.text import number, one_line
from tui.actions import ON_COMPARE, View, key_of
from tui.client import Client
from tui.comparison import LETTERS, Comparison, Side, compare, tokens_of
from tui.detail import Sources, with_live
from tui.listing import SIGNS, outcome
from tui.render.diff_rows import Rows, rows
from tui.screens.page import bindings
from tui.screens.paned import Paned
from tui.widgets.diff import DiffView
from tui.widgets.line import Line, Part
from tui.widgets.numbers import numbers
from tui.widgets.overlay import Curve, Overlay
from tui.widgets.scrolling import scroll
from tui.widgets.text_pane import TextPane

if TYPE_CHECKING:  # imported inside the functions that run in a thread
    from core.patches import Patch

ZOOM = 2.0
INKS = ("$foreground", "$text-accent", "$text-success", "$text-error", "$text-primary", "$text-warning")
"""of the letters, as the curves have them"""


class Compare(Paned):
    """Holds what is compared and how it is looked at."""

    DEFAULT_CSS = """
    Compare #legend { height: auto; }
    Compare #info { background: $surface; }
    Compare .pane-title { height: 1; background: $surface; }
    Compare #curves { height: 1fr; }
    Compare #lower { height: 1fr; }
    Compare #numbers-pane, Compare #code-pane { width: 1fr; height: 1fr; }
    Compare.-wide #code-pane { border-left: vkey $surface-lighten-2; }
    Compare.-one #curves, Compare.-one #lower, Compare.-one #numbers-pane, Compare.-one #code-pane { display: none; }
    Compare.-one .pane-title { display: none; }
    Compare.-one.-curves #curves { display: block; }
    Compare.-one.-numbers #lower, Compare.-one.-numbers #numbers-pane { display: block; }
    Compare.-one.-code #lower, Compare.-one.-code #code-pane { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(ON_COMPARE)
    HERE = ON_COMPARE
    TITLES: ClassVar[Mapping[str, str]] = {"curves": "Curves", "numbers": "Numbers", "code": "Code"}
    LEAD = "Runs beside each other. The first one (A, dotted) is what the others are compared with."
    FOOTER: ClassVar[Mapping[str, int]] = {
        "next_pane": 0, "later": 2, "zoom_in": 4, "zoom_out": 5, "zoom_reset": 6, "axis": 1, "log_scale": 5,
        "smoother": 7, "curve": 3, "next_seed": 8, "next_pair": 8, "back": 0, "help": 0, "detach": 9,
    }  # fmt: skip

    def __init__(
        self, client: Client, sources: Sources, *, keymap: Mapping[str, str] | None = None, symbols: str = "braille"
    ) -> None:
        super().__init__(client, keymap=keymap)
        self._symbols = symbols
        self.wanted: tuple[int, ...] = ()
        """the experiments to be compared"""
        self.found = Comparison()
        self.seed: int | None = None
        self.curve = "loss"
        self.pair = 1
        """whose code is shown against the first one's"""
        self._sources = sources
        self._read_at: object = None
        """what was asked for, and how it stood"""
        self._hunks = 0
        self._loading = False

    def compose(self) -> ComposeResult:
        yield Line(id="status")
        with Vertical(id="legend"):
            for letter in LETTERS:
                yield Line(id=f"side-{letter.lower()}")
        yield Overlay(symbols=self._symbols, id="curves")
        with Horizontal(id="lower"):
            with Vertical(id="numbers-pane"):
                yield Line(id="numbers-title", classes="pane-title")
                yield TextPane(id="numbers")
            with Vertical(id="code-pane"):
                yield Line(id="code-title", classes="pane-title")
                yield DiffView(id="code")
        yield Line(id="info")
        yield Line(id="keys")

    def on_mount(self) -> None:
        self.place()

    def take(self, experiments: tuple[int, ...]) -> None:
        """Compare these from now on; one alone is put beside the champion it was proposed on."""
        if experiments and experiments != self.wanted:
            self.wanted, self.found, self.seed, self.pair, self._read_at = experiments, Comparison(), None, 1, None
            if self.is_mounted:
                self.overlay.reset()
                self._forget_code()

    @property
    def overlay(self) -> Overlay:
        return self.query_one(Overlay)

    @property
    def runs(self) -> list[Run | None]:
        """The run of each side, as it stands now."""
        return [_now(side, self.seed, self.lab.live) for side in self.found.sides]

    @property
    def view(self) -> View:
        runs = [run for run in self.runs if run]
        return View(
            at=self.wanted[0] if self.wanted else None,
            sides=len(runs),
            pairs=len(self.found.sides) - 1,
            seeds=len(self.found.seeds),
            hunks=self._hunks,
            curves=bool(runs),
        )

    # ---- what is known -----------------------------------------------------------------------------------------

    def draw(self) -> None:
        if not self.is_mounted:
            return
        state = (self.wanted, tuple(self.lab.touched.get(number) for number in self.wanted))
        if state != self._read_at and self.wanted:
            self._read_at = state
            self._read()
        with self.app.batch_update():
            self._draw_curves()
            self._draw_numbers()
            self._draw_words()

    def _draw_curves(self) -> None:
        curves = []
        for letter, run in zip(LETTERS, self.runs, strict=False):
            if run is not None:
                series = self.client.curve(run.id, self.curve)
                share = run.progress if run.is_live else 1.0 if run.state is RunState.FINISHED else run.progress
                curves.append((letter, Curve(series, share or 1.0, tokens_of(run))))
        self.overlay.empty_text = self._nothing()
        self.overlay.count_in_seconds(self.lab.timed)
        self.overlay.show(curves)

    def _nothing(self) -> str:
        """What stands where no curve is."""
        if self._loading or (self.wanted and not self.found.sides):
            return "The runs are being read."
        if not self.found.sides:
            return f"Nothing to compare: {key_of('mark')} marks experiments on the Experiments screen (5)."
        if not any(self.runs):
            return "None of these has run yet. Tab goes on to the code."
        if not any(self.client.curve_names(run.id) for run in self.runs if run):
            return "These runs ended before the first step. Tab goes on to the numbers."
        return f"No {one_line(self.curve, 24)} was logged; {key_of('curve', self.keymap)} shows another curve."

    def _draw_numbers(self) -> None:
        pane = self.query_one("#numbers", TextPane)
        room = pane.scrollable_content_region.width - 1
        if room > 0:
            rows = [self.lab.by_id.get(side.experiment.id) if side.experiment else None for side in self.found.sides]
            pane.show(numbers(self.found, self.runs, metric=self.lab.lab.metric, room=room, rows=rows))

    def _draw_words(self) -> None:
        names = ", ".join(side.name for side in self.found.sides)
        self.query_one("#status", Line).show_parts(self.heading("Compare", names))
        self._draw_legend()
        for pane in self.panes[1:]:
            parts = [
                self.tab(pane),
                Part(Content.styled(self._pair_words() if pane == "code" else "", "$foreground-muted"), 1),
            ]
            self.query_one(f"#{pane}-title", Line).show_parts(parts)
        parts = [self.tab(pane) for pane in self.panes] if self.one else [self.tab("curves")]
        words = self._pair_words() if self.one and self.pane == "code" else ", ".join(self.overlay.words)
        if words != self._pair_words() and self.curve:
            words = f"{one_line(self.curve, 20)} {words}"
        parts.append(Part(Content(words), 1))
        if self.seed is not None:
            parts.append(Part(Content(f"seed {self.seed}"), 2))
        self.query_one("#info", Line).show_parts(parts)
        self.query_one("#keys", Line).show_parts(self.keys(), 1)

    def _draw_legend(self) -> None:
        values = self.overlay.values
        for index, letter in enumerate(LETTERS):
            line = self.query_one(f"#side-{letter.lower()}", Line)
            line.display = index < len(self.found.sides)
            if line.display:
                line.show_parts(self._side(index, values.get(letter)))

    def _side(self, index: int, value: float | None) -> list[Part]:
        side, run = self.found.sides[index], self.runs[index]
        letter = LETTERS[index]
        summary = self.lab.by_id.get(side.experiment.id) if side.experiment else None
        what = outcome(summary) if summary else None
        room = max(16, self.size.width - 50)
        parts = [
            # the value first: a row is written up to its last changed cell
            Part(Content.styled(f" {letter} {number(value):>10}", f"bold {INKS[index]}"), 0),
            Part(Content.assemble((side.name, "bold"), f" {one_line(side.title, room)}"), 0),
            Part(Content(f"{SIGNS[what]} {what}" if what else ""), 3),
        ]
        if run is None:
            parts.append(Part(Content.styled("has not run", "$text-warning"), 1))
        else:
            words = f"{number(run.metric)} seed {run.seed}" if run.metric is not None else f"{run.state}"
            parts.append(Part(Content.styled(words, "$foreground-muted"), 2))
        return parts

    def _pair_words(self) -> str:
        sides = self.found.sides
        if len(sides) < 2:
            return ""
        other = sides[min(self.pair, len(sides) - 1)]
        words = f"A {sides[0].name} → {LETTERS[min(self.pair, len(sides) - 1)]} {other.name}"
        return f"{words}, {self._hunks} hunk{'' if self._hunks == 1 else 's'}"

    @work(exclusive=True, group="compare")
    async def _read(self) -> None:
        wanted = self.wanted

        def read(reader: Reader) -> Comparison:
            return compare(reader, wanted, self._sources)

        self._loading = True
        try:
            found = await asyncio.to_thread(self.client.with_reader, read)
        except StoreError as error:
            self._read_at = None
            self.toast(error.message, error.hint, severity="error")
            return
        finally:
            self._loading = False
        if wanted != self.wanted:
            return
        new_code = [side.files for side in found.sides] != [side.files for side in self.found.sides]
        self.found = found
        if self.seed not in found.seeds:
            self.seed = found.seeds[0] if found.seeds else None
        self.draw()
        if new_code or not self._hunks:
            self._read_code()

    def _forget_code(self) -> None:
        """Nothing of what was compared before stands under the new names."""
        view = self.query_one(DiffView)
        view.empty_text, self._hunks = "The code is being read.", 0
        view.show(None)

    @work(exclusive=True, group="code")
    async def _read_code(self) -> None:
        """The patch from the first one's code to another's."""
        sides, view = self.found.sides, self.query_one(DiffView)
        if len(sides) < 2:
            return
        before, after = sides[0], sides[min(self.pair, len(sides) - 1)]
        try:
            patch, rows = await asyncio.to_thread(_between, before, after)
        except LabError as error:
            view.empty_text, self._hunks = f"The code cannot be shown: {one_line(error.message, 200)}", 0
            view.show(None)
        else:
            view.empty_text = self.found.problem or "The code is the same."
            self._hunks = len(patch.hunks)
            view.show(rows)
        self._draw_words()

    @on(Overlay.Changed)
    def _overlay_changed(self) -> None:
        self._draw_words()

    # ---- keys --------------------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        overlay, code = self.overlay, self.query_one(DiffView)
        match action_id:
            case "earlier" | "later":
                overlay.move_cross(1 if action_id == "later" else -1)
            case "zoom_in" | "zoom_out":
                overlay.zoom(ZOOM if action_id == "zoom_in" else 1 / ZOOM)
            case "zoom_reset":
                overlay.reset()
            case "axis":
                overlay.next_axis()
            case "log_scale":
                overlay.toggle_log()
            case "smoother" | "rougher":
                overlay.smooth(1 if action_id == "smoother" else -1)
            case "curve":
                self._next_curve()
            case "next_seed":
                seeds = self.found.seeds
                self.seed = seeds[(seeds.index(self.seed) + 1) % len(seeds)] if self.seed in seeds else seeds[0]
                self.draw()
            case "next_pair":
                self.pair = self.pair % (len(self.found.sides) - 1) + 1
                self._read_code()
            case "next_hunk" | "previous_hunk":
                self.select("code")
                (code.next_hunk if action_id == "next_hunk" else code.previous_hunk)()
            case "next_pane" | "previous_pane":
                self.cycle(1 if action_id == "next_pane" else -1)
            case "zoom":
                self.zoom()
            case "compare":
                self.toast(f"compared are {', '.join(side.name for side in self.found.sides)}; Esc goes back")
            case _:
                self._move(action_id)

    def _next_curve(self) -> None:
        names = sorted({name for run in self.runs if run for name in self.client.curve_names(run.id)})
        names.sort(key=lambda name: name != "loss")
        if names:
            self.curve = names[(names.index(self.curve) + 1) % len(names)] if self.curve in names else names[0]
            self.draw()

    def _move(self, how: str) -> None:
        pane = self.query_one("#code", DiffView) if self.pane == "code" else self.query_one("#numbers", TextPane)
        scroll(pane, how)

    def leave(self) -> bool:
        if self.zoomed:
            self.zoom()
            return True
        if self.overlay.sight.cross is not None or self.overlay.sight.zoom > 1:
            self.overlay.reset()
            return True
        return False


def _now(side: Side, seed: int | None, live: tuple[Run, ...]) -> Run | None:
    run = side.run(seed)
    return with_live((run,), live)[0] if run else None


def _between(before: Side, after: Side) -> tuple[Patch, Rows]:
    """The patch from one side's code to another's, and its rows.

    Raises:
        PatchError: the files cannot be in a patch.
    """
    from core.patches import diff

    gone = {path: None for path in before.files if path not in after.files}
    patch = diff(before.files, {**after.files, **gone})
    return patch, rows(patch, before.files)
