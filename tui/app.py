"""The terminal app: one lab, its client, its screens. Disposable: nothing that must survive lives here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor

from core.errors import LabError
from core.text import clean
from tui.actions import KEYMAP
from tui.attention import Attention, Caller, alerts, call
from tui.client import Client, LabChanged, LabPaths
from tui.cropped import CroppedUpdates
from tui.detail import LabSources, Sources
from tui.hangup import EndsWithTerminal
from tui.legible import legible
from tui.link import PatientLink
from tui.look import Look
from tui.personal import Drafts, who
from tui.render.ascii import Ascii
from tui.screens.go import Go
from tui.screens.places import Places
from tui.screens.review import Review
from tui.screens.steering import detach
from tui.snapshot import Snapshot
from tui.styles import SteadyStyles
from tui.tidy import TidyAtRest
from tui.tour import Memory
from tui.typed import KeysInTurn

if TYPE_CHECKING:
    from core.replay import Progress


class Neutralise(LineFilter):
    """The last gate before the terminal: no widget can pass a control or bidirectional character on."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(clean(text).replace("\t", " ").replace("\n", " "), style, control)
            if text and not control and not (text.isascii() and text.isprintable())
            else Segment(text, style, control)
            for text, style, control in segments
        ]


class AutoresearchApp(KeysInTurn, CroppedUpdates, PatientLink, SteadyStyles, TidyAtRest, EndsWithTerminal, App[str]):
    """Opens the Review screen on one lab."""

    CSS_PATH = "app.tcss"
    TITLE = "autoresearch"
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = "review"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", show=False, priority=True),
        Binding("ctrl+c", "how_to_leave", show=False, system=True),
        Binding("ctrl+z", "suspend_process", show=False),
    ]

    def __init__(
        self,
        lab: LabPaths,
        *,
        start_engine: Callable[[], None] | None = None,
        read_only: bool = False,
        replay: Callable[[], Progress] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sources: Sources | None = None,
        look: Look | None = None,
        tour: Memory | None = None,
        drafts: Drafts | None = None,
        actor: str = "human",
        today: Callable[[], datetime] = datetime.now,
    ) -> None:
        look = look or Look()
        KEYMAP.set(look.keymap)  # before the tasks of the app begin: they inherit it
        super().__init__()
        read_only = read_only or replay is not None
        self.look = look
        if look.theme:
            self.theme = look.theme
        if self.no_color and self.native_ansi_color:  # Textual chose its filter by the theme before: black on black
            self._filters[:] = [NoColor() if isinstance(kept, Monochrome) else kept for kept in self._filters]
        if look.symbols == "ascii":
            self._filters.append(Ascii())
        self._filters.append(Neutralise())
        self.animation_level = "none"
        self._last = Snapshot()
        """what the last alerts were told from"""
        self.client = Client(lab, self.post_message, now=now, actor=actor)
        sources = sources or LabSources(lab.repo, lab.root / "autoresearch.toml", lab=lab.name)
        self.review = Review(
            self.client,
            sources,
            clock=clock,
            start_engine=None if read_only else start_engine,
            read_only="this screen was opened to look only" if read_only else "",
            replay=replay,
            look=look,
            tour=tour,
            drafts=drafts,
        )
        self.places = Places(self, self.review, sources)
        if look.keymap:
            self.set_keymap(dict(look.keymap))
        # a lab that is only looked at is perhaps another person's, and so is the command in its configuration
        calls = replace(look.calls, command=()) if read_only else look.calls
        self.attention = Attention(calls.quiet, clock, today)
        self.caller = Caller(calls, self._write, os.environ)

    def get_css_variables(self) -> dict[str, str]:
        self.theme_variables = legible(super().get_css_variables(), no_color=self.no_color)
        return self.theme_variables

    def on_mount(self) -> None:
        if not self.is_headless:
            self.app_resume_signal.subscribe(self, self.paint_again)
        self.run_worker(self.client.run(), group="client", exit_on_error=True)
        if not self.caller.calls.off:
            self.set_interval(1.0, self.call_if_due)

    def on_lab_changed(self, message: LabChanged) -> None:
        if not self.caller.calls.off:
            self.attention.happened(alerts(self._last, message.snapshot))
            self._last = message.snapshot
        self.review.lab_changed(message.snapshot)
        self.places.lab_changed(message.snapshot)

    def on_go(self, message: Go) -> None:
        self.places.go(message)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.MouseDown | events.Paste):
            self.attention.key_pressed()
        await super().on_event(event)

    def call_if_due(self) -> None:
        """Ring or send what happened while nobody was at the keys."""
        said = self.attention.due(self.client.snapshot)
        if said and (reason := self.caller.call(call(self.client.lab.name, said))):
            self.notify(reason, severity="warning")

    def _write(self, text: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(text)

    def notify(self, message: str, **options: Any) -> None:
        """Toasts show data: never as markup."""
        options["markup"] = False
        super().notify(clean(message), **options)

    async def action_quit(self) -> None:
        if self.screen is self.review:
            detach(self.review)
        else:
            self.notify("Esc goes back first; q leaves from there")

    def action_how_to_leave(self) -> None:
        self.notify("q leaves the screen; the engine and the run go on")

    def link_is_gone(self) -> None:
        self.hang_up()


@contextmanager
def guarded_stderr(log: Path) -> Iterator[None]:
    """Textual draws on stderr. Whatever else writes there, a native library or a warning, goes to a file meanwhile."""
    screen = os.dup(2)
    try:
        try:
            sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            sink = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        sys.stderr.flush()
        os.dup2(sink, 2)
        os.close(sink)
        before = sys.__stderr__
        terminal = os.fdopen(os.dup(screen), "w", encoding="utf-8", errors="replace")
        sys.__stderr__ = terminal  # type: ignore[misc]
        try:
            yield
        finally:
            sys.__stderr__ = before  # type: ignore[misc]
            with suppress(OSError, ValueError):  # the terminal may be gone, and with it what was still to be drawn
                terminal.close()
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def open_screen(
    lab: LabPaths,
    *,
    read_only: bool = False,
    start_engine: Callable[[], None] | None = None,
    look: Look | None = None,
    tour: Memory | None = None,
) -> str:
    """Run the screen in this terminal; returns what to print after it.

    Raises:
        LabError: the screen failed. The engine and the record are not touched by that.
    """
    drafts = Drafts.of_lab(lab.root)
    app = AutoresearchApp(
        lab, start_engine=start_engine, read_only=read_only, look=look, tour=tour, drafts=drafts, actor=who()
    )
    log = lab.root / "tui.log"
    with guarded_stderr(log):
        farewell = app.run()
    drafts.sweep()  # afterwards: nobody waits for it
    if app.return_code == 1:
        raise LabError(
            "the screen ended with an error; the engine and everything recorded are not touched",
            hint=f"the details are at the end of {log}; open the lab again",
        )
    return farewell or ""
