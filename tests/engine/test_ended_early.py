"""Runs that ended before they had a result: what the record says of the time they took."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from core.models import Purpose, Run, RunState
from core.requests import StopRun
from core.runs import local
from core.store import Reader
from tests.engine.test_overlap import GATED
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

SLOW = GATED.replace("SECONDS = 0.0", "SECONDS = 600.0")


def trains(run: Run | None) -> bool:
    return run is not None and run.phase == "training" and run.progress > 0


def since_training(run: Run, directory: Path) -> float:
    assert run.ended_at is not None
    return run.ended_at - local.read_since(directory)["training"]


async def test_a_run_that_stopped_with_the_engine_has_trained_until_then(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SLOW)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        await until(lambda: trains(engine.bench.store.run(1)))
    run = Reader(lab.database).run(1)
    assert run is not None
    assert run.state == RunState.LOST
    assert run.detail["seconds"]["train"] == pytest.approx(since_training(run, lab.run_directory(1)))


async def test_a_run_that_a_person_stopped_has_trained_until_then(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SLOW)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        await until(lambda: trains(store.run(1)))
        engine.handle(StopRun(1))
        await until(lambda: store.run(1).state == RunState.KILLED)  # type: ignore[union-attr]
        run = store.run(1)
        assert run is not None
        assert run.detail["seconds"]["train"] == pytest.approx(since_training(run, lab.run_directory(1)))


async def test_a_run_that_fell_before_its_first_step_was_starting(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train="import time\ntime.sleep(0.2)\nraise NameError('a slip')\n")
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        await until(lambda: (run := store.run(1)) and run.state == RunState.CRASHED)
        seconds = store.run(1).detail["seconds"]  # type: ignore[union-attr]
        assert seconds["start"] > 0.2
        assert not seconds.get("train")


async def test_a_run_whose_runner_is_gone_ended_when_it_last_wrote_something(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TRAIN.replace('FAIL = ""', 'FAIL = "hang"'))
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        await until(lambda: (run := store.run(1)) and run.progress == 1.0)
        run = store.run(1)
        assert run is not None
        assert run.purpose == Purpose.BASELINE
        assert run.pid is not None
        for path in lab.run_directory(1).rglob("*"):
            os.utime(path, (0, 0))
        os.kill(run.pid, signal.SIGKILL)
        await until(lambda: store.run(1).state == RunState.LOST)  # type: ignore[union-attr]
        assert store.run(1).ended_at == run.started_at  # type: ignore[union-attr]
