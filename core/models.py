"""The words of DESIGN as types: every value that crosses a boundary is one of these.

An *experiment* is one idea: texts and a patch against a parent commit. It is reviewed (*review*), trained (*run*, one
execution of one commit with one seed on one device) and judged (*verdict*). The *champion* is the best kept commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where an experiment is on its way."""

    DRAFTING = "drafting"  # the researcher is still writing
    PROPOSED = "proposed"  # waits for a review
    REVISING = "revising"  # sent back with a note
    VETOED = "vetoed"
    INVALID = "invalid"  # the patch does not parse, does not apply or leaves the editable files
    APPROVED = "approved"  # waits for a device (or for the undo window to close)
    RUNNING = "running"  # at least one run has started; confirmations included
    JUDGED = "judged"


OPEN_STATES = (State.DRAFTING, State.PROPOSED, State.REVISING, State.APPROVED, State.RUNNING)
"""States from which an experiment still moves."""


class Verdict(StrEnum):
    """What the runs said, against the measured noise."""

    KEEP = "keep"
    DISCARD = "discard"
    INCONCLUSIVE = "inconclusive"
    SUSPECT = "suspect"  # too good, or a probe fired: a human decides
    VOID = "void"  # the result does not count
    CRASHED = "crashed"


class Decision(StrEnum):
    """What a review says about a patch."""

    APPROVE = "approve"
    APPROVE_EDITED = "approve_edited"
    REVISE = "revise"
    VETO = "veto"
    OVERRIDE = "override"  # a person's verdict in the place of the measured one


class Via(StrEnum):
    """Where a review came from."""

    TUI = "tui"
    CLI = "cli"
    POLICY = "policy"


class Purpose(StrEnum):
    """Why a run is made."""

    BASELINE = "baseline"  # first run of the first champion
    NULL = "null"  # the champion again, for the noise
    CANDIDATE = "candidate"  # screening run of an experiment
    RETEST = "retest"  # confirmation on a fresh seed (candidate or champion)
    LADDER = "ladder"  # at a larger scale
    AUDIT = "audit"  # on the hidden split: a checkpoint before it is kept, or the whole stack of keeps


CHAMPION_PURPOSES = (Purpose.BASELINE, Purpose.NULL, Purpose.RETEST)
"""the purposes whose metrics are comparable and were not chosen for being good"""


class RunState(StrEnum):
    """How a run stands or how it ended."""

    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"  # trained and evaluated; has a metric
    DIVERGED = "diverged"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    KILLED = "killed"  # stopped by a person
    VOID = "void"  # the evaluator rejected it
    LOST = "lost"  # its runner is gone and left no result; it is made again


LIVE_RUNS = (RunState.STARTING, RunState.RUNNING)


class Autonomy(StrEnum):
    """The dial."""

    MANUAL = "manual"  # every patch waits for a human
    GUARDED = "guarded"  # low-risk patches pass
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Edit:
    """One exact search-and-replace on an editable file; `search` must occur exactly once."""

    path: str
    search: str
    replace: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a researcher hands over: the texts and the whole new content of each changed file."""

    title: str
    hypothesis: str
    rationale: str
    category: str
    files: dict[str, str]
    """path -> new content, against the parent commit the researcher was shown"""
    author: str
    """`claude`, `offline/constants`, `offline/notebook`, `human`"""
    expected: str = ""
    """the change of the metric the researcher expects, in its own words"""
    key: str = ""
    """the researcher's own name for the idea, so that it can be told the outcome"""
    problem: str = ""
    """why the researcher gave up on it: it goes on record as invalid"""
    answers: tuple[int, ...] | None = None
    """the messages it answers; None: every one that waits"""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of `experiments`."""

    id: int
    state: State
    title: str
    hypothesis: str
    rationale: str
    category: str
    expected: str
    author: str
    key: str
    parent_commit: str
    commit_sha: str | None
    """the commit that is trained; set when a review approves"""
    patch_sha256: str | None
    """the current version of the patch: what a review must name"""
    proposed_sha256: str | None
    """the first version, as the researcher wrote it"""
    verdict: Verdict | None
    verdict_reason: str
    metric: float | None
    """mean over the runs that count (confirmations; the screening run where nothing else was run)"""
    delta: float | None
    """metric minus the champion's, on the same seeds; negative is better when the direction is min"""
    delta_low: float | None
    delta_high: float | None
    """95 % interval of delta"""
    shrunken: float | None
    """delta, drawn towards zero by how noisy it is"""
    confirmations: int | None
    """runs on fresh seeds behind delta; 0: the screening run alone"""
    overridden_by: str | None
    """who replaced the measured verdict; such a verdict is left out of claims"""
    problem: str
    """why the patch is invalid or no longer applies; empty when it is fine"""
    syntax_sha256: str
    """hash of the resulting files' syntax trees: two patches that mean the same have the same"""
    hold_until: float | None
    """approved, but the undo window is open until then (Unix time)"""
    deferred_at: float | None
    """put at the end of the review queue at this time"""
    created_at: float
    decided_at: float | None
    judged_at: float | None


