"""A run whose speed collapses is stopped before its end, with the rule in words; the champion's own never is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from core import verify
from core.failpoints import VARIABLE
from core.models import Autonomy, RunState, Verdict
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

TIMED = TRAIN.replace('"t": step * 0.1', '"t": step * STRIDE').replace("SECONDS = 0.0", "SECONDS = 0.0\nSTRIDE = 0.1")
CRAWLS = ("STEPS = 20\nSECONDS = 0.0\nSTRIDE = 0.1", "STEPS = 6000\nSECONDS = 600.0\nSTRIDE = 1.0")
SLOWER = ("SECONDS = 0.0\nSTRIDE = 0.1", "SECONDS = 2.0\nSTRIDE = 0.6")


async def test_a_collapse_of_speed_ends_the_run_and_says_by_which_rule(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TIMED)
    async with engine_at_work(lab, ScriptedResearcher([CRAWLS]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        (run,) = store.runs(experiment_id=1)
        judged = store.experiment(1)
        assert judged is not None
        assert run.state == RunState.TIMEOUT
        assert run.error == judged.verdict_reason
        assert run.error.startswith("stopped early: after ")
        assert "as long as the champion trains in all" in run.error
        assert any(event.kind == "run_too_slow" for event in store.events())
    assert verify.problems(lab) == []


async def test_a_run_that_is_merely_slower_goes_on_to_its_end(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TIMED)
    async with engine_at_work(lab, ScriptedResearcher([SLOWER]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        assert store.runs(experiment_id=1)[0].state == RunState.FINISHED


async def test_an_engine_killed_before_it_could_stop_the_run_leaves_that_to_the_next_one(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TIMED)
    arguments = [sys.executable, "-m", "tests.toy", str(lab.root), json.dumps([CRAWLS]), "1", "full"]
    environment = {**os.environ, VARIABLE: "too_slow_recorded"}
    assert subprocess.run(arguments, env=environment, timeout=180, check=False).returncode == -signal.SIGKILL
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        (run,) = store.runs(experiment_id=1)
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        assert store.run(run.id).state == RunState.TIMEOUT  # type: ignore[union-attr]
        assert sum(event.kind == "run_too_slow" for event in store.events()) == 1
    assert verify.problems(lab) == []
