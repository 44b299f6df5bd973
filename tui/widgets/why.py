"""Why: what the researcher expects and why, what to look at, what people decided, what the runs said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from core.models import Decision, Experiment, Review, Run, RunState, Verdict, Via
from core.runs import gate
from core.text import UNKNOWN, ago, clean, duration, number, one_line
from tui.actions import key_of
from tui.detail import Detail
from tui.snapshot import PURPOSES, Snapshot
from tui.widgets.states import compared, interval

if TYPE_CHECKING:
    from core.guards import Finding

WORDS = {
    Decision.APPROVE: "approved",
    Decision.APPROVE_EDITED: "approved after an edit",
    Decision.REVISE: "sent back",
    Decision.VETO: "vetoed",
    Decision.OVERRIDE: "settled by hand",
}
MARKS = {
    RunState.FINISHED: ("✓", "$text-success"),
    RunState.RUNNING: ("▶", "$text-primary"),
    RunState.STARTING: ("▶", "$text-primary"),
    RunState.KILLED: ("■", "$text-warning"),
    RunState.VOID: ("■", "$text-warning"),
    RunState.LOST: ("?", "$text-warning"),
}
WITHDRAWN = ("·", "$foreground-muted")
FINDINGS = 100
"""that are listed, the worst first: a rewrite can have thousands, and to wrap them all takes half a second"""
Part = str | Content | tuple[str, str]


def why(detail: Detail, lab: Snapshot) -> Content:
    """The pane's text."""
    shown = detail.experiment
    parts: list[Part] = []
    if shown.verdict is not None:
        parts += _verdict(shown, lab, detail.runs)
    parts += _section("Hypothesis", shown.hypothesis)
    parts += _section("Expected", shown.expected)
    parts += _section("Rationale", shown.rationale)
    if detail.problem:
        parts += [("Problem\n", "bold $text-error"), f"{clean(detail.problem)}\n\n"]
    if detail.findings:
        parts.append(("Look at\n", "bold $text-warning"))
        parts += [part for finding in detail.findings[:FINDINGS] for part in _finding(finding)]
        more = len(detail.findings) - FINDINGS
        parts.append((f"and {more:,} more, none of them worse\n\n", "$foreground-muted") if more > 0 else "\n")
    parts += _runs(detail.runs, lab)
    parts += _reviews(detail.reviews, lab.at)
    parts += _facts(detail, lab)
    return Content.assemble(*parts)


def _section(title: str, text: str) -> list[Part]:
    body = clean(text.strip())
    return [(f"{title}\n", "bold"), f"{body}\n\n"] if body else []


def _verdict(shown: Experiment, lab: Snapshot, runs: Sequence[Run]) -> list[Part]:
    assert shown.verdict is not None
    style = {Verdict.KEEP: "bold $text-success", Verdict.CRASHED: "bold $text-error"}.get(
        shown.verdict, "bold $text-warning"
    )
    parts: list[Part] = [(f"Verdict: {shown.verdict}", style)]
    if shown.delta is not None:
        parts.append(f"  ({compared(lab, shown)})\n")
        parts.append(f"{one_line(lab.lab.metric, 24)} {number(shown.metric)}   Δ {interval(shown)}, 95 %\n")
    else:
        parts.append("\n")
    if shown.verdict_reason:
        parts.append(f"{clean(shown.verdict_reason)}\n")
    if words := still_needed(shown, lab, runs):
        parts.append((f"{words}\n", "$foreground-muted"))
    return [*parts, "\n"]


def still_needed(shown: Experiment, lab: Snapshot, runs: Sequence[Run]) -> str:
    """What further runs would tell: of a gain that is open, and of one that only the screening run has seen."""
    open_yet = shown.verdict is Verdict.INCONCLUSIVE or (shown.verdict is not None and shown.confirmations == 0)
    gain = (shown.delta or 0.0) * (-1 if lab.lab.direction == "min" else 1)
    if not open_yet or gain <= 0 or shown.delta is None or shown.delta_low is None or shown.delta_high is None:
        return ""
    from core.report import typical_seconds
    from core.verdict import plan_text, runs_left

    seeds = runs_left(shown.delta, shown.delta_low, shown.delta_high, shown.confirmations or 0)
    if seeds is None:
        return f"to tell a gain of {gain:.2g} from noise takes thousands of runs"
    return plan_text(f"{gain:.2g}", seeds, 2 * seeds, typical_seconds(runs), more=True)


def when(seconds: float) -> str:
    """How long ago, in words that stay for a minute: each change repaints the pane."""
    return "just now" if seconds < 60 else ago(seconds)


def _finding(finding: Finding) -> list[Part]:
    where = one_line(finding.path, 40) + (f":{finding.line}" if finding.line else "")
    hunk = f" (hunk {finding.hunk + 1})" if finding.hunk is not None else ""
    style = {"danger": "bold $text-error", "caution": "$text-warning"}.get(finding.level, "$foreground-muted")
    return [(f"{finding.level} ", style), f"{where} {clean(finding.word)} {clean(finding.why)}{hunk}\n"]


def _runs(runs: Sequence[Run], lab: Snapshot) -> Iterable[Part]:
    if not runs:
        return []
    parts: list[Part] = [("Runs\n", "bold")]
    for run in runs:
        state, error = gate.in_words(run)
        sign, style = WITHDRAWN if gate.was_withdrawn(run) else MARKS.get(run.state, ("✗", "$text-error"))
        took = duration(run.ended_at - run.started_at) if run.ended_at and run.started_at else UNKNOWN
        words = f" {PURPOSES[run.purpose]} seed {run.seed} on {one_line(run.device, 16)}: {state}"
        words += "".join(f" {value}" for value in (number(run.metric), took) if value != UNKNOWN)
        parts += [(sign, style), words, f" {one_line(error, 200)}\n" if error else "\n"]
    return [*parts, "\n"]


def _reviews(reviews: Sequence[Review], now: float) -> Iterable[Part]:
    if not reviews:
        return []
    parts: list[Part] = [("Reviews\n", "bold")]
    for review in reviews:
        who = f"policy ({one_line(review.policy, 60)})" if review.via is Via.POLICY else one_line(review.actor, 24)
        settled = f" as {review.verdict}" if review.verdict else ""
        said = "approved in part" if review.in_part else WORDS[review.decision]
        words = f"{said}{settled} by {who} {when(now - review.decided_at)}"
        if review.undone_at is not None:
            words += ", taken back"
        parts += [words, f": {clean(review.reason)}\n" if review.reason else "\n"]
    return [*parts, "\n"]


def _facts(detail: Detail, lab: Snapshot) -> Iterable[Part]:
    shown = detail.experiment
    facts = [
        f"by {one_line(shown.author, 40)}, {when(lab.at - shown.created_at)}",
        f"category {one_line(shown.category, 40) or UNKNOWN}",
        f"parent {shown.parent_commit[:10]}" + (f", commit {shown.commit_sha[:10]}" if shown.commit_sha else ""),
    ]
    if detail.versions:
        version = detail.versions[-1]
        facts.append(f"patch {version.sha256[:10]}, version {version.version} ({version.source})")
        if len(detail.versions) > 1:
            facts.append(f"{key_of('versions')} shows what changed from version to version")
    return [("Facts\n", "bold $foreground-muted"), ("\n".join(facts), "$foreground-muted")]
