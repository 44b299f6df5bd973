"""Tier A: the command line of bubblewrap. Nothing is there unless it is named here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from core.runs.sandbox.places import CPU_FACTS, SYSTEM_FILES, inside_any, outermost, system_directories

NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net")
OPTIONAL = ("--unshare-cgroup-try", "--disable-userns", "--size")
SCRATCH_BYTES = 4 * 2**30
"""the most in /tmp and in /dev/shm; both live in memory and end with the process"""
USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64")


def find() -> str | None:
    return shutil.which("bwrap")


def supported(program: str) -> frozenset[str]:
    """Which of the optional options this version has."""
    said = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10, check=False)
    words = set((said.stdout + said.stderr).split())
    return frozenset(option for option in OPTIONAL if option in words)


def arguments(
    program: str,
    options: Iterable[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    readable: Sequence[str],
    writable: Sequence[str],
    hidden: Sequence[str],
    nodes: Sequence[str],
) -> list[str]:
    """Everything before the command itself. Later mounts lie over earlier ones: scratch, readable, hidden, writable."""
    options = set(options)
    argv = [program, *NAMESPACES, *sorted(options - {"--size"})]
    argv += ["--new-session", "--die-with-parent", "--cap-drop", "ALL", "--clearenv"]
    for name, value in env.items():
        argv += ["--setenv", name, value]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    sized = "--size" in options
    for scratch in ("/tmp", "/dev/shm"):
        argv += [*(("--size", str(SCRATCH_BYTES)) if sized else ()), "--tmpfs", scratch]
    for name in USR_LINKS:
        argv += _top_level(f"/{name}")
    for path in SYSTEM_FILES:
        argv += ["--ro-bind-try", path, path]
    sys_path = "/sys" if nodes else CPU_FACTS  # without /sys cuInit fails; the CPU's facts decide how torch threads
    argv += ["--ro-bind-try", sys_path, sys_path]
    for node in nodes:
        argv += ["--dev-bind", node, node]
    shown = outermost([*readable, *system_directories()])
    for path in shown:
        argv += ["--ro-bind", path, path]
    for path in sorted(set(hidden)):
        if not inside_any(path, shown):
            continue
        if not os.path.isdir(path):
            argv += ["--ro-bind", "/dev/null", path]
        elif sized:  # an empty page; making it read-only instead costs 20 ms for sixty of them
            argv += ["--size", "4096", "--tmpfs", path]
        else:
            argv += ["--tmpfs", path, "--remount-ro", path]
    for path in sorted(set(writable)):
        argv += ["--bind", path, path]
    return [*argv, "--remount-ro", "/", "--chdir", cwd, "--"]


def _top_level(path: str) -> list[str]:
    """/bin and its like: a link into /usr where the system has merged them, else the directory."""
    if os.path.islink(path):
        return ["--symlink", os.readlink(path).lstrip("/"), path]
    return ["--ro-bind", path, path] if os.path.isdir(path) else []


def diagnose(said: str) -> tuple[str, str]:
    """What bubblewrap's complaint means, and the one-line fix."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "bubblewrap failed without a word"
    if "RTM_NEWADDR" in said or "uid map" in said:
        return last, (
            "AppArmor forbids user namespaces (Ubuntu 24.04): `sudo apt install apparmor-profiles && "
            "sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
            "sudo systemctl reload apparmor`"
        )
    if "namespace" in said or "clone" in said or "unshare" in said:
        return last, (
            "no user namespaces here: in a container start it with `--security-opt seccomp=unconfined`, "
            "elsewhere `sudo sysctl kernel.unprivileged_userns_clone=1`"
        )
    if "proc" in said:
        return last, "the container masks /proc: start it with `--security-opt systempaths=unconfined`"
    return last, "run `autoresearch-tui doctor` for the whole message"
