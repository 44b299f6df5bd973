"""Steering the lab: the dial, the pause, the live run, words to the researcher, the engine, leaving the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import LabError
from core.models import Autonomy, Run, State, Verdict
from core.requests import Pause, Resume, SetAutonomy, StopRun, Tell
from core.text import one_line
from tui.actions import key_of
from tui.farewell import farewell
from tui.snapshot import Snapshot, pause_label, whose
from tui.widgets.queue import VERDICTS
from tui.widgets.states import compared, interval
from tui.widgets.status_bar import percent

if TYPE_CHECKING:
    from tui.screens.dialogs import Answer
    from tui.screens.review import Review

LEVELS = {
    Autonomy.MANUAL: "every patch waits for you",
    Autonomy.GUARDED: "short patches without a finding run by themselves, others wait",
    Autonomy.FULL: "every valid patch runs by itself, save what a guard calls a danger",
}

UNREAD = "The offline researcher cannot read prose: it waits until a model proposes."


def autonomy(screen: Review) -> None:
    """The dial."""
    from tui.screens.dialogs import Choice, Choose, Confirm

    def chosen(level: str | None) -> None:
        if level is None or level == screen.lab.autonomy:
            return
        if level == Autonomy.FULL:
            screen.app.push_screen(
                Confirm("Let everything run without you?", passing(screen.lab), yes="Full autonomy"),
                lambda sure: turn(screen, Autonomy.FULL) if sure else None,
            )
        else:
            turn(screen, Autonomy(level))

    choices = [Choice(level, str(level), meaning) for level, meaning in LEVELS.items()]
    screen.app.push_screen(Choose("Which patches wait for you?", choices, present=screen.lab.autonomy), chosen)


def passing(lab: Snapshot) -> list[str]:
    """What full autonomy lets pass."""
    lines = [f"#{summary.id} {one_line(summary.title, 60)}" for summary in lab.queue[:4]]
    if len(lab.queue) > 4:
        lines.append(f"and {len(lab.queue) - 4} more that wait now")
    lines = (
        [f"These {len(lab.queue)} run now, in turn:" if len(lab.queue) > 1 else "This one runs:", *lines, ""]
        if lines
        else []
    )
    lines.append(
        "So does every later patch that applies. A patch in which a guard sees a danger still waits for you, and "
        "verdicts still follow the noise."
    )
    if lab.sandbox.tier == "C":
        lines.append("There is NO SANDBOX here: the code runs as you, with your files and your network.")
    return [*lines, f"{key_of('autonomy')} turns the dial back at any time."]


def turn(screen: Review, level: Autonomy) -> None:
    def done(answer: Mapping[str, Any]) -> None:
        screen.toast(f"autonomy is {level}: {LEVELS[level]} · {key_of('autonomy')} turns it back")

    screen.send(SetAutonomy(level), f"turning the dial to {level}", done)


def pause(screen: Review) -> None:
    """Start no further run; or start runs again."""

    def paused(answer: Mapping[str, Any]) -> None:
        current = "the current run goes on, no other starts" if screen.lab.run else "no run starts"
        screen.toast(f"paused: {current} · {key_of('pause')} goes on")

    if pause_label(screen.lab) != "pause":
        screen.send(Resume(), "resuming", lambda answer: screen.toast("runs start again"))
    else:
        screen.send(Pause(), "pausing", paused)


def stop_run(screen: Review, run: Run | None = None) -> None:
    """End this run, or the newest live one; asks first."""
    from tui.screens.dialogs import Confirm

    run = run or screen.lab.run
    assert run is not None
    who = f", of {whose(run)}," if run.experiment_id else f", of the {whose(run)},"

    def answered(sure: bool | None) -> None:
        if sure:
            screen.send(
                StopRun(run.id), f"stopping run {run.id}", lambda answer: screen.toast(f"run {run.id} is being stopped")
            )

    lines = [
        f"Run {run.id}{who} is at {percent(run.progress)} of its budget ({one_line(run.phase, 16)}).",
        "It ends now; its result does not count. Its patch and its log are kept.",
    ]
    screen.app.push_screen(Confirm(f"Stop run {run.id}?", lines, yes="Stop it"), answered)


def message(screen: Review) -> None:
    """Words the researcher must answer."""
    if screen.lab.researcher.kind == "offline":
        _tell(screen, "message", "A message to the researcher", UNREAD, "it waits until a model proposes")
        return
    _tell(
        screen, "message", "A message to the researcher",
        "It is told with everything else; the next proposal answers it.",
        "it reads your message with its next proposal",
    )  # fmt: skip


def idea(screen: Review) -> None:
    """An idea to turn into a patch."""
    if screen.lab.researcher.kind == "offline":
        _tell(screen, "idea", "An idea for the researcher", UNREAD, "it waits until a model proposes")
        return
    _tell(
        screen, "idea", "An idea for the researcher",
        "In your words; it comes back as a patch to review.",
        "it will come back as a patch to review",
    )  # fmt: skip


def _tell(screen: Review, kind: str, title: str, asked: str, after: str) -> None:
    from tui.screens.dialogs import TextDialog

    drafts = screen.desk.drafts

    def answered(answer: Answer | None) -> None:
        if answer and answer.sent:
            screen.send(Tell(answer.text, kind=kind), f"sending the {kind}", sent)

    def sent(answer: Mapping[str, Any]) -> None:
        drafts.drop(kind)
        screen.toast(f"the researcher has it: {after}")

    dialog = TextDialog(
        title,
        asked,
        send="sends it",
        empty="nothing was typed",
        draft=drafts.words(kind),
        keep=partial(drafts.keep, kind),
    )
    screen.app.push_screen(dialog, answered)


def restart_engine(screen: Review) -> None:
    """Start the engine in the background."""
    start = screen.start_engine
    assert start is not None

    async def begin() -> None:
        try:
            await asyncio.to_thread(start)
        except LabError as error:
            screen.toast(error.message, error.hint, severity="error", seconds=10)
            return
        screen.client.expect_engine()

    screen.run_worker(begin(), group="engine", exclusive=True)


def detach(screen: Review) -> None:
    """Leave; the engine goes on, and what was begun here is there again the next time."""
    screen.app.exit(farewell(screen.lab, screen.client.lab.root))


def tell_news(screen: Review, before: Snapshot) -> None:
    """Say when an experiment was judged, or a device set aside, since the last look."""
    if not before.seq:
        return
    for device in screen.lab.aside.keys() - before.aside.keys():
        hint = f"{key_of('pause')} twice, pause and go on, tries it again"
        screen.toast(one_line(screen.lab.aside[device], 200), hint, severity="error", seconds=20.0)
    changed = {number for number, seq in screen.lab.touched.items() if before.touched.get(number) != seq}
    for number in sorted(changed)[-3:]:
        was, now = before.by_id.get(number), screen.lab.by_id.get(number)
        if now is None or now.state is not State.JUDGED or (was and was.state is State.JUDGED):
            continue
        measured = f", {compared(screen.lab, now)}: Δ {interval(now)}" if now.delta is not None else ""
        word = VERDICTS[now.verdict][2] if now.verdict else "judged"
        bad = now.verdict in (Verdict.CRASHED, Verdict.SUSPECT, Verdict.VOID)
        screen.toast(
            f"#{number} {word}{measured}", one_line(now.title, 60), severity="warning" if bad else "information"
        )


ACTIONS: Mapping[str, Callable[[Review], None]] = {
    "autonomy": autonomy,
    "pause": pause,
    "stop_run": stop_run,
    "message": message,
    "idea": idea,
    "restart_engine": restart_engine,
    "detach": detach,
}
