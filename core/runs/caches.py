"""Compilers' caches, handed on from a champion's own runs to the runs that derive from it.

A candidate is the champion's code with a patch, so what that code once compiled adds nothing to what it can do. What a
candidate compiles goes to nobody, and the evaluator gets no cache at all. Each run works on a copy of its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.runs import runner

MOST_BYTES = 2 * 2**30
"""a larger cache is not handed on: copying it would cost more than it saves"""
KEPT = 3
"""champions, on each class of device, whose caches are kept"""


def own(run_directory: Path) -> Path:
    """Where the compilers of one run's trainer keep what they made."""
    return run_directory / "out" / runner.COMPILED


def place(root: Path, commit: str, device_class: str) -> Path:
    """The cache of one champion on one class of device, for the torch that is installed."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    return root / hashlib.sha256(f"{commit} {torch} {device_class}".encode()).hexdigest()[:32]


def find(root: Path, commits: Sequence[str], device_class: str) -> Path | None:
    """The first of these champions' caches that is there."""
    places = (place(root, commit, device_class) for commit in commits)
    return next((path for path in places if path.is_dir() and not path.is_symlink()), None)


def take(run_directory: Path, target: Path) -> None:
    """Keep what a champion's run has compiled, the first time; by one rename, so it is there whole or not at all.
    What is not kept is dropped.

    Raises:
        OSError: there is no room, or nothing may be written there.
    """
    made = own(run_directory)
    if made.is_symlink() or not made.is_dir():
        return
    if not target.exists() and any(made.iterdir()) and runner.size_of(made) <= MOST_BYTES:
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".arriving-") as arriving:
            shutil.move(made, arriving)  # caches/ may be a link to another disk
            (Path(arriving) / made.name).replace(target)
        prune(target.parent)
    else:
        shutil.rmtree(made, ignore_errors=True)


def prune(root: Path) -> None:
    """Drop all but the newest."""
    there = sorted((path for path in root.iterdir() if not path.is_symlink()), key=lambda path: path.stat().st_mtime)
    for path in there[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
