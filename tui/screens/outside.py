"""`E`: the person's own editor on a copy, with the terminal handed over."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from core.errors import LabError

LINE_ARGUMENT = frozenset(
    {"vi", "vim", "nvim", "view", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "joe", "mg", "ne"}
)
"""editors that take +LINE"""


def command(path: Path, line: int) -> list[str]:
    """The command that opens a file in the person's editor.

    Raises:
        LabError: there is none.
    """
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        argv = shlex.split(wanted)
    except ValueError as error:
        raise LabError(f"$EDITOR cannot be read: {wanted}", hint="e edits here") from error
    if not argv:
        found = next((name for name in ("nano", "vim", "vi") if shutil.which(name)), None)
        if found is None:
            raise LabError("no editor: $VISUAL and $EDITOR are not set", hint="e edits here")
        argv = [found]
    at = [f"+{line}"] if Path(argv[0]).name in LINE_ARGUMENT else []
    return [*argv, *at, str(path)]


def edit(app: App[object], name: str, text: str, line: int) -> str:
    """The text after the person has edited it; the original is not touched.

    Raises:
        LabError: there is no editor, it failed, or what it left is not text.
    """
    with tempfile.TemporaryDirectory(prefix="autoresearch-edit-") as folder:
        path = Path(folder) / Path(name).name
        path.write_text(text, encoding="utf-8")
        argv = command(path, line)
        try:
            with app.suspend():
                done = subprocess.run(argv, stderr=sys.__stderr__, check=False)
        except SuspendNotSupported as error:
            raise LabError("this terminal cannot be handed to another program", hint="e edits here") from error
        except OSError as error:
            raise LabError(f"{argv[0]} cannot be started: {error.strerror}", hint="e edits here") from error
        if done.returncode:
            raise LabError(f"{argv[0]} ended with {done.returncode}: the edit was thrown away", hint="e edits here")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LabError(f"what {argv[0]} left cannot be read: {error}", hint="e edits here") from error
