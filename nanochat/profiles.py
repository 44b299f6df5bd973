"""Profiles: the sizes that fit a device. `python -m nanochat.profiles --list`, or `NAME --json`, or `--fit GIGABYTES`.

Depth is the one dial of the model: width, heads and learning rates follow from it (train.py says how).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

# Measured on Linux CPUs (2 cores, torch 2.13): 1.3 to 1.9 times the tokens a second. libgomp's spinning
# barriers collapse when a core is shared, and glibc gives every large tensor back to the kernel only to
# fault it in again. Both are read when the process starts, so the one who starts the trainer has to set
# them.
CPU_ENV = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
CUDA_ENV = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
BUDGETS = ("flops", "seconds", "tokens")


@dataclass(frozen=True, slots=True)
class Profile:
    """Sizes of the model, its data, its training and its evaluation on one class of device."""

    name: str
    device: str  # cpu or cuda
    depth: int  # layers; the one dial
    aspect: int  # width = depth * aspect, rounded up to whole heads
    head_dim: int
    sequence: int  # context length T in tokens
    vocab: int
    rows: int  # rows of T tokens in one micro-batch on one device
    step_tokens: int  # tokens in one optimizer step, over all micro-batches and devices
    budget: str  # flops:X, seconds:X or tokens:X
    train_tokens: int  # prepared for training; more than the budget uses, so that a faster model sees no repeats
    eval_tokens: int  # in val, and as many in audit
    eval_rows: int  # rows in one batch of the evaluation
    compile: bool = False
    memory_gb: float = 0.0  # what the device should have; 0: not checked
    float8: bool = False  # large matrices multiply in 8 bits while training: Ada, Hopper and later, from depth 24 on
    kernels: str = ""  # attention of an installed package: FA3 (Hopper), FA4; without it torch's own

    @property
    def width(self) -> int:
        """Model width C: depth * aspect, rounded up to whole heads."""
        return -(-self.depth * self.aspect // self.head_dim) * self.head_dim

    @property
    def heads(self) -> int:
        return self.width // self.head_dim

    def env(self) -> dict[str, str]:
        """Environment variables the trainer and the evaluator should be started with."""
        if self.device != "cpu":
            return dict(CUDA_ENV)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        malloc = CPU_ENV if sys.platform == "linux" else {}
        return {"OMP_NUM_THREADS": str(min(cores, 4)), **malloc}


# fmt: off
PROFILES = {profile.name: profile for profile in (
    Profile("test", "cpu", depth=2, aspect=32, head_dim=32, sequence=64, vocab=512, rows=8, step_tokens=512,
            budget="tokens:15360", train_tokens=100_000, eval_tokens=8_192, eval_rows=16),
    Profile("cpu", "cpu", depth=4, aspect=32, head_dim=64, sequence=256, vocab=2048, rows=8, step_tokens=2048,
            budget="flops:2e12", train_tokens=4_000_000, eval_tokens=32_768, eval_rows=8),
    Profile("gpu-8g", "cuda", depth=6, aspect=64, head_dim=128, sequence=1024, vocab=8192, rows=8,
            step_tokens=65_536, budget="seconds:300", train_tokens=150_000_000, eval_tokens=1_048_576, eval_rows=8,
            compile=True, memory_gb=8),
    Profile("gpu-24g", "cuda", depth=8, aspect=64, head_dim=128, sequence=2048, vocab=8192, rows=16,
            step_tokens=131_072, budget="seconds:300", train_tokens=300_000_000, eval_tokens=2_097_152, eval_rows=8,
            compile=True, memory_gb=24),
    Profile("h100", "cuda", depth=12, aspect=64, head_dim=128, sequence=2048, vocab=32_768, rows=32,
            step_tokens=524_288, budget="seconds:300", train_tokens=400_000_000, eval_tokens=4_194_304, eval_rows=16,
            compile=True, memory_gb=80),
)}
# fmt: on


class ProfileError(ValueError):
    """A profile that does not exist or cannot be."""


def load_profile(spec: str | Mapping[str, Any]) -> Profile:
    """A profile by name, or from an object (or its JSON) with a `name` and overrides. Raises ProfileError."""
    if isinstance(spec, str) and not spec.lstrip().startswith("{"):
        spec = {"name": spec}
    if isinstance(spec, str):
        try:
            spec = json.loads(spec)
        except ValueError as error:
            raise ProfileError(f"not a profile: {error}") from None
    if not isinstance(spec, Mapping):
        raise ProfileError(f"a profile is an object, not {spec!r}")
    given = {key: value for key, value in spec.items() if key not in ("env", "width", "heads", "memory")}
    name = given.pop("name", None)
    if name not in PROFILES:
        raise ProfileError(f"no profile {name!r}; there are: {', '.join(PROFILES)}")
    known = {field.name: field for field in fields(Profile)}
    for key, value in given.items():
        if key not in known:
            raise ProfileError(f"a profile has no {key!r}; it has: {', '.join(known)}")
        like = getattr(PROFILES[name], key)
        if isinstance(like, float) and isinstance(value, int):
            continue
        if type(value) is not type(like):
            raise ProfileError(f"{key} of a profile is {type(like).__name__}, not {value!r}")
    return check(replace(PROFILES[name], **given))


def check(profile: Profile) -> Profile:
    """The profile itself, or ProfileError for an impossible one."""
    for key in (
        "depth",
        "aspect",
        "head_dim",
        "sequence",
        "rows",
        "step_tokens",
        "train_tokens",
        "eval_tokens",
    ):
        if getattr(profile, key) < 1:
            raise ProfileError(f"{key} of a profile must be at least 1, not {getattr(profile, key)}")
    if profile.vocab < 257:
        raise ProfileError(f"vocab must be at least 257 (256 bytes and BOS), not {profile.vocab}")
    if profile.head_dim % 2:
        raise ProfileError(f"head_dim must be even for rotary embeddings, not {profile.head_dim}")
    if profile.step_tokens % (profile.rows * profile.sequence):
        raise ProfileError(
            f"step_tokens ({profile.step_tokens}) must be a multiple of rows * sequence "
            f"({profile.rows} * {profile.sequence} = {profile.rows * profile.sequence})"
        )
    parse_budget(profile.budget)
    return profile


def parse_budget(text: str) -> tuple[str, float]:
    """("flops", 1e15) from "flops:1e15"; raises ProfileError."""
    kind, _, amount = text.partition(":")
    try:
        value = float(amount)
    except ValueError:
        value = 0.0
    if kind not in BUDGETS or not 0 < value < float("inf"):
        raise ProfileError(f"budget {text!r} must be one of flops:X, seconds:X, tokens:X with X above 0")
    return kind, value


def describe(profile: Profile) -> dict[str, Any]:
    """The profile as a JSON object, with what follows from it and the trainer's environment."""
    return {**asdict(profile), "width": profile.width, "heads": profile.heads, "env": profile.env()}


