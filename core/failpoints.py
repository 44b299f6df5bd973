"""Named places where a test can kill the engine: every step between two of them can be finished or undone."""

from __future__ import annotations

import os
import signal

VARIABLE = "AUTORESEARCH_FAILPOINT"

AT_THE_GATE = ("gate_recorded", "gate_opened", "run_withdrawn")
NAMES = (
    "repository_made",
    "proposal_recorded",
    "review_recorded",
    "commit_written",
    "commit_recorded",
    "run_recorded",
    "source_exported",
    "runner_started",
    "runner_recorded",
    "result_read",
    "run_ended",
    *AT_THE_GATE,
    "hidden_split_scored",
    "verdict_recorded",
    "champion_ref_written",
)


def failpoint(name: str) -> None:
    """Die here by SIGKILL when a test has asked for it."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
