"""Which tier this machine has: found by starting a process in it, with the device where there is one."""

from __future__ import annotations

import dataclasses
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from core.runs.sandbox import bubblewrap, landlock, places
from core.runs.sandbox.launch import FORBIDDEN
from core.runs.sandbox.places import Gpu
from core.runs.sandbox.wrapping import Sandbox, Tier, python_command

PR_SET_DUMPABLE = 4
INSTALL = "sudo apt install bubblewrap"
STARTS = "raise SystemExit(0)"
CUDA = """
import ctypes
cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
code = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
raise SystemExit(f"cuInit says {code}" if code else None if count.value == 1 else f"{count.value} devices are visible")
"""


def probe(devices: Sequence[str], *, wanted: str = "auto") -> Sandbox:
    """The strongest sandbox in which every one of `devices` (`cpu`, `cuda:0`) works.

    `wanted`: `auto`, or the name of a tier's mechanism (`bubblewrap`, `landlock`, `none`) beyond which not to look.
    """
    gpus = places.gpus(devices)
    if wanted == "none":
        return Sandbox(Tier.NONE, "no sandbox: switched off in autoresearch.toml", 'sandbox.use = "auto"', gpus=gpus)
    sandbox, why, fix = _tier_a(devices, gpus) if wanted != "landlock" else (None, "", INSTALL)
    if sandbox is not None:
        return sandbox
    weaker, why_not = _tier_b(devices, gpus) if wanted != "bubblewrap" else (None, "")
    if weaker is not None:
        return dataclasses.replace(weaker, detail=weaker.detail + (f" ({why})" if why else ""), fix=fix)
    reasons = "; ".join(reason for reason in (why, why_not) if reason)
    return Sandbox(Tier.NONE, f"no sandbox: training code can do what you can ({reasons})", fix, gpus=gpus)


def _tier_a(devices: Sequence[str], gpus: dict[str, Gpu]) -> tuple[Sandbox | None, str, str]:
    """The sandbox, or why not and what to do about it."""
    if sys.platform != "linux":
        return None, f"bubblewrap needs Linux, this is {platform.system()}", "train on a Linux machine"
    program = bubblewrap.find()
    if program is None:
        return None, "bubblewrap is not installed", INSTALL
    options = bubblewrap.supported(program)
    sandbox = Sandbox(Tier.BUBBLEWRAP, "", program=program, options=options, gpus=gpus)
    said = _starts(sandbox, devices)
    if said and "--disable-userns" in options:  # not everywhere may its limit be set
        sandbox = dataclasses.replace(sandbox, options=options - {"--disable-userns"})
        said = said if _starts(sandbox, devices) else ""
    if said:
        why, fix = bubblewrap.diagnose(said)
        return None, f"bubblewrap cannot start: {why}", fix
    detail = "bubblewrap: no network, own processes, read-only system, no held-out data"
    if "--disable-userns" not in sandbox.options:
        detail += "; namespaces can be nested"
    return dataclasses.replace(sandbox, detail=detail), "", ""


def _tier_b(devices: Sequence[str], gpus: dict[str, Gpu]) -> tuple[Sandbox | None, str]:
    abi = landlock.abi()
    if abi < landlock.LEAST_ABI:
        return None, f"Landlock {abi or 'is missing'}; version {landlock.LEAST_ABI} is needed (Linux 6.2)"
    weak = ["names of files and processes stay visible"]
    if abi < landlock.SIGNALS_ABI:
        weak.append("your other processes can be signalled")
    if platform.machine() not in FORBIDDEN:
        weak.append("network sockets stay possible")
    detail = f"Landlock {abi} and seccomp: no network, writes only to the run's directory; {', '.join(weak)}"
    sandbox = Sandbox(Tier.LANDLOCK, detail, gpus=gpus)
    said = _starts(sandbox, devices)
    return (None, f"Landlock cannot start: {said.splitlines()[-1]}") if said else (sandbox, "")


def _starts(sandbox: Sandbox, devices: Sequence[str]) -> str:
    """Empty when a process starts in it and sees each device; else what it said."""
    with tempfile.TemporaryDirectory() as scratch:
        for device in devices or ["cpu"]:
            code = CUDA if device in sandbox.gpus else STARTS
            child = sandbox.wrap(python_command(code), writable=[scratch], device=device)
            try:
                ended = subprocess.run(
                    list(child.argv), cwd=child.cwd, env=dict(child.env), capture_output=True, text=True,
                    timeout=child.seconds, check=False,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                return str(error)
            if ended.returncode != 0:
                return ended.stderr or f"exit code {ended.returncode}"
    return ""
