"""Whether two runs fit on a device for a moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from core.models import Purpose, Run, RunState
from core.runs.devices import Device
from core.runs.memory import room_for_two
from core.store.rows import Gauge

GIB = 2**30
CPU, GPU = Device("cpu", "a cpu", 16 * GIB), Device("cuda:0", "a gpu", 80 * GIB)


def run(**detail: Any) -> Run:
    return Run(
        1, None, Purpose.BASELINE, "c", 0, 1, "cpu", "a cpu", RunState.FINISHED, "done", 1.0, 2.0, "", None, None, "",
        0.0, 1.0, 2.0, detail=detail,
    )  # fmt: skip


def gauge(used: float | None, total: float) -> Any:
    def sample(devices: Sequence[Device]) -> list[Gauge]:
        return [Gauge(devices[0].name, 0.0, None, used and used * GIB, total * GIB, None, None)]

    return sample


ON_CPU = run(usage={"train": {"peak_bytes": GIB}, "evaluate": {"peak_bytes": GIB}})
ON_GPU = run(train={"peak_memory_bytes": 30 * GIB})
SIZES = {"memory": {"train": 34 * GIB, "evaluate": 20 * GIB}}


@pytest.mark.parametrize(("used", "cores", "fits"), [(4, 2, True), (4, 1, False), (13, 2, False), (None, 2, False)])
def test_a_cpu_needs_free_memory_and_a_second_core(
    monkeypatch: pytest.MonkeyPatch, used: float | None, cores: int, fits: bool
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert room_for_two(CPU, [ON_CPU], {}, sample=gauge(used, 16)) == fits


def test_nothing_is_known_before_the_champion_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert not room_for_two(CPU, [], {}, sample=gauge(1, 16))
    assert not room_for_two(GPU, [ON_GPU], {}, sample=gauge(1, 80))
    assert not room_for_two(GPU, [ON_GPU], SIZES, sample=lambda _: [])


@pytest.mark.parametrize(("runs", "total", "fits"), [([ON_GPU], 80, True), ([], 80, True), ([ON_GPU], 60, False)])
def test_a_gpu_holds_the_evaluation_and_what_the_champion_took(runs: list[Run], total: float, fits: bool) -> None:
    assert room_for_two(GPU, runs, SIZES, sample=gauge(2, total)) == fits
