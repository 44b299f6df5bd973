"""The Versions screen: what changed in a patch from one version to the next, by whose hand, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from core.errors import LabError
from core.store.reader import Reader
from core.text import one_line
from tui.actions import ON_VERSIONS, View
from tui.client import Client
from tui.detail import Sources
from tui.render.diff_rows import Rows, rows
from tui.screens.lab_screen import LabScreen
from tui.screens.page import bindings
from tui.versions import History, between, read
from tui.widgets.diff import DiffView
from tui.widgets.line import Line, Part
from tui.widgets.scrolling import scroll


class Versions(LabScreen):
    """Shows one pair of versions at a time, the last step first."""

    DEFAULT_CSS = """
    Versions #step { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(ON_VERSIONS)
    HERE = ON_VERSIONS
    LEAD = "How this patch became what it is, one step at a time. Nothing is decided here."
    FOOTER: ClassVar[Mapping[str, int]] = {
        "version_before": 0, "version_after": 0, "next_hunk": 2, "previous_hunk": 3, "back": 0, "help": 0,
        "palette": 5, "detach": 4,
    }  # fmt: skip

    def __init__(self, client: Client, sources: Sources, *, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__(client, keymap=keymap)
        self.wanted: int | None = None
        """whose patch"""
        self.history: History | None = None
        self.at = 0
        """which step is shown"""
        self.remark = ""
        self._sources = sources
        self._hunks = 0
        self._read_at: object = None

    def compose(self) -> ComposeResult:
        yield Line(id="status")
        yield Line(id="step")
        yield Line(id="why")
        yield DiffView(id="changes")
        yield Line(id="keys")

    def take(self, experiment_id: int) -> None:
        """Show this one's versions from now on."""
        if experiment_id != self.wanted:
            self.wanted, self.history, self._read_at = experiment_id, None, None

    @property
    def view(self) -> View:
        return View(pairs=len(self.history.steps) if self.history else 0, hunks=self._hunks)

    def draw(self) -> None:
        if not self.is_mounted:
            return
        at = (self.wanted, self.lab.touched.get(self.wanted or 0), self.lab.by_id.get(self.wanted or 0))
        if at != self._read_at and self.wanted is not None:
            self._read_at = at
            self._read(self.wanted)
        with self.app.batch_update():
            name = f"#{self.wanted} {one_line(self.history.title, 80)}" if self.history else f"#{self.wanted}"
            self.query_one("#status", Line).show_parts(self.heading("Versions", name))
            self.query_one("#step", Line).show_parts(self._step())
            why = self.query_one("#why", Line)
            why.show_parts(self._why())
            why.display = bool(self._why())
            self.query_one("#keys", Line).show_parts(self.keys(), 1)

    def _step(self) -> list[Part]:
        if self.history is None:
            return [Part(Content("being read"))]
        if not self.history.steps:
            return [Part(Content("this patch has one version"))]
        step = self.history.steps[self.at]
        count = f"step {self.at + 1} of {len(self.history.steps)}"
        hunks = f"{self._hunks} hunk{'' if self._hunks == 1 else 's'}"
        return [
            Part(Content.styled(step.words, "bold"), 0),
            Part(Content(count), 2),
            Part(Content.styled(hunks, "$foreground-muted"), 3),
        ]

    def _why(self) -> list[Part]:
        step = self.history.steps[self.at] if self.history and self.history.steps else None
        parts = [Part(Content.styled(self.remark, "$text-warning"), 0)] if self.remark else []
        if step and step.why:
            parts.append(Part(Content.assemble(("after: ", "$foreground-muted"), f"“{one_line(step.why, 300)}”"), 1))
        return parts

    # ---- reading -----------------------------------------------------------------------------------------------

    @work(exclusive=True, group="versions")
    async def _read(self, experiment_id: int) -> None:
        def all_of_it(reader: Reader) -> History:
            return read(reader, experiment_id, self._sources)

        try:
            found = await asyncio.to_thread(self.client.with_reader, all_of_it)
        except LabError as error:  # whatever happens next to the experiment has it read again
            self.toast(error.message, error.hint, severity="error")
            return
        if experiment_id != self.wanted:
            return
        new = self.history is None or found.steps != self.history.steps
        self.history = found
        if new:
            self._show(len(found.steps) - 1 if len(found.steps) < 3 else len(found.steps) - 2)
        self.draw()

    @work(exclusive=True, group="changes")
    async def _show(self, at: int) -> None:
        """Draw one step."""
        history, view = self.history, self.query_one(DiffView)
        if history is None or not history.steps:
            view.empty_text = "This patch has one version: there is nothing to compare it with."
            view.show(None)
            return
        self.at = at % len(history.steps)
        step = history.steps[self.at]

        def made() -> tuple[int, Rows, str]:
            patch, files, remark = between(history, step)
            return len(patch.hunks), rows(patch, files), remark

        try:
            self._hunks, found, self.remark = await asyncio.to_thread(made)
        except LabError as error:
            self._hunks, found, self.remark = 0, None, ""
            view.empty_text = f"This step cannot be shown: {one_line(error.message, 200)}"
        else:
            view.empty_text = "The resulting files are the same."
        view.show(found)
        self.draw()

    # ---- keys --------------------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        view = self.query_one(DiffView)
        match action_id:
            case "version_before":
                self._show(self.at - 1)
            case "version_after":
                self._show(self.at + 1)
            case "next_hunk":
                view.next_hunk()
            case "previous_hunk":
                view.previous_hunk()
            case _:
                scroll(view, action_id)
