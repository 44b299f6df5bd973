"""Calling somebody who looks elsewhere: what is worth a call, when it may be made, and the bytes that make it.

`alerts` compares two snapshots. `Attention` keeps what is to be said until it may be: not while somebody is at the keys
(they see it), not one by one, not in quiet hours. `Caller` rings, writes OSC 9 or OSC 777, starts the command.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from core.models import State, Verdict
from core.text import one_line
from tui.snapshot import Snapshot

AT_THE_KEYS_SECONDS = 20.0
"""after a key somebody is there"""
GATHER_SECONDS = 3.0
"""what happens together is said together"""
APART_SECONDS = 30.0
"""between two calls"""
MOST = 100
"""alerts kept for the end of the quiet hours"""
WORTH = {Verdict.KEEP: "kept", Verdict.CRASHED: "crashed", Verdict.SUSPECT: "suspect: look at it"}


class Alert(NamedTuple):
    """One thing that happened."""

    kind: str
    """waits, kept, crashed, suspect, aside, paused"""
    words: str
    experiment: int | None = None


class Call(NamedTuple):
    """What is said: both begin with our own words, never with those of a researcher."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Calls:
    """How somebody is called; all off unless the configuration says otherwise."""

    bell: bool = False
    desktop: str = ""
    """osc9, osc777"""
    command: tuple[str, ...] = ()
    quiet: str = ""
    """22:00-07:00"""

    @property
    def off(self) -> bool:
        return not (self.bell or self.desktop or self.command)


# ---- what is worth a call ------------------------------------------------------------------------------------------


def alerts(before: Snapshot, now: Snapshot) -> list[Alert]:
    """What happened between two looks at the lab that somebody would want to know."""
    if not before.seq:
        return []  # the first look: all of it is old
    found = []
    if now.queue and not before.queue:
        first = now.queue[0]
        found.append(Alert("waits", f"#{first.id} waits for your review: {one_line(first.title, 80)}", first.id))
    changed = [number for number, seq in now.touched.items() if before.touched.get(number) != seq]
    for number in sorted(changed):
        was, summary = before.by_id.get(number), now.by_id.get(number)
        if summary is None or summary.state is not State.JUDGED or (was and was.state is State.JUDGED):
            continue
        if summary.verdict in WORTH:
            words = f"#{number} {WORTH[summary.verdict]}: {one_line(summary.title, 80)}"
            found.append(Alert(str(summary.verdict), words, number))
    found += [Alert("aside", one_line(words, 120)) for name, words in now.aside.items() if name not in before.aside]
    if now.paused and not before.paused and now.paused_by == "engine":
        found.append(Alert("paused", f"the lab paused itself: {one_line(now.paused, 120)}"))
    return found


def call(lab: str, pending: Sequence[Alert]) -> Call:
    """Everything that is pending in one call; the title counts, the body names the newest first."""
    name = one_line(lab, 30)
    newest = list(reversed(pending))
    if len(newest) == 1:
        return Call(f"autoresearch {name}", newest[0].words)
    counts: dict[str, int] = {}
    for alert in pending:
        counts[alert.kind] = counts.get(alert.kind, 0) + 1
    words = {"waits": "waiting", "keep": "kept", "aside": "device set aside"}
    title = ", ".join(f"{count} {words.get(kind, kind)}" for kind, count in counts.items())
    more = f" · and {len(newest) - 3} more" if len(newest) > 3 else ""
    return Call(f"autoresearch {name}: {title}", " · ".join(alert.words for alert in newest[:3]) + more)


def is_quiet(hours: str, at: datetime) -> bool:
    """Whether a local time lies in `22:00-07:00`; the end does not belong to it."""
    if not hours:
        return False
    start, end = hours.split("-")
    clock = f"{at:%H:%M}"
    return start <= clock < end if start <= end else clock >= start or clock < end


# ---- when it may be made -------------------------------------------------------------------------------------------


@dataclass
class Attention:
    """Keeps alerts until somebody may be called."""

    quiet: str = ""
    clock: Callable[[], float] = field(default=lambda: 0.0)
    """monotonic seconds"""
    today: Callable[[], datetime] = datetime.now
    pending: list[Alert] = field(default_factory=list)
    _key: float = float("-inf")
    _first: float = 0.0
    _said: float = float("-inf")

    def key_pressed(self) -> None:
        """Somebody is there, and sees on the screen whatever was pending."""
        self._key = self.clock()
        self.pending.clear()

    def happened(self, alerts: Sequence[Alert]) -> None:
        if alerts and not self.pending:
            self._first = self.clock()
        self.pending = [*self.pending, *alerts][-MOST:]

    def due(self, lab: Snapshot) -> list[Alert]:
        """What is to be said now, each once; a review that was decided meanwhile is left out."""
        if not self.pending:
            return []
        moment = self.clock()
        early = (
            moment - self._first < GATHER_SECONDS
            or moment - self._key < AT_THE_KEYS_SECONDS
            or moment - self._said < APART_SECONDS
        )
        if early or is_quiet(self.quiet, self.today()):
            return []
        waiting = {summary.id for summary in lab.queue}
        said = [a for a in self.pending if a.kind != "waits" or a.experiment in waiting]
        said = [a for a in said if a.kind != "paused" or lab.paused]
        self.pending.clear()
        if said:
            self._said = moment
        return said


# ---- how it is made ------------------------------------------------------------------------------------------------


def sequence(kind: str, said: Call, environment: Mapping[str, str]) -> str:
    """The bytes of a desktop notification. The only escape characters in it are ours: the words are cleaned and cannot
    end the sequence, and without `;` they cannot be taken for a command of OSC 9 or for another field of OSC 777.
    """
    title, body = (one_line(text, limit).replace(";", ",") for text, limit in ((said.title, 100), (said.body, 300)))
    match kind:
        case "osc9":
            osc = f"\x1b]9;{title}: {body}\x07"
        case "osc777":
            osc = f"\x1b]777;notify;{title};{body}\x07"
        case _:
            return ""
    # tmux swallows what it does not know unless it is wrapped (and `allow-passthrough on` lets it through)
    return f"\x1bPtmux;{osc.replace(chr(27), chr(27) * 2)}\x1b\\" if environment.get("TMUX") else osc


def arguments(template: Sequence[str], said: Call) -> list[str]:
    """The command with title and body filled in, once: what they contain is never filled in again."""
    words = {"title": one_line(said.title, 100), "body": one_line(said.body, 300)}
    return [re.sub(r"\{(title|body)\}", lambda found: words[found[1]], part) for part in template]


@dataclass
class Caller:
    """Rings, writes, starts the command: whichever is on."""

    calls: Calls
    write: Callable[[str], object]
    """to the terminal"""
    environment: Mapping[str, str]
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def call(self, said: Call) -> str:
        """Make the call; why the command could not be started, or nothing."""
        bytes_out = ("\x07" if self.calls.bell else "") + sequence(self.calls.desktop, said, self.environment)
        if bytes_out:
            self.write(bytes_out)
        if not self.calls.command:
            return ""
        self._started = [process for process in self._started if process.poll() is None]
        try:
            process = subprocess.Popen(
                arguments(self.calls.command, said),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return f"the command of screen.notify cannot be started: {one_line(self.calls.command[0], 60)}: {reason}"
        self._started.append(process)
        return ""
