"""What the screens beside Review have in common: keys from the registry, the last row, help, the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.content import Content
from textual.widgets import Input

from core.text import one_line
from tui.actions import BY_ID, Action, View, key_of, keys_of
from tui.client import Client
from tui.farewell import farewell
from tui.screens.go import Go
from tui.screens.page import Page
from tui.snapshot import Snapshot, whose
from tui.widgets.line import Part, key_hint
from tui.widgets.status_bar import percent


class LabScreen(Page):
    """A screen that looks at the lab and decides nothing. Subclasses say what its actions do."""

    HERE: ClassVar[Sequence[Action]] = ()
    """what can be done here"""
    LEAD: ClassVar[str] = ""
    """the first words of the help page"""
    FOOTER: ClassVar[Mapping[str, int]] = {}
    """actions of the last row, and which are left out first where it is narrow; 0 are never"""
    UNSEEN: ClassVar[Sequence[str]] = ()
    """those of them that are not in the row at all while they cannot act"""

    def __init__(self, client: Client, *, keymap: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.client = client
        self.keymap = dict(keymap or {})
        self.lab = client.snapshot

    # ---- for subclasses ----------------------------------------------------------------------------------------

    def act(self, action_id: str) -> None:
        """Do it; that it can be done has been looked at."""
        raise NotImplementedError

    def leave(self) -> bool:
        """Esc: one step back on this screen; False when there is none left."""
        return False

    def label(self, action: Action) -> str:
        """What an action is called in the last row."""
        return action.label

    @property
    def view(self) -> View:
        """What decides which actions can act."""
        raise NotImplementedError

    @property
    def shown_experiment(self) -> int | None:
        """What Enter and the keys of Review's panes are about."""
        return None

    # ---- the lab -----------------------------------------------------------------------------------------------

    def lab_changed(self, lab: Snapshot) -> None:
        self.lab = lab
        if self.is_current:
            self.draw()

    def on_screen_resume(self) -> None:
        self.lab = self.client.snapshot
        self.draw()

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_act(self, action_id: str) -> None:
        if self.has_class("-too-small") and action_id not in ("detach", "back"):
            return
        if isinstance(self.focused, Input) and action_id not in ("back", "detach"):
            return
        if reason := BY_ID[action_id].why_disabled(self.view):
            self.toast(reason, severity="warning")
            return
        match action_id:
            case "back":
                if not self.leave():
                    self.post_message(Go("back"))
            case "detach":
                self.app.exit(farewell(self.client.snapshot, self.client.lab.root))
            case "help":
                from tui.screens.help import Help

                self.app.push_screen(Help(self.view, self.keymap, self.HERE, self.LEAD))
            case "palette":
                from tui.screens.help import Palette

                self.app.push_screen(Palette(self.view, self.keymap, self.HERE), self._chosen)
            case "experiments" | "live" | "researcher" | "decisions":
                self.post_message(Go(action_id))
            case _ if action_id.startswith("pane_"):
                self.post_message(Go("review", pane=action_id.removeprefix("pane_")))
            case _:
                self.act(action_id)

    def _chosen(self, action_id: str | None) -> None:
        if action_id is not None:
            self.action_act(action_id)

    # ---- rows that every such screen has -----------------------------------------------------------------------

    def heading(self, title: str, facts: str, *, run: bool = True) -> list[Part]:
        """The first row: where one is, what of the lab must not be missed; `run`: what runs, or why nothing, too."""
        lab = self.lab
        parts = [
            Part(Content.styled(f" {one_line(self.client.lab.name, 20)}", "bold"), 5),
            Part(Content.styled(f" {title} ", "bold $text-primary on $primary-muted"), 0),
            Part(Content(facts), 4),
        ]
        if lab.problem:
            parts.append(Part(Content.styled("the record cannot be read", "bold $text-error"), 0))
        if run and lab.run is not None:
            # whole fives: a number that moves twice a second is bytes on the line for nothing
            words = f"▶ {whose(lab.run)} {percent(int(lab.run.progress * 20) / 20)}"
            parts.append(Part(Content.styled(words, "$text-success"), 3))
        if run and lab.paused:
            parts.append(Part(Content.styled("PAUSED", "bold $text-warning"), 2))
        if lab.alive is False and not lab.starting:
            parts.append(Part(Content.styled("○ engine DOWN", "bold $text-error"), 2))
        if lab.queue:
            words = f"{len(lab.queue)} wait{'' if len(lab.queue) > 1 else 's'} for you (key {key_of('pane_diff')})"
            parts.append(Part(Content.styled(words, "bold $text-warning"), 1, None, "pane_diff"))
        return parts

    def keys(self) -> list[Part]:
        """The last row: what can be done, dim where it cannot."""
        view, parts = self.view, []
        for action_id, rank in self.FOOTER.items():
            action = BY_ID[action_id]
            reason = action.why_disabled(view)
            if reason and action_id in self.UNSEEN:
                continue
            key, label = " ".join(keys_of(action, self.keymap)[:1]), self.label(action)
            words = key_hint(key, label, dim=bool(reason))
            parts.append(Part(words, rank + 6 if reason and rank else rank, None, action_id))
        return parts
