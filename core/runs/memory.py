"""Whether a device's memory is free again after a run: what holds it would steal from the next one, or make it fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.runs import devices
from core.runs.devices import Device
from core.store.reader import Gauge

SLACK = 512 * 2**20
"""bytes by which a device's memory may have grown: the driver keeps a little for itself"""
LOOK_EVERY = 0.5
PATIENCE = 60.0
"""seconds for the driver to give it back; after that somebody must look"""


class DeviceMemory:
    """Remembers what each GPU held before its run. A CPU's memory goes with the process, which the runner kills."""

    def __init__(
        self,
        sample: Callable[[Sequence[Device]], list[Gauge]] = devices.sample,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sample, self.clock = sample, clock
        self._before: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._next: dict[str, float] = {}

    def remember(self, device: Device) -> None:
        """Call before a run starts on a device."""
        if (used := self._used(device)) is not None:
            self._before[device.name] = used

    def held(self, device: Device) -> str:
        """Empty when a run may start; else what is held still, and `overdue` once it has been too long."""
        if device.name not in self._before or self.clock() < self._next.get(device.name, 0.0):
            return self._words(device, None) if device.name in self._since else ""
        used = self._used(device)
        if used is None or used <= self._before[device.name] + SLACK:
            self.accept(device)  # free: no need to ask again before the next run
            return ""
        self._since.setdefault(device.name, self.clock())
        self._next[device.name] = self.clock() + LOOK_EVERY
        return self._words(device, used)

    def overdue(self, device: Device) -> bool:
        return device.name in self._since and self.clock() - self._since[device.name] > PATIENCE

    def accept(self, device: Device) -> None:
        """Take what is held for granted: somebody else works on this device."""
        self._before.pop(device.name, None)
        self._since.pop(device.name, None)

    def _words(self, device: Device, used: float | None) -> str:
        more = "" if used is None else f" {(used - self._before[device.name]) / 2**30:.1f} GB"
        return f"{device.name} still holds{more} of the last run's memory"

    def _used(self, device: Device) -> float | None:
        if not device.name.startswith("cuda"):
            return None
        gauges = self.sample([device])
        return gauges[0].memory_used if gauges else None
