"""What a run that was withdrawn and a device that was set aside are called, on the screen and by the commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.engine.judging import counts_as_lost
from core.models import Autonomy, Experiment, Purpose, Run, RunState, State
from tests.sample_lab import SampleLab
from tests.sample_target import TITLES
from tests.tui.test_actions import BLANK
from tests.tui.test_experiments_listing import row
from tests.tui.test_why_runs_needed import OPEN
from tui.cli import run as command
from tui.desk import Desk
from tui.detail import Detail
from tui.idle import how_ended
from tui.pace import Stage, Stopwatch, steps
from tui.personal import Drafts
from tui.snapshot import Snapshot
from tui.widgets.status_bar import activity
from tui.widgets.why import why

WITHDRAWN = Run(
    3, 12, Purpose.CANDIDATE, "c", 0, 1, "cpu", "cpu", RunState.LOST, "done", 0.0, None,
    "started ahead and withdrawn: the lab was paused", None, None, "", 0.0, 0.2, 5.0, {"seconds": {"start": 4.2}},
)  # fmt: skip
OLDER = replace(WITHDRAWN, error="started too early: no run is to start now")
BY_ITSELF = replace(WITHDRAWN, error="the runner is gone and left no result")


@pytest.mark.parametrize("run", [WITHDRAWN, OLDER])
def test_a_run_that_was_withdrawn_is_called_so_and_nothing_of_it_failed(run: Run) -> None:
    assert not counts_as_lost(run)
    assert how_ended(run) == "withdrawn"
    found = steps(run, now=10.0, watch=Stopwatch(), trained=None)
    assert all(step.stage is not Stage.FAILED for step in found)
    said = why(Detail(Experiment(**{**BLANK, **OPEN}), runs=(run,)), Snapshot()).plain
    assert "· candidate seed 0 on cpu: withdrawn 4.8s started ahead: " in said
    assert "lost" not in said
    assert "?" not in said


def test_a_run_that_was_lost_by_itself_is_not_called_withdrawn() -> None:
    assert counts_as_lost(BY_ITSELF)
    assert how_ended(BY_ITSELF).startswith("lost")
    assert any(step.stage is Stage.FAILED for step in steps(BY_ITSELF, now=10.0, watch=Stopwatch(), trained=None))


def test_the_commands_say_what_was_withdrawn_and_which_device_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = SampleLab(tmp_path / "lab")
    experiment = lab.proposes(TITLES[1])
    run = lab.starts(experiment)
    lab.writer.update_run(
        run, state=RunState.LOST, phase="done", error=WITHDRAWN.error, detail=WITHDRAWN.detail, ended_at=lab.now()
    )
    words = "cuda:1 gets no more runs: the champion's own run 9 broke off there (the GPU is lost)"
    lab.writer.set("aside", {"cuda:1": words})
    root = str(lab.lab.root)
    lab.close()
    assert command(["show", root, str(experiment)]) == 0
    assert f"run {run}: candidate seed 0 withdrawn – started ahead: the lab was paused" in capsys.readouterr().out
    assert command(["status", root]) == 0
    said = capsys.readouterr().out
    assert f"last run    run {run} withdrawn: start 4.2 s" in said
    assert f"set aside   {words}; resume tries it again" in said


def test_undo_takes_back_what_was_decided_last_or_is_looked_at_and_nothing_else(tmp_path: Path) -> None:
    desk = Desk(lambda: 0.0, drafts=Drafts(tmp_path))
    rows = (row(3, state=State.APPROVED), row(2, state=State.VETOED), row(1, state=State.PROPOSED))
    lab = Snapshot(alive=True, history=rows, counts={State.APPROVED: 1})
    assert desk.undoable(lab) == 3, "nothing was decided here: the newest that is approved"
    desk.shown, desk.decided = 3, [2]
    assert desk.undoable(lab) == 2, "not what merely came up next"
    desk.decided = [2, 1]
    assert desk.undoable(lab) is None, "the last one came back by itself, the one before was not meant"
    desk.open(2)
    assert desk.undoable(lab) == 2, "who chose to look at it means it"


def test_a_device_that_waits_for_a_person_alone_is_said_to() -> None:
    waiting = row(4)
    lab = Snapshot(alive=True, queue=(waiting,), history=(waiting,), counts={State.PROPOSED: 1})

    def said(lab: Snapshot) -> str:
        return activity(lab, now=0.0, trained=None, loss=None)[0].content.plain.strip()

    assert said(lab) == "nothing runs until you decide"
    assert said(replace(lab, autonomy=Autonomy.GUARDED)) == "nothing runs", "the next patch may pass by itself"
    assert said(replace(lab, alive=False)) == "nothing runs", "a decision alone would start nothing"
    assert said(replace(lab, counts={State.APPROVED: 1})) == "nothing runs, 1 approved"
