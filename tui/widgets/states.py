"""Every state of the lab in words: what is the case, what is safe, and the next key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget
from textual.widgets import Static

from core.models import Experiment, Purpose, Review, Run, RunState, State, Verdict
from core.store.rows import Summary
from core.text import clean, clip, duration, number, one_line, signed
from tui.actions import key_of
from tui.snapshot import PURPOSES, Snapshot
from tui.widgets.growing_pane import follow_top
from tui.widgets.line import changed
from tui.widgets.status_bar import gauge, percent, thinking

TONES = {
    "info": ("·", "$foreground-muted"),
    "busy": ("▶", "$text-primary"),
    "good": ("✓", "$text-success"),
    "warn": ("!", "$text-warning"),
    "bad": ("✗", "$text-error"),
}
"""a sign and a colour: each says it without the other"""
STREAMED = 8
"""rows of a text that is being written, at most"""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a state says: a line of what is the case, lines of more, and a line of what to do next."""

    tone: str
    title: str
    lines: tuple[str, ...] = ()
    next: str = ""
    progress: float | None = None
    block: tuple[str, ...] = ()
    """lines kept as they are: a traceback"""
    stream: str = ""
    """a text that is still being written: its end is shown"""
    whole: bool = False
    """nothing else is worth showing"""


def notice(
    lab: Snapshot,
    shown: Experiment | None,
    *,
    now: float,
    can_start: bool,
    read_only: str = "",
    runs: Sequence[Run] = (),
    reviews: Sequence[Review] = (),
    log: tuple[str, ...] = (),
    blocked: str = "",
    selection: str = "",
) -> Notice | None:
    """The most important thing to say; None where the panes speak for themselves."""
    found = (
        _record(lab, can_start)
        or _engine(lab, can_start, read_only, empty=shown is None)
        or _preparation(lab, empty=shown is None)
        or (_experiment(lab, shown, now, runs, reviews, log, (blocked, selection)) if shown else _nothing(lab, now))
    )
    if read_only and (found is None or found.tone in ("info", "busy")):
        lines = (found.title, *found.lines) if found else ()
        return Notice("warn", f"Read-only: {read_only}", lines, whole=bool(found and found.whole))
    return found


# ---- the lab -------------------------------------------------------------------------------------------------------


def _record(lab: Snapshot, can_start: bool) -> Notice | None:
    if lab.problem:
        return Notice(
            "bad", one_line(lab.problem, 300), (), lab.hint or "the screen tries again by itself", whole=not lab.seq
        )
    if lab.missing:
        if lab.alive or lab.starting:
            return Notice("busy", "The engine is making the lab's database.", whole=True)
        return replace(_down(can_start), whole=True)
    return None


def _engine(lab: Snapshot, can_start: bool, read_only: str, *, empty: bool) -> Notice | None:
    if lab.alive is not False or read_only:
        return None
    if lab.starting:
        return Notice(
            "busy", "The engine is starting.", ("Decisions can be taken as soon as it answers.",), whole=empty
        )
    return replace(_down(can_start), whole=empty)


def _down(can_start: bool) -> Notice:
    start = f"{key_of('restart_engine')} starts it" if can_start else "autoresearch-tui LAB starts it"
    safe = "Nothing is lost: all of it is on disk, and a run under way goes on."
    return Notice("bad", "The engine is not running: decisions have to wait.", (safe,), start)


def _preparation(lab: Snapshot, *, empty: bool) -> Notice | None:
    data = lab.preparation
    if data.state == "running":
        share = min(data.done / data.total, 1.0) if data.total > 0 else None
        words = " ".join(part for part in (one_line(data.stage, 60), one_line(data.note, 80)) if part)
        more = ("It happens once for a corpus and can be interrupted: it goes on where it was.",)
        return Notice("busy", f"Preparing the data: {words or 'starting'}", more, "", share, whole=empty)
    if data.state == "failed":
        again = f"{key_of('pause')} tries again"
        if "autoresearch.toml" in data.hint:  # it is read when an engine starts
            again = f"{again}; after a change there: autoresearch-tui stop LAB, autoresearch-tui LAB"
        hint = f"{one_line(data.hint, 200)}; {again}" if data.hint else again
        return Notice(
            "bad", f"The data could not be prepared: {one_line(data.error, 300) or 'unknown'}", (), hint, whole=empty
        )
    return None


