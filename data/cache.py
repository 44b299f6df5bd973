"""The cache of prepared data: one directory a content hash, one index file a request, one lock a request.

<cache>/data/<hash>/          a prepared directory, complete the moment it has this name
<cache>/data/index/<key>.json {"hash": …}: this request, on these files, gave that directory
<cache>/data/work/<key>/      a preparation under way, or one that was interrupted and will be resumed
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import from_os_error


def cache_root(explicit: str | None = None) -> Path:
    """`explicit`, else $AUTORESEARCH_CACHE, else the user's cache directory."""
    if explicit or os.environ.get("AUTORESEARCH_CACHE"):
        return Path(explicit or os.environ["AUTORESEARCH_CACHE"]).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "autoresearch-tui"


def make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, "making the cache") from error
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock; released by the kernel when the process ends, however it ends."""
    make_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, "locking the cache") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Replaces the file in one step: a reader sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any | None:
    """The value, or None when the file is missing or cut short."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
