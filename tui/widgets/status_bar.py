"""The two rows on top: who decides, where, against what; and what runs right now, how far, how long still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from core.models import Autonomy, Purpose, Run, State
from core.store.rows import Summary
from core.text import ago, duration, number, one_line
from tui.actions import key_of
from tui.snapshot import PURPOSES, Snapshot, whose
from tui.widgets.line import Part
from tui.widgets.queue import VERDICTS

if TYPE_CHECKING:
    from core.guards import Finding
    from core.replay import Progress

DIAL = {
    Autonomy.MANUAL: ("MANUAL", "you decide each patch", "bold $text-primary on $primary-muted"),
    Autonomy.GUARDED: ("GUARDED", "low-risk patches pass", "bold $text-warning on $warning-muted"),
    Autonomy.FULL: ("FULL AUTO", "runs without you", "bold $text-error on $error-muted"),
}
SANDBOX = {
    "A": ("sandbox A", "$text-success"),
    "B": ("sandbox B, weaker", "$text-warning"),
    "C": ("NO SANDBOX", "bold $text-error"),
}


def status(lab: Snapshot, name: str, replay: Progress | None = None) -> list[Part]:
    """The first row."""
    word, meaning, style = DIAL[lab.autonomy]
    sandbox, sandbox_style = SANDBOX.get(lab.sandbox.tier, ("sandbox –", "$foreground-muted"))
    parts = [
        Part(Content.styled(f" {one_line(name, 20)}", "bold"), 6) if replay is None else replaying(replay),
        Part(
            Content.assemble((f" {word} ", style), " ", (meaning, "$foreground-muted")),
            0,
            Content.styled(f" {word} ", style),
            "autonomy",
        ),
        Part(Content.styled(sandbox, sandbox_style), 3, Content.styled(sandbox.split(",")[0], sandbox_style)),
        Part(researcher(lab)),
        Part(champion(lab), 4),
    ]
    if lab.devices:
        shown = ", ".join(one_line(device, 12) for device in lab.devices[:4])
        where = Content(shown) if lab.has_gpu else Content.assemble(shown, (" (no GPU)", "$foreground-muted"))
        parts.append(Part(where, 7))
    if replay is None:
        parts.append(Part(engine(lab)))
    return parts


def replaying(replay: Progress) -> Part:
    """That this is no lab at work: how fast it is shown, and when it was what one sees."""
    mark = Content.assemble(" ", (" REPLAY ", "bold $text-primary on $primary-muted"), f" ×{replay.speed:g}  ")
    if replay.over:
        return Part(Content.assemble(mark, ("the recording has ended", "bold"), f", {key_of('detach')} leaves"))
    at = datetime.fromtimestamp(replay.moment)
    return Part(Content.assemble(mark, f"{at:%H:%M:%S}  {percent(replay.share):>3}"))


def researcher(lab: Snapshot) -> Content:
    """Who proposes. Offline is said in so many words: these ideas come from no model."""
    kind = one_line(lab.researcher.kind, 16)
    if not kind:
        return Content.styled("researcher –", "$foreground-muted")
    return Content.styled(f"{kind} researcher", "$text-warning" if kind == "offline" else "$text-accent")


def champion(lab: Snapshot) -> Content:
    if lab.champion is None:
        return Content.styled("no champion yet", "$foreground-muted")
    who = f"#{lab.champion.experiment_id}" if lab.champion.experiment_id else "baseline"
    return Content.assemble(("champion ", "$foreground-muted"), (number(lab.champion_metric), "bold"), f" {who}")


def engine(lab: Snapshot) -> Content:
    if lab.starting:
        return Content.styled("◌ engine starting", "$text-warning")
    if lab.alive is None:
        return Content.styled("◌ engine –", "$foreground-muted")
    if not lab.alive:
        return Content.styled("○ engine DOWN", "bold $text-error")
    return Content.styled("● engine", "$text-success")


def activity(lab: Snapshot, *, now: float, trained: float | None, loss: float | None, bar: int = 20) -> list[Part]:
    """The second row: the live run with its budget, the preparation, or why nothing runs; then the researcher."""
    parts = []
    run = lab.run
    if run is not None:
        if lab.alive is False and not lab.starting:
            parts.append(Part(Content.styled(f" as of {ago(now - lab.at)}:", "$text-warning"), 4))
        parts.append(Part(running(run, now=now, trained=trained, loss=loss, bar=bar)))
        if len(lab.live) > 1:
            parts.append(Part(Content.styled(f"+{len(lab.live) - 1} more", "$foreground-muted"), 2))
    elif lab.preparation.state == "running":
        parts.append(Part(Content.assemble(" ", preparing(lab, bar))))
    elif not lab.paused:
        why = " until you decide" if yours_alone(lab) else held(lab, now)
        style = "$text-warning" if yours_alone(lab) else "$foreground-muted"
        parts.append(Part(Content.styled(f" nothing runs{why}", style)))
    if lab.paused:
        why = f": {one_line(lab.paused.removeprefix('paused '), 40)}" if run is None else " after this run"
        words = f"{' ' if run is None else ''}PAUSED{why}, {key_of('pause')} goes on"
        parts.append(Part(Content.styled(words, "bold $text-warning"), 1, None, "pause"))
    if thought := thinking(lab, now):
        parts.append(Part(Content.styled(f"researcher: {thought}", "$foreground-muted"), 3))
    return parts


STATE_WORDS = {
    State.DRAFTING: "being written",
    State.PROPOSED: "WAITS FOR YOU",
    State.REVISING: "sent back",
    State.VETOED: "vetoed",
    State.INVALID: "invalid",
    State.APPROVED: "approved",
    State.RUNNING: "running",
}


def heading(lab: Snapshot, shown: Summary | None, findings: Sequence[Finding], *, back: str) -> list[Part]:
    """The third row: the experiment on the screen; `back`: where Esc leads, if anywhere."""
    if shown is None:
        return []
    state = VERDICTS[shown.verdict][2] if shown.verdict else STATE_WORDS.get(shown.state, str(shown.state))
    parts = [
        Part(Content.assemble((f" #{shown.id} ", "bold"), (one_line(shown.title, 110), "bold")), 0),
        Part(Content.styled(one_line(shown.author, 32), "$foreground-muted"), 5),
        Part(Content.styled(state, "bold $text-warning" if shown.state is State.PROPOSED else "$foreground-muted"), 3),
    ]
    if findings:
        worst = findings[0].level  # the worst come first
        style = {"danger": "bold $text-error", "caution": "$text-warning"}.get(worst, "$foreground-muted")
        count = sum(finding.level == worst for finding in findings)
        parts.append(Part(Content.styled(f"! {count} {worst}", style), 2, None, "pane_why"))
    if shown.state is State.PROPOSED and len(lab.queue) > 1:
        place = next((n for n, summary in enumerate(lab.queue, 1) if summary.id == shown.id), 1)
        parts.append(Part(Content.styled(f"{place} of {len(lab.queue)}", "$text-warning"), 1))
    elif back:
        parts.append(Part(Content.styled(back, "$text-warning"), 1, None, "back"))
    elif not lab.queue:
        parts.append(Part(Content.styled("nothing waits for you", "$foreground-muted"), 1))
    return parts


def yours_alone(lab: Snapshot) -> bool:
    """The device waits for a person: every patch does, some are there, and none is approved."""
    waits = bool(lab.queue) and not lab.counts.get(State.APPROVED)
    return waits and lab.autonomy is Autonomy.MANUAL and lab.alive is True


def held(lab: Snapshot, now: float) -> str:
    """What was approved and starts when its undo window closes."""
    if not lab.counts.get(State.APPROVED):
        return ""
    first = next((summary for summary in reversed(lab.history[:50]) if summary.state is State.APPROVED), None)
    if first is None or not first.hold_until or first.hold_until <= now:
        return f", {lab.counts[State.APPROVED]} approved"
    return f"; #{first.id} starts in {duration(first.hold_until - now)}, {key_of('undo')} takes it back"


def running(run: Run, *, now: float, trained: float | None, loss: float | None, bar: int) -> Content:
    """A live run: what, phase, share of the budget, time left."""
    kind = "" if run.purpose is Purpose.CANDIDATE else PURPOSES[run.purpose]
    what = " ".join(dict.fromkeys(word for word in (whose(run), kind) if word))
    phase = "saved" if run.phase == "done" else one_line(run.phase, 16)  # the trainer's last word, not the run's
    if phase != "training":
        elapsed = f"  {duration(max(0.0, now - run.started_at))} so far" if run.started_at else ""
        return Content.assemble((" ▶ ", "$text-success"), what, (f" {phase}", "bold"), elapsed)
    left = time_left(run, trained)
    # what changes every second stands side by side: a row is written from its first to its last changed cell
    numbers = f" {percent(run.progress):>4}"
    numbers += f"  {duration(left)} left" if left is not None else ""
    numbers += f"  loss {number(loss, 3)}" if loss is not None else ""
    return Content.assemble(
        (" ▶ ", "$text-success"), what, (" training", "bold"), numbers, "  ", gauge(run.progress, bar)
    )


def time_left(run: Run, trained: float | None) -> float | None:
    """Seconds of training still to come, from the seconds that the spent share of the budget took."""
    if trained is None or not 0 < run.progress <= 1:
        return None
    return trained * (1 - run.progress) / run.progress


def preparing(lab: Snapshot, bar: int) -> Content:
    """How far the data is, as a bar that moves only when it has news."""
    data = lab.preparation
    share = data.done / data.total if data.total > 0 and math.isfinite(data.done / data.total) else None
    stage = one_line(data.stage, 24) or "starting"
    words = one_line(data.note, 40)
    if share is None:
        return Content.assemble("preparing the data: ", (stage, "bold"), f" {words}")
    return Content.assemble(
        "preparing the data: ", (f"{stage} ", "bold"), gauge(share, bar), f" {percent(share)} {words}"
    )


def thinking(lab: Snapshot, now: float) -> str:
    """What the researcher is doing, in words."""
    note = lab.researcher
    detail = one_line(note.line, 120)
    words = {
        "thinking": f"thinking {brief(now - note.since) if note.since else ''}".rstrip(),
        "dry": "has run dry",
        "error": "failed, will try again",
        "waiting": "waits",
    }.get(note.state, "")
    if not words:
        return ""
    return f"{words}: {detail}" if detail else words


def brief(seconds: float) -> str:
    """Elapsed time that changes every second only in the first minute: each change is bytes on the line."""
    seconds = max(0.0, seconds)
    return f"{int(seconds)}s" if seconds < 60 else f"{int(seconds // 60)} min" if seconds < 7200 else duration(seconds)


def percent(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.0f}%"


def gauge(share: float, width: int) -> Content:
    """A bar in eighths of a cell, with ends, so that it is one without colour too."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    cells = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return Content.assemble("▕", (cells.ljust(width), "$primary"), "▏")