def _nothing(lab: Snapshot, now: float) -> Notice:
    """There is no experiment to show."""
    note = lab.researcher
    lines, to_do = [], f"{key_of('idea')} gives the researcher an idea, {key_of('message')} tells it something"
    run = lab.run
    if run is not None and run.purpose in (Purpose.BASELINE, Purpose.NULL):
        lines.append(
            "The unchanged code trains first: it is the baseline, and its repeats measure the noise "
            "that a real gain must exceed."
        )
        to_do = f"{key_of('pane_curves')} shows its curve, {key_of('pane_log')} its output"
    lines += _researcher(lab, now)
    if lab.history:
        title = "Nothing waits for a review."
    elif lab.champion or lab.live:
        title = "Nothing to review yet."
    else:
        title = "This lab is new: nothing was proposed yet."
    thinks = note.state == "thinking"
    if thinks:
        lines.append(f"The {'next' if lab.history else 'first'} proposal comes up here by itself.")
    if thinks and note.words:
        to_do = f"{key_of('researcher')} shows all it writes, {key_of('message')} tells it something"
    stream = note.words if thinks else ""
    return Notice("busy" if run or thinks else "info", title, tuple(lines), to_do, stream=stream, whole=True)


def _researcher(lab: Snapshot, now: float) -> list[str]:
    """What the researcher does, and what it needs."""
    note, lines = lab.researcher, []
    if thought := thinking(lab, now):
        lines.append(f"The {one_line(note.kind, 16) or ''} researcher {thought}.".replace("  ", " "))
    if note.state == "dry":
        lines.append(
            f"Give it an idea with {key_of('idea')}, or choose another researcher (autoresearch.toml, researcher.kind)."
        )
    if note.state in ("error", "waiting"):
        lines += [one_line(note.words, 300)] if note.words else []
        lines.append("It tries again by itself; runs and reviews are not touched.")
    if note.kind == "offline" and note.key_missing:
        lines.append(
            "No ANTHROPIC_API_KEY is set: proposals come from a search and a notebook of known ideas, not from a model."
        )
    if lab.devices and not lab.has_gpu:
        profile = one_line(lab.lab.profile, 20) or "cpu"
        lines.append(f"No GPU was found: training runs on the CPU, with the small {profile} profile.")
    return lines


# ---- one experiment ------------------------------------------------------------------------------------------------


def _experiment(
    lab: Snapshot,
    shown: Experiment,
    now: float,
    runs: Sequence[Run],
    reviews: Sequence[Review],
    log: tuple[str, ...],
    wrong: tuple[str, str],
) -> Notice | None:
    match shown.state:
        case State.PROPOSED:
            return _proposed(shown, *wrong)
        case State.APPROVED:
            return _approved(lab, shown, now)
        case State.RUNNING:
            return _running(lab, shown, runs, now)
        case State.JUDGED:
            return judged(lab, shown, runs, log)
        case State.INVALID:
            why = one_line(shown.problem, 300) or "it does not apply"
            return Notice(
                "bad", f"#{shown.id} cannot run: {why}", ("The researcher is told; nothing is needed from you.",)
            )
        case State.DRAFTING:
            return Notice("busy", f"#{shown.id} is being written.")
        case State.VETOED | State.REVISING:
            said = next((r for r in reversed(reviews) if r.undone_at is None), None)
            reason = f": {one_line(said.reason, 200)}" if said and said.reason else ""
            what = "vetoed" if shown.state is State.VETOED else "sent back to the researcher"
            return Notice("info", f"#{shown.id} was {what}{reason}", (), f"{key_of('undo')} takes it back")
    return None


def _proposed(shown: Experiment, blocked: str, selection: str) -> Notice | None:
    if blocked:
        keys = f"{key_of('revise')} sends it back, {key_of('edit')} mends it, {key_of('veto')} drops it"
        return Notice("bad", f"The patch cannot run: {one_line(blocked, 400)}", (), keys)
    if shown.problem:
        return Notice("warn", one_line(shown.problem, 400))
    if selection:
        keys = f"{key_of('toggle_hunk')} switches a hunk in again, {key_of('edit')} edits the result"
        return Notice("warn", f"It cannot run like this: {one_line(selection, 300)}", (), keys)
    return None


