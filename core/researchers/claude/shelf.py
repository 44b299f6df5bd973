"""Files that the model may read and not change: the harness of the built-in target, or what a user's repository tracks.

Of a user's repository only committed plain text is read, out of git's objects: no link leads anywhere, and what is
ignored or was never added does not exist. Keys and data stay where they are, committed or not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from core import config
from core.errors import LabError
from core.lab import target_source
from core.workspace import Workspace

FROZEN = ("harness.py", "ops.py", "evaluate.py", "profiles.py")
"""of the built-in target"""
SIZE_LIMIT = 200_000
"""bytes of a file that can still be read"""
SECRET_NAME = re.compile(
    r"^\.env|^\.(netrc|npmrc|pypirc|htpasswd|git-credentials|pgpass)$|^id_(rsa|dsa|ecdsa|ed25519)"
    r"|\.(pem|key|p12|pfx|jks|keystore|kdbx|gpg|asc)$"
    r"|(^|[._-])(secrets?|credentials?|passwords?|passwd|api[._-]?keys?)([._-]|$)"
)
SECRET_FOLDERS = {".ssh", ".aws", ".gnupg", ".azure", ".kube", ".docker", "secrets"}
SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-[A-Za-z0-9_-]{16,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bhf_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
)
DATA = {
    ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".npy", ".npz", ".pt", ".pth", ".bin", ".ckpt",
    ".safetensors", ".pkl", ".h5", ".hdf5", ".db", ".sqlite", ".gz", ".zst", ".zip", ".tar",
}  # fmt: skip
"""it may be what the code is measured on"""

log = logging.getLogger("autoresearch.engine")


class Unreadable(Exception):
    """The file is not for the model; the words say why."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What can be read, and how."""

    names: tuple[str, ...] = ()
    read: Callable[[str], str] = field(default=lambda path: "", repr=False)
    problem: str = ""
    """why there is nothing, where there could be something"""

    def text(self, path: str) -> str:
        """One of the files.

        Raises:
            Unreadable: it is not text, or holds what looks like a key.
            LabError, OSError: it cannot be had.
        """
        text = self.read(path)
        if "\0" in text:
            raise Unreadable(f"{path} is not text.")
        if SECRET_TEXT.search(text):
            raise Unreadable(f"{path} holds something that looks like a key: it is not shown.")
        return text

    def folder(self, path: str) -> list[str]:
        """The names in a folder; empty where it is none."""
        inside = "" if path in ("", ".", "./") else f"{path.rstrip('/')}/"
        return [name for name in self.names if name.startswith(inside)]


def shelf(target: config.Target) -> Shelf:
    """The shelf of a target. Slow with a user's repository: it asks git."""
    if not target.source:
        return _installed()
    source = Path(target.source).expanduser().resolve()
    root = next((folder for folder in (source, *source.parents) if (folder / ".git").exists()), None)
    if root is None:
        return Shelf(problem=f"{source.name} is not a git repository, so nothing else of it can be read.")
    try:
        return _tracked(Workspace(root, lab=""), source.relative_to(root).as_posix(), set(target.editable))
    except LabError as error:
        log.warning("the researcher cannot read %s: %s", root, error)
        return Shelf(problem="The repository cannot be read.")


def _installed() -> Shelf:
    folder = target_source()
    files = {f"nanochat/{name}": folder / name for name in FROZEN if (folder / name).exists()}
    return Shelf(tuple(files), lambda path: files[path].read_text(encoding="utf-8", errors="replace"))


def _tracked(repository: Workspace, folder: str, editable: set[str]) -> Shelf:
    prefix = "" if folder == "." else f"{folder}/"
    sizes: Mapping[str, int] = repository.tree("HEAD")
    names = tuple(
        sorted(
            path.removeprefix(prefix)
            for path, size in sizes.items()
            if path.startswith(prefix) and size <= SIZE_LIMIT and is_open(path)
        )
    )
    names = tuple(name for name in names if name not in editable)
    return Shelf(names, lambda path: repository.files("HEAD", [prefix + path])[prefix + path])


def is_open(path: str) -> bool:
    """Whether a tracked path is neither a key nor data, by its name."""
    *folders, name = PurePosixPath(path.lower()).parts
    if SECRET_NAME.search(name) or PurePosixPath(name).suffix in DATA:
        return False
    return not any(folder in SECRET_FOLDERS or folder.startswith(".env") for folder in folders)
