"""`make gpu` without a GPU: what it would run, that a part which hangs is ended, and what becomes of the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.runs import devices
from nanochat.memory import GIB, USABLE, estimate
from nanochat.profiles import load_profile
from tests.gpu import __main__ as command
from tests.gpu.table import markdown

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("gigabytes", "shapes"),
    [
        (139.8, {12: 32, 24: 32}), (79.1, {12: 32, 24: 16}), (23.6, {8: 16}), (7.6, {6: 8}),
    ],
)  # fmt: skip
def test_a_device_is_measured_with_shapes_that_fit_it(
    gigabytes: float, shapes: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "can_float8", lambda device: True)
    plan = command.plan("cuda:0", "", gigabytes)
    assert plan.rows == shapes
    for depth in plan.depths:
        assert estimate(load_profile(plan.shape(depth))).total <= USABLE * gigabytes * GIB
    assert load_profile({"name": plan.profile, **plan.sizes}).budget == plan.sizes["budget"]
    commands = command.parts(plan, Path("lab"), Path("results"))
    speeds = [name for name in commands if name.startswith("speed")]
    assert speeds == [*(f"speed-{depth}" for depth in plan.depths), f"speed-{plan.depths[-1]}-float8"]
    shape = commands[speeds[-1]][-1]
    assert load_profile(shape).float8


def test_every_file_of_tests_belongs_to_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "can_float8", lambda device: False)
    commands = command.parts(command.plan("cuda:0", "", 80), Path("lab"), Path("results"))
    left_out = {word.partition("=")[2] for word in commands["numbers"] if word.startswith("--ignore")}
    alone = {line[-1] for name, line in commands.items() if "pytest" in line and name != "numbers"}
    assert left_out == alone
    assert all((HERE.parents[1] / path).is_file() for path in alone)


def test_what_is_needed_is_installed_here() -> None:
    assert command.main(["--list", "--device", "cpu", "--profile", "test"]) == 0


def test_without_a_gpu_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("tests.gpu.conftest.why_no_gpu", lambda: "no NVIDIA driver answers")

    def note(why: str) -> int:
        said.append(why)
        return 0

    monkeypatch.setattr(command, "without_a_gpu", note)
    assert command.main([]) == 0
    assert said == ["no NVIDIA driver answers"]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "NEEDED", ("json", "no_such_package"))
    assert command.main([]) == 2
    assert "lacks: no_such_package" in capsys.readouterr().out


def test_trainers_must_be_able_to_import_the_project(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not command.not_installed()
    monkeypatch.setattr(command, "not_installed", lambda: True)
    assert command.main([]) == 2
    assert "pip install --no-deps" in capsys.readouterr().out


def test_a_part_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    born, looks = tmp_path / "child", []
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
open({str(born)!r}, "w").write(str(child.pid))
child.wait()
"""

    def look() -> None:
        if born.exists() and born.read_text():
            monkeypatch.setattr("time.monotonic", lambda: float("inf"))
        looks.append(1)

    rc, text = command.run(["-c", code], tmp_path / "part.log", look)
    assert rc != 0
    assert "KeyboardInterrupt" in text
    assert looks
    assert "over 570 s" in (tmp_path / "part.log").read_text()
    assert devices.started(int(born.read_text())) is None


def small(monkeypatch: pytest.MonkeyPatch, **parts: str) -> None:
    """The parts are a line of Python each."""
    commands = {name: ["-c", code] for name, code in parts.items()}
    monkeypatch.setattr(command, "parts", lambda plan, lab, results: commands)


def test_what_ended_well_is_not_done_again_and_what_failed_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    note = f"open({str(log)!r}, 'a').write('%s ')"
    small(monkeypatch, good=f"{note % 'good'}; print('{{\"speed\": []}}')", bad=f"{note % 'bad'}; raise SystemExit(1)")
    arguments = ["--device", "cpu", "--profile", "test", "--results", str(tmp_path / "results")]
    assert command.main(arguments) == 1
    assert command.main(arguments) == 1
    assert command.main([*arguments, "good"]) == 0
    assert log.read_text().split() == ["good", "bad", "bad"]
    assert command.main([*arguments, "good", "--again"]) == 0
    assert log.read_text().split() == ["good", "bad", "bad", "good"]
    left = json.loads((tmp_path / "results" / "good.json").read_text())
    assert (left["ok"], left["data"]) == (True, {"speed": []})
    with pytest.raises(SystemExit):
        command.main([*arguments, "nosuch"])


def test_the_table_holds_what_was_measured_and_no_more() -> None:
    row: dict[str, Any] = {"variant": "ours", "depth": 24, "rows": 16, "tokens_per_s": 98_765.4, "mfu": 0.4938}
    row |= {"ms_per_step": 5308.0, "peak_memory_mb": 61_234.0, "ratio_to_floor": 2.345}
    parts: dict[str, Any] = {
        "numbers": {"said": "40 passed in 61 s", "data": None},
        "speed-24": {"data": {"speed": [row]}},
        "speed-24-float8": {"data": {"speed": [row | {"mfu": None}]}},
        "session": {
            "sizes": {"budget": "seconds:40"},
            "data": {"judge, median s": 0.25, "so lost after the first run, s a run": 6.0},
        },
    }
    table = markdown(parts, {"device": "NVIDIA H200 / driver 580", "torch": "torch 2.13.0", "date": "2026-11-20"})
    assert table.startswith("NVIDIA H200 / driver 580, torch 2.13.0, 2026-11-20: `make gpu`\n")
    assert "| 24 | ours | 16 | 98,765 | 49.4% | 5,308 | 61.2 | 2.35 |" in table
    assert "| 24 | ours float8 | 16 | 98,765 | unknown |" in table
    assert "| judge, median s | 0.250 |" in table
    assert "300 s of training these are | 2.0% |" in table  # 6 of 306
    assert "| numbers | 40 passed in 61 s |" in table
    assert markdown({}, {"device": "none"}) == "none: `make gpu`\n"


@pytest.mark.soak
def test_the_command_goes_its_way_on_a_cpu(tmp_path: Path) -> None:
    """Real training and a real session of the smallest profile, and the picture of it."""
    arguments = ["--device", "cpu", "--profile", "test", "--results", str(tmp_path), "speed-2", "session"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "tests.gpu", *arguments]
    ended = subprocess.run(line, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table = (tmp_path / "table.md").read_text()
    assert "| 2 | ours | 8 |" in table
    assert "start of the evaluator" in table
    assert "MATRIX_LR" in (tmp_path / "live.svg").read_text()