def _approved(lab: Snapshot, shown: Experiment, now: float) -> Notice:
    keys = f"{key_of('undo')} takes it back"
    if shown.hold_until and shown.hold_until > now:
        return Notice("busy", f"#{shown.id} is approved and starts in {duration(shown.hold_until - now)}.", (), keys)
    if lab.alive is False and not lab.starting:
        why = "it starts when an engine runs again"
    elif lab.paused:
        why = f"the lab is paused ({one_line(lab.paused, 80)}); {key_of('pause')} lets it start"
    elif any(run.purpose in (Purpose.BASELINE, Purpose.NULL) for run in lab.live):
        why = "it starts after the runs of the unchanged code, which measure the noise"
    elif lab.live:
        why = "it starts when the device is free; runs that confirm earlier ones go first"
    else:
        why = "it starts next"
    return Notice("info", f"#{shown.id} is approved: {why}.", (), keys)


def _running(lab: Snapshot, shown: Experiment, runs: Sequence[Run], now: float) -> Notice:
    run = next((r for r in reversed(runs) if r.ended_at is None), None)
    if run is None:
        done = sum(1 for r in runs if r.state is RunState.FINISHED)
        return Notice("busy", f"#{shown.id}: {done} runs are done; the next one starts when the device is free.")
    what = {Purpose.CANDIDATE: "screening run", Purpose.AUDIT: "the hidden split, before it is kept"}.get(
        run.purpose, "confirmation on a fresh seed"
    )
    phases = {
        "preparing": "its code is being laid out",
        "starting": "the process is starting",
        "compiling": "the model is being compiled; its time does not count",
        "waiting": "it stands ready, and trains once the run before it has been evaluated",
        "training": "it trains",  # how far stands in the row above, once: two numbers are never equally fresh
        "saving": "it saves its checkpoint",
        "done": "its checkpoint is saved, the evaluation starts",
        "evaluating": "it is evaluated in a process of its own",
    }
    words = phases.get(run.phase, one_line(run.phase, 40))
    keys = f"{key_of('pane_curves')} curve, {key_of('pane_log')} log, {key_of('stop_run')} stops it"
    return Notice("busy", f"#{shown.id} is running ({what}, seed {run.seed}): {words}.", (), keys)


def judged(lab: Snapshot, shown: Experiment, runs: Sequence[Run], log: tuple[str, ...]) -> Notice:
    """What became of it."""
    last = next((run for run in reversed(runs) if not run.is_audit), None)
    reason = one_line(shown.verdict_reason, 300)
    if shown.verdict is Verdict.VOID and last and last.state is RunState.KILLED and reason == last.error:
        reason = f"its {PURPOSES[last.purpose]} run {last.id} was {reason} before it ended"
    if shown.verdict is Verdict.CRASHED or (
        last and last.state in (RunState.DIVERGED, RunState.TIMEOUT, RunState.CRASHED)
    ):
        return _failed(shown, last, reason, log)
    measured = f"{one_line(lab.lab.metric, 24)} {number(shown.metric)}, Δ {interval(shown)}"
    match shown.verdict:
        case Verdict.KEEP:
            title, tone = f"#{shown.id} KEPT, {compared(lab, shown)}: {measured}", "good"
        case Verdict.DISCARD:
            title, tone = f"#{shown.id} DISCARDED, {compared(lab, shown)}: {measured}", "info"
        case Verdict.INCONCLUSIVE:
            title, tone = f"#{shown.id} INCONCLUSIVE, {compared(lab, shown)}: {measured}", "info"
        case Verdict.SUSPECT:
            title, tone = f"#{shown.id} SUSPECT, it needs your eyes: {measured}", "warn"
        case _:
            title, tone = f"#{shown.id} VOID: the result does not count", "warn"
    settle = f"{key_of('palette')} settle: your verdict over the measured one" if tone == "warn" else ""
    error = (one_line(last.error, 200),) if last and last.error and one_line(last.error, 200) != reason else ()
    return Notice(tone, title, tuple(line for line in (reason, *error) if line), settle)


def _failed(shown: Experiment, last: Run | None, reason: str, log: tuple[str, ...]) -> Notice:
    error = one_line(last.error, 300) if last else ""
    block = traceback(log)
    more = tuple(dict.fromkeys(line for line in (error, reason) if line and line not in block[-1:]))
    state = last.state if last else RunState.CRASHED
    keys = f"{key_of('pane_log')} shows the whole log"
    if state is RunState.DIVERGED:
        return Notice("bad", f"#{shown.id} DIVERGED: the loss is no longer a number", more, keys)
    if state is RunState.TIMEOUT:
        took = duration(last.ended_at - last.started_at) if last and last.ended_at and last.started_at else "–"
        return Notice("bad", f"#{shown.id} TIMED OUT after {took} on the wall clock", more, keys)
    return Notice("bad", f"#{shown.id} CRASHED", more, keys, block=block)


