"""What SQLite complains of, in words for people."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from core.errors import StoreError


def unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    """SQLite's complaint in words that say what is safe and what to do."""
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return StoreError(
            f"{path} is damaged ({text}). Nothing was changed; the repository and the runs beside it are untouched.",
            hint=f"restore the newest copy in {path.parent / 'backups'}, or: sqlite3 {path.name} .recover",
        )
    if "locked" in text or "busy" in text:
        return StoreError(f"{path} is locked by another program ({text}).", hint="close it and try again")
    if "full" in text:
        return StoreError(
            f"{path}: the disk is full. Everything recorded so far is safe.",
            hint="free some space, then: autoresearch-tui resume LAB",
        )
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return StoreError(f"{path} cannot be written here ({text}).", hint="check the permissions of the lab directory")
    return StoreError(f"{path}: {text}", hint="autoresearch-tui verify LAB checks the whole lab")
