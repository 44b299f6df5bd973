"""Whether a device has memory for a run: free again after the last one, or enough beside one that is evaluated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.models import Run
from core.runs import devices
from core.runs.devices import Device
from core.store.rows import Gauge

SLACK = 512 * 2**20
"""bytes by which a device's memory may have grown: the driver keeps a little for itself"""
LOOK_EVERY = 0.5
PATIENCE = 60.0
"""seconds for the driver to give it back; after that somebody must look"""
CONTEXT = 2**30
"""bytes that a process takes on a GPU beside what it allocates"""
USABLE = 0.9
"""of a device's memory, when two share it"""
MARGIN = 1.2
"""by which a run may need more than the champion's did"""


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


def room_for_two(
    device: Device,
    measured: Sequence[Run],
    profile: Mapping[str, Any],
    *,
    sample: Callable[[Sequence[Device]], list[Gauge]] = devices.sample,
) -> bool:
    """Whether a run may start up on a device while another is evaluated there. Not where nothing is known yet.

    `measured`: finished runs of the champion on this class of device. `profile`: the target's description of its sizes,
    with an estimate of its `memory` (bytes to `train` and to `evaluate`) for a GPU.
    """
    gauges = sample([device])
    if not gauges or gauges[0].memory_used is None or gauges[0].memory_total is None:
        return False
    free = USABLE * gauges[0].memory_total - gauges[0].memory_used
    if device.name == "cpu":
        train, evaluate = (_most(measured, "usage", part, "peak_bytes") for part in ("train", "evaluate"))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cores >= 2 and train > 0 and free >= MARGIN * train + evaluate
    estimate = profile.get("memory") or {}
    train = _most(measured, "train", "peak_memory_bytes")
    train = train + CONTEXT if train else float(estimate.get("train") or 0.0)
    evaluate = float(estimate.get("evaluate") or 0.0)
    return train > 0 and evaluate > 0 and free >= MARGIN * train + evaluate


def _most(runs: Sequence[Run], *keys: str) -> float:
    """The largest of a number in the runs' detail; 0 where none has it."""
    found = [0.0]
    for run in runs:
        value: Any = run.detail
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            found.append(float(value))
    return max(found)
