"""Runs on this machine: start a runner detached, look how it is doing, end it."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models import LIVE_RUNS, RunState
from core.runs import devices, gate, runner

ENDS = frozenset(RunState) - frozenset(LIVE_RUNS)


@dataclass(frozen=True, slots=True)
class Child:
    """A process the runner starts: the trainer or the evaluator."""

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    seconds: float
    """its wall clock"""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a runner is told; `spec.json`."""

    run: int
    attempt: int
    trainer: Child | None
    """None: the checkpoint of another run is evaluated"""
    evaluator: Child | None
    log_bytes: int
    out_bytes: int
    gate: float | None = None
    """seconds that the trainer may stand ready before it is let go on; None: it need not wait"""
    compiled_from: Path | None = None
    """a compilers' cache that the trainer gets a copy of"""
    keep_compiled: bool = False
    """whether what its compilers made is left for the engine when the run has finished"""


@dataclass(frozen=True, slots=True)
class Process:
    """Who a runner is, well enough to know it again after a restart."""

    pid: int
    started: float
    boot_id: str


class LocalExecutor:
    """Starts runners as children in sessions of their own, so that they outlive the engine."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, directory: Path, spec: Spec) -> Process:
        """Write the spec, start the runner."""
        for stale in ("exit.json", "start.json", "phase.json", "stdout.log"):
            (directory / stale).unlink(missing_ok=True)
        for folder in ("out", "eval"):
            shutil.rmtree(directory / folder, ignore_errors=True)
            (directory / folder).mkdir(parents=True)
        gate.make(directory, closed=spec.gate is not None)
        body = {
            "run": spec.run,
            "attempt": spec.attempt,
            "log_bytes": spec.log_bytes,
            "out_bytes": spec.out_bytes,
            "gate": spec.gate,
            "compiled": {
                "from": None if spec.compiled_from is None else str(spec.compiled_from),
                "keep": spec.keep_compiled,
            },
            "trainer": _child(spec.trainer),
            "evaluator": _child(spec.evaluator),
        }
        runner.write_json(directory / "spec.json", body)
        with (directory / "runner.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", runner.__file__, str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", **for_programs()},
            )
        self._children[process.pid] = process
        return Process(process.pid, devices.started(process.pid) or 0.0, devices.boot_id())

    def alive(self, process: Process) -> bool:
        """Whether this very runner still lives, not a later process with its number."""
        for pid in [pid for pid, child in self._children.items() if child.poll() is not None]:
            del self._children[pid]  # also who had written its exit.json and not yet ended when it was last looked at
        return process.boot_id == devices.boot_id() and devices.started(process.pid) == process.started

    def stop(self, process: Process) -> None:
        """Ask a runner to end its run; it still leaves an exit.json."""
        if self.alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)


def for_programs() -> dict[str, str]:
    """Where this machine keeps its programs and their libraries, which is not everywhere /bin and /usr/lib."""
    return {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}


def _child(child: Child | None) -> dict[str, Any] | None:
    if child is None:
        return None
    return {"argv": list(child.argv), "cwd": child.cwd, "env": dict(child.env), "seconds": child.seconds}


def read_exit(directory: Path, *, run: int, attempt: int) -> dict[str, Any] | None:
    """How a run ended, or None while it has not; an exit of another attempt does not count, nor what says no end."""
    try:
        value = runner.loads((directory / "exit.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or (value.get("run"), value.get("attempt")) != (run, attempt):
        return None
    parts = (value.get(name) or {} for name in ("seconds", "usage", "train", "result", "gate"))
    known = str(value.get("state")) in ENDS and isinstance(value.get("at", 0.0), int | float)
    return value if known and all(isinstance(part, dict) for part in parts) else None


def read_phase(directory: Path) -> str:
    """What a run is doing: the runner's word once it evaluates, the trainer's own before that."""
    outer = runner.read_json(directory / "phase.json") or {}
    inner = runner.read_json(directory / "out" / "phase.json") or {}
    name = str(outer.get("phase", "starting"))
    if name == "starting" and isinstance(inner.get("phase"), str):
        name = inner["phase"]
    return name if name in PHASES else "training"


PHASES = ("starting", "compiling", "waiting", "training", "saving", "evaluating", "done")


def read_since(directory: Path) -> dict[str, float]:
    """When each phase of a run began (Unix time), as far as it has come. The runner's process and the evaluator are the
    runner's word; what lies between is the trainer's own.
    """
    outer, inner, first = (
        runner.read_json(directory / name) or {} for name in ("phase.json", "out/phase.json", "start.json")
    )
    said = inner.get("since")
    since = {"starting": first.get("at"), **(said if isinstance(said, dict) else {})}
    since["starting"] = first.get("at")
    if outer.get("phase") == "evaluating":
        since["evaluating"] = outer.get("at")
    known = {name: at for name, at in since.items() if name in PHASES and isinstance(at, int | float)}
    return {name: float(at) for name, at in known.items() if math.isfinite(at)}


def last_written(directory: Path) -> float:
    """When a run last wrote one of its files (Unix time); 0 where none is there."""
    written = 0.0
    for name in ("phase.json", "stdout.log", "out/phase.json", "out/metrics.jsonl"):
        with contextlib.suppress(OSError):
            written = max(written, (directory / name).lstat().st_mtime)
    return written


def start_process(directory: Path) -> Process | None:
    """The runner that wrote start.json in a run directory: found again when the engine died before recording it."""
    body = runner.read_json(directory / "start.json")
    pid = body.get("pid") if body else None
    if not isinstance(pid, int) or (started := devices.started(pid)) is None:
        return None
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        command = []
    return Process(pid, started, devices.boot_id()) if str(directory).encode() in command else None
