"""The runner on its own: real processes, hostile and honest."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.runs import gate, local, runner
from core.runs.local import Child, LocalExecutor, Process, Spec
from tests.toy import until


def child(code: str, directory: Path, *, seconds: float = 20.0) -> Child:
    return Child([sys.executable, "-c", code], str(directory), {"PATH": os.environ["PATH"]}, seconds)


async def ran(
    directory: Path,
    train: str,
    evaluate: str | None = None,
    *,
    seconds: float = 20.0,
    log: int = 10_000,
    out: int = 1 << 30,
) -> dict[str, Any]:
    """Run a trainer (and evaluator) to the end; returns exit.json."""
    executor, _ = started(directory, train, evaluate, seconds=seconds, log=log, out=out)
    await until(lambda: local.read_exit(directory, run=1, attempt=1))
    ended = local.read_exit(directory, run=1, attempt=1)
    assert ended is not None
    assert executor is not None
    return ended


def started(
    directory: Path,
    train: str,
    evaluate: str | None = None,
    *,
    seconds: float = 20.0,
    log: int = 10_000,
    out: int = 1 << 30,
) -> tuple[LocalExecutor, Process]:
    executor = LocalExecutor()
    second = None if evaluate is None else child(evaluate, directory)
    return executor, executor.start(directory, Spec(1, 1, child(train, directory, seconds=seconds), second, log, out))


async def test_a_crash_is_a_crash_also_where_the_ends_of_children_are_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which a process hands on to those it starts
    try:
        started(tmp_path, "raise ValueError('no such luck')")
        await until(lambda: local.read_exit(tmp_path, run=1, attempt=1))
    finally:
        signal.signal(signal.SIGCHLD, before)
    ended = local.read_exit(tmp_path, run=1, attempt=1)
    assert ended is not None
    assert (ended["state"], ended["error"]) == ("crashed", "ValueError: no such luck")


def test_where_there_is_no_program_to_copy_with_nothing_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    runner.copy_tree(tmp_path / "cache", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_good_run_is_evaluated_and_says_how_long_each_part_took(tmp_path: Path) -> None:
    result = str(tmp_path / "eval" / "result.json")
    write = f"import json; json.dump({{'metric': {{'val_bpb': 1.5}}}}, open({result!r}, 'w'))"
    ended = await ran(tmp_path, "print('training')", write)
    assert ended["state"] == "finished"
    assert ended["result"]["metric"] == {"val_bpb": 1.5}
    assert set(ended["seconds"]) == {"train", "evaluate"}
    assert (tmp_path / "stdout.log").read_text() == "training\n"


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        ("raise ValueError('no such luck')", "crashed", "ValueError: no such luck"),
        ("import sys; print('loss is nan'); sys.exit(3)", "diverged", "loss is nan"),
        ("import sys; print('out of memory: 9 GB'); sys.exit(4)", "crashed", "out of memory"),
        ("import os; os.kill(os.getpid(), 11)", "crashed", "SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", "crashed", "SIGKILL"),
    ],
)
async def test_a_failure_is_named(tmp_path: Path, code: str, state: str, words: str) -> None:
    ended = await ran(tmp_path, code)
    assert ended["state"] == state
    assert words in ended["error"]


async def test_a_void_from_the_evaluator_is_the_runs_state(tmp_path: Path) -> None:
    write = (
        f"import json; json.dump({{'void': 'it looks ahead'}}, open({str(tmp_path / 'eval' / 'result.json')!r}, 'w'))"
    )
    ended = await ran(tmp_path, "pass", write)
    assert (ended["state"], ended["error"]) == ("void", "it looks ahead")


@pytest.mark.parametrize("body", ["", "[1]", "{", "x" * 2_000_000])
async def test_an_evaluator_that_leaves_no_result_is_a_crash(tmp_path: Path, body: str) -> None:
    write = f"open({str(tmp_path / 'eval' / 'result.json')!r}, 'w').write({body[:10]!r} * {max(1, len(body) // 10)})"
    ended = await ran(tmp_path, "pass", write)
    assert ended["state"] == "crashed"


async def test_the_wall_clock_ends_even_what_ignores_signals(tmp_path: Path) -> None:
    code = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(600)"
    ended = await ran(tmp_path, code, seconds=0.5)
    assert ended["state"] == "timeout"


async def test_nothing_outlives_a_run_not_even_a_daemon_in_a_session_of_its_own(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(pid_file)!r}, 'w').write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists({str(pid_file)!r}) or not open({str(pid_file)!r}).read():
    time.sleep(0.01)
"""
    ended = await ran(tmp_path, code)
    assert ended["state"] == "finished"
    assert not alive(int(pid_file.read_text()))


