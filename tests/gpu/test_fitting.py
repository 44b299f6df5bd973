"""The largest micro-batch, found by trying: what `init --profile auto` does on a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from nanochat import fitting
from nanochat.fitting import Unmeasurable, largest
from nanochat.memory import GIB
from nanochat.profiles import load_profile
from tests.gpu.conftest import PATIENCE, profile_json
from tests.training.conftest import environment
from tui.commands.working import fitted

POSSIBLE = [1, 2, 4, 8, 16, 32]
SECONDS = 240
"""for one search on a GPU: both together stay within a part of `python -m tests.gpu`"""


@pytest.mark.parametrize("first", POSSIBLE)
@pytest.mark.parametrize("most", [0, 1, 4, 32, 100])
def test_the_search_ends_at_the_most_rows_that_fit(first: int, most: int) -> None:
    tried = []

    def peak(rows: int) -> int | None:
        tried.append(rows)
        return rows * 100 if rows <= most else None

    found = largest(POSSIBLE, first, peak, probes=len(POSSIBLE))
    best = max((rows for rows in POSSIBLE if rows <= most), default=0)
    assert found == ((best, best * 100) if best else None)
    assert len(tried) == len(set(tried))


def test_the_search_gives_up_after_so_many_tries_with_the_best_it_has() -> None:
    assert largest(POSSIBLE, 1, lambda rows: rows, probes=3) == (4, 4)
    assert largest(POSSIBLE, 32, lambda rows: None, probes=3) is None


def test_when_time_runs_out_what_was_found_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile({"name": "gpu-8g", "rows": 8})
    slow: set[int] = set()

    def probed(profile: Any, *_: Any) -> int:
        if profile.rows in slow:
            raise Unmeasurable("no answer within 1 s")
        return int(profile.rows)

    monkeypatch.setattr(fitting, "probed", probed)
    slow.add(32)
    assert fitting.measure(profile, "cuda:0", 8 * GIB) == (16, 16)
    slow.add(8)
    with pytest.raises(Unmeasurable):
        fitting.measure(profile, "cuda:0", 8 * GIB)


@pytest.mark.soak
def test_a_limit_that_is_forced_on_a_cpu_gives_fewer_rows() -> None:
    """The whole way: processes, peaks, running out of memory."""
    profile = load_profile({"name": "test", "step_tokens": 16384, "rows": 256, "vocab": 4096})
    few, many = (fitting.probed(replace(profile, rows=rows), "cpu", 64 * GIB, PATIENCE) for rows in (4, 256))
    assert few is not None
    assert many is not None
    assert few < many
    assert fitting.probed(profile, "cpu", (few + many) / 2, PATIENCE) is None


def test_what_cannot_be_measured_is_estimated_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unmeasurable, match=r"cuda|CUDA|driver"):
        fitting.probed(load_profile("gpu-8g"), "cuda:99", 8 * GIB, PATIENCE)
    assert fitting.main(["--gigabytes", "24", "--device", "cuda:99"]) == 0
    said = capsys.readouterr()
    assert "not measured" in said.err
    assert "the estimate stands" in said.err
    assert json.loads(said.out)["measured_gb"] is None
    assert json.loads(said.out)["name"] == "gpu-24g"


def test_a_lab_on_a_gpu_that_does_not_answer_is_made_by_the_estimate() -> None:
    assert fitted("gpu-24g", 23.6, measure_on="cuda:99") == fitted("gpu-24g", 23.6)


@pytest.mark.gpu
@pytest.mark.slow
def test_the_largest_batch_on_this_gpu_trains(cuda: str) -> None:
    """With a limit of a few GB, so that there is something to find; and what was found does not run out of memory."""
    sizes: dict[str, Any] = json.loads(profile_json(cuda, step_tokens=65_536, rows=32))
    limit = 3.0 * GIB
    found = fitting.measure(load_profile(sizes), cuda, limit, seconds=SECONDS)
    assert found is not None
    rows, peak = found
    assert 0 < peak <= limit
    assert fitting.probed(load_profile({**sizes, "rows": rows}), cuda, limit, PATIENCE) is not None


@pytest.mark.gpu
@pytest.mark.slow
def test_the_command_measures_this_gpu(cuda: str) -> None:
    from core.runs import devices

    gigabytes = devices.find([cuda])[0].memory / GIB
    command = [sys.executable, "-m", "nanochat.fitting", "--gigabytes", str(gigabytes), "--device", cuda]
    ended = subprocess.run(
        [*command, "--seconds", str(SECONDS)], env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["measured_gb"] is not None, ended.stderr
