"""The runner: one small process per run that starts the trainer, then the evaluator, and says how it ended.

Stdlib only, single-threaded, in its own session, run as a file: `python -I -S runner.py RUN_DIRECTORY`. It knows nothing
of the lab, the database or git, so the same runner serves any executor. It reads `spec.json`; it writes `start.json` (who
it is), `stdout.log` (what the children print, capped), `phase.json` (what it is doing) and, last and by rename,
`exit.json`.

    spec.json  {"run", "attempt", "log_bytes", "out_bytes",
                "trainer":   {"argv", "cwd", "env", "seconds"},
                "evaluator": {"argv", "cwd", "env", "seconds"} | null}
    exit.json  {"run", "attempt", "state", "error", "rc", "seconds": {"train", "evaluate"}, "train", "result", "at"}

`state` is finished, crashed, diverged, timeout, killed or void, as in `RunState`. Whatever the children wrote is hostile:
it is read with size caps and never followed through links. SIGTERM to the runner kills the run and still leaves an
exit.json.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

GRACE = 2.0
"""seconds between SIGTERM and SIGKILL"""
DIVERGED, OUT_OF_MEMORY = 3, 4
"""exit codes of the harness"""
JSON_LIMIT = 1024 * 1024
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Killed(Exception):
    """A person, or the engine, wants this run to end."""


def main(directory: Path) -> int:
    spec = json.loads((directory / "spec.json").read_text())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _killed)
    signal.signal(signal.SIGINT, _killed)
    adopt_orphans()
    write_json(
        directory / "start.json",
        {"pid": os.getpid(), "run": spec["run"], "attempt": spec["attempt"], "at": time.time()},
    )
    outcome: dict[str, Any] = {"run": spec["run"], "attempt": spec["attempt"], "error": "", "seconds": {}, "rc": None}
    try:
        outcome |= run(directory, spec, outcome["seconds"])
    except Killed:
        outcome |= {"state": "killed", "error": "stopped"}
    except Exception as error:  # the runner's one edge: however it fails, the engine must learn of it
        outcome |= {"state": "crashed", "error": f"runner: {type(error).__name__}: {error}"}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kill_descendants()
    write_json(directory / "exit.json", {**outcome, "at": time.time()})
    return 0


def run(directory: Path, spec: dict[str, Any], seconds: dict[str, float]) -> dict[str, Any]:
    """Train, then evaluate; returns what `exit.json` says beside the times."""
    out, measured = directory / "out", directory / "eval"
    out.mkdir(exist_ok=True)
    measured.mkdir(exist_ok=True)
    log = Log(directory / "stdout.log", spec["log_bytes"])
    limit = OutLimit(out, spec["out_bytes"])
    phase(directory, "starting")
    started = time.monotonic()
    rc, why = supervise(spec["trainer"], log, limit)
    seconds["train"] = time.monotonic() - started
    summary = read_json(out / "train.json")
    ended = judge_exit(rc, why, log)
    if ended or not spec["evaluator"]:
        return {**(ended or {"state": "finished"}), "rc": rc, "train": summary, "result": None}
    phase(directory, "evaluating")
    started = time.monotonic()
    rc, why = supervise(spec["evaluator"], log, OutLimit(measured, JSON_LIMIT * 16))
    seconds["evaluate"] = time.monotonic() - started
    result = read_json(measured / "result.json")
    if why or rc != 0 or result is None:
        why = why and f"evaluation: {why}"
        ended = judge_exit(rc, why, log) or {"state": "crashed", "error": "the evaluator left no result"}
    elif result.get("void"):
        ended = {"state": "void", "error": str(result["void"])[:1000]}
    else:
        ended = {"state": "finished"}
    return {**ended, "rc": rc, "train": summary, "result": result}


def judge_exit(rc: int, why: str, log: Log) -> dict[str, Any] | None:
    """What an exit means; None when all is well."""
    if why:
        return {"state": "timeout" if "wall clock" in why else "crashed", "error": why}
    if rc == 0:
        return None
    last = log.last_line()
    if rc == DIVERGED:
        return {"state": "diverged", "error": last or "the loss is not finite"}
    if rc == OUT_OF_MEMORY:
        return {"state": "crashed", "error": last or "out of memory"}
    if rc < 0:
        name = signal.Signals(-rc).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return {"state": "crashed", "error": f"ended by {name}{hint}"}
    return {"state": "crashed", "error": last or f"exit code {rc}"}


def supervise(child: dict[str, Any], log: Log, limit: OutLimit) -> tuple[int, str]:
    """Run one child to its end: `(exit code, why it was stopped)`; the second is empty when it ended by itself."""
    process = subprocess.Popen(
        child["argv"],
        cwd=child["cwd"],
        env=child["env"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=limits,  # safe here: this process has one thread
    )
    assert process.stdout is not None
    deadline = time.monotonic() + child["seconds"]
    why = ""
    os.set_blocking(process.stdout.fileno(), False)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while process.poll() is None:
                if selector.select(timeout=0.05):
                    data = process.stdout.read(1 << 16)
                    if data == b"":
                        selector.unregister(process.stdout)  # closed its output, still runs
                    elif data:
                        log.write(data)
                elif not selector.get_map():
                    time.sleep(0.05)
                if time.monotonic() > deadline:
                    why = f"over its wall clock of {child['seconds']:.0f} s"
                elif limit.exceeded():
                    why = f"wrote more than {limit.most / 2**20:.0f} MB"
                if why:
                    break
    finally:
        kill_group(process)
        while data := process.stdout.read(1 << 16):
            log.write(data)
        process.stdout.close()
        log.flush()
    return process.returncode, why


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a child and everything it started: politely, then not."""
    for sig, wait in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 10.0)):
        if process.poll() is not None and sig == signal.SIGTERM:
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait)
    kill_descendants()


