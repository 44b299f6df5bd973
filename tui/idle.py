"""Why nothing runs, in words: what is the case, what is safe, and the next key. No Textual, no IO."""

from __future__ import annotations

from dataclasses import replace

from core.models import Run, RunState, State
from core.runs import gate
from core.text import duration, one_line
from tui.actions import key_of
from tui.detail import FAILED
from tui.snapshot import Snapshot, whose
from tui.widgets.states import Notice, notice
from tui.widgets.status_bar import thinking

ENDS = {
    RunState.FINISHED: "finished",
    RunState.DIVERGED: "DIVERGED",
    RunState.CRASHED: "CRASHED",
    RunState.TIMEOUT: "TIMED OUT",
    RunState.KILLED: "stopped",
    RunState.VOID: "VOID",
    RunState.LOST: "lost, will be made again",
}
"""how a run ended, in a few words"""


def why_idle(lab: Snapshot, *, now: float, can_start: bool, read_only: bool = False) -> Notice | None:
    """The most important thing to say on a screen that follows runs; None while one runs and all is well."""
    if lab.problem or lab.missing or lab.preparation.state in ("running", "failed"):
        return notice(lab, None, now=now, can_start=can_start)
    if lab.alive is False and not lab.starting:
        safe = "What is shown is the last that was recorded; a run under way goes on." if lab.live else ""
        start = f"{key_of('restart_engine')} starts it" if can_start else "autoresearch-tui LAB starts it"
        return Notice(
            "bad", "The engine is not running: no run starts.", (safe,) if safe else (), "" if read_only else start
        )
    if lab.live:
        return None
    failed = _failure(lab.last_run) if lab.last_run and lab.last_run.state in FAILED else ""
    said = _waits(lab, now)
    if not failed:
        return said
    return replace(said, tone="bad" if said.tone == "info" else said.tone, lines=(failed, *said.lines))


def _waits(lab: Snapshot, now: float) -> Notice:
    """What the next run waits for."""
    if lab.starting:
        return Notice("busy", "Nothing runs yet: the engine is starting.")
    if lab.paused:
        return Notice(
            "warn", f"Nothing runs: the lab is paused ({one_line(lab.paused, 160)}).", (), f"{key_of('pause')} goes on"
        )
    if lab.counts.get(State.APPROVED):
        first = next((row for row in reversed(lab.history[:50]) if row.state is State.APPROVED), None)
        if first is not None and first.hold_until and first.hold_until > now:
            wait = duration(first.hold_until - now)
            return Notice("busy", f"Nothing runs yet: #{first.id} is approved and starts in {wait}.")
        who = f"#{first.id}" if first is not None else "an approved experiment"
        return Notice("busy", f"Nothing runs yet: {who} is approved and starts next.")
    thought = thinking(lab, now)
    if lab.queue:
        count = len(lab.queue)
        words = "1 proposal waits" if count == 1 else f"{count} proposals wait"
        return Notice(
            "warn", f"Nothing runs: nothing is approved, {words} for your review.", (),
            f"{key_of('pane_diff')} shows the first",
        )  # fmt: skip
    if any(row.state is State.RUNNING for row in lab.history[:50]):
        return Notice("busy", "Nothing runs at this moment: the next run of an experiment is being started.")
    lines = (f"The researcher {thought}.",) if thought else ()
    return Notice("info", "Nothing runs: nothing is approved and nothing waits for a review.", lines)


def _failure(run: Run) -> str:
    who = whose(run) if run.experiment_id else f"the {whose(run)}"
    error = one_line(run.error, 200) or "its log says more"
    return f"The last run, of {who}, {how_ended(run)}: {error}"


def how_ended(run: Run) -> str:
    if gate.was_withdrawn(run):
        return gate.in_words(run)[0]
    return ENDS.get(run.state, str(run.state))
