"""What a machine and a lab are fit for: every probe with what it found, and one line that mends it.

A check is *ok*, a *note* (works, with less), or a *problem* (something will fail). Nothing is changed, and torch is
looked for without being imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import locale
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core import config
from core.errors import LabError
from core.lab import Lab
from core.runs import devices
from core.runs.sandbox import Tier, bubblewrap, landlock, probe
from core.text import bytes_text

FIXED_SQLITE = (3, 51, 3)
"""before it, a WAL that two connections write can be corrupted; ours has one writer"""
LEAST_GIT = (2, 20)
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "ceph", "lustre", "glusterfs", "beegfs")
GIGABYTE = 2**30
SYSCTLS = {
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
    "/proc/sys/user/max_user_namespaces": ("0", "sudo sysctl user.max_user_namespaces=10000"),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1", "sudo apt install apparmor-profiles, then link extra-profiles/bwrap-userns-restrict into /etc/apparmor.d"),
}  # fmt: skip
"""where user namespaces are switched off: the value that does it, and what undoes it"""


class Health(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One probe."""

    name: str
    health: Health
    found: str
    fix: str = ""
    """what to do, in one line; empty where there is nothing to"""


def examine(lab: Lab | None = None, *, env: Mapping[str, str] | None = None) -> list[Check]:
    """Every probe, in the order of a reader's interest. `lab`: where one is or will be; else the current directory."""
    env = os.environ if env is None else env
    place = lab.root if lab is not None else Path.cwd()
    names = [device.name for device in devices.find([])]
    checks: list[Callable[[], Check]] = [
        lambda: of_sandbox(names),
        of_bubblewrap,
        of_user_namespaces,
        of_landlock,
        of_gpus,
        of_cuda,
        of_python,
        of_torch,
        of_compiler,
        of_sqlite,
        of_git,
        lambda: of_file_system(place),
        lambda: of_free_disk(place, least=_least_free(lab)),
        lambda: of_config(lab),
        lambda: of_key(env),
        lambda: of_terminal(env),
    ]
    return [_safely(check) for check in checks]


def _safely(check: Callable[[], Check]) -> Check:
    """A probe that fails is a finding; this is an edge."""
    try:
        return check()
    except Exception as error:
        return Check("doctor", Health.PROBLEM, f"a probe failed: {type(error).__name__}: {error}", "report this")


def lines(checks: Sequence[Check]) -> list[str]:
    """For a terminal: one line a check, its fix below it."""
    width = max((len(check.name) for check in checks), default=0)
    marks = {Health.OK: "ok  ", Health.NOTE: "note", Health.PROBLEM: "FIX "}
    shown = []
    for check in checks:
        shown.append(f"{marks[check.health]}  {check.name:{width}}  {check.found}")
        if check.fix:
            shown.append(f"      {'':{width}}  → {check.fix}")
    return shown


# ---- the sandbox -----------------------------------------------------------------------------------------------------


def of_sandbox(names: Sequence[str]) -> Check:
    found = probe(names)
    health = {Tier.BUBBLEWRAP: Health.OK, Tier.LANDLOCK: Health.NOTE, Tier.NONE: Health.PROBLEM}[found.tier]
    return Check("sandbox", health, f"tier {found.tier}: {found.detail}", found.fix)


def of_bubblewrap() -> Check:
    program = bubblewrap.find()
    if program is None:
        health = Health.NOTE if sys.platform == "linux" else Health.OK
        return Check("bubblewrap", health, "not installed", "sudo apt install bubblewrap" if health else "")
    version = _first_line([program, "--version"]).removeprefix("bubblewrap ")
    missing = {"--disable-userns", "--size"} - bubblewrap.supported(program)
    if missing:
        return Check("bubblewrap", Health.NOTE, f"{version}, without {', '.join(sorted(missing))}", "0.8 has them")
    return Check("bubblewrap", Health.OK, version)


def of_user_namespaces() -> Check:
    for path, (off, fix) in SYSCTLS.items():
        if _text(path) == off and os.geteuid() != 0:
            return Check("user namespaces", Health.NOTE, f"{Path(path).name} is {off}", fix)
    if sys.platform != "linux":
        return Check("user namespaces", Health.OK, f"not needed on {platform.system()}")
    return Check("user namespaces", Health.OK, "allowed")


def of_landlock() -> Check:
    version = landlock.abi()
    if version < landlock.LEAST_ABI:
        found = f"version {version}" if version else "the kernel has none"
        return Check("landlock", Health.NOTE, found, "a kernel from 6.2, booted with lsm=…,landlock; or bubblewrap")
    return Check("landlock", Health.OK, f"version {version}")


# ---- what trains -----------------------------------------------------------------------------------------------------


def of_gpus() -> Check:
    found = [device for device in devices.find([]) if device.name.startswith("cuda:")]
    if found:
        shown = [f"{device.name} {device.kind} {bytes_text(device.memory)}" for device in found]
        return Check("gpu", Health.OK, "; ".join(shown))
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        fix = "reload the driver's modules or reboot; in a container start it with --gpus all"
        return Check("gpu", Health.PROBLEM, "there is a driver, but it shows no GPU", fix)
    return Check("gpu", Health.NOTE, "no NVIDIA driver: training runs on the CPU")


