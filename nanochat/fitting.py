"""The largest micro-batch that a device really holds: a few steps of train.py, each size in its own process. Frozen.

    python -m nanochat.fitting --gigabytes 80 --device cuda:0     what fits a GPU of this size, as JSON
    python -m nanochat.fitting --profile cpu --device cpu --gigabytes 2

It begins where memory.py's estimate says, and goes up while there is room, or down until there is. Where nothing can be
measured, or not in time, the estimate stands and stderr says so. The steps are train.py's own, with the copy of the
weights that the harness keeps meanwhile; the data is made up.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nanochat import memory
from nanochat.memory import GIB, USABLE
from nanochat.profiles import Profile, describe, load_profile

OUT_OF_MEMORY = 4
STEPS = 2
MICRO_BATCHES = 2  # in a step: from the second on, gradients are there beside the activations
PROBES = 5
SECONDS = 600.0  # for all of them; compiling one takes a minute on a slow host


class Unmeasurable(Exception):
    """A probe failed, and not for want of memory."""


def probe(profile: Profile, device_name: str, limit: float) -> int:
    """Peak bytes of a few steps in this process. Raises torch.OutOfMemoryError or MemoryError beyond `limit` bytes."""
    import torch

    from nanochat.device import autocast, compute_dtype, leave_compiler_unimported, peak_memory, use_kernels
    from nanochat.float8 import use_float8

    if profile.kernels and (reason := use_kernels(profile.kernels)):
        raise RuntimeError(reason)
    device = torch.device(device_name)
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(device)
        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / whole), device)
    else:
        leave_compiler_unimported()
    target: Any = importlib.import_module("nanochat.train")
    compiled = gpu and profile.compile

    class Run:
        compile = staticmethod(lambda function: torch.compile(function, dynamic=False) if compiled else function)

    torch.manual_seed(0)
    model = target.build_model(profile).to(device)
    optimizers = target.build_optimizers(model, Run)
    if profile.float8:
        use_float8(model)
    network = Run.compile(model)
    kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
    tokens = torch.randint(profile.vocab, (profile.rows, profile.sequence), device=device)
    for _ in range(STEPS):
        for _ in range(MICRO_BATCHES):
            with autocast(device, compute_dtype(device)):
                loss = network(tokens, tokens) / MICRO_BATCHES
            loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    if gpu:
        torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_reserved(device) if gpu else peak_memory(device)
    del kept
    if peak > limit:
        raise MemoryError(f"{peak} bytes, {limit:.0f} may be used")
    return peak


def probed(profile: Profile, device: str, limit: float, seconds: float) -> int | None:
    """Peak bytes in a process of its own, None when memory runs out. Raises Unmeasurable."""
    sizes = json.dumps({name: value for name, value in describe(profile).items() if name != "env"})
    command = [sys.executable, "-m", "nanochat.fitting", "--probe", sizes, "--device", device]
    command += ["--gigabytes", str(limit / GIB)]
    env = {**os.environ, **profile.env()}
    try:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unmeasurable(f"no answer within {seconds:.0f} s") from error
    if ended.returncode == OUT_OF_MEMORY:
        return None
    lines = ended.stdout.split()
    if ended.returncode != 0 or not lines or not lines[-1].isdigit():
        said = ended.stderr.strip().splitlines()
        raise Unmeasurable(said[-1] if said else f"exit code {ended.returncode}")
    return int(lines[-1])


def largest(
    possible: list[int], first: int, peak: Callable[[int], int | None], probes: int = PROBES
) -> tuple[int, int] | None:
    """(rows, peak bytes) of the most rows that fit; None where none was found.

    `possible` ascends; `first` of it is tried first. `peak`: bytes that so many rows take, None where it is too much.
    """
    at, found, step = possible.index(first), None, 0
    while 0 <= at < len(possible) and probes:
        took = peak(possible[at])
        probes -= 1
        if took is not None:
            found = (possible[at], took)
        if step == 0:
            step = 1 if took is not None else -1
        elif (took is None) == (step > 0):  # up until it is too much, or down until it fits
            break
        at += step
    return found


def measure(profile: Profile, device: str, limit: float, seconds: float = SECONDS) -> tuple[int, int] | None:
    """(rows, peak bytes) that fit a device, by trying; in time for the best so far at least. Raises Unmeasurable."""
    deadline = time.monotonic() + seconds
    fits = False

    def peak(rows: int) -> int | None:
        nonlocal fits
        print(f"trying {rows} rows in a micro-batch", file=sys.stderr, flush=True)
        try:
            took = probed(replace(profile, rows=rows), device, limit, max(1.0, deadline - time.monotonic()))
        except Unmeasurable as error:
            if not fits:
                raise
            print(f"{rows} rows: {error}; what has been found stands", file=sys.stderr)
            return None
        fits = fits or took is not None
        return took

    in_step = profile.step_tokens // profile.sequence
    possible = [rows for rows in range(1, in_step + 1) if in_step % rows == 0]
    return largest(possible, profile.rows, peak)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nanochat.fitting", description="Measure what fits a device.")
    parser.add_argument("--gigabytes", type=float, required=True, help="memory of the device")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--profile", help="instead of the best one for the size")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest it may take")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.probe:
        return run_probe(load_profile(options.probe), options.device, options.gigabytes * GIB)
    profile = load_profile(options.profile) if options.profile else memory.fit(options.gigabytes)
    if profile is None:
        print(f"no profile fits a GPU of {options.gigabytes:g} GB, even with one row at a time", file=sys.stderr)
        return 2
    found = None
    try:
        found = measure(profile, options.device, USABLE * options.gigabytes * GIB, options.seconds)
        if found is None:
            print("nothing that was tried fits; the estimate stands", file=sys.stderr)
    except Unmeasurable as error:
        print(f"not measured ({error}); the estimate stands", file=sys.stderr)
    rows, peak = found or (profile.rows, 0)
    profile = replace(profile, rows=rows)
    measured = round(peak / GIB, 2) if found else None
    estimated = round(memory.estimate(profile).total / GIB, 2)
    print(json.dumps({**describe(profile), "estimated_gb": estimated, "measured_gb": measured}))
    return 0


def run_probe(profile: Profile, device: str, limit: float) -> int:
    """The other side of `probed`."""
    import torch

    from nanochat.harness import out_of_memory

    try:
        print(probe(profile, device, limit))
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(error, file=sys.stderr)
        return OUT_OF_MEMORY
    return 0


if __name__ == "__main__":
    sys.exit(main())
