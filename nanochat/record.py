"""What a run writes: metrics.jsonl, phase.json, train.json, model.pt. Frozen.

Nothing here waits for the device: a loss on the GPU is copied beside the work and written when it has
arrived.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FLUSH_EVERY = 0.25  # seconds


def write_json(path: Path, value: Any) -> None:
    """Replaces the file in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value) + "\n")
    temporary.replace(path)


def save_model(model: torch.nn.Module, path: Path) -> None:
    """The state dict on the CPU, under the names of the plain model, durable before it has its name."""
    state = {}
    for name, value in model.state_dict().items():
        state[name.removeprefix("module.").replace("_orig_mod.", "")] = value.detach().cpu().clone()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Phase:
    """phase.json: what the run is doing, and since when it did that and all before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.since: dict[str, float] = {}

    def __call__(self, phase: str) -> None:
        self.since[phase] = time.time()
        write_json(self.path, {"phase": phase, "at": self.since[phase], "since": self.since})


class MetricLog:
    """metrics.jsonl: one object a line, flushed a few times a second.

    `add` returns the first step known to have a non-finite loss, or None.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("w")
        self.flushed = 0.0
        self.waiting: deque[tuple[dict[str, Any], list[str], Tensor, Any]] = deque()
        self.diverged: int | None = None

    def add(self, line: dict[str, Any]) -> int | None:
        """`line` has numbers and 0-d tensors; tensors on a GPU are written once their copy has arrived."""
        tensors = {name: value for name, value in line.items() if isinstance(value, Tensor)}
        on_gpu = [name for name, value in tensors.items() if value.is_cuda]
        for name in tensors.keys() - set(on_gpu):
            line[name] = float(tensors[name].detach())
        if on_gpu:
            stacked = torch.stack([tensors[name].detach().float().reshape(()) for name in on_gpu])
            host = torch.empty(len(on_gpu), pin_memory=True)
            host.copy_(stacked, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self.waiting.append((line, on_gpu, host, event))
        elif self.waiting:
            self.waiting.append((line, [], torch.empty(0), None))
        else:
            self._write(line)
        self._drain(wait=False)
        return self.diverged

    def close(self) -> int | None:
        """Writes what is still on its way; returns what `add` returns."""
        self._drain(wait=True)
        self.file.close()
        return self.diverged

    def _drain(self, wait: bool) -> None:
        while self.waiting:
            line, names, host, event = self.waiting[0]
            if event is not None and not event.query():
                if not wait:
                    return
                event.synchronize()
            self.waiting.popleft()
            line.update(zip(names, host.tolist(), strict=True))
            self._write(line)
        if wait:
            self.file.flush()

    def _write(self, line: dict[str, Any]) -> None:
        self.file.write(json.dumps(line) + "\n")
        if self.diverged is None and not math.isfinite(line.get("loss", 0.0)):
            self.diverged = int(line["step"])
        now = time.monotonic()
        if now - self.flushed >= FLUSH_EVERY or self.diverged is not None:
            self.file.flush()
            self.flushed = now
