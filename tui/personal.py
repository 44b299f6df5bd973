"""What is a person's own and outlives the screen: words and edits begun and not sent, and that the tour was shown."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

KEEP_SECONDS = 90 * 24 * 3600.0
"""drafts nobody came back to for so long are dropped"""
MOST_BYTES = 8 * 2**20
"""of one draft"""


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this program keeps what it remembers of a person: below XDG_STATE_HOME."""
    home = environment.get("XDG_STATE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state") / "autoresearch-tui"


def who(environment: Mapping[str, str] = os.environ) -> str:
    """The name that stands beside a decision: $AUTORESEARCH_USER where several people share a login."""
    import getpass

    try:
        return environment.get("AUTORESEARCH_USER", "").strip() or getpass.getuser()
    except (KeyError, OSError):
        return "human"


class Drafts:
    """What was begun and not sent, by name; a file each, so that a lost link or a killed screen loses nothing.

    A folder that cannot be written only means that drafts live as long as the screen.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, Any] = {}

    @classmethod
    def of_lab(cls, root: Path, environment: Mapping[str, str] = os.environ) -> Drafts:
        """The drafts of one lab: other labs have experiments of the same numbers."""
        mark = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
        return cls(state_folder(environment) / "drafts" / f"{re.sub(r'[^A-Za-z0-9_-]', '_', root.name)[:40]}-{mark}")

    def words(self, name: str) -> str:
        """A draft that is a text; empty where there is none."""
        found = self._get(name)
        return found if isinstance(found, str) else ""

    def files(self, name: str) -> dict[str, str] | None:
        """A draft that is a set of files; None where there is none."""
        found = self._get(name)
        if not isinstance(found, dict) or not found or not all(isinstance(text, str) for text in found.values()):
            return None
        return dict(found)

    def keep(self, name: str, draft: str | Mapping[str, str]) -> None:
        """Remember it; an empty one is forgotten."""
        if not draft:
            self.drop(name)
            return
        value = draft if isinstance(draft, str) else dict(draft)
        if self._known.get(name) == value:
            return
        self._known[name] = value
        if (path := self._path(name)) is None:
            return
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_suffix(f".{os.getpid()}")
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(value, file)
            temporary.replace(path)

    def drop(self, name: str) -> None:
        """It was sent, or is not wanted any more."""
        self._known[name] = None
        if (path := self._path(name)) is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Drop what nobody has come back to for months."""
        if self._folder is None:
            return
        with suppress(OSError):
            for path in self._folder.iterdir():
                if time.time() - path.stat().st_mtime > KEEP_SECONDS:
                    path.unlink(missing_ok=True)

    def _get(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Any:
        path = self._path(name)
        try:
            if path is None or path.stat().st_size > MOST_BYTES:
                return None
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.json"
