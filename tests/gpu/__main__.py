"""Everything that only a CUDA device can show, in one command, offline: `make gpu`, or

    python -m tests.gpu [PART …] [--results DIR] [--again]

Each part is a process that ends within ten minutes, and leaves DIR/PART.json and DIR/PART.log. What ended well is not
done again, so a machine that is lent for a while, or taken away, costs one part. DIR/table.md has the figures of all
parts so far, for BENCHMARKS.md; DIR/live.svg and review.svg are the screen while a run trained on the device.

`--device cpu --profile test` goes the same way in a small form, to try the command itself.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/gpu"
LIMIT = 570.0
"""seconds a part may take"""
NEEDED = (
    "torch", "numpy", "pynvml", "psutil", "tokenizers", "pydantic", "git", "diff_match_patch", "click", "textual",
    "pytest",
)  # fmt: skip
SCREENS = ("live", "review")
LONG = ("test_training.py", "test_fitting.py", "test_experiment.py")
"""each a part of its own; a new file belongs to the first part until it is named here"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured on a device."""

    device: str
    profile: str
    depths: Sequence[int]
    rows: dict[int, int]
    """in a micro-batch, by depth"""
    float8: bool
    kernels: Sequence[str]
    """of attention, beside torch's own, that are installed"""
    sizes: dict[str, Any]
    """of the session, beside the profile's own: fewer tokens are prepared, and fewer seconds trained"""

    def shape(self, depth: int, **more: Any) -> str:
        return json.dumps({"name": self.profile, "depth": depth, "rows": self.rows[depth], **more})


def plan(device: str, profile: str, gigabytes: float) -> Plan:
    """The shapes that a device of this size holds; a named profile as it is."""
    from nanochat import memory
    from nanochat.profiles import load_profile

    if profile:
        chosen = load_profile(profile)
        return Plan(device, profile, [chosen.depth], {chosen.depth: chosen.rows}, False, (), {})
    fitted = memory.fit(gigabytes)
    if fitted is None:
        sys.exit(f"no profile fits a device of {gigabytes:.1f} GB")
    depths = [12, 24] if fitted.name == "h100" else [fitted.depth]
    rows = {}
    for depth in depths:
        shape = load_profile({"name": fitted.name, "depth": depth})
        rows[depth] = min(shape.rows, memory.largest_rows(shape, memory.USABLE * gigabytes * memory.GIB) or 1)
    sizes = {"rows": rows[depths[0]], "train_tokens": 12_000_000, "budget": "seconds:40"}
    return Plan(device, fitted.name, depths, rows, can_float8(device), installed_kernels(), sizes)


def installed_kernels() -> list[str]:
    found = []
    for name, module in (("FA3", "flash_attn_interface"), ("FA4", "flash_attn.cute")):
        with suppress(ImportError):  # of the package above
            found += [name] if importlib.util.find_spec(module) else []
    return found


def can_float8(device: str) -> bool:
    """Asked in a process of its own, which takes its memory on the device with it."""
    asks = f"import torch; from nanochat.float8 import why_not; print(why_not(torch.device({device!r})))"
    answer = subprocess.run([sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True, check=True)
    return not answer.stdout.strip()


def parts(plan: Plan, lab: Path, results: Path) -> dict[str, list[str]]:
    """The command of each part, the most telling first."""
    which = "gpu" if plan.device != "cpu" else "not slow and not soak"
    tests = ["-m", "pytest", "-rs", "-m", which, "-p", "no:cacheprovider"]
    found = {"numbers": [*tests, HERE, *(f"--ignore={HERE}/{name}" for name in LONG)]}
    speed = ["-m", "tests.bench.train_speed", "--json", "--rounds", "1", "--device", plan.device]
    for number, depth in enumerate(plan.depths):
        steps = ["--steps", str(4 if number else 20)]
        found[f"speed-{depth}"] = [*speed, *steps, "--variants", "floor,ours", "--profile", plan.shape(depth)]
    if plan.float8:
        depth = plan.depths[-1]
        eight = ["--variants", "ours", "--profile", plan.shape(depth, float8=True)]
        found[f"speed-{depth}-float8"] = [*speed, "--steps", "4", *eight]
    for name in plan.kernels:
        other = ["--variants", "ours", "--profile", plan.shape(plan.depths[0], kernels=name)]
        found[f"speed-{plan.depths[0]}-{name}"] = [*speed, "--steps", "20", *other]
    overrides = json.dumps(plan.sizes)
    found["data"] = ["-m", "nanochat.prepare", "--profile", plan.profile, "--overrides", overrides]
    session = ["--runs", "2", "--lab", str(lab), "--profile", plan.profile, "--device", plan.device]
    found["session"] = ["-m", "tests.bench.engine_latency", *session, "--sizes", overrides]
    for name in LONG:
        found[name.removeprefix("test_").removesuffix(".py")] = [*tests, f"{HERE}/{name}"]
    return found


def run(command: Sequence[str], log: Path, meanwhile: Callable[[], None]) -> tuple[int, str]:
    """(exit code, what it printed) of a part, which is ended with all its children when its time is over."""
    deadline = time.monotonic() + LIMIT
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-u", *command], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while process.poll() is None and time.monotonic() < deadline:
                meanwhile()
                time.sleep(0.2)
        finally:
            late = process.poll() is None
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)  # an engine in it ends its runs
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = log.read_text(errors="replace")
    if late:
        log.write_text(f"{text}\nended: over {LIMIT:.0f} s\n")
    return process.returncode, text


