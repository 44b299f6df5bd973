"""The engine is killed while a run stands ready; the next one lets it go on or ends it, and no gate stays closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core import verify
from core.failpoints import AT_THE_GATE, VARIABLE
from core.lab import Lab
from core.models import Run, RunState, State, Verdict
from core.runs import gate
from core.store import Reader
from tests.engine.test_overlap import BETTER, WORSE, WORSE_TOO, gated_lab, hold, judged
from tests.toy import ScriptedResearcher, engine_at_work, until

pytestmark = pytest.mark.slow


def killed(lab: Lab, failpoint: str, script: list[tuple[str, str]], *, verdicts: int) -> int:
    """Run the engine as a process until it has its verdicts, or is killed."""
    environment = {**os.environ, VARIABLE: failpoint}
    arguments = [sys.executable, "-m", "tests.toy", str(lab.root), json.dumps(script), str(verdicts), "full"]
    return subprocess.run(arguments, env=environment, timeout=200, check=False).returncode


@pytest.mark.parametrize("name", AT_THE_GATE)
def test_killed_at_the_gate_the_next_engine_goes_on_and_no_gate_stays_closed(tmp_path: Path, name: str) -> None:
    lab = gated_lab(tmp_path, null_runs=2)
    (hold(lab).parent / "slow").touch()  # evaluations take long enough for the next run to start beside them
    script = [BETTER, WORSE_TOO]
    code = killed(lab, name, script, verdicts=2)
    assert code == -signal.SIGKILL, f"the engine never came past {name}"
    assert killed(lab, "", script, verdicts=2 - sum(Reader(lab.database).verdict_counts().values())) == 0
    assert verify.problems(lab) == []
    reader = Reader(lab.database)
    assert [e.verdict for e in reader.experiments(State.JUDGED)] == [Verdict.KEEP, Verdict.DISCARD]
    assert not [run for run in reader.runs() if run.state == RunState.VOID]
    assert not reader.live_runs()


async def test_an_engine_that_dies_while_a_run_waits_leaves_it_to_the_next(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path, null_runs=2)
    hold_at = hold(lab)
    arguments = [sys.executable, "-m", "tests.toy", str(lab.root), json.dumps([WORSE]), "1", "full"]
    process = subprocess.Popen(arguments)
    await until(lambda: lab.database.exists() and _finished(lab) >= 1)
    hold_at.touch()
    await until(lambda: _phases(lab) == ["evaluating", "waiting"])
    process.kill()
    process.wait()
    hold_at.unlink()
    await until(lambda: (lab.run_directory(_live(lab)[0].id) / "exit.json").exists())
    stood = _live(lab)[1]
    assert gate.closed(lab.run_directory(stood.id))
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as again:
        await judged(again, 1)
        assert [run.error for run in again.bench.store.runs()] == [""] * 3
        assert again.bench.store.run(stood.id).state == RunState.FINISHED  # type: ignore[union-attr]
    assert verify.problems(lab) == []


def _live(lab: Lab) -> list[Run]:
    reader = Reader(lab.database)
    try:
        return reader.live_runs() if reader.version else []
    finally:
        reader.close()


def _phases(lab: Lab) -> list[str]:
    return [run.phase for run in _live(lab)]


def _finished(lab: Lab) -> int:
    reader = Reader(lab.database)
    try:
        return sum(run.state == RunState.FINISHED for run in reader.runs()) if reader.version else 0
    finally:
        reader.close()
