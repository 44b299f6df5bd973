"""The runner: one small process per run that starts the trainer, then the evaluator, and says how it ended.

Stdlib only, single-threaded, in its own session, run as a file: `python -I -S runner.py RUN_DIRECTORY`. It knows
nothing of the lab, the database or git, so the same runner serves any executor. It reads `spec.json`; it writes
`start.json` (who it is), `stdout.log` (what the children print, capped), `phase.json` (what it is doing) and, last and
by rename, `exit.json`.

    spec.json  {"run", "attempt", "log_bytes", "out_bytes", "gate": seconds | null,
                "compiled": {"from": directory | null, "keep": bool},
                "trainer":   {"argv", "cwd", "env", "seconds"} | null (another run's checkpoint is evaluated),
                "evaluator": {"argv", "cwd", "env", "seconds"} | null}
    exit.json  {"run", "attempt", "state", "error", "rc", "seconds": {"train", "evaluate"}, "train", "result", "at",
                "usage": {"train": {"cpu_seconds", "peak_bytes"}, "evaluate": …},
                "gate": {"opened", "seconds", "cpu_seconds"} | null}

`state` is finished, crashed, diverged, timeout, killed, void or lost, as in `RunState`. Whatever the children wrote is
hostile: it is read with size caps and never followed through links. SIGTERM to the runner kills the run and still
leaves an exit.json. With a `gate` the trainer may wait before its clock starts (core/runs/gate.py), at most so long;
`seconds` leave the waiting out.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

GRACE = 2.0
"""seconds between SIGTERM and SIGKILL"""
DIVERGED, OUT_OF_MEMORY = 3, 4
"""exit codes of the harness"""
COMPILED = ".compiled"
"""in `out`: where the trainer's compilers keep what they made"""
JSON_LIMIT = 1024 * 1024
JSON_DEPTH = 64
"""how deep what a child wrote may be nested: far less than what ends a reader's stack"""
OPEN_FILES = 65_536
OVERSHOOT = 2**30
"""bytes a file may have beyond its directory's limit, so that who passes it is told of that one, in words"""
TASKS = 4096
"""processes and threads a child may have; torch on a large machine has hundreds"""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Killed(Exception):
    """A person, or the engine, wants this run to end."""


def main(directory: Path) -> int:
    spec = json.loads((directory / "spec.json").read_text())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, which is inherited, a crash would look like a good end
    signal.signal(signal.SIGTERM, _killed)
    signal.signal(signal.SIGINT, _killed)
    adopt_orphans()
    write_json(
        directory / "start.json",
        {"pid": os.getpid(), "run": spec["run"], "attempt": spec["attempt"], "at": time.time()},
    )
    outcome: dict[str, Any] = {
        "run": spec["run"], "attempt": spec["attempt"], "error": "", "seconds": {}, "usage": {}, "rc": None,
        "gate": None,
    }  # fmt: skip
    try:
        outcome |= run(directory, spec, outcome["seconds"], outcome["usage"])
    except Killed:
        outcome |= {"state": "killed", "error": "stopped"}
    except Exception as error:  # the runner's one edge: however it fails, the engine must learn of it
        outcome |= {"state": "crashed", "error": f"runner: {type(error).__name__}: {error}"}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kill_descendants()
    if outcome["state"] != "finished" or not spec.get("compiled", {}).get("keep"):
        with contextlib.suppress(OSError):  # a script can make it unremovable; that is no reason to be silent
            empty(directory / "out" / COMPILED, anew=False)
    write_json(directory / "exit.json", {**outcome, "at": time.time()})
    return 0


def run(directory: Path, spec: dict[str, Any], seconds: dict[str, float], usage: dict[str, Any]) -> dict[str, Any]:
    """Train, then evaluate; returns what `exit.json` says beside the times."""
    out, measured = directory / "out", directory / "eval"
    out.mkdir(exist_ok=True)
    log = Log(directory / "stdout.log", spec["log_bytes"])
    limit = OutLimit(out, spec["out_bytes"])
    phase(directory, "starting")
    started = time.monotonic()
    if spec["trainer"] and (known := spec.get("compiled", {}).get("from")):
        copy_tree(Path(known), out / COMPILED)
    gate = Gate(directory, spec["gate"]) if spec.get("gate") else None
    rc, why = supervise(spec["trainer"], log, limit, gate) if spec["trainer"] else (0, "")
    seconds["train"] = time.monotonic() - started - (gate.held() if gate else 0.0) if spec["trainer"] else 0.0
    usage["train"] = used = used_by_children()
    before = {"train": read_json(out / "train.json"), "gate": gate.report() if gate else None}
    ended = gate.verdict if gate and gate.verdict else judge_exit(rc, why, log)
    if ended or not spec["evaluator"]:
        return {**before, **(ended or {"state": "finished"}), "rc": rc, "result": None}
    phase(directory, "evaluating")
    empty(measured)  # without a sandbox the trainer could have left a module for the evaluator to import
    started = time.monotonic()
    # the logits travel in a file of memory, to which the system's limit applies as to any other
    rc, why = supervise(spec["evaluator"], log, OutLimit(measured, JSON_LIMIT * 16, one_file=spec["out_bytes"]))
    seconds["evaluate"] = time.monotonic() - started
    usage["evaluate"] = used_by_children(before=used)
    result = read_json(measured / "result.json")
    if why or rc != 0 or result is None:
        why = why and f"evaluation: {why}"
        ended = judge_exit(rc, why, log) or {"state": "crashed", "error": "the evaluator left no result"}
    elif result.get("void"):
        ended = {"state": "void", "error": str(result["void"])[:1000]}
    else:
        ended = {"state": "finished"}
    return {**before, **ended, "rc": rc, "result": result}


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
    if number := signal_of(rc):
        name = signal.Signals(number).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return {"state": "crashed", "error": f"ended by {name}{hint}"}
    return {"state": "crashed", "error": last or f"exit code {rc}"}


