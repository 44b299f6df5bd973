"""One review in full, and how well reviewers and verdicts agree: the panes beside the table of reviews. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from textual.content import Content

from core.models import Via
from core.text import clean, clip, duration, one_line, reveal
from tui.listing import Outcome
from tui.reviews import SAID_SIGNS, Said, Whole
from tui.snapshot import Snapshot
from tui.widgets.states import compared, interval
from tui.widgets.why import Part, when

MOST_LINES = 60
"""lines of a change that are shown; the Review screen has all of them"""
VIA = {Via.TUI: "on the screen", Via.CLI: "by a command", Via.POLICY: "by the autonomy dial"}
STYLES = {
    Said.APPROVED: "$text-success",
    Said.VETOED: "$text-error",
    Said.EDITED: "$text-primary",
    Said.PART: "$text-primary",
}


def decision(found: Whole, lab: Snapshot, *, width: int = 40) -> Content:
    """The pane's text."""
    row, review = found.row, found.row.review
    title = found.experiment.title if found.experiment else "its experiment is not in the record"
    settled = f" as {review.verdict}" if review.verdict else ""
    parts: list[Part] = [
        (f"#{review.experiment_id} {one_line(title, 200)}\n", "bold"),
        (f"{SAID_SIGNS[row.said]} {row.said}{settled}", f"bold {STYLES.get(row.said, '$text-warning')}"),
        f" {VIA[review.via]}\n",
        f"{_who(found)}, {when(lab.at - review.decided_at)}",
        f", decided in {duration(review.seconds)}\n" if review.seconds is not None else "\n",
    ]
    if row.undone:
        parts.append(("taken back: nothing followed from it\n", "$text-warning"))
    if review.hunks_seen is not None and found.hunks:
        parts.append(f"{len(review.hunks_seen)} of {found.hunks} hunks had been on the screen\n")
    parts.append("\n")
    if reason := clean(review.reason.strip()):
        parts += [("Why\n", "bold"), f"{reason}\n\n"]
    parts += _changes(found, width)
    if not row.undone:
        parts += _came_of_it(found, lab)
    return Content.assemble(*parts)


def _who(found: Whole) -> str:
    row = found.row
    if row.rule:
        return f"{one_line(row.review.actor, 32)}, rule {one_line(row.rule, 32)}"
    return f"by {one_line(row.review.actor, 32)}"


def _changes(found: Whole, width: int) -> Iterable[Part]:
    """The hunks that were switched out, or what an edit changed."""
    if found.switched_out:
        count = len(found.switched_out)
        yield (f"Switched out: {count} of {found.hunks} hunks\n", "bold")
        lines = []
        for hunk in found.switched_out:
            lines.append(f"hunk {hunk.index + 1}, {one_line(hunk.path, 40)} {hunk.header}")
            lines += [f"  {line}" for line in hunk.lines if line[0] in "+-"]
        yield from _lines(lines, width)
    elif found.edited:
        yield ("Edited: against the proposal\n", "bold")
        yield from _lines(found.edited, width)


def _lines(lines: Sequence[str], width: int) -> Iterable[Part]:
    for line in lines[:MOST_LINES]:
        yield f"{clip(reveal(line), max(width, 20))}\n"
    if len(lines) > MOST_LINES:
        yield (f"and {len(lines) - MOST_LINES} lines more\n", "$foreground-muted")
    yield "\n"


def _came_of_it(found: Whole, lab: Snapshot) -> Iterable[Part]:
    experiment, came = found.experiment, found.row.outcome
    yield ("What came of it\n", "bold")
    if experiment is None or came is None:
        yield "It never runs.\n"
        return
    style = {Outcome.KEPT: "$text-success", Outcome.CRASHED: "$text-error"}.get(came, "$foreground")
    yield (f"{found.row.came_of_it}", style)
    if experiment.delta is not None:
        yield f": Δ {interval(experiment)}, 95 %, {compared(lab, experiment)}"
    yield "\n"
    if experiment.overridden_by:
        yield (f"settled by hand by {one_line(experiment.overridden_by, 32)}\n", "$text-warning")
    if experiment.verdict_reason:
        yield f"{clean(experiment.verdict_reason)}\n"


class Record(NamedTuple):
    """What one reviewer, or one rule of the dial, decided so far."""

    who: str
    rule: bool
    words: str


def agreement(records: Sequence[Record]) -> Content:
    """How often what each of them let run was kept, and how long they took."""
    if not records:
        return Content("No review yet: how often an approval was kept will stand here.")
    parts: list[Part] = []
    for record in records:
        name = f"The dial: {one_line(record.who, 40)}" if record.rule else one_line(record.who, 40)
        parts += [(f"{name}\n", "bold"), f"{clean(record.words)}\n\n"]
    parts.append(
        (
            "Kept means that the measured verdict was keep. What a person settled by hand, and what was taken back, "
            "is in none of the shares.",
            "$foreground-muted",
        )
    )
    return Content.assemble(*parts)
