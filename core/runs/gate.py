"""The gate of a run that starts up while another one is still evaluated. It is a directory of the run which its trainer
can read and only the engine writes, so that whoever is killed, what was decided is there:

    gate/go         the trainer starts its clock
    gate/withdrawn  it is not wanted: the runner ends it; the file says why
"""

from __future__ import annotations

import shutil
from pathlib import Path


def word(directory: Path) -> Path:
    """The file for which the trainer waits."""
    return directory / "gate" / "go"


def make(directory: Path, *, closed: bool) -> None:
    """A closed gate, or none."""
    shutil.rmtree(directory / "gate", ignore_errors=True)
    if closed:
        (directory / "gate").mkdir()


def closed(directory: Path) -> bool:
    """Whether the trainer must wait; a withdrawn one waits no more."""
    return (directory / "gate").is_dir() and not word(directory).exists() and not withdrawn(directory)


def withdrawn(directory: Path) -> bool:
    return (directory / "gate" / "withdrawn").exists()


def let_go(directory: Path) -> None:
    """Open it; a second time changes nothing."""
    word(directory).touch()


def withdraw(directory: Path, why: str) -> None:
    """Have the runner end it."""
    temporary = directory / "gate" / "withdrawn.tmp"
    temporary.write_text(why)
    temporary.replace(directory / "gate" / "withdrawn")
