"""A child, put into the sandbox that this machine has."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.runs.local import Child
from core.runs.sandbox import bubblewrap, landlock, places
from core.runs.sandbox.places import Gpu


class Tier(StrEnum):
    """How strong it is."""

    BUBBLEWRAP = "A"
    LANDLOCK = "B"
    NONE = "C"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One tier, as found on this machine."""

    tier: Tier
    detail: str
    """what it keeps in, and what it cannot"""
    fix: str = ""
    """one line that makes it stronger; empty for the strongest"""
    program: str = ""
    options: frozenset[str] = frozenset()
    """what this bubblewrap can do beyond the least"""
    gpus: Mapping[str, Gpu] = field(default_factory=dict)

    def wrap(
        self,
        child: Child,
        *,
        readable: Sequence[str] = (),
        writable: Sequence[str] = (),
        hidden: Sequence[str] = (),
        device: str = "cpu",
        compiled: str = "",
    ) -> Child:
        """The child inside: it reads Python and its packages, the system's libraries and `readable`, but not what of
        these is `hidden`; it writes to `writable`, the first of which holds its caches, those of compilers perhaps in
        `compiled`. Of a child without a command this gives the words to put before one.
        """
        gpu = self.gpus.get(device)
        nodes = places.gpu_nodes(gpu) if gpu else []
        inner = self.tier == Tier.BUBBLEWRAP or not writable
        scratch = "/tmp" if inner else os.path.join(writable[0], ".cache")
        env = {**child.env, **own_caches(scratch, compiled), **only_device(device, gpu)}
        if self.tier == Tier.NONE:
            return dataclasses.replace(child, env=env)
        shown = places.outermost([*places.python_directories(), *places.library_directories(), *readable])
        needless = [path for path in places.needless_directories() if not places.inside_any(path, readable)]
        unseen = places.outermost([*hidden, *needless])
        if self.tier == Tier.LANDLOCK:
            kept_in = landlock.arguments(readable=shown, writable=writable, hidden=unseen, nodes=nodes)
            return dataclasses.replace(child, argv=[*kept_in, *child.argv], env=env)
        kept_in = bubblewrap.arguments(
            self.program, self.options, env=env, cwd=child.cwd, readable=shown, writable=writable, hidden=unseen,
            nodes=nodes,
        )  # fmt: skip
        return dataclasses.replace(child, argv=[*kept_in, *child.argv], env={"PATH": os.defpath})


def own_caches(scratch: str, compiled: str = "") -> dict[str, str]:
    """Caches of this run alone: a shared one is a way to put code into later runs and the evaluator."""
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
    caches = {name: os.path.join(compiled or scratch, name.split("_")[0].lower()) for name in names}
    caches["XDG_CACHE_HOME"] = os.path.join(scratch, "xdg")
    # no package from a home directory, none from where a script stands; torch asks for a user's name
    return {**caches, "TMPDIR": scratch, "PYTHONNOUSERSITE": "1", "USER": "trainer", "LOGNAME": "trainer"}


def only_device(device: str, gpu: Gpu | None) -> dict[str, str]:
    """One GPU, by the driver's name for it, so that it is the first whatever its number; or none."""
    if not device.startswith("cuda"):
        return {"CUDA_VISIBLE_DEVICES": ""}
    if gpu is None:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpu.uuid, "AR_DEVICE": "cuda:0"}


def python_command(code: str) -> Child:
    """A few lines of Python as a child, for probes."""
    return Child([sys.executable, "-I", "-S", "-c", code], cwd="/", env={}, seconds=20)