@dataclass(frozen=True, slots=True)
class Review:
    """One row of `reviews`: a decision bound to exactly one version of a patch."""

    id: int
    experiment_id: int
    decision: Decision
    reason: str
    patch_sha256: str
    """the version that was on the reviewer's screen"""
    approved_sha256: str | None
    """the version that runs: differs after an edit or when hunks were switched out"""
    hunks_kept: tuple[int, ...] | None
    hunks_seen: tuple[int, ...] | None
    seconds: float | None
    """how long the reviewer had it on the screen"""
    actor: str
    via: Via
    policy: str
    """the autonomy rule that decided; empty for a human"""
    decided_at: float
    undone_at: float | None
    verdict: Verdict | None = None
    """of an override: what the person made of it"""

    @property
    def in_part(self) -> bool:
        """Approved without some of its hunks."""
        return self.decision is Decision.APPROVE_EDITED and self.hunks_kept is not None


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `runs`."""

    id: int
    experiment_id: int | None
    """None: a run of the champion itself"""
    purpose: Purpose
    commit_sha: str
    seed: int
    attempt: int
    device: str
    device_class: str
    state: RunState
    phase: str
    """preparing, starting, compiling, training, saving, evaluating, done"""
    progress: float
    """share of the training budget spent, 0..1"""
    metric: float | None
    error: str
    """what went wrong, in one line; the traceback is in the log"""
    pid: int | None
    """of the runner"""
    pid_started: float | None
    boot_id: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    detail: dict[str, Any] = field(default_factory=dict)
    """seconds of each phase, tokens, peak memory, exit code, the evaluator's findings"""
    manifest: str = ""
    """sha256 of what it was made and measured with; the parts are in the run's manifest.json"""

    @property
    def is_live(self) -> bool:
        """It has not ended."""
        return self.state in LIVE_RUNS

    @property
    def is_audit(self) -> bool:
        """Its metric is of the hidden split, and is compared with no other run's."""
        return self.purpose is Purpose.AUDIT

    @property
    def is_screening(self) -> bool:
        """The first run of an experiment, by whose result it was chosen: it enters no estimate."""
        return self.purpose is Purpose.CANDIDATE


@dataclass(frozen=True, slots=True)
class Event:
    """One row of `events`, the append-only journal."""

    seq: int
    at: float
    kind: str
    experiment_id: int | None
    run_id: int | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A human's words to the researcher, and which experiment answered them."""

    id: int
    at: float
    actor: str
    kind: str
    """`message` or `idea`"""
    body: str
    answered_by: int | None


@dataclass(frozen=True, slots=True)
class PatchVersion:
    """One version of an experiment's patch."""

    experiment_id: int
    version: int
    sha256: str
    source: str
    """`proposed`, `edited`, `revised`, `selected`, `rebased`"""
    at: float


@dataclass(frozen=True, slots=True)
class Series:
    """A curve: parallel tuples; `value` is NaN where the script logged nothing finite."""

    name: str
    step: tuple[int, ...]
    t: tuple[float, ...]
    """seconds of training"""
    value: tuple[float, ...]
