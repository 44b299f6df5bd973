"""The machine's devices: which there are, what class they belong to, and what their gauges say."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import LabError
from core.store.rows import Gauge

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """Something a run occupies alone."""

    name: str
    """`cpu` or `cuda:0`: what the trainer is told"""
    kind: str
    """the device class: results compare only within one"""
    memory: int
    """bytes; 0 where the device does not say"""


def find(names: Sequence[str]) -> list[Device]:
    """The devices of a lab: those named in its config, or every GPU that CUDA_VISIBLE_DEVICES leaves, or the CPU.

    Raises:
        LabError: a device that is named is not there.
    """
    gpus = [board.device for board in _boards()]
    known = {device.name: device for device in [*gpus, cpu()]}
    if missing := [name for name in names if name not in known]:
        raise LabError(
            f"no such device: {', '.join(missing)}",
            hint=f"runs.devices in autoresearch.toml; here are: {', '.join(known)}",
        )
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return [board.device for board in _boards() if board.is_visible(os.environ.get("CUDA_VISIBLE_DEVICES"))] or [cpu()]


def profile_for(devices: Sequence[Device]) -> str:
    """The built-in profile that fits the first device."""
    first = devices[0]
    if first.name == "cpu":
        return "cpu"
    gigabytes = first.memory / 2**30
    return "h100" if gigabytes > 70 else "gpu-24g" if gigabytes > 20 else "gpu-8g"


def cpu() -> Device:
    import psutil

    return Device("cpu", f"{_cpu_model()} ×{os.cpu_count()}", int(psutil.virtual_memory().total))


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass  # not Linux: the platform module knows less, but something
    return platform.processor() or platform.machine()


@dataclass(frozen=True, slots=True)
class _Board:
    """A GPU, and what it can be called by."""

    device: Device
    uuid: str

    def is_visible(self, names: str | None) -> bool:
        """Whether a list as in CUDA_VISIBLE_DEVICES leaves it in: numbers, or the first letters of a UUID."""
        if names is None:
            return True
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        number = self.device.name.removeprefix("cuda:")
        return any(number == name or (name.startswith("GPU-") and self.uuid.startswith(name)) for name in wanted)


def _boards() -> list[_Board]:
    """The GPUs that answer; one that has fallen off the bus is left out, and takes no other with it."""
    found = []
    with _nvml() as nvml:
        for index in range(nvml.nvmlDeviceGetCount()) if nvml is not None else ():
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                kind = f"{nvml.nvmlDeviceGetName(handle)} / driver {nvml.nvmlSystemGetDriverVersion()}"
                uuid = str(nvml.nvmlDeviceGetUUID(handle))
            except nvml.NVMLError as error:
                log.warning("cuda:%d does not answer and is left out: %s", index, error)
                continue
            try:
                memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
            except nvml.NVMLError:  # boards that share the machine's own memory do not say
                memory = 0
            found.append(_Board(Device(f"cuda:{index}", kind, memory), uuid))
    return found


@contextmanager
def _nvml() -> Iterator[Any]:
    """NVML, or None where there is no NVIDIA driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def sample(devices: Sequence[Device]) -> list[Gauge]:
    """One gauge reading per device; None for what the device does not say."""
    now = time.time()
    gauges = [_cpu_gauge(now) for device in devices if device.name == "cpu"]
    gpus = [device for device in devices if device.name.startswith("cuda:")]
    if gpus:
        with _nvml() as nvml:
            gauges += [_gpu_gauge(nvml, device, now) for device in gpus if nvml is not None]
    return gauges


def _gpu_gauge(nvml: Any, device: Device, now: float) -> Gauge:
    index = int(device.name.removeprefix("cuda:"))

    def reading(ask: Callable[[Any], float]) -> float | None:
        try:
            return float(ask(nvml.nvmlDeviceGetHandleByIndex(index)))
        except nvml.NVMLError:  # not every board has every sensor, and one that fell off the bus has none
            return None

    return Gauge(
        device.name,
        now,
        reading(lambda board: nvml.nvmlDeviceGetUtilizationRates(board).gpu),
        reading(lambda board: nvml.nvmlDeviceGetMemoryInfo(board).used),
        reading(lambda board: nvml.nvmlDeviceGetMemoryInfo(board).total),
        reading(lambda board: nvml.nvmlDeviceGetPowerUsage(board) / 1000),
        reading(lambda board: nvml.nvmlDeviceGetTemperature(board, nvml.NVML_TEMPERATURE_GPU)),
        reading(lambda board: nvml.nvmlDeviceGetClockInfo(board, nvml.NVML_CLOCK_SM)),
    )


def _cpu_gauge(now: float) -> Gauge:
    """The machine's processors since the last call. Power, temperature and clock need rights or sensors that many
    machines do not give, so they stay unknown.
    """
    import psutil

    cores = psutil.cpu_percent(percpu=True)
    memory = psutil.virtual_memory()
    return Gauge(
        "cpu",
        now,
        sum(cores) / len(cores) if cores else None,
        memory.total - memory.available,
        memory.total,
        None,
        None,
        load=psutil.getloadavg()[0],
        cores="".join(str(min(int(percent / 10), 9)) for percent in cores),
    )


def boot_id() -> str:
    """Differs after every reboot: a pid of another boot is somebody else."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def started(pid: int) -> float | None:
    """When a live process started, in units that do not change while it lives; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return None if fields[0] in "ZX" else float(fields[19])
    except OSError:
        pass  # gone, or not Linux
    if Path("/proc/self/stat").exists():
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
