"""Tier B: what the kernel can do without any package. `launch.py` does it, in the child, before its exec."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

from core.runs.sandbox.places import CPU_FACTS, SYSTEM_FILES, inside_any, system_directories

LAUNCHER = Path(__file__).with_name("launch.py")
LEAST_ABI = 3
"""before it, code that may only read a file can still cut it to nothing"""
SIGNALS_ABI, NETWORK_ABI = 6, 4
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SYSTEM = ("/bin", "/lib", "/lib64", "/lib32", "/sbin", *SYSTEM_FILES, "/proc")
_CREATE_RULESET, _ASK_VERSION = 444, 1


def abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def arguments(
    *, readable: Sequence[str], writable: Sequence[str], hidden: Sequence[str], nodes: Sequence[str]
) -> list[str]:
    """Everything before the command itself; the environment goes through."""
    argv = [sys.executable, "-I", "-S", str(LAUNCHER)]
    shown = sorted({*readable, *system_directories(), *SYSTEM, "/sys" if nodes else CPU_FACTS})
    for path in shown:
        argv += ["--read", path]
    for path in sorted(set(hidden)):
        if inside_any(path, shown):
            argv += ["--hide", path]
    for path in sorted(set(writable)):
        argv += ["--write", path]
    for path in (*DEVICES, *nodes):
        argv += ["--device", path]
    return [*argv, *(["--comm"] if nodes else []), "--"]