def kill_descendants() -> None:
    """Kill what left the child's process group; as subreaper we inherit it. Waits until nothing is left."""
    deadline = time.monotonic() + 10
    while (pids := children(os.getpid())) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.005)


def children(parent: int) -> list[int]:
    """Direct children of a process, from /proc (empty where there is none)."""
    try:
        return [int(p) for p in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def limits() -> None:
    """In the child before exec: die with the runner, no core file, no extra privileges."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Log:
    """The children's output, up to a cap; what is over it is counted and dropped."""

    def __init__(self, path: Path, most: int) -> None:
        self.file = path.open("ab")
        self.most = most
        self.size = self.file.tell()
        self.dropped = False
        self.tail = b""

    def write(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-8192:]
        room = self.most - self.size
        self.file.write(data[: max(0, room)])
        self.size += min(len(data), max(0, room))
        if len(data) > room and not self.dropped:
            self.dropped = True
            self.file.write(f"\n[the log is cut here: over {self.most / 2**20:.0f} MB]\n".encode())
        self.file.flush()

    def flush(self) -> None:
        self.file.flush()

    def last_line(self) -> str:
        """The last line with anything on it: of a traceback, the error."""
        lines = [line.strip() for line in self.tail.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")[:500]


class OutLimit:
    """The most a child may write into its directory, looked at twice a second."""

    def __init__(self, directory: Path, most: int) -> None:
        self.directory = directory
        self.most = most
        self.next = 0.0

    def exceeded(self) -> bool:
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + 0.5
        return size_of(self.directory) > self.most


def size_of(directory: Path) -> int:
    """Bytes on disk below a directory; links are not followed."""
    total = 0
    for folder, _folders, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object a child wrote; None when it is absent, a link, too large or not an object."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            data = file.read(JSON_LIMIT + 1)
        value = json.loads(data) if len(data) <= JSON_LIMIT else None
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write by rename, on disk before the new name is."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def phase(directory: Path, name: str) -> None:
    """Say what the run is doing; the trainer's own phases lie in out/phase.json."""
    temporary = directory / "phase.tmp"
    temporary.write_text(json.dumps({"phase": name, "at": time.time()}))
    temporary.replace(directory / "phase.json")


def _killed(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the clean-up must not be interrupted
    raise Killed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