def traceback(log: Sequence[str], limit: int = 12) -> tuple[str, ...]:
    """The last traceback in the log, else its last lines."""
    lines = [line for line in log if line.strip()]
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    return tuple((lines[starts[-1] :] if starts else lines)[-limit:])


def interval(shown: Experiment | Summary) -> str:
    """The difference to the champion with its 95 % interval."""
    if shown.delta is None:
        return "–"
    if shown.delta_low is None or shown.delta_high is None:
        return f"{signed(shown.delta)} (no interval: one run)"
    return f"{signed(shown.delta)} [{signed(shown.delta_low)} … {signed(shown.delta_high)}]"


def compared(lab: Snapshot, shown: Experiment | Summary) -> str:
    """Better, worse or within the noise: by where the interval lies, never by the bare number."""
    if shown.delta is None:
        return "not measured"
    low, high = shown.delta_low, shown.delta_high
    better = "better" if (shown.delta < 0) == (lab.lab.direction == "min") else "worse"
    if low is None or high is None:
        return f"{better} in a single run" if shown.delta else "the same in a single run"
    return "within the noise" if low <= 0 <= high else better


# ---- on the screen -------------------------------------------------------------------------------------------------


def text_of(said: Notice, width: int = 80, bar: int = 30) -> Content:
    """A notice as it stands on the screen; what is too long hangs under its own beginning."""
    sign, style = TONES[said.tone]

    def hanging(text: str, indent: str = "  ") -> str:
        return f"\n{indent}".join(wrap(clean(text), max(width - len(indent), 20)) or [""])

    parts: list[str | Content | tuple[str, str]] = [(f"{sign} {hanging(said.title)}", f"bold {style}")]
    if said.progress is not None:
        parts += ["\n  ", gauge(said.progress, bar), f" {percent(said.progress)}"]
    parts += [f"\n  {hanging(line)}" for line in said.lines]
    block = [*said.block, *end_of(said.stream, max(width - 4, 20))]
    parts += [(f"\n  │ {clip(clean(line), max(width - 4, 20))}", "$foreground-muted") for line in block]
    if said.next:
        parts.append((f"\n  → {hanging(said.next, '    ')}", "$text-accent"))
    return Content.assemble(*parts)


def end_of(text: str, width: int, rows: int = STREAMED) -> list[str]:
    """So many rows with the end of a text: they stay where they are while the next ones are written under them."""
    if not text:
        return []
    wrapped = [row for line in clean(text).split("\n") for row in (wrap(line, width) or [""])]
    shown = wrapped[follow_top(len(wrapped), rows) :]
    return [*shown, *[""] * (rows - len(shown))]


class Banner(Widget):
    """A notice over the panes, or, where there is nothing else to show, in their place; repaints what changed of it."""

    DEFAULT_CSS = """
    Banner { height: auto; max-height: 60%; padding: 0 1; display: none; }
    Banner.-shown { display: block; }
    Banner.-whole { height: 1fr; max-height: 100%; padding: 1 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.said: Notice | None = None
        self._content = Content()
        self._rows: list[Strip] = []

    def say(self, said: Notice | None, *, whole: bool = False) -> None:
        """Show this; `whole`: in the place of the panes."""
        if said == self.said and whole == self.has_class("-whole"):
            return
        self.said = said
        self.set_class(said is not None, "-shown")
        self.set_class(whole, "-whole")
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.app.size.width - (4 if self.has_class("-whole") else 2)
        content = Content() if self.said is None else text_of(self.said, width)
        if content.is_same(self._content):
            return
        self._content, before = content, self._rows
        self._rows = Visual.to_strips(self, content, width, None, self.visual_style, pad=True)
        if len(before) != len(self._rows) or self.size.width != width:
            self.refresh(layout=True)
            return
        pairs = enumerate(zip(before, self._rows, strict=True))
        cells = [(y, found) for y, (old, new) in pairs if (found := changed(old, new)) is not None]
        if cells:
            self.refresh(*[Region(start, y, end - start, 1) for y, (start, end) in cells])

    def render(self) -> Content:
        return self._content


class TooSmall(Static):
    """Nobody should approve what they cannot read."""

    DEFAULT_CSS = """
    TooSmall { width: 100%; height: 100%; content-align: center middle; text-align: center; display: none; }
    """

    def say(self, width: int, height: int, needed: tuple[int, int]) -> None:
        self.update(Content(f"too small: {width}×{height}\nneeds {needed[0]}×{needed[1]}\nq detaches"))