async def test_a_killed_runner_takes_its_trainer_along(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    executor, process = started(tmp_path, code)
    await until(lambda: pid_file.exists() and pid_file.read_text())
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: not executor.alive(process))
    await until(lambda: not alive(int(pid_file.read_text())))


async def test_a_stop_ends_the_run_and_leaves_a_word(tmp_path: Path) -> None:
    executor, process = started(tmp_path, "import time; print('up', flush=True); time.sleep(600)")
    await until(lambda: (tmp_path / "stdout.log").exists() and (tmp_path / "stdout.log").read_text())
    executor.stop(process)
    await until(lambda: local.read_exit(tmp_path, run=1, attempt=1))
    assert (local.read_exit(tmp_path, run=1, attempt=1) or {})["state"] == "killed"


async def test_a_flood_of_output_is_cut_and_says_so(tmp_path: Path) -> None:
    ended = await ran(tmp_path, "print('x' * 1_000_000)", log=10_000)
    assert ended["state"] == "finished"
    log = (tmp_path / "stdout.log").read_text()
    assert len(log) < 20_000  # the cap, and the last words
    assert "the log is cut here" in log


async def test_a_run_that_fills_the_disk_is_stopped(tmp_path: Path) -> None:
    code = f"import time; open({str(tmp_path / 'out' / 'big')!r}, 'wb').write(b'x' * 5_000_000); time.sleep(600)"
    ended = await ran(tmp_path, code, out=1_000_000)
    assert ended["state"] == "crashed"
    assert "wrote more than" in ended["error"]


async def test_the_trainers_environment_holds_nothing_that_it_was_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    await ran(tmp_path, "import os; print(sorted(os.environ))")
    assert "ANTHROPIC" not in (tmp_path / "stdout.log").read_text()


async def test_a_result_of_another_attempt_does_not_count(tmp_path: Path) -> None:
    await ran(tmp_path, "pass")
    assert local.read_exit(tmp_path, run=1, attempt=2) is None
    (tmp_path / "exit.json").write_text(json.dumps({"run": 1}))
    assert local.read_exit(tmp_path, run=1, attempt=1) is None


def alive(pid: int) -> bool:
    """Whether a process still does anything; a zombie does not."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        if state in "ZX":
            return False
    return True


async def test_who_computes_while_it_says_that_it_waits_is_seen_and_the_waiting_is_not_counted(tmp_path: Path) -> None:
    code = """
import json, os, time
out = os.environ["AR_OUT"]
with open(out + "/tmp", "w") as file:
    json.dump({"phase": "waiting"}, file)
os.replace(out + "/tmp", out + "/phase.json")
while not os.path.exists(out + "/../gate/go"):
    if BUSY:
        continue
    time.sleep(0.01)
"""
    found = {}
    for busy in (True, False):
        directory = tmp_path / str(busy)
        directory.mkdir()
        trainer = child(f"BUSY = {busy}\n{code}", directory, seconds=20.0)
        trainer = replace(trainer, env={**trainer.env, "AR_OUT": str(directory / "out")})
        executor = LocalExecutor()
        executor.start(directory, Spec(1, 1, trainer, None, 10_000, 1 << 30, gate=60.0))
        await until(lambda d=directory: (d / "out" / "phase.json").exists())  # type: ignore[misc]
        began = time.monotonic()
        await until(lambda t=began: time.monotonic() - t > 3.0)  # type: ignore[misc]
        gate.let_go(directory)
        await until(lambda d=directory: local.read_exit(d, run=1, attempt=1))  # type: ignore[misc]
        found[busy] = local.read_exit(directory, run=1, attempt=1) or {}
        assert found[busy]["state"] == "finished"
        assert found[busy]["gate"]["opened"]
        assert 2.0 < found[busy]["gate"]["seconds"] < 60.0
    assert found[True]["gate"]["cpu_seconds"] > 2 * found[False]["gate"]["cpu_seconds"]


async def test_a_gate_that_nobody_opens_ends_the_run_as_lost(tmp_path: Path) -> None:
    executor = LocalExecutor()
    trainer = child("import time; time.sleep(600)", tmp_path)
    executor.start(tmp_path, Spec(1, 1, trainer, None, 10_000, 1 << 30, gate=0.3))
    await until(lambda: local.read_exit(tmp_path, run=1, attempt=1))
    ended = local.read_exit(tmp_path, run=1, attempt=1) or {}
    assert (ended["state"], ended["gate"]["opened"]) == ("lost", False)
    assert "its turn did not come" in ended["error"]
