"""Edit the resulting file in place. Ctrl+S checks it; only a text that can run may be approved, by a key of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static, TextArea

from core.errors import PatchError
from core.text import clean, one_line
from tui.detail import Detail, edited
from tui.screens.dialogs import KEEP_AFTER
from tui.still import StillBelow
from tui.widgets.line import Line, Part

AROUND = 2
"""rows that are not the editor's: the title, the keys"""
BESIDE = 5
"""columns that are not the text's, nor the line numbers': blanks beside these, the scrollbar"""


@dataclass(frozen=True, slots=True)
class Edited:
    """What came out of the editor."""

    files: dict[str, str]
    """the edited files, also when the edit was only put aside"""
    patch: str = ""
    """the whole edited patch, when it was approved; empty otherwise"""


class EditScreen(StillBelow, Screen[Edited]):
    """A text area over the files of one patch, and a strip that asks before anything is decided."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "check", show=False, priority=True),
        Binding("escape", "leave", show=False, priority=True),
        Binding("f2", "next_file", show=False, priority=True),
        Binding("a", "approve", show=False),
        Binding("e", "go_on", show=False),
    ]
    AUTO_FOCUS = "TextArea"

    def __init__(
        self,
        detail: Detail,
        files: Mapping[str, str],
        path: str,
        line: int,
        *,
        check: bool = False,
        keep: Callable[[dict[str, str]], object] | None = None,
    ) -> None:
        super().__init__()
        self._detail = detail
        self._files = dict(files)
        self._proposed = detail.patch.text if detail.patch else ""
        touched = [file.path for file in detail.patch.files if file.path in files] if detail.patch else []
        self._paths = touched or [path]
        self._path = path if path in self._files else self._paths[0]
        self._line = line
        self._check_at_once = check
        self._remember = keep
        """is told the files a moment after each change"""
        self._resting: Timer | None = None
        self._checked = ""
        """the patch that was checked and waits for `a`; empty while editing"""

    def compose(self) -> ComposeResult:
        yield Line(id="edit-title")
        editor = TextArea.code_editor(
            self._files[self._path],
            language="python" if self._path.endswith(".py") else None,
            tab_behavior="indent",
            soft_wrap=True,
        )
        editor.cursor_blink = False
        yield editor
        yield Static("", id="edit-problems", markup=False)
        yield Line(id="edit-keys")

    def on_mount(self) -> None:
        editor = self.query_one(TextArea)
        texts, rows = editor.document.lines, self.app.size.height - AROUND
        at = max(0, min(self._line, len(texts)) - 1)
        editor.move_cursor((at, 0))
        # before the first frame: what is put right after it is a jump, on a slow link with the first key that is typed
        width = max(1, self.app.size.width - len(str(len(texts))) - BESIDE)
        above, all_rows = _rows(texts[:at], width), _rows(texts, width)
        editor.scroll_to(y=max(0, min(above - rows // 3, all_rows - rows)), animate=False, force=True, immediate=True)
        self._say(Content())
        if self._check_at_once:
            self.call_after_refresh(self.action_check)

    def on_resize(self) -> None:
        self._lines()

    @on(TextArea.Changed)
    def typed(self) -> None:
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(KEEP_AFTER, self._rested)

    def _rested(self) -> None:
        self._keep()
        if self._remember is not None:
            self._remember(dict(self._files))

    # ---- keys --------------------------------------------------------------------------------------------------

    def action_check(self) -> None:
        """Says what keeps the text from being run, or asks for the decision."""
        self._keep()
        after = {path: text for path, text in self._files.items() if text != (self._detail.files or {}).get(path)}
        try:
            patch, problems = edited(self._detail, after)
        except PatchError as error:
            patch, problems = None, [error.message]
        if not after:
            problems = ["nothing is left of the patch: the files are as they were before it"]
        if problems or patch is None:
            self._checked = ""
            lines = [Content.styled(f"✗ {clean(problem)}", "$text-error") for problem in problems[:5]]
            self._say(Content("\n").join(lines))
            self.query_one(TextArea).focus()
        elif patch.text == self._proposed:
            self._say(Content.styled("· It is the patch as proposed: Esc, then a approves it.", "$foreground-muted"))
        else:
            self._checked = patch.text
            counts = Content.assemble(
                ("✓ It parses, applies and stays inside the editable files: ", "$text-success"),
                f"+{patch.added} -{patch.removed}",
            )
            self._say(counts)
            self.set_focus(None)
        self._lines()

    def action_approve(self) -> None:
        if self._checked:
            self.dismiss(Edited(self._files, self._checked))

    def action_go_on(self) -> None:
        self._checked = ""
        self._say(Content())
        self.query_one(TextArea).focus()
        self._lines()

    def action_leave(self) -> None:
        if self._checked:
            self.action_go_on()
            return
        self._keep()
        self.dismiss(Edited(self._files))

    def action_next_file(self) -> None:
        if len(self._paths) < 2 or self._checked:
            return
        self._keep()
        self._path = self._paths[(self._paths.index(self._path) + 1) % len(self._paths)]
        self.query_one(TextArea).text = self._files[self._path]
        self._lines()

    # ---- drawing -----------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        self._files[self._path] = self.query_one(TextArea).text

    def _say(self, words: Content) -> None:
        problems = self.query_one("#edit-problems", Static)
        problems.update(words)
        problems.display = bool(words)

    def _lines(self) -> None:
        shown = self._detail.experiment
        title = Content.assemble(
            (" EDIT ", "bold $text-warning on $warning-muted"),
            (f" {one_line(self._path, 60)}", "bold"),
            f" of #{shown.id} {one_line(shown.title, 80)}",
        )
        self.query_one("#edit-title", Line).show(title)
        if self._checked:
            keys = [("a", "approve this version"), ("e", "go on editing"), ("Esc", "go on editing")]
        else:
            keys = [("Ctrl+S", "check it, then a approves it"), ("Esc", "back; the edit is kept")]
            if len(self._paths) > 1:
                keys.append(("F2", "next file"))
        parts = [Part(Content.assemble((key, "bold $text-accent"), f" {label}")) for key, label in keys]
        self.query_one("#edit-keys", Line).show_parts([Part(Content("")), *parts])


def _rows(lines: Sequence[str], width: int) -> int:
    """About how many rows of a window of this width they take."""
    return sum(max(1, -(-len(line) // width)) for line in lines)
