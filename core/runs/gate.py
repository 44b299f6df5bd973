"""The gate of a run that starts up while another one is still evaluated. It is a directory of the run which its trainer
can read and only the engine writes, so that whoever is killed, what was decided is there:

    gate/go         the trainer starts its clock
    gate/withdrawn  it is not wanted: the runner ends it; the file says why
"""

from __future__ import annotations

import shutil
from pathlib import Path

from core.models import Run, RunState

NOT_YET = "started ahead and withdrawn"
"""how the error of a run begins that stood ready for its turn and was withdrawn"""
WITHDRAWN = (NOT_YET, "started too early")
"""the same, and as it stands in records of older programs"""


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
    temporary.write_text(f"{NOT_YET}: {why}")
    temporary.replace(directory / "gate" / "withdrawn")


# ---- in words ------------------------------------------------------------------------------------------------------


def was_withdrawn(run: Run) -> bool:
    """Whether a run was lost at its gate: nothing failed, its time had not come."""
    return run.state is RunState.LOST and run.error.startswith(WITHDRAWN)


def in_words(run: Run) -> tuple[str, str]:
    """How a run stands or ended, and what went wrong, for people."""
    if was_withdrawn(run):
        return "withdrawn", f"started ahead:{run.error.partition(':')[2]}"
    return str(run.state), run.error
