"""What is printed after a screen is gone."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from core.models import Autonomy, State
from core.text import clean, one_line
from tui.snapshot import Snapshot, whose
from tui.widgets.status_bar import percent


def farewell(lab: Snapshot, root: Path) -> str:
    """What goes on without the screen, and how to come back."""
    name = clean(shlex.quote(min(os.path.relpath(root), str(root), key=len)))
    back = f"Come back: autoresearch-tui {name}"
    if not lab.alive:
        return f"Detached. No engine is running; everything is on disk.\n{back}"
    lines = ["Detached; the engine goes on."]
    run = lab.run
    if run is not None:
        spent = f", {percent(run.progress)} of its budget" if run.phase == "training" else ""
        lines.append(f"Running: {whose(run)}, {one_line(run.phase, 16)}{spent}.")
    elif lab.preparation.state == "failed":
        lines.append(
            f"Nothing runs: the data could not be prepared ({one_line(lab.preparation.error, 200) or 'unknown'})."
        )
    approved = lab.counts.get(State.APPROVED, 0)
    waiting = len(lab.queue)
    if lab.autonomy is Autonomy.FULL:
        lines.append("Autonomy is full: every patch that applies runs.")
    elif waiting or approved:
        lines.append(
            f"{approved} approved, {waiting} waiting for a review; nothing is decided without you."
            if lab.autonomy is Autonomy.MANUAL
            else f"{approved} approved, {waiting} waiting for a review."
        )
    return "\n".join([*lines, f"{back}    End it: autoresearch-tui stop {name}"])
