"""Small questions over the screen. Esc always goes back and changes nothing; what was typed is handed back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen, ScreenResultType
from textual.timer import Timer
from textual.widgets import Button, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from core.text import clean
from tui.still import StillBelow

KEEP_AFTER = 0.5
"""seconds after the last key until what was typed is remembered: a link can be gone at any moment"""


class Words(TextArea):
    """A few lines of text; Enter sends them. ↑ ↓ go through ready answers while nothing else was typed."""

    class Sent(Message):
        """Enter was pressed."""

    def __init__(self, text: str, ready: Sequence[str]) -> None:
        super().__init__(text, soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, compact=True)
        self.cursor_blink = False
        self._ready = ("", *ready)

    def on_mount(self) -> None:
        self.move_cursor(self.document.end)  # what was begun is gone on with

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent())
        elif event.key in ("up", "down") and self.text in self._ready:
            event.stop()
            event.prevent_default()
            step = 1 if event.key == "down" else -1
            self.text = self._ready[(self._ready.index(self.text) + step) % len(self._ready)]
            self.move_cursor(self.document.end)
        else:
            await super()._on_key(event)


class Answer(NamedTuple):
    """What came out of a text dialog."""

    text: str
    sent: bool
    """False: Esc; the text is a draft"""


class Dialog(StillBelow, ModalScreen[ScreenResultType]):
    """A question that lies over the screen."""


class TextDialog(Dialog[Answer]):
    """Asks for words: the reason of a veto, a note, a message. Never sends an empty text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False, priority=True)]
    AUTO_FOCUS = "Words"

    def __init__(
        self,
        title: str,
        asked: str,
        *,
        send: str,
        empty: str,
        draft: str = "",
        ready: Sequence[str] = (),
        keep: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__()
        self._title, self._asked, self._send, self._empty = title, asked, send, empty
        self._draft, self._ready = draft, ready
        self._keep = keep
        """remembers what was typed so far"""
        self._resting: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean(self._title), "bold"), classes="dialog-title")
            if self._asked:
                yield Static(Content(clean(self._asked)))
            yield Words(self._draft, self._ready)
            if self._ready:
                lines = [Content.styled(f"  {clean(answer)}", "$foreground-muted") for answer in self._ready]
                yield Static(
                    Content("\n").join([Content.styled("↓ or ↑ for one of these", "$foreground-muted"), *lines])
                )
            yield Static(Content.styled("", "$text-warning"), id="refusal", markup=False)
            yield Static(Content.assemble(("Enter", "bold"), f" {self._send}   ", ("Esc", "bold"), " back"))

    @on(TextArea.Changed)
    def typed(self) -> None:
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(KEEP_AFTER, self._keep_words)

    def _keep_words(self) -> None:
        if self._keep is not None:
            self._keep(self.query_one(Words).text)

    @on(Words.Sent)
    def send(self) -> None:
        text = self.query_one(Words).text.strip()
        if text:
            self._keep_words()  # until the engine has it
            self.dismiss(Answer(text, True))
        else:
            self.query_one("#refusal", Static).update(Content.styled(self._empty, "$text-warning"))

    def action_leave(self) -> None:
        self._keep_words()
        self.dismiss(Answer(self.query_one(Words).text, False))


class Confirm(Dialog[bool]):
    """A costly step: says what happens. Cancel has the focus, Esc and n cancel."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", show=False),
        Binding("y", "answer(True)", show=False),
        Binding("left,right,h,l", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#cancel"

    def __init__(self, title: str, lines: Sequence[str], *, yes: str, cancel: str = "Cancel") -> None:
        super().__init__()
        self._title, self._lines, self._yes, self._cancel = title, lines, yes, cancel

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean(self._title), "bold"), classes="dialog-title")
            yield Static(Content("\n").join([Content(clean(line)) for line in self._lines]))
            with Horizontal(classes="buttons"):
                yield Button(Content(f"{self._cancel} (n)"), id="cancel", compact=True)
                yield Button(Content(f"{self._yes} (y)"), id="yes", compact=True)

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Choice(NamedTuple):
    """One answer to choose."""

    id: str
    label: str
    meaning: str


class Choose(Dialog[str | None]):
    """One of a few answers, each with what it means; the present one is marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", show=False),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]
    AUTO_FOCUS = "OptionList"

    def __init__(self, title: str, choices: Sequence[Choice], *, present: str) -> None:
        super().__init__()
        self._title, self._choices, self._present = title, choices, present

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean(self._title), "bold"), classes="dialog-title")
            yield OptionList(*(Option(self._prompt(choice), id=choice.id) for choice in self._choices), compact=True)
            words = Content.assemble(
                ("j k", "bold"), " move   ", ("Enter", "bold"), " set   ", ("Esc", "bold"), " back"
            )
            yield Static(words)

    def on_mount(self) -> None:
        ids = [choice.id for choice in self._choices]
        self.query_one(OptionList).highlighted = ids.index(self._present) if self._present in ids else 0

    def _prompt(self, choice: Choice) -> Content:
        mark = "●" if choice.id == self._present else "○"
        return Content.assemble(f"{mark} ", (choice.label, "bold"), f"\n    {clean(choice.meaning)}")

    @on(OptionList.OptionSelected)
    def chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_leave(self) -> None:
        self.dismiss(None)
