"""A lab whose researcher is a model, told step by step; the calendar stands still."""

from __future__ import annotations

import json
from pathlib import Path

from core.models import Decision, Verdict
from tests.sample_lab import SampleLab
from tests.sample_target import TITLES

NOW = 1_790_000_000.0
PRICES = """
[researcher]
kind = "claude"
model = "claude-scripted"

[researcher.prices."claude-scripted"]
input = 3.0
output = 15.0
cache_read = 0.3
cache_write = 6.0
"""


class ClaudeLab(SampleLab):
    """Says what the engine would write about the model."""

    def __init__(self, root: Path, *, config: str = PRICES) -> None:
        super().__init__(root, now=lambda: NOW)
        self.lab.config_file.write_text(f'[target]\nprofile = "cpu"\n{config}')
        self.baseline()
        self.note("idle")

    def note(self, state: str, detail: str = "", *, seconds: float = 0, wait: float = 0, instead: str = "") -> None:
        """What the researcher does, for so many seconds; `wait`: until it goes on."""
        known = {"kind": "claude", "key_missing": False, "instead": instead, "until": NOW + wait if wait else 0.0}
        self.writer.set("researcher", {**known, "state": state, "detail": detail, "since": NOW - seconds})

    def happened(self, kind: str, *, minutes: float, **body: object) -> None:
        """An entry of the journal, so long ago."""
        seq = self.writer.last_seq() + 1
        self.writer.db.execute(
            "INSERT INTO events (seq, at, kind, body) VALUES (?, ?, ?, json(?))",
            (seq, NOW - 60 * minutes, kind, json.dumps(body)),
        )

    def told(
        self, body: str, *, minutes: float, actor: str = "anna", kind: str = "message", by: int | None = None
    ) -> None:
        """Words of a person, answered by an experiment or by none yet."""
        number = self.writer.add_message(body, actor=actor, kind=kind)
        self.writer.db.execute(
            "UPDATE messages SET at = ?, answered_by = ? WHERE id = ?", (NOW - 60 * minutes, by, number)
        )

    def remembers(self, note: str, *, minutes: float) -> None:
        self.writer.set("notebook", [*self.writer.setting("notebook", []), note])
        self.happened("remembered", minutes=minutes, note=note)

    def uses(self, input: int, output: int, read: int, write: int, *, cost: float | None, minutes: float) -> None:  # noqa: A002
        """A call of the model."""
        number = self.writer.add_usage(
            model="claude-scripted", input=input, output=output, cache_read=read, cache_write=write, seconds=9.0,
            cost=cost,
        )  # fmt: skip
        self.writer.db.execute("UPDATE usage SET at = ? WHERE id = ?", (NOW - 60 * minutes, number))

    def works(self) -> None:
        """Two proposals, one of them kept and one that answers a message; notes, calls, an outage that is over."""
        kept = self.proposes(TITLES[0], author="claude")
        self.decides(kept, Decision.APPROVE)
        self.judges(kept, Verdict.KEEP, delta=-0.0093)
        waits = self.proposes(TITLES[2], author="claude")
        self.told("Try something about the window, please.", minutes=90, by=waits)
        self.told("Leave the evaluation alone.", minutes=2, actor="ben")
        self.told("Half the heads, twice as wide.", minutes=1, kind="idea")
        self.remembers("Warm-up below 0.01 diverges at this batch.", minutes=45)
        self.remembers("The window matters more than the softcap.", minutes=12)
        self.uses(2_100, 1_500, 0, 21_000, cost=0.16, minutes=40)
        self.uses(1_900, 2_400, 21_000, 700, cost=0.05, minutes=12)
        self.happened("researcher_retries", minutes=12, error="api.anthropic.com: overloaded", wait=4.0)
