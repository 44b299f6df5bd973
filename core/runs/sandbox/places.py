"""Where things lie that code in a sandbox must read, and text that it must not; nothing is imported to find them."""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import json
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "val", "audit")
HOLDOUT = "holdout.json"
SITE_DIRECTORIES = ("site-packages", "dist-packages")
OTHER_PYTHONS = ("lib*/python*/site-packages", "lib*/python*/dist-packages")
SYSTEM = ("bin", "sbin", "libexec", "include", "lib", "lib32", "lib64", "libx32", "local", "share/zoneinfo")
"""of /usr: programs, compilers and libraries; not what else is installed there"""
LIBRARIES = {
    "/usr/lib": (
        "*-linux-*",
        "gcc*",
        "llvm*",
        "clang*",
        "cuda*",
        "nvidia*",
        "wsl",
        "locale",
        "ssl",
        "*-ld",
        "python3*",
    ),
    "/usr/local": ("bin", "sbin", "libexec", "include", "lib*", "cuda*", "nvidia*"),
}
"""the folders in these that a program needs; whole applications lie beside them, with copies of packages in them"""
GPU_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps", "dxg")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
CPU_FACTS = "/sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class Gpu:
    """How the driver knows a device: `/dev/nvidia<minor>` and its unique name."""

    minor: int
    uuid: str


def python_directories() -> list[str]:
    """The interpreter, its standard library and its installed packages; and of editable installs, their sources."""
    found = [sys.base_prefix, sys.prefix, *links_to(sys.executable)]
    found += [path for key, path in sysconfig.get_paths().items() if key in ("stdlib", "platstdlib", "purelib")]
    if site.ENABLE_USER_SITE and os.path.isdir(site.getusersitepackages()):
        found.append(site.getusersitepackages())
    if os.path.realpath(sys.executable).startswith("/nix/store/"):
        found.append("/nix/store")
    return outermost(existing([*found, *package_directories(("nanochat", "data"))]))


def links_to(program: str) -> list[str]:
    """The directories that a program's symbolic links lead through, its own last."""
    found = [os.path.dirname(program)]
    while os.path.islink(program) and len(found) < 40:
        program = os.path.join(os.path.dirname(program), os.readlink(program))
        found.append(os.path.dirname(program))
    return [*found, os.path.dirname(os.path.realpath(program))]


def package_directories(names: Iterable[str]) -> list[str]:
    """Where packages lie, without running a line of them."""
    specs = [importlib.util.find_spec(name) for name in names]
    return [os.path.dirname(spec.origin) for spec in specs if spec is not None and spec.origin]


def library_directories() -> list[str]:
    """What the allowed part of the environment points at: CUDA toolkits and libraries outside /usr."""
    named = [os.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    named += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return outermost([path for path in named if os.path.isabs(path) and os.path.isdir(path) and path != "/"])


def needless_directories() -> list[str]:
    """Copies of installed packages that this interpreter never imports: other Pythons', bundled wheels, applications.

    A corpus of installed text may hold out a file whose twin lies there.
    """
    used = {os.path.realpath(path) for path in sys.path}
    roots = {sys.base_prefix, "/usr", "/usr/local"}
    others = [path for root in sorted(roots) for pattern in OTHER_PYTHONS for path in glob.glob(f"{root}/{pattern}")]
    wheels = os.path.join(sysconfig.get_paths()["stdlib"], "ensurepip")
    unneeded = [path for path in (*others, wheels) if os.path.isdir(path) and os.path.realpath(path) not in used]
    return [*unneeded, *applications()]


def system_directories() -> list[str]:
    return [path for path in (f"/usr/{name}" for name in SYSTEM) if os.path.isdir(path)]


def applications() -> list[str]:
    """Folders among the system's libraries that are none."""
    found = []
    for root, needed in LIBRARIES.items():
        for entry in os.scandir(root) if os.path.isdir(root) else ():
            folder = entry.is_dir(follow_symlinks=False)
            if folder and not any(fnmatch.fnmatch(entry.name, pattern) for pattern in needed):
                found.append(entry.path)
    return sorted(found)


def data_for(prepared: str, split: str) -> list[str]:
    """The parts of a prepared directory that belong to one split; all of it where it is not cut into splits."""
    if not prepared:
        return []
    root = Path(prepared)
    if not (root / HOLDOUT).is_file():
        return [prepared]
    unwanted = {HOLDOUT, *SPLITS} - {split}
    return sorted(str(path) for path in root.iterdir() if path.name not in unwanted)


def held_out(prepared: str) -> list[str]:
    """What to hide of the text that val and audit were made from: see `hiding_place`."""
    path = Path(prepared, HOLDOUT)
    if not prepared or not path.is_file():
        return []
    files = json.loads(path.read_text())["files"]
    return outermost(existing(place for file in files for place in hiding_place(file)))


def hiding_place(file: str) -> list[str]:
    """Of an installed package, the directory of its tests, else all of it (its twins and its bytecode lie beside it);
    of other text, the file.
    """
    parts = Path(file).parts
    at = max((parts.index(name) for name in SITE_DIRECTORIES if name in parts), default=None)
    if at is None or len(parts) == at + 2:
        cached = Path(file).parent / "__pycache__"
        return [file, *(str(path) for path in cached.glob(f"{glob.escape(Path(file).stem)}.*.pyc"))]
    inside = parts[at + 2 : -1]
    depth = inside.index("tests") + 1 if "tests" in inside else 0
    return [str(Path(*parts[: at + 2 + depth]))]


def outermost(paths: Iterable[str]) -> list[str]:
    """Paths, each once, without those inside another, in order."""
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if not inside_any(path, kept):
            kept.append(path)
    return kept


def existing(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if os.path.lexists(path)]


def inside_any(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def gpu_nodes(gpu: Gpu) -> list[str]:
    """The device nodes of one GPU and of the driver; of the other GPUs none."""
    return [f"/dev/{name}" for name in (f"nvidia{gpu.minor}", *GPU_NODES) if os.path.exists(f"/dev/{name}")]


def gpus(names: Iterable[str]) -> dict[str, Gpu]:
    """The driver's names of `cuda:N` devices; empty where there is no driver."""
    wanted = [name for name in names if name.startswith("cuda:")]
    if not wanted:
        return {}
    from core.runs.devices import _nvml

    with _nvml() as nvml:
        if nvml is None:
            return {}
        handles = {name: nvml.nvmlDeviceGetHandleByIndex(int(name.removeprefix("cuda:"))) for name in wanted}
        return {
            name: Gpu(int(nvml.nvmlDeviceGetMinorNumber(handle)), str(nvml.nvmlDeviceGetUUID(handle)))
            for name, handle in handles.items()
        }