def signal_of(rc: int) -> int:
    """The signal that ended a child; a sandbox passes it on as a shell does, 128 more. 0: none did."""
    number = -rc if rc < 0 else rc - 128
    return number if number in {one.value for one in signal.Signals} else 0


def supervise(child: dict[str, Any], log: Log, limit: OutLimit, gate: Gate | None = None) -> tuple[int, str]:
    """Run one child to its end: `(exit code, why it was stopped)`; the second is empty when it ended by itself."""
    process = subprocess.Popen(
        child["argv"],
        cwd=child["cwd"],
        env=child["env"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: limits(limit.one_file),  # safe here: this process has one thread
    )
    tasks = TaskLimit()
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
                if gate and (why := gate.look()):
                    break
                if time.monotonic() > deadline + (gate.held() if gate else 0.0):
                    why = f"over its wall clock of {child['seconds']:.0f} s"
                elif limit.exceeded():
                    why = f"wrote more than {limit.most / 2**20:.0f} MB"
                elif tasks.exceeded():
                    why = f"started more than {TASKS} processes and threads"
                if why:
                    break
    finally:
        kill_group(process)
        while data := process.stdout.read(1 << 16):
            log.write(data)
        process.stdout.close()
        log.close_child()
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
    """Direct children of a process, whichever thread made them, from /proc (empty where there is none)."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{parent}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{parent}/task/{thread}/children").read_text().split())
    return found


def limits(file_bytes: int) -> None:
    """In the child before exec: die with the runner, no core file, no huge file, first to go when memory runs out.

    Never RLIMIT_AS: CUDA reserves more address space than there is memory.
    """
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, file_bytes + OVERSHOOT)
    lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if others := tasks_on_machine():  # it counts all of the user's processes, wherever; root it does not hold
        lower(resource.RLIMIT_NPROC, others + TASKS)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def lower(limit: int, value: int) -> None:
    """Set a limit, soft and hard, unless it is lower already."""
    soft, hard = resource.getrlimit(limit)

    def least(now: int) -> int:
        return value if now == resource.RLIM_INFINITY else min(now, value)

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(limit, (least(soft), least(hard)))


def tasks_on_machine() -> int:
    """Processes and threads of everybody; 0 where /proc does not say."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return 0


def descendants(pid: int) -> int:
    """Processes and threads below a process."""
    count, queue = 0, [pid]
    while queue and count <= 2 * TASKS:
        for child in children(queue.pop()):
            queue.append(child)
            with contextlib.suppress(OSError):
                count += len(os.listdir(f"/proc/{child}/task"))
    return count


def cpu_of_descendants() -> float:
    """Processor time of everything that lives below this process, in seconds."""
    ticks, queue = 0, [os.getpid()]
    while queue:
        for child in children(queue.pop()):
            queue.append(child)
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += sum(map(int, fields[11:15]))  # its own, and that of children it has waited for
    return ticks / os.sysconf("SC_CLK_TCK")


def used_by_children(before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Processor time and peak memory of the children that have ended: the one clock that no script can set."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime - (before or {}).get("cpu_seconds", 0.0)
    return {"cpu_seconds": round(cpu, 3), "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)}


def empty(directory: Path, *, anew: bool = True) -> None:
    """Remove a directory, and make it again."""
    if directory.is_symlink() or directory.is_file():
        directory.unlink()
    shutil.rmtree(directory, ignore_errors=True)
    if anew:
        directory.mkdir()


def copy_tree(source: Path, target: Path) -> None:
    """A copy that shares nothing that could be written through; where that fails, nothing."""
    flags = ["-a", "--reflink=auto"] if sys.platform == "linux" else ["-R", "-P", "-p"]
    try:
        copied = subprocess.run(["cp", *flags, str(source), str(target)], capture_output=True, check=False)
    except OSError:  # no cp where this machine keeps its programs: the run compiles anew
        return
    if copied.returncode != 0:
        empty(target, anew=False)


def adopt_orphans() -> None:
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Gate:
    """Holds a trainer before its clock starts, until the engine lets it go on, or does not want it any more."""

    def __init__(self, directory: Path, most: float) -> None:
        self.folder, self.said = directory / "gate", directory / "out" / "phase.json"
        self.most = most
        self.born = time.monotonic()
        self.since: float | None = None
        self.opened = False
        self.seconds = 0.0
        self.cpu_before = self.cpu = 0.0
        self.next = 0.0
        self.verdict: dict[str, Any] | None = None

    def look(self) -> str:
        """Why the run must end; empty while it may go on."""
        if self.opened:
            return ""
        go, now = self.folder / "go", time.monotonic()
        if go.exists():  # on a busy machine this is seen late, and what was done since then is training
            late = max(0.0, time.time() - go.stat().st_mtime)
            self.seconds, self.opened = max(0.0, self.held() - late), True
            return ""
        why = ""
        if (self.folder / "withdrawn").exists():
            why = (self.folder / "withdrawn").read_text() or "withdrawn"
        elif now - self.born > self.most:
            why = f"its turn did not come within {self.most:.0f} s"
        elif self.since is None and (read_json(self.said) or {}).get("phase") == "waiting":
            self.since, self.cpu_before = now, cpu_of_descendants()
            self.cpu = self.cpu_before
        elif self.since is not None and now >= self.next:
            self.next, self.cpu = now + 0.5, cpu_of_descendants()
        if why:
            self.verdict = {"state": "lost", "error": why}
        return why

    def held(self) -> float:
        """Seconds at the gate so far: they are nobody's."""
        return self.seconds if self.opened or self.since is None else time.monotonic() - self.since

    def report(self) -> dict[str, Any]:
        """For exit.json; the processor time is what the trainer used while it said that it waited."""
        return {"opened": self.opened, "seconds": self.held(), "cpu_seconds": self.cpu - self.cpu_before}


class Log:
    """The children's output, up to a cap; what is over it is counted and dropped."""

    def __init__(self, path: Path, most: int) -> None:
        self.file = path.open("ab")
        self.most = most
        self.size = self.file.tell()
        self.dropped = 0
        self.cut = False
        self.tail = b""

    def write(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-8192:]
        room = self.most - self.size
        self.file.write(data[: max(0, room)])
        self.size += min(len(data), max(0, room))
        self.dropped += len(data) - min(len(data), max(0, room))
        if self.dropped and not self.cut:
            self.cut = True
            self.file.write(f"\n[the log is cut here: over {self.most / 2**20:.0f} MB; its end follows]\n".encode())
        self.file.flush()

    def close_child(self) -> None:
        """A child has ended: of what was dropped, keep its last words, for a metric may stand there."""
        if self.dropped:
            self.file.write(self.tail[-self.dropped :])
            self.dropped = 0
        self.file.flush()

    def last_line(self) -> str:
        """The last line with anything on it: of a traceback, the error."""
        lines = [line.strip() for line in self.tail.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")[:500]


class OutLimit:
    """The most a child may write into its directory, looked at twice a second."""

    def __init__(self, directory: Path, most: int, *, one_file: int | None = None) -> None:
        self.directory = directory
        self.most = most
        self.one_file = one_file or most
        self.next = 0.0

    def exceeded(self) -> bool:
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + 0.5
        return size_of(self.directory) > self.most


class TaskLimit:
    """The most processes and threads of a child, looked at twice a second: cheaply, until there is reason to count."""

    def __init__(self) -> None:
        self.usual = tasks_on_machine()
        self.next = 0.0

    def exceeded(self) -> bool:
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + 0.5
        return tasks_on_machine() > self.usual + TASKS and descendants(os.getpid()) > TASKS


def size_of(directory: Path) -> int:
    """Bytes on disk below a directory; links are not followed."""
    total = 0
    for folder, _folders, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object a child wrote; None when it is absent, a link, a pipe, too large or not an object."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            data = file.read(JSON_LIMIT + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        value = loads(data) if len(data) <= JSON_LIMIT else None
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def loads(text: bytes | str) -> Any:
    """JSON from outside, fit to be reckoned with: no integer that is no float, no depth on which a reader would fall.

    Raises:
        ValueError: it is no JSON, or nested deeper than `JSON_DEPTH`.
    """
    try:
        value = json.loads(text, parse_int=whole)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    level = [value]
    for _ in range(JSON_DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [value for values in inner for value in values]
        if not level:
            return value
    raise ValueError("nested too deep")


def whole(digits: str) -> int | float:
    """An integer; one that is longer than any that counts something becomes a float, which may be infinite."""
    return int(digits) if len(digits) < 19 else float(digits)


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
