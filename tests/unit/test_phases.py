"""Where the wall time of a run went."""

from __future__ import annotations

import pytest

from core.runs import phases

COMPILED = {"starting": 100.0, "compiling": 103.0, "training": 110.0, "evaluating": 411.0}


def test_the_phases_of_a_run_add_up_to_the_runners_own_clock() -> None:
    found = phases.split(COMPILED, created=99.5, now=420.0, ended={"train": 310.5, "evaluate": 8.0})
    assert found == {"queue": 0.5, "start": 3.0, "compile": 7.0, "train": 300.5, "evaluate": 8.0}
    assert phases.trainer(found) == 310.5


def test_waiting_at_the_gate_is_queueing() -> None:
    since = {"starting": 100.0, "compiling": 103.0, "waiting": 110.0, "training": 150.0}
    found = phases.split(since, created=99.5, now=460.0, ended={"train": 310.0, "evaluate": 8.0}, waited=40.0)
    assert found == {"queue": 40.5, "start": 3.0, "compile": 7.0, "train": 300.0, "evaluate": 8.0}


@pytest.mark.parametrize(
    "since",
    [
        {"starting": 100.0, "training": 1e9, "compiling": 5e8},
        {"starting": 100.0, "training": -1e9},
        {"starting": 100.0, "compiling": 1e12, "training": 101.0},
        {"starting": 100.0},
        {},
    ],
)
def test_a_trainer_that_lies_about_its_phases_changes_no_sum(since: dict[str, float]) -> None:
    found = phases.split(since, created=99.5, now=420.0, ended={"train": 310.0, "evaluate": 8.0})
    assert all(value >= 0 for value in found.values())
    assert phases.trainer(found) == (310.0 if since else 0.0)


def test_a_script_that_says_nothing_of_its_phases_trains_all_the_time() -> None:
    found = phases.split({"starting": 100.0}, created=100.0, now=130.0, ended={"train": 30.0}, trained=True)
    assert (found["start"], found["train"], found["evaluate"]) == (0.0, 30.0, 0.0)


@pytest.mark.parametrize(
    ("since", "start", "compile_"),
    [({}, 3.6, 0.0), ({"compiling": 103.0}, 3.0, 0.6), ({"waiting": 103.0}, 3.6, 0.0)],
)
def test_a_run_that_ended_before_its_first_step_did_not_train(
    since: dict[str, float], start: float, compile_: float
) -> None:
    found = phases.split({"starting": 100.0, **since}, created=100.0, now=103.6, ended={"train": 3.6})
    assert found == {"queue": 0.0, "start": start, "compile": pytest.approx(compile_), "evaluate": 0.0}


def test_a_run_whose_runner_was_told_to_stop_has_the_times_that_its_trainer_said() -> None:
    since = {"starting": 100.0, "compiling": 103.0, "waiting": 104.0, "training": 110.0}
    found = phases.split(since, created=99.5, now=130.0, ended={})
    assert found == {"queue": 6.5, "start": 3.0, "compile": 1.0, "train": 20.0}
    evaluated = phases.split({**since, "evaluating": 128.0}, created=99.5, now=130.0, ended={"train": 21.0}, waited=6.0)
    assert evaluated == {"queue": 6.5, "start": 3.0, "compile": 1.0, "train": 17.0, "evaluate": 2.0}


def test_a_run_that_is_lost_while_it_stands_ready_queued() -> None:
    found = phases.split({"starting": 100.0, "waiting": 103.0}, created=100.0, now=110.0)
    assert found == {"queue": 7.0, "start": 3.0, "compile": 0.0}


def test_a_live_run_has_the_phases_it_has_come_to() -> None:
    assert phases.split({}, created=100.0, now=100.5) == {"queue": 0.5}
    assert phases.split({"starting": 100.0}, created=100.0, now=102.0) == {"queue": 0.0, "start": 2.0, "compile": 0.0}
    evaluating = phases.split(COMPILED, created=99.5, now=413.0)
    assert evaluating == {"queue": 0.5, "start": 3.0, "compile": 7.0, "train": 301.0, "evaluate": 2.0}


def test_the_words_leave_out_what_took_no_time() -> None:
    assert phases.words({"queue": 0.02, "start": 1.44, "train": 31.0, "judge": "?"}) == "start 1.4 s, train 31.0 s"
    assert phases.words({}) == ""
