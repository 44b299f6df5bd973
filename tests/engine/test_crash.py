"""The engine is killed at every step between two writes; the next one finishes what was begun and loses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core import verify
from core.failpoints import AT_THE_GATE, NAMES, VARIABLE
from core.lab import Lab
from core.models import RunState, Verdict
from core.store import Reader
from tests.toy import EVALUATE, SCORED, ScriptedResearcher, engine_at_work, toy_lab, until

pytestmark = pytest.mark.slow
BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")


def engine(lab: Lab, *, failpoint: str = "", verdicts: int = 1) -> int:
    """Run the engine as a process until it has its verdicts, or is killed."""
    environment = {**os.environ, VARIABLE: failpoint}
    arguments = [sys.executable, "-m", "tests.toy", str(lab.root), json.dumps([BETTER]), str(verdicts), "full"]
    return subprocess.run(arguments, env=environment, timeout=180, check=False).returncode


def reviews(lab: Lab) -> list[tuple[int, str]]:
    if not lab.database.exists():
        return []
    reader = Reader(lab.database)
    try:
        return [(review.id, review.patch_sha256) for review in reader.reviews()]
    finally:
        reader.close()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in AT_THE_GATE])  # those: test_overlap_crash.py
def test_killed_at_a_failpoint_the_next_engine_finishes_and_the_record_is_whole(tmp_path: Path, name: str) -> None:
    lab = toy_lab(tmp_path, null_runs=2, max_confirmations=2, train=SCORED, evaluate=EVALUATE)
    assert engine(lab, failpoint=name) == -signal.SIGKILL, f"the engine never came past {name}"
    decided = reviews(lab)
    over = Reader(lab.database).verdict_counts()[Verdict.KEEP] if lab.database.exists() else 0
    if not over:
        assert engine(lab) == 0
    else:  # the verdict was in before the kill; only the ref is left to mend
        asyncio.run(_start_and_stop(lab))
    assert verify.problems(lab) == []
    assert reviews(lab)[: len(decided)] == decided
    reader = Reader(lab.database)
    assert [e.verdict for e in reader.experiments()] == [Verdict.KEEP]
    assert not reader.live_runs()


async def _start_and_stop(lab: Lab) -> None:
    async with engine_at_work(lab, ScriptedResearcher([])):
        pass


async def test_a_run_that_outlives_its_engine_is_adopted_and_judged(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, null_runs=2)
    script = [("SECONDS = 0.0", "SECONDS = 2.0")]
    arguments = [sys.executable, "-m", "tests.toy", str(lab.root), json.dumps(script), "1", "full"]
    process = subprocess.Popen(arguments)
    await until(lambda: lab.database.exists())
    await until(lambda: _state(lab) == RunState.RUNNING)
    process.kill()
    process.wait()
    async with engine_at_work(lab, ScriptedResearcher([])) as again:
        await until(lambda: any(event.kind == "adopted" for event in again.bench.store.events()))
        await until(lambda: sum(again.bench.store.verdict_counts().values()) == 1)
        assert len(again.bench.store.runs(experiment_id=1)) == 1
    assert verify.problems(lab) == []


async def test_a_run_whose_runner_was_killed_is_lost_and_made_again(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, null_runs=1)
    async with engine_at_work(lab, ScriptedResearcher([])) as work:
        store = work.bench.store
        await until(lambda: store.live_runs() and store.live_runs()[0].pid)
        os.kill(store.live_runs()[0].pid or 0, signal.SIGKILL)
        await until(lambda: any(run.state == RunState.FINISHED for run in store.runs()))
        assert [run.state for run in store.runs()] == [RunState.LOST, RunState.FINISHED]
        assert store.runs()[1].attempt == 2


def _state(lab: Lab) -> RunState | None:
    reader = Reader(lab.database)
    try:
        runs = reader.runs(experiment_id=1) if reader.version else []
        return runs[0].state if runs else None
    finally:
        reader.close()
