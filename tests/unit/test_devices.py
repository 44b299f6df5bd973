"""What the gauges of a machine's devices say, by a driver that is made up and by the real processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import LabError
from core.runs import devices
from core.runs.devices import Device
from core.store import Writer


class NoSensor(Exception):
    """What NVML raises."""


class Driver:
    """NVML for boards that answer with these readings; a reading that is None is not supported."""

    NVMLError = NoSensor
    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM = 0, 1

    def __init__(self, *boards: dict[str, float | None]) -> None:
        self.boards = boards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Callable[[str], float]:
        if index >= len(self.boards):
            raise NoSensor("GPU is lost")

        def ask(what: str) -> float:
            value = self.boards[index].get(what)
            if value is None:
                raise NoSensor("not supported")
            return value

        return ask

    def nvmlDeviceGetCount(self) -> int:
        return len(self.boards)

    def nvmlDeviceGetName(self, board: Callable[[str], float]) -> str:
        return f"H100 {board('uuid'):.0f}"

    def nvmlDeviceGetUUID(self, board: Callable[[str], float]) -> str:
        return f"GPU-{board('uuid'):.0f}-f00d"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570"

    def nvmlDeviceGetUtilizationRates(self, board: Callable[[str], float]) -> Any:
        return SimpleNamespace(gpu=board("busy"))

    def nvmlDeviceGetMemoryInfo(self, board: Callable[[str], float]) -> Any:
        return SimpleNamespace(used=board("used"), total=board("total"))

    def nvmlDeviceGetPowerUsage(self, board: Callable[[str], float]) -> float:
        return board("milliwatts")

    def nvmlDeviceGetTemperature(self, board: Callable[[str], float], sensor: int) -> float:
        assert sensor == self.NVML_TEMPERATURE_GPU
        return board("degrees")

    def nvmlDeviceGetClockInfo(self, board: Callable[[str], float], domain: int) -> float:
        assert domain == self.NVML_CLOCK_SM
        return board("megahertz")


WHOLE: dict[str, float | None] = {
    "busy": 97, "used": 44e9, "total": 80e9, "milliwatts": 312_400, "degrees": 61, "megahertz": 1980,
}  # fmt: skip
CUDA = [Device("cuda:0", "H100", 80), Device("cuda:1", "H100", 80)]


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    @contextmanager
    def loaded() -> Iterator[Driver]:
        yield driver

    monkeypatch.setattr(devices, "_nvml", loaded)


BOARD: dict[str, float | None] = {"uuid": 7, "used": 1e9, "total": 80e9}
LOST: dict[str, float | None] = {}


def test_a_gpu_that_is_lost_takes_no_other_with_it_and_one_that_hides_its_memory_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with_driver(monkeypatch, Driver(BOARD, LOST, BOARD | {"uuid": 8, "total": None}))
    found = devices.find([])
    assert [device.name for device in found] == ["cuda:0", "cuda:2"]
    assert [device.kind for device in found] == ["H100 7 / driver 570", "H100 8 / driver 570"]
    assert [device.memory for device in found] == [int(80e9), 0]
    assert devices.profile_for(found[1:]) == "gpu-8g"
    assert [device.name for device in devices.find(["cpu"])] == ["cpu"]
    with pytest.raises(LabError, match="no such device: cuda:1"):
        devices.find(["cuda:1"])


@pytest.mark.parametrize(
    ("names", "left"),
    [("2", ["cuda:2"]), ("0,2", ["cuda:0", "cuda:2"]), ("GPU-9", ["cuda:2"]), ("", ["cpu"]), ("-1", ["cpu"])],
)
def test_the_gpus_that_cuda_is_told_of_are_those_of_the_lab(
    monkeypatch: pytest.MonkeyPatch, names: str, left: list[str]
) -> None:
    with_driver(monkeypatch, Driver(*(BOARD | {"uuid": uuid} for uuid in (7, 8, 9))))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    assert [device.name for device in devices.find([])] == left
    assert [device.name for device in devices.find(["cuda:1"])] == ["cuda:1"], "who names one means it"


def test_a_gpu_says_its_clock_beside_power_temperature_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, Driver(WHOLE))
    (gauge,) = devices.sample(CUDA[:1])
    assert (gauge.clock, gauge.power, gauge.temperature) == (1980.0, 312.4, 61.0)
    assert (gauge.utilization, gauge.memory_used, gauge.memory_total) == (97.0, 44e9, 80e9)
    assert (gauge.load, gauge.cores) == (None, "")


def test_what_a_board_does_not_say_is_unknown_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, Driver(WHOLE | {"megahertz": None, "used": None}))
    whole, lost = devices.sample(CUDA)
    assert whole.clock is None
    assert whole.memory_used is None
    assert whole.power == 312.4
    assert (lost.utilization, lost.memory_total, lost.clock) == (None, None, None)


def test_a_processor_says_how_busy_each_core_is_and_the_load() -> None:
    (gauge,) = devices.sample([devices.cpu()])
    assert gauge.utilization is not None
    assert 0 <= gauge.utilization <= 100
    assert len(gauge.cores) >= 1
    assert gauge.cores.isdigit()
    assert gauge.load is not None
    assert gauge.load >= 0
    assert (gauge.power, gauge.temperature, gauge.clock) == (None, None, None)


def test_a_sample_comes_out_of_the_record_as_it_went_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_driver(monkeypatch, Driver(WHOLE))
    samples = devices.sample([CUDA[0], devices.cpu()])
    store = Writer(tmp_path / "lab.db")
    store.add_gauges(samples, run_id=None, keep_seconds=3600)
    assert sorted(store.gauges(), key=lambda g: g.device) == sorted(samples, key=lambda g: g.device)
    store.close()