class Photographer:
    """Takes the picture of a lab once, in the middle of the first run of an experiment."""

    def __init__(self, lab: Path, into: Path) -> None:
        self.lab, self.into = lab, into
        self.process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        from core.errors import StoreError
        from core.lab import Lab
        from core.store.reader import Reader

        lab = Lab(self.lab)
        if self.process is not None or not lab.database.exists():
            return
        with suppress(StoreError):  # it is being made
            reader = Reader(lab.database)
            live = reader.live_runs()
            reader.close()
            if any(run.experiment_id is not None and 0.4 < run.progress < 0.8 for run in live):
                command = ["-m", "tui.docs", "--screenshot", str(self.lab), "--into", str(self.into), *SCREENS]
                self.process = subprocess.Popen([sys.executable, *command], cwd=ROOT)

    def wait(self) -> None:
        if self.process is not None:
            self.process.wait(60)


def figures(text: str) -> dict[str, Any] | None:
    """The last line that is a JSON object: what a part has measured."""
    for line in reversed(text.splitlines()):
        with suppress(ValueError):
            if isinstance(found := json.loads(line), dict):
                return found
    return None


def do(name: str, command: Sequence[str], results: Path, plan: Plan, lab: Path) -> bool:
    """One part; whether it ended well."""
    photographer = Photographer(lab, results) if name == "session" else None
    began = time.monotonic()
    rc, text = run(command, results / f"{name}.log", photographer.look if photographer else lambda: None)
    if photographer:
        photographer.wait()
    summary = [line for line in text.splitlines() if re.search(r"\d (passed|failed|skipped|deselected|error)", line)]
    part = {
        "ok": rc == 0,
        "seconds": round(time.monotonic() - began, 1),
        "command": ["python", *command],
        "sizes": json.loads(plan.shape(plan.depths[0])) | plan.sizes,
        "said": summary[-1] if "pytest" in command and summary else "",
        "data": None if "pytest" in command else figures(text),
    }
    (results / f"{name}.json").write_text(json.dumps(part, indent=1) + "\n")
    print(f"{name:20}{part['seconds']:7.1f} s  {'ok' if rc == 0 else f'failed, see {results / name}.log'}", flush=True)
    return rc == 0


def machine(device: str, gigabytes: float, kind: str) -> dict[str, str]:
    return {
        "device": kind,
        "memory": f"{gigabytes:.0f} GB",
        "torch": f"torch {importlib.metadata.version('torch')}",
        "python": f"Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
    }


def done(results: Path, name: str) -> dict[str, Any] | None:
    """What a part has left, if it ended well."""
    try:
        part: dict[str, Any] = json.loads((results / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    return part if part.get("ok") else None


def without_a_gpu(why: str) -> int:
    """The tests say for themselves why they skip."""
    ended = subprocess.run([sys.executable, "-m", "pytest", "-rs", "-m", "gpu", HERE], cwd=ROOT, check=False)
    print(f"nothing was measured: {why}")
    return ended.returncode


def not_installed() -> bool:
    """Whether the project itself cannot be imported from elsewhere, as a trainer in its own directory must."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    asked = [sys.executable, "-c", "import data.prepared, nanochat.profiles"]
    return subprocess.run(asked, cwd="/", env=env, capture_output=True, check=False).returncode != 0


def main(arguments: list[str] | None = None) -> int:
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"{sys.executable} lacks: {', '.join(missing)}; `make setup` installs them where there is a network")
        return 2
    if not_installed():
        print(f"not installed; offline too: {sys.executable} -m pip install --no-deps --no-build-isolation -e {ROOT}")
        return 2
    from core.runs import devices
    from tests.gpu.conftest import CUDA, why_no_gpu
    from tests.gpu.table import markdown

    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="only these; `--list` names them")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "gpu", help="where they are kept (build/gpu)")
    parser.add_argument("--again", action="store_true", help="also what ended well before")
    parser.add_argument("--list", action="store_true", help="print the parts")
    parser.add_argument("--device", default=CUDA)
    parser.add_argument("--profile", default="", help="in the place of the one that fits the device")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and (why := why_no_gpu()):
        return without_a_gpu(why)
    (device,) = devices.find([options.device])
    gigabytes = device.memory / 2**30
    chosen, results = plan(device.name, options.profile, gigabytes), options.results.absolute()
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        lab = Path(folder) / "lab"
        commands = parts(chosen, lab, results)
        if options.list:
            print("\n".join(commands))
            return 0
        if unknown := [name for name in options.parts if name not in commands]:
            parser.error(f"no part {', '.join(unknown)}; there are: {', '.join(commands)}")
        results.mkdir(parents=True, exist_ok=True)
        wanted = options.parts or list(commands)
        failed = [
            name
            for name in wanted
            if (options.again or done(results, name) is None) and not do(name, commands[name], results, chosen, lab)
        ]
    found = {name: part for name in commands if (part := done(results, name)) is not None}
    table = markdown(found, machine(device.name, gigabytes, device.kind))
    (results / "table.md").write_text(table)
    print(f"\n{table}\nin {results}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
