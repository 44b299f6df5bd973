"""What the screen knows about a lab at one moment: frozen values, read from the record, passed down to widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

from core.models import Autonomy, Purpose, Run, State
from core.store.rows import Champion, Gauge, Summary

T = TypeVar("T")
AT_WORK = ("training", "saving", "evaluating")
"""phases in which a run has its device to itself; in the others the next one may stand ready beside it"""
PURPOSES = {
    Purpose.BASELINE: "baseline",
    Purpose.NULL: "noise run",
    Purpose.CANDIDATE: "candidate",
    Purpose.RETEST: "confirmation",
    Purpose.LADDER: "larger scale",
    Purpose.AUDIT: "audit",
}
"""what a run is for, in the words of every screen"""


def whose(run: Run) -> str:
    """`#12`, or the one that is measured for all of them: the baseline, later the champion; an audit is of both."""
    if run.experiment_id:
        return f"#{run.experiment_id}"
    return "champion" if run.purpose in (Purpose.NULL, Purpose.RETEST) else PURPOSES[run.purpose]


@dataclass(frozen=True, slots=True)
class EngineNote:
    """What the engine last wrote about itself."""

    pid: int = 0
    started: float = 0.0
    version: str = ""
    state: str = ""
    """running, stopping, stopped; empty before the first engine"""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ResearcherNote:
    """What the researcher is doing."""

    kind: str = ""
    """offline, claude"""
    state: str = "idle"
    """thinking, idle, dry, error, waiting"""
    since: float = 0.0
    detail: str = ""
    key_missing: bool = False
    until: float = 0.0
    """Unix time at which it goes on by itself; 0: nothing is waited for"""
    instead: str = ""
    """who stands in for it meanwhile, and why"""

    @property
    def line(self) -> str:
        """What it does, or what is wrong, and the tokens this question has taken so far."""
        return self.detail.partition("\n")[0]

    @property
    def doing(self) -> str:
        """The same without the tokens, which grow with every word."""
        return self.line.removesuffix(f" · {self.tokens}") if self.tokens else self.line

    @property
    def tokens(self) -> str:
        """`14,210 tokens`; empty where it does not say."""
        count = self.line.rpartition(" · ")[2]
        return count if count.endswith(" tokens") else ""

    @property
    def words(self) -> str:
        """What stands under that: the text it is writing, as far as it has come; or what to do."""
        return self.detail.partition("\n")[2]


@dataclass(frozen=True, slots=True)
class PreparationNote:
    """How far the data is."""

    state: str = "none"
    """none, running, ready, failed"""
    stage: str = ""
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SandboxNote:
    """How well training code is kept in."""

    tier: str = ""
    """A, B, C; empty when it was not probed yet"""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LabNote:
    """What is being researched."""

    profile: str = ""
    metric: str = "val_bpb"
    direction: str = "min"
    corpus: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One consistent look at the lab. Only what the engine has committed."""

    at: float = 0.0
    """Unix time of the look"""
    seq: int = 0
    """last event"""
    problem: str = ""
    """why the record cannot be read; the other values are then the last good ones"""
    hint: str = ""
    missing: bool = False
    """there is no lab.db yet"""
    newer: bool = False
    """written by a newer program: shown, not touched"""
    alive: bool | None = None
    """an engine answers on the socket; None before the first answer"""
    starting: bool = False
    """an engine was started from here and has not answered yet"""
    autonomy: Autonomy = Autonomy.MANUAL
    paused: str = ""
    paused_by: str = ""
    """who paused it last, since this screen was opened: `engine`, or a person"""
    engine: EngineNote = EngineNote()
    researcher: ResearcherNote = ResearcherNote()
    preparation: PreparationNote = PreparationNote()
    sandbox: SandboxNote = SandboxNote()
    lab: LabNote = LabNote()
    devices: tuple[str, ...] = ()
    timed: bool = True
    """a run's budget is in seconds; else in work, and how long that takes says nothing of a patch"""
    aside: Mapping[str, str] = field(default_factory=dict)
    """devices that get no more runs, and why"""
    sigma: float | None = None
    """measured noise on the first device's class"""
    counts: Mapping[State, int] = field(default_factory=dict)
    queue: tuple[Summary, ...] = ()
    history: tuple[Summary, ...] = ()
    """newest first"""
    touched: Mapping[int, int] = field(default_factory=dict)
    """experiment -> last event that named it, since this screen was opened"""
    live: tuple[Run, ...] = ()
    last_run: Run | None = None
    champion: Champion | None = None
    champion_metric: float | None = None
    gauges: tuple[Gauge, ...] = ()
    """samples of the last minutes, oldest first"""
    unanswered: int = 0
    """messages no proposal has answered yet"""

    @cached_property
    def by_id(self) -> Mapping[int, Summary]:
        return {summary.id: summary for summary in self.history}

    @cached_property
    def place(self) -> Mapping[int, int]:
        """experiment -> its index in `history`"""
        return {summary.id: index for index, summary in enumerate(self.history)}

    @property
    def has_gpu(self) -> bool:
        return any(not device.startswith("cpu") for device in self.devices)

    @property
    def run(self) -> Run | None:
        """The live run the screen follows: the newest that is at work, else the newest that is about to be."""
        at_work = [run for run in self.live if run.phase in AT_WORK]
        return (at_work or self.live)[-1] if self.live else None


def note(kind: type[T], value: Any) -> T:
    """A note from a setting; what is missing or of another type keeps its default, so that no setting ends a screen."""
    values = value if isinstance(value, dict) else {}
    kept = {}
    for f in fields(kind):  # type: ignore[arg-type]
        default, found = f.default, values.get(f.name)
        if isinstance(default, float) and isinstance(found, int) and not isinstance(found, bool):
            found = float(found)
        if type(found) is type(default):
            kept[f.name] = found
    return kind(**kept)


def pause_label(lab: Snapshot) -> str:
    """What the key of the pause does now; a preparation that failed is tried again by going on."""
    return "resume" if lab.paused else "try again" if lab.preparation.state == "failed" else "pause"
