"""Starts a lab's engine in a session of its own, and says why when it does not come up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from core.errors import LabError
from core.lab import Lab
from core.requests import NoEngine, Ping, ask, fits

PATIENCE = 20.0
"""seconds an engine may take to come up"""
HELD = "another engine already works in"
"""how an engine begins that finds the lock held: by one that comes up, or by one that ends"""
BETWEEN_TRIES = 0.2


def start_detached(
    lab: Lab, *, keys: Mapping[str, str] | None = None, meanwhile: Callable[[], object] | None = None
) -> None:
    """Start the engine unless one runs; returns when it answers.

    `keys`: variables for its environment alone; `meanwhile`: what can be done while it comes up.

    Raises:
        LabError: it ended at once, with what it said; or it does not answer.
    """
    if answers(lab):
        return
    words, said = lab.root / "engine.err", ""
    process = _start(lab, words, keys or {})
    deadline = time.monotonic() + PATIENCE
    if meanwhile is not None:
        meanwhile()
    while time.monotonic() < deadline:
        if process.poll() is not None and not answers(lab):
            said = words.read_text(errors="replace").strip()
            if HELD not in said:
                raise LabError(
                    said or f"the engine ended with exit code {process.returncode}", hint=f"{lab.log} may say more"
                )
            time.sleep(BETWEEN_TRIES)
            if not answers(lab):
                process = _start(lab, words, keys or {})
        if answers(lab):
            return
        time.sleep(0.02)
    raise LabError(said or "the engine was started but does not answer", hint=f"look at {lab.log}")


def _start(lab: Lab, words: Path, keys: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """An engine as a process of its own, what it says before it logs going into a file."""
    try:
        with words.open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "core.engine", str(lab.root)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                cwd="/" if fits(lab.socket) else lab.root,
                env={**os.environ, **keys},
            )
    except OSError as error:
        raise LabError(f"the engine cannot be started: {error.strerror}", hint=f"look at {lab.root}") from error


def answers(lab: Lab, *, patience: float = 5.0) -> bool:
    """Whether an engine answers on the lab's socket within so many seconds."""
    if not Path(lab.socket).exists():
        return False
    try:
        asyncio.run(ask(lab.socket, Ping(), timeout=patience))
    except NoEngine:
        return False
    return True
