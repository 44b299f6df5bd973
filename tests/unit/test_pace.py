"""Where the time of a run went, and how much is left: from the record, from what was seen, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from core.models import Purpose, Run, RunState, Series
from tui.pace import Ends, Left, Stopwatch, left, steps

NOW = 1000.0


def run(state: RunState = RunState.RUNNING, phase: str = "training", progress: float = 0.0, **detail: Any) -> Run:
    """Created at 900 s, started at 900.5 s, over at 990 s."""
    ended = None if state in (RunState.STARTING, RunState.RUNNING) else 990.0
    return Run(
        7, 5, Purpose.CANDIDATE, "c" * 40, 0, 1, "cpu", "cpu/EPYC", state, phase, progress, None, "", None, None, "",
        900.0, 900.5, ended, detail,
    )  # fmt: skip


def stages(made: Run, watch: Stopwatch | None = None, **told: Any) -> dict[str, tuple[str, float | None]]:
    found = steps(made, now=NOW, watch=watch or Stopwatch(), **({"trained": None} | told))
    return {step.name: (str(step.stage), step.seconds and round(step.seconds, 2)) for step in found}


CHAMPION = run(RunState.FINISHED, seconds={"queue": 9.0, "start": 2.0, "compile": 10.0, "train": 60.0, "evaluate": 8.0})


def test_a_run_that_is_over_says_what_each_phase_took() -> None:
    seconds = {"queue": 0.2, "start": 6.0, "compile": 31.0, "train": 300.0, "evaluate": 21.0, "judge": 0.1}
    assert stages(run(RunState.FINISHED, "done", seconds=seconds)) == {
        "queue": ("done", 0.2),
        "starting": ("done", 6.0),
        "compiling": ("done", 31.0),
        "training": ("done", 300.0),
        "evaluating": ("done", 21.0),
        "judging": ("done", 0.1),
    }


def test_the_phase_under_way_has_what_the_others_left_of_the_time_since_the_run_was_made() -> None:
    told = stages(run(seconds={"queue": 0.5, "start": 6.0, "compile": 30.0, "train": 0.0}))
    assert told["training"] == ("now", 63.5)
    assert told["compiling"] == ("done", 30.0)
    assert told["evaluating"] == ("ahead", None)


def test_a_run_that_stands_ready_queues_for_the_device() -> None:
    told = stages(run(phase="waiting", seconds={"queue": 0.5, "start": 6.0, "compile": 30.0}))
    assert told["queue"] == ("now", 64.0)
    assert told["compiling"] == ("done", 30.0)
    assert told["training"] == ("ahead", None)


def test_what_took_no_time_and_what_nobody_knows_is_passed_over() -> None:
    told = stages(run(RunState.FINISHED, "done", seconds={"start": 2.0, "compile": 0.0, "train": 60.0}))
    assert told["compiling"] == ("skipped", None)
    assert told["evaluating"] == ("skipped", None)


def test_an_old_record_still_says_what_it_knows() -> None:
    told = stages(run(RunState.FINISHED, "done", seconds={"train": 60.0, "evaluate": 8.0}, queue_seconds=0.25))
    assert told["queue"] == ("done", 0.25)
    assert told["starting"] == ("skipped", None)
    assert told["training"] == ("done", 60.0)


@pytest.mark.parametrize(
    "detail", [{}, {"seconds": None}, {"seconds": {"train": "long"}}, {"seconds": {"train": -1.0}}]
)
def test_a_record_without_times_is_no_error(detail: dict[str, Any]) -> None:
    assert stages(run(RunState.FINISHED, "done", **detail))["training"] == ("skipped", None)


def test_a_failed_run_says_in_which_phase_it_ended() -> None:
    told = stages(run(RunState.CRASHED, "done", seconds={"queue": 0.2, "start": 6.0, "train": 12.0, "evaluate": 0.0}))
    assert told["training"] == ("failed", 12.0)
    assert told["starting"][0] == "done"
    assert stages(run(RunState.CRASHED, "done"), trained=4.0)["training"] == ("failed", 4.0)


@pytest.mark.parametrize("noted", [0.0, 0.4])
def test_a_run_that_was_stopped_has_at_least_the_seconds_of_its_curve(noted: float) -> None:
    told = stages(run(RunState.KILLED, "done", seconds={"queue": 0.8, "start": 0.0, "train": noted}), trained=53.0)
    assert told["training"] == ("failed", 53.0)


def test_a_run_whose_verdict_is_open_is_being_judged() -> None:
    told = stages(run(RunState.FINISHED, "done", seconds={"train": 60.0}), judging=True)
    assert told["judging"] == ("now", 10.0)


def test_phases_that_were_seen_to_begin_are_timed_without_a_record() -> None:
    watch = Stopwatch()
    watch.look(run(phase="starting"), 902.0)
    watch.look(run(phase="compiling"), 910.5)
    watch.look(run(phase="training"), 950.5)
    told = stages(run(), watch)
    assert told["starting"] == ("done", 10.0)
    assert told["compiling"] == ("done", 40.0)
    assert told["training"] == ("now", 49.5)


def test_a_phase_that_was_under_way_at_the_first_look_is_not_timed_from_there() -> None:
    watch = Stopwatch()
    watch.look(run(phase="evaluating"), 950.0)
    assert stages(run(phase="evaluating"), watch)["evaluating"] == ("now", None)
    assert stages(run(phase="training"), watch, trained=33.0)["training"] == ("now", 33.0)


def test_only_live_runs_and_the_last_are_remembered() -> None:
    watch = Stopwatch()
    watch.look(run(phase="starting"), 902.0)
    watch.forget(())
    assert watch.since(run(phase="starting")) == 900.5


# ---- time left -----------------------------------------------------------------------------------------------------


def rest(
    made: Run, *, trained: float | None = None, like: Run | None = None, spent: float | None = None
) -> Left | None:
    return left(made, now=NOW, trained=trained, like=like, spent=spent)


def test_the_pace_so_far_says_when_training_ends_and_the_champion_how_long_evaluation_takes() -> None:
    assert rest(run(progress=0.25), trained=15.0, like=CHAMPION) == Left(
        45.0 + 8.0, "by its pace and the champion's evaluation"
    )
    assert rest(run(progress=0.25), trained=15.0) == Left(45.0, "by its pace so far, evaluation not counted")


def test_before_training_it_goes_by_all_that_the_champions_run_took() -> None:
    made = run(phase="compiling", seconds={"queue": 0.5, "start": 2.0, "compile": 0.0})
    assert rest(made, like=CHAMPION, spent=4.0) == Left(80.0 - 2.0 - 4.0, "by all that the champion's run took")


def test_evaluation_goes_by_the_champions() -> None:
    assert rest(run(phase="evaluating"), like=CHAMPION, spent=5.0) == Left(3.0, "by the champion's evaluation")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (run(progress=0.001), {"trained": 0.1}),
        (run(phase="starting"), {"spent": 1.0}),
        (run(phase="evaluating"), {"spent": 1.0}),
        (run(phase="evaluating"), {"like": CHAMPION, "spent": 9.0}),
        (run(phase="waiting"), {"like": CHAMPION, "spent": 1.0}),
        (run(phase="compiling"), {"like": CHAMPION, "spent": 500.0}),
        (run(RunState.FINISHED, "done"), {"like": CHAMPION}),
        (run(phase="starting"), {"like": run(RunState.CRASHED, "done", seconds={"train": 60.0})}),
    ],
)
def test_where_nothing_says_how_long_nothing_is_said(made: Run, told: dict[str, Any]) -> None:
    assert rest(made, **told) is None


def test_the_width_of_a_chart_stays_while_it_is_about_right() -> None:
    ends = Ends()

    def curve(upto: float) -> Series:
        return Series("loss", (0, 1), (0.0, upto), (3.0, 2.0))

    first = ends.of(run(progress=0.1), curve(6.0))
    assert first == pytest.approx(61.8)
    assert ends.of(run(progress=0.2), curve(12.1)) == first
    assert ends.of(run(progress=0.3), curve(30.0)) == pytest.approx(103.0)
    assert ends.of(run(progress=0.01), curve(1.0)) is None


def test_a_trainer_that_is_done_leaves_the_evaluation_ahead_and_not_behind() -> None:
    told = stages(run(phase="done", seconds={"queue": 0.5, "start": 6.0, "train": 30.0}))
    assert told["training"][0] == "done"
    assert told["evaluating"][0] == "now"
    assert told["judging"][0] == "ahead"
