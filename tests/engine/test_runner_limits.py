"""What the runner holds its children to, whatever the tier of the sandbox."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.runs import runner

SHOW = "import resource as r; print(*(r.getrlimit(l)[0] for l in (r.RLIMIT_CORE, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE)))"


def test_a_child_gets_no_core_no_huge_file_and_a_bounded_number_of_open_files() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        preexec_fn=lambda: runner.limits(12345),
        capture_output=True,
        text=True,
        check=True,
    )
    core, size, files = map(int, shown.stdout.split())
    assert (core, size) == (0, 12345 + runner.OVERSHOOT)
    assert 0 < files <= runner.OPEN_FILES


def test_a_limit_that_is_lower_already_stays() -> None:
    code = (
        "import resource as r; from core.runs import runner; r.setrlimit(r.RLIMIT_NOFILE, (64, 128)); "
        "runner.lower(r.RLIMIT_NOFILE, 100); print(*r.getrlimit(r.RLIMIT_NOFILE))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["64", "100"]


@pytest.mark.skipif(sys.platform != "linux", reason="oom_score_adj is Linux's")
def test_a_child_is_the_first_to_go_when_memory_runs_out() -> None:
    shown = subprocess.run(
        ["cat", "/proc/self/oom_score_adj"], preexec_fn=lambda: runner.limits(1 << 20), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert int(shown.stdout) >= 500


def test_too_many_processes_are_counted_below_the_runner_only(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = [subprocess.Popen(["sleep", "60"]) for _ in range(4)]
    try:
        assert runner.descendants(os.getpid()) >= 4
        assert runner.descendants(crowd[0].pid) == 0
        limit = runner.TaskLimit()
        monkeypatch.setattr(runner, "tasks_on_machine", lambda: limit.usual + runner.TASKS + 1)
        assert not limit.exceeded()  # somebody else's processes
        limit.next = 0.0
        monkeypatch.setattr(runner, "TASKS", 3)
        assert limit.exceeded()
    finally:
        for one in crowd:
            one.kill()
            one.wait()


@pytest.mark.parametrize(
    ("rc", "number"), [(-9, 9), (137, 9), (139, signal.SIGSEGV), (0, 0), (1, 0), (255, 0), (128, 0)]
)
def test_a_signal_is_known_from_inside_a_sandbox_too(rc: int, number: int) -> None:
    assert runner.signal_of(rc) == number


def test_what_a_trainer_left_in_the_evaluator_s_directory_is_gone_before_it_starts(tmp_path: Path) -> None:
    left = tmp_path / "eval" / "nanochat"
    left.mkdir(parents=True)
    (left / "evaluate.py").write_text("print('mine')")
    runner.empty(tmp_path / "eval")
    assert list((tmp_path / "eval").iterdir()) == []
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "eval").rmdir()
    (tmp_path / "eval").symlink_to(tmp_path / "elsewhere")
    runner.empty(tmp_path / "eval")
    assert not (tmp_path / "eval").is_symlink()
    assert (tmp_path / "elsewhere" / "kept").exists()


def test_processor_time_is_that_of_the_children_that_have_ended() -> None:
    before = runner.used_by_children()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert runner.used_by_children(before)["cpu_seconds"] > 0.01
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


def test_a_pipe_in_place_of_a_result_is_no_result_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    assert runner.read_json(tmp_path / "result.json") is None
    (tmp_path / "folder.json").mkdir()
    assert runner.read_json(tmp_path / "folder.json") is None


def test_a_pipe_in_place_of_a_curve_is_no_curve(tmp_path: Path) -> None:
    from core.runs.metrics import MetricsTail

    os.mkfifo(tmp_path / "metrics.jsonl")
    assert MetricsTail(tmp_path / "metrics.jsonl").read() == []