def estimated_memory(profile: Profile) -> dict[str, float]:
    """Bytes on a GPU that a training run and its evaluation should need."""
    from nanochat import memory

    needs = memory.estimate(profile)
    return {"train": needs.training, "evaluate": memory.OWN_BYTES + needs.evaluation}


def print_fitted(gigabytes: float) -> int:
    """Prints the best profile for a GPU, with the largest micro-batch that fits by estimate."""
    from nanochat import memory

    profile = memory.fit(gigabytes)
    if profile is None:
        print(f"no profile fits a GPU of {gigabytes:g} GB, even with one row at a time", file=sys.stderr)
        return 2
    needs = memory.estimate(profile).total / memory.GIB
    print(json.dumps({**describe(profile), "estimated_gb": round(needs, 2)}))
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nanochat.profiles", description="Print training profiles.")
    parser.add_argument("profile", nargs="?", help="a name, or a JSON object with a name and overrides")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--fit", type=float, metavar="GIGABYTES", help="print what fits a GPU of this size, as JSON")
    options = parser.parse_args(arguments)
    if options.fit is not None:
        return print_fitted(options.fit)
    if options.list or options.profile is None:
        print(json.dumps({n: describe(p) for n, p in PROFILES.items()}) if options.json else "\n".join(PROFILES))
        return 0
    try:
        profile = load_profile(options.profile)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 2
    described = describe(profile)
    if profile.device != "cpu":
        described["memory"] = estimated_memory(profile)
    print(json.dumps(described) if options.json else "\n".join(f"{k:14}{v}" for k, v in described.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
