"""`?`: every key, and why some of them cannot act right now; `:` every command by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core.text import clip
from tui.actions import ACTIONS, GROUPS, Action, View, keys_of
from tui.screens.dialogs import Dialog
from tui.widgets.text_pane import TextPane

LEAD = (
    "The researcher proposes one patch at a time. Read it, then decide with a key. "
    "Enter and Esc never decide; a pending proposal waits as long as you like."
)
WORDS = {
    "champion": "the best code so far; every patch is held against it",
    "sandbox A": "bubblewrap; B: Landlock; C: training code is not kept in",
    "MANUAL": "every patch waits for you",
    "GUARDED": "all wait but the short and harmless",
    "FULL": "only those wait in which a guard sees a danger",
    "finding": "what a guard saw in a line: advice, never a verdict",
    "σ": "the noise: how far runs of the same code lie apart",
    "Δ": "the difference to the champion, on n fresh seeds",
    "±": "its 95 % interval",
    "candidate": "a patch's first run; a promising one is confirmed",
    "confirmation": "a run on a fresh seed; only these count",
    "kept": "better beyond the noise, on the hidden split too",
    "inconclusive": "too close to the noise to tell",
    "suspect": "too good, or not so on the hidden split: you settle it",
    "void": "it broke a rule: its result does not count",
}
"""what stands on the screens and nobody is born with"""


class Help(Dialog[None]):
    """The keys, in the groups of the registry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", show=False),
        Binding("j,down", "line(1)", show=False),
        Binding("k,up", "line(-1)", show=False),
        Binding("pagedown,space,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("g,home", "top", show=False),
        Binding("G,end", "bottom", show=False),
    ]

    def __init__(
        self, view: View, keymap: Mapping[str, str], actions: Sequence[Action] = ACTIONS, lead: str = LEAD
    ) -> None:
        super().__init__()
        self._view, self._keymap, self._actions, self._lead = view, keymap, actions, lead

    def compose(self) -> ComposeResult:
        with Vertical(classes="page"):
            yield TextPane()
            yield Static(Content.styled(" j k scroll   Esc back", "$foreground-muted"))

    def on_mount(self) -> None:
        self.query_one(TextPane).show(keys_text(self._view, self._keymap, self._actions, self._lead))

    def action_line(self, step: int) -> None:
        self.query_one(TextPane).scroll_line(step)

    def action_page(self, step: int) -> None:
        self.query_one(TextPane).scroll_page(step)

    def action_top(self) -> None:
        self.query_one(TextPane).top()

    def action_bottom(self) -> None:
        self.query_one(TextPane).bottom()


def keys_text(view: View, keymap: Mapping[str, str], actions: Sequence[Action] = ACTIONS, lead: str = LEAD) -> Content:
    """The help page. What cannot act is dim and says why."""
    parts: list[str | Content | tuple[str, str]] = [f"{lead}\n"]
    for group in dict.fromkeys(action.group for action in actions):  # what is special to the screen comes first
        here = [action for action in actions if action.group == group]
        parts.append((f"\n{GROUPS[group]}\n", "bold $text-accent"))
        reasons = [action.why_disabled(view) for action in here]
        shared = next((reason for reason in reasons if reason and reasons.count(reason) > 1), "")
        if shared and group == "decide":  # said once, where it keeps most of them
            parts.append((f"  now: {shared}\n", "$text-warning"))
        for action, reason in zip(here, reasons, strict=True):
            keys = " ".join(keys_of(action, keymap)) or ":"
            parts.append((f"  {keys:<14}", "bold" if not reason else "$foreground-disabled"))
            parts.append((action.help, "" if not reason else "$foreground-disabled"))
            own = reason if group == "decide" and reason != shared else ""
            parts.append((f"\n  {'':<14}now: {own}\n", "$text-warning") if own else "\n")
    parts.append(("\nWords\n", "bold $text-accent"))
    for word, meaning in WORDS.items():
        parts += [(f"  {word:<14}", "bold"), f"{meaning}\n"]
    return Content.assemble(*parts)


class Palette(Dialog[str | None]):
    """Type some letters of a command, Enter runs it. Gives back the action's id."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, view: View, keymap: Mapping[str, str], actions: Sequence[Action] = ACTIONS) -> None:
        super().__init__()
        self._view, self._keymap, self._actions = view, keymap, actions

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            field = Input(placeholder="a command", compact=True)
            field.cursor_blink = False
            yield field
            yield OptionList(compact=True, markup=False)

    def on_mount(self) -> None:
        self._fill("")

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    @on(Input.Submitted)
    def submitted(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)

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

    def _fill(self, typed: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._prompt(action), id=action.id) for action in matching(typed, self._actions)])
        if options.option_count:
            options.highlighted = 0

    def _prompt(self, action: Action) -> Content:
        keys = " ".join(keys_of(action, self._keymap))
        reason = action.why_disabled(self._view)
        room = min(self.app.size.width, 90) - 20 - len(action.label)
        if reason:
            return Content.styled(f"{keys:<10} {action.label}: {clip(reason, room)}", "$foreground-disabled")
        words = clip(action.help, room)
        return Content.assemble((f"{keys:<10} ", "bold $text-accent"), (action.label, "bold"), f"  {words}")


def matching(typed: str, actions: Sequence[Action] = ACTIONS) -> list[Action]:
    """Actions that hold the typed letters in order; whole words first."""
    wanted = typed.strip().lower()

    def rank(action: Action) -> int | None:
        name, text = f"{action.label} {action.id.replace('_', ' ')}".lower(), action.help.lower()
        if name.startswith(wanted):
            return 0
        if wanted in name:
            return 1
        if wanted in text:
            return 2
        letters = iter(name)
        return 3 if all(char in letters for char in wanted) else None

    ranked = [(score, index, action) for index, action in enumerate(actions) if (score := rank(action)) is not None]
    return [action for _, _, action in sorted(ranked, key=lambda entry: entry[:2])]