def of_cuda() -> Check:
    """Whether CUDA starts: `nvidia-smi` works in places where it does not."""
    if not Path("/proc/driver/nvidia/version").exists() and not Path("/dev/dxg").exists():
        return Check("cuda", Health.OK, "not needed without a GPU")
    code = "import ctypes; raise SystemExit(ctypes.CDLL('libcuda.so.1').cuInit(0))"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    if ended.returncode == 0:
        return Check("cuda", Health.OK, "cuInit works")
    said = (ended.stderr.strip().splitlines() or [f"cuInit says {ended.returncode}"])[-1]
    return Check("cuda", Health.PROBLEM, said, "check the driver, /dev/nvidia* and the container's runtime")


def of_python() -> Check:
    where = "" if sys.prefix != sys.base_prefix else ", no virtual environment"
    return Check("python", Health.OK, f"{platform.python_version()} in {sys.prefix}{where}")


def of_torch() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("torch", Health.PROBLEM, "not installed", f"{sys.executable} -m pip install torch")
    try:
        return Check("torch", Health.OK, importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return Check("torch", Health.NOTE, "installed, of an unknown version")


def of_compiler() -> Check:
    program = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if program is None:
        return Check("compiler", Health.NOTE, "none: torch.compile cannot be used on a GPU", "sudo apt install gcc")
    return Check("compiler", Health.OK, program)


# ---- what records ----------------------------------------------------------------------------------------------------


def of_sqlite() -> Check:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < FIXED_SQLITE:
        fixed = ".".join(map(str, FIXED_SQLITE))
        found = f"{version}: safe with one writer, as here"
        return Check("sqlite", Health.NOTE, found, f"open lab.db elsewhere read-only, or with SQLite {fixed}")
    return Check("sqlite", Health.OK, version)


def of_git() -> Check:
    program = shutil.which("git")
    if program is None:
        return Check("git", Health.PROBLEM, "not installed", "sudo apt install git")
    words = _first_line([program, "--version"])
    version = tuple(int(part) for part in re.findall(r"\d+", words)[:2])
    if version < LEAST_GIT:
        return Check("git", Health.PROBLEM, words, f"git {'.'.join(map(str, LEAST_GIT))} or newer")
    return Check("git", Health.OK, words.removeprefix("git version "))


def of_file_system(place: Path) -> Check:
    kind, mount = file_system(place)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        fix = "put the lab on a local disk: SQLite's log needs memory that is shared, and locks, of one machine"
        return Check("file system", Health.PROBLEM, f"{place} lies on {kind} ({mount})", fix)
    if kind in ("tmpfs", "ramfs"):
        return Check("file system", Health.NOTE, f"{place} lies in memory ({mount})", "it is gone after a reboot")
    return Check("file system", Health.OK, f"{kind} at {mount}" if kind else "unknown")


def file_system(place: Path) -> tuple[str, str]:
    """Kind and mount point of where a path lies or will lie; empty where the machine does not say."""
    path = str(place.resolve())
    best = ("", "")
    for line in _text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4].encode().decode("unicode_escape")
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[1]):
            best = (right.split()[0], mount)
    return best


def of_free_disk(place: Path, *, least: float) -> Check:
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < least * GIGABYTE:
        found = f"{bytes_text(free)} free, runs start from {least:g} GB"
        return Check("disk", Health.PROBLEM, found, "free some, or lower runs.min_free_gigabytes")
    health = Health.OK if free > 10 * least * GIGABYTE or free > 50 * GIGABYTE else Health.NOTE
    return Check("disk", health, f"{bytes_text(free)} free")


def _least_free(lab: Lab | None) -> float:
    try:
        loaded = lab.load_config() if lab is not None and lab.exists() else config.Config()
    except LabError:
        loaded = config.Config()
    return loaded.runs.min_free_gigabytes


# ---- who works with it -----------------------------------------------------------------------------------------------


def of_config(lab: Lab | None) -> Check:
    if lab is None or not lab.exists():
        return Check("lab", Health.OK, "none here yet", "")
    try:
        lab.load_config()
    except LabError as error:
        return Check("lab", Health.PROBLEM, error.message, error.hint)
    if not os.access(lab.root, os.W_OK):
        return Check("lab", Health.PROBLEM, f"{lab.root} cannot be written", "it can still be read: --read-only")
    return Check("lab", Health.OK, str(lab.root))


def of_key(env: Mapping[str, str]) -> Check:
    if env.get("ANTHROPIC_API_KEY"):
        return Check("key", Health.OK, "ANTHROPIC_API_KEY is set; training code never sees it")
    return Check(
        "key", Health.NOTE, "no ANTHROPIC_API_KEY: the offline researcher proposes", "export ANTHROPIC_API_KEY=…"
    )


def of_terminal(env: Mapping[str, str]) -> Check:
    kind, size = env.get("TERM", ""), shutil.get_terminal_size()
    shown = f"{kind or 'no TERM'}, {size.columns}×{size.lines}"
    if kind in ("", "dumb"):
        return Check("terminal", Health.PROBLEM, shown, "a terminal that can move its cursor: TERM=xterm-256color")
    if "utf" not in locale.getpreferredencoding(False).lower():
        return Check("terminal", Health.NOTE, f"{shown}, not UTF-8", "export LANG=C.UTF-8")
    if size.columns < 80 or size.lines < 24:
        return Check("terminal", Health.NOTE, shown, "80×24 is the least that shows everything")
    if not any(word in env.get("COLORTERM", "") for word in ("truecolor", "24bit")):
        return Check("terminal", Health.OK, f"{shown}, 256 colours", "")
    return Check("terminal", Health.OK, f"{shown}, true colour")


def _first_line(argv: Sequence[str]) -> str:
    said = subprocess.run(list(argv), capture_output=True, text=True, timeout=10, check=False).stdout
    return (said.strip().splitlines() or [""])[0]


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
