"""The next run waits until the last one's GPU memory is free."""

from __future__ import annotations

from collections.abc import Sequence

from core.runs.devices import Device
from core.runs.memory import PATIENCE, DeviceMemory
from core.store.rows import Gauge

GPU = Device("cuda:0", "a GPU", 80 << 30)
CPU = Device("cpu", "a CPU", 1 << 30)


class Machine:
    """A GPU whose memory and clock a test sets."""

    def __init__(self) -> None:
        self.used: float | None = 1e9
        self.now = 0.0
        self.asked = 0
        self.memory = DeviceMemory(self.sample, lambda: self.now)

    def sample(self, devices: Sequence[Device]) -> list[Gauge]:
        self.asked += 1
        return [Gauge(device.name, self.now, None, self.used, 80e9, None, None) for device in devices]


def test_a_device_that_nothing_has_run_on_is_free() -> None:
    assert Machine().memory.held(GPU) == ""


def test_the_next_run_waits_until_the_memory_is_back_to_what_it_was() -> None:
    machine = Machine()
    machine.memory.remember(GPU)
    machine.used = 31e9
    assert "27.9 GB" in machine.memory.held(GPU)
    machine.used, machine.now = 1.2e9, 1.0
    assert machine.memory.held(GPU) == ""
    asked = machine.asked
    assert machine.memory.held(GPU) == ""
    assert machine.asked == asked


def test_the_driver_is_not_asked_at_every_look() -> None:
    machine = Machine()
    machine.memory.remember(GPU)
    machine.used = 31e9
    for _ in range(10):
        assert machine.memory.held(GPU)
    assert machine.asked == 2


def test_memory_that_never_comes_back_is_overdue_until_a_person_accepts_it() -> None:
    machine = Machine()
    machine.memory.remember(GPU)
    machine.used = 31e9
    machine.memory.held(GPU)
    assert not machine.memory.overdue(GPU)
    machine.now = PATIENCE + 1
    assert machine.memory.held(GPU)
    assert machine.memory.overdue(GPU)
    machine.memory.accept(GPU)
    assert machine.memory.held(GPU) == ""


def test_a_cpu_and_a_driver_that_does_not_say_are_no_reason_to_wait() -> None:
    machine = Machine()
    machine.memory.remember(CPU)
    assert machine.memory.held(CPU) == ""
    machine.used = None
    machine.memory.remember(GPU)
    assert machine.memory.held(GPU) == ""
