"""What lies on the reviewer's desk: which experiment, since when, what was decided here. No Textual, no IO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.models import State
from core.requests import Approve, Defer, Revise, Undo, Veto
from tui.actions import UNDOABLE
from tui.detail import Detail
from tui.personal import Drafts
from tui.snapshot import Snapshot

GRACE_SECONDS = 0.5
"""after something new has come up by itself, keys that decide are inert: they were meant for what was there before"""


@dataclass
class Desk:
    """The experiment on the screen, and the reviewer's own memory."""

    clock: Callable[[], float]
    shown: int | None = None
    pinned: bool = False
    """chosen by hand: it stays when a proposal arrives"""
    arrived: float = float("-inf")
    """when it came up by itself"""
    decided: list[int] = field(default_factory=list)
    """experiments decided here, oldest first"""
    drafts: Drafts = field(default_factory=Drafts)
    """words and edits begun and not sent"""
    _since: float | None = field(init=False)
    """up to when the seconds on the screen are counted; None: somebody is on another screen"""
    _read: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._since = self.clock()

    # ---- what is shown -----------------------------------------------------------------------------------------

    def follow(self, lab: Snapshot) -> bool:
        """Keep, or pick what to show; True when that is another experiment than before.

        A waiting proposal stays until it is decided. Otherwise the first of the queue comes up, else what runs, else
        what was approved, else the newest experiment.
        """
        waiting = [summary.id for summary in lab.queue]
        if self.shown is not None and (self.shown in waiting or (self.pinned and self.shown in lab.by_id)):
            return False
        chosen = waiting[0] if waiting else self._unwaited(lab)
        if chosen == self.shown:
            return False
        self._put(chosen)
        self.pinned = False
        if chosen in waiting:
            self.arrived = self.clock()
        return True

    def _unwaited(self, lab: Snapshot) -> int | None:
        if lab.run is not None and lab.run.experiment_id is not None:
            return lab.run.experiment_id
        for state in (State.APPROVED, State.RUNNING):
            found = next((summary.id for summary in lab.history if summary.state is state), None)
            if found is not None:
                return found
        return next((summary.id for summary in lab.history if summary.state is State.JUDGED), None) or (
            lab.history[0].id if lab.history else None
        )

    def open(self, experiment_id: int) -> None:
        """Show this one, by hand."""
        self._put(experiment_id)
        self.pinned = True

    def release(self) -> None:
        """Whatever comes next may take the screen."""
        self._put(None)
        self.pinned = False

    def _put(self, experiment_id: int | None) -> None:
        self._count()
        self.shown = experiment_id

    def _count(self) -> None:
        """Put the seconds since the last count to what is shown."""
        if self._since is None:
            return
        before, self._since = self._since, self.clock()
        if self.shown is not None:
            self._read[self.shown] = self._read.get(self.shown, 0.0) + self._since - before

    def look_away(self) -> None:
        """Somebody goes to another screen: nothing here is being read until `look_back`."""
        self._count()
        self._since = None

    def look_back(self) -> None:
        """Somebody is here again. What lies here may have come up out of sight: keys that decide are inert a moment."""
        self._since = self.arrived = self.clock()

    @property
    def seconds(self) -> float:
        """How long what is shown has been on the screen, all visits together."""
        self._count()
        return self._read.get(self.shown or 0, 0.0)

    @property
    def in_grace(self) -> bool:
        return self.clock() - self.arrived < GRACE_SECONDS

    def neighbour(self, lab: Snapshot, step: int) -> int | None:
        """The experiment before (-1) or after (+1) what is shown; None at the ends."""
        at = lab.place.get(self.shown) if self.shown is not None else None
        index = at - step if at is not None else 0 if step < 0 else -1  # newest first
        return lab.history[index].id if 0 <= index < len(lab.history) else None

    def undoable(self, lab: Snapshot) -> int | None:
        """Whose decision `u` takes back: what a person chose to look at, else the last one decided here and no other;
        where nothing was, the newest approved.
        """
        for candidate in (self.shown if self.pinned else None, *self.decided[-1:]):
            summary = lab.by_id.get(candidate) if candidate is not None else None
            if summary is not None and summary.state in UNDOABLE:
                return summary.id
        if self.decided or not lab.counts.get(State.APPROVED):
            return None
        return next((summary.id for summary in lab.history if summary.state is State.APPROVED), None)

    # ---- requests ----------------------------------------------------------------------------------------------

    def approve(
        self, detail: Detail, kept: frozenset[int], seen: frozenset[int], *, edited: str | None = None
    ) -> Approve:
        """Run it: whole, without the hunks that are out, or as edited."""
        every = len(kept) == detail.hunks or edited is not None
        return Approve(
            detail.experiment.id,
            detail.experiment.patch_sha256 or "",
            edited=edited,
            hunks_kept=None if every else tuple(sorted(kept)),
            hunks_seen=tuple(sorted(seen)),
            seconds=round(self.seconds, 1),
        )

    def veto(self, detail: Detail, reason: str) -> Veto:
        shown = detail.experiment
        return Veto(shown.id, shown.patch_sha256 or "", reason, seconds=round(self.seconds, 1))

    def revise(self, detail: Detail, note: str) -> Revise:
        shown = detail.experiment
        return Revise(shown.id, shown.patch_sha256 or "", note, seconds=round(self.seconds, 1))

    def defer(self, experiment_id: int) -> Defer:
        return Defer(experiment_id)

    def undo(self, experiment_id: int) -> Undo:
        return Undo(experiment_id)
