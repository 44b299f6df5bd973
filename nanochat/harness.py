"""The frozen half of a run: seed, device, clock, batches, log, checkpoint. train.py calls it; no patch reaches it.

The runner describes the run in the environment:

    AR_OUT      directory to write into               AR_SEED     integer, seeds everything
    AR_DATA     prepared data (train, tokenizer)      AR_DEVICE   cpu or cuda:N
    AR_PROFILE  a name, or JSON with overrides        AR_BUDGET   flops:X, seconds:X or tokens:X; else the profile's
    AR_GATE     (optional) a file: while it is not there, a run that is ready to train waits for it

No step is free. With a budget in FLOPs everything from here to `finish` is metered: the first step and then
samples, each sample standing for the steps until the next. With seconds the clock starts at the first real
batch; what comes before it, on CUDA, are warm-up steps on one repeated made-up batch, after which weights
and optimizers are put back.

The exit code is 0 for a finished run, 2 for a wrong environment, 3 for a loss that is not finite, 4 for
memory.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from data.errors import DataError
from data.prepared import Prepared
from nanochat.device import (
    autocast,
    compute_dtype,
    device_name,
    leave_compiler_unimported,
    peak_flops,
    peak_memory,
    use_kernels,
)
from nanochat.float8 import use_float8, why_not
from nanochat.flops import FlopMeter
from nanochat.memory import advice
from nanochat.profiles import Profile, ProfileError, load_profile, parse_budget
from nanochat.record import MetricLog, Phase, save_model, write_json

DIVERGED, OUT_OF_MEMORY, BAD_ENVIRONMENT = 3, 4, 2
METER_EVERY = 8  # steps, on average, between two metered ones; metering slows a step by a fifth (measured)
WARMUP_STEPS = 3  # on CUDA, for compilation
GATE_EVERY = 0.02  # seconds between two looks for the file AR_GATE
STEPS_AHEAD = 2  # how far the host may run ahead of the GPU, so that its clock means something

# what else is said when memory runs out: by libraries, by the driver, by a CPU; the compiler wraps errors in its own
NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "OutOfMemoryError")

Batch = list[tuple[Tensor, Tensor]]  # micro-batches of tokens and targets, each (rows, T), int64


class Harness:
    """One training run. Use `Harness.from_env()`, `batches()`, `log(...)`, `finish(model)`; read `progress`."""

    def __init__(
        self, out: Path, data: Prepared, profile: Profile, seed: int, device: torch.device, budget: str
    ) -> None:
        self.out, self.data, self.profile, self.seed, self.device = out, data, profile, seed, device
        self.budget_kind, self.budget = parse_budget(budget)
        self.dtype = compute_dtype(device)
        self.rank = int(os.environ.get("RANK", 0))
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.step = 0  # steps finished
        self.tokens = 0
        self.flops = 0.0  # metered, or estimated with flops_per_token
        self.flops_outside = 0  # metered before the first batch and after the last
        self.born = time.perf_counter()
        self.started: float | None = None  # when the first real batch was handed out
        self.waited = 0.0  # seconds at the gate
        self.seconds = 0.0  # of training, set at the end
        self.meter = FlopMeter() if self.budget_kind == "flops" else None
        self.metering = False
        self.flops_per_token = 0.0
        self.peak_flops = peak_flops(device)
        self.shared_progress = 0.0
        self.last_log = (0.0, 0)  # seconds and tokens at the last log line
        out.mkdir(parents=True, exist_ok=True)
        self.phase = Phase(out / "phase.json") if self.rank == 0 else lambda *_, **__: None
        self.metrics = MetricLog(out / "metrics.jsonl" if self.rank == 0 else Path(os.devnull))
        self.phase("starting")

    @classmethod
    def from_env(cls) -> Harness:
        """The run the environment describes. A wrong environment is said in one line and exits with 2."""
        try:
            missing = " and ".join(name for name in ("AR_OUT", "AR_DATA") if not os.environ.get(name))
            if missing:
                raise ProfileError(f"{missing} not set: a runner starts this script and describes the run")
            profile = load_profile(os.environ.get("AR_PROFILE", "cpu"))
            device = torch.device(os.environ.get("AR_DEVICE", "cpu"))
            if device.type == "cuda" and "LOCAL_RANK" in os.environ:  # torchrun: a GPU a rank
                device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            if device.type == "cuda":
                device = torch.device("cuda", device.index or 0)
                if device.index >= (there := torch.cuda.device_count()):
                    raise ProfileError(
                        f"AR_DEVICE is {device}, but torch {torch.__version__} sees {there or 'no'} CUDA device(s)"
                    )
            if reason := (profile.float8 and why_not(device)) or (profile.kernels and use_kernels(profile.kernels)):
                raise ProfileError(reason)
            data = Prepared.open(os.environ["AR_DATA"])
            if (data.vocab, data.sequence) != (profile.vocab, profile.sequence):
                raise ProfileError(
                    f"the data was prepared for vocabulary {data.vocab} and context {data.sequence}, "
                    f"the profile {profile.name} has {profile.vocab} and {profile.sequence}: prepare it again"
                )
            seed = int(os.environ.get("AR_SEED", "0"))
            budget = os.environ.get("AR_BUDGET") or profile.budget
            run = cls(Path(os.environ["AR_OUT"]), data, profile, seed, device, budget)
        except (ProfileError, DataError, ValueError, RuntimeError) as error:
            print(f"harness: {error}", file=sys.stderr)
            sys.exit(BAD_ENVIRONMENT)
        run._prepare_device()
        sys.excepthook = run._on_exception
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        run._meter_on()
        return run

    # -- what train.py uses

    @property
    def progress(self) -> float:
        """Share of the budget used when this step began, 0 to 1. All schedules are functions of it."""
        return self.shared_progress

    def batches(
        self,
        model: torch.nn.Module | None = None,
        *optimizers: torch.optim.Optimizer,
        flops_per_token: float = 0.0,
    ) -> Iterator[Batch]:
        """One item a step until the budget is spent: the micro-batches of that step, on the device.

        With the model and its optimizers, CUDA runs begin with warm-up steps, in which they compile, and
        which are undone. `flops_per_token` only feeds the utilisation gauge.
        """
        self.flops_per_token = flops_per_token
        if self.device.type == "cuda":
            yield from self._warm_up(model, optimizers)
        self.flops_outside += self._meter_off()
        gc.collect()
        gc.freeze()  # a full collection over a model's objects stalls the loop for half a second
        self._wait_for_turn()
        self.phase("training")
        self.started = time.perf_counter()
        pace: deque[Any] = deque()
        per_step = self.profile.step_tokens
        step_flops = 0
        sampler = random.Random(self.seed)  # not the global one: train.py may use that
        for batch in self._stream():
            self.shared_progress = self._measure_progress()
            if self.shared_progress >= 1.0:
                break
            if self.meter and (self.step == 0 or sampler.random() < 1 / METER_EVERY):
                self._meter_on()
            yield batch
            if self.metering:
                step_flops = self._meter_off()
            self.flops += step_flops if self.meter else flops_per_token * per_step
            self.step += 1
            self.tokens += per_step
            if self.device.type == "cuda":
                event = torch.cuda.Event()
                event.record()
                pace.append(event)
                if len(pace) > STEPS_AHEAD:
                    pace.popleft().synchronize()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds = time.perf_counter() - self.started
        self.phase("saving")
        self._meter_on()

    def log(self, **values: float | Tensor) -> None:
        """One line of metrics for this step. Tensors may be on the device: nothing waits for them."""
        if self.started is None:
            return  # a warm-up step
        now, tokens = time.perf_counter() - self.started, self.tokens + self.profile.step_tokens
        seconds, counted = self.last_log
        rate = (tokens - counted) / max(now - seconds, 1e-9)
        self.last_log = (now, tokens)
        line: dict[str, Any] = {
            "step": self.step,
            "t": round(now, 4),
            "progress": round(self.shared_progress, 6),
            **values,
            "tokens": tokens,
            "tokens_per_s": round(rate, 1),
        }
        if self.peak_flops and self.flops_per_token:
            line["mfu"] = round(rate * self.flops_per_token / (self.peak_flops * self.world), 4)
        if self.metrics.add(line) is not None:
            self._stop_diverged()

    def finish(self, model: torch.nn.Module) -> None:
        """Writes the checkpoint and the summary. Call it once, after the loop."""
        self.flops_outside += self._meter_off()
        if self.metrics.close() is not None:
            self._stop_diverged()
        if self.rank == 0:
            save_model(model, self.out / "model.pt")
            write_json(self.out / "train.json", self._summary(model))
        self.phase("done")
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()

    def autocast(self) -> AbstractContextManager[object]:
        """Matrix products in the device's best dtype."""
        return autocast(self.device, self.dtype)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiled on CUDA when the profile says so; on a CPU compiling costs more than it saves in a short run.

        Never with a budget in FLOPs: what is compiled cannot be metered. With `float8` in the profile a model's large
        matrices multiply in 8 bits from here on.
        """
        if self.profile.float8 and isinstance(function, torch.nn.Module):
            use_float8(function)
        if self.device.type != "cuda" or not self.profile.compile or self.meter:
            return function
        return torch.compile(function, dynamic=False)  # type: ignore[no-any-return]

    def grad_norm(self, model: torch.nn.Module) -> Tensor:
        """The norm of all gradients together, left on the device."""
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(grads)

    def average(self, model: torch.nn.Module, loss: Tensor) -> Tensor:
        """Gradients of the model become their mean over all ranks; returns the mean loss. With one rank, nothing."""
        if self.world == 1:
            return loss
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([loss.reshape(1).float(), *(g.reshape(-1).float() for g in grads)])
        dist.all_reduce(flat)
        flat /= self.world
        means = flat[1:].split([g.numel() for g in grads])
        for grad, mean in zip(grads, means, strict=True):
            grad.copy_(mean.view_as(grad))
        return flat[0]

    # -- the clock and the data

    def _measure_progress(self) -> float:
        assert self.started is not None
        seconds = time.perf_counter() - self.started
        spent = {"flops": self.flops + self.flops_outside, "seconds": seconds, "tokens": self.tokens}[self.budget_kind]
        progress = min(1.0, spent / self.budget)
        if self.world > 1 and self.budget_kind == "seconds":  # the ranks must agree on when to stop
            shared = torch.tensor([progress], device=self.device)
            dist.broadcast(shared, 0)
            progress = float(shared)
        return progress

    def _stream(self) -> Iterator[Batch]:
        """The packed rows in their fixed order, over and over; copied to a GPU one step ahead."""
        rows = self.data.rows("train")
        micro, per_step = self.profile.rows, self.profile.step_tokens // self.profile.sequence
        if per_step % (micro * self.world):
            raise ProfileError(f"step_tokens must be a multiple of rows * sequence * {self.world} devices")
        order = np.arange(per_step)
        ahead: deque[Batch] = deque()
        at = 0
        while True:
            picked = rows[(order + at) % len(rows)].astype(np.int64)
            mine = torch.from_numpy(picked).split(micro)[self.rank :: self.world]
            if self.device.type == "cuda":
                mine = tuple(m.pin_memory().to(self.device, non_blocking=True) for m in mine)
            ahead.append([(m[:, :-1].contiguous(), m[:, 1:].contiguous()) for m in mine])
            at += per_step
            if len(ahead) > (1 if self.device.type == "cuda" else 0):
                yield ahead.popleft()

    def _warm_up(self, model: torch.nn.Module | None, optimizers: tuple[torch.optim.Optimizer, ...]) -> Iterator[Batch]:
        """A few steps on one made-up batch; afterwards weights and optimizers are as they were."""
        if model is None:
            return
        self.phase("compiling")
        kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
        shape = (self.profile.rows, self.profile.sequence)
        tokens = torch.randint(self.profile.vocab, shape, generator=torch.Generator().manual_seed(1)).to(self.device)
        micro = self.profile.step_tokens // (shape[0] * shape[1] * self.world)
        for _ in range(WARMUP_STEPS):
            yield [(tokens, tokens)] * micro
        with torch.no_grad():
            for name, value in model.state_dict().items():
                value.copy_(kept[name])
        for optimizer in optimizers:
            optimizer.state.clear()
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)

    def _wait_for_turn(self) -> None:
        """Another run is still being evaluated on this device; all is ready here, and the clock has not started."""
        gate = os.environ.get("AR_GATE")
        if gate and not os.path.exists(gate):
            self.phase("waiting")
            began = time.perf_counter()
            while not os.path.exists(gate):
                time.sleep(GATE_EVERY)
            self.waited = time.perf_counter() - began

    def _meter_on(self) -> None:
        if self.meter and not self.metering:
            self.meter.total = 0
            self.meter.__enter__()
            self.metering = True

    def _meter_off(self) -> int:
        if not self.meter or not self.metering:
            return 0
        self.meter.__exit__(None, None, None)
        self.metering = False
        return self.meter.total

    # -- the device, and how a run ends

    def _prepare_device(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.set_float32_matmul_precision("high")
        else:
            leave_compiler_unimported()
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def _summary(self, model: torch.nn.Module | None = None) -> dict[str, Any]:
        now = time.perf_counter()
        started = self.started or now
        return {
            "steps": self.step,
            "tokens": self.tokens,
            "flops": self.flops,
            "flops_outside": self.flops_outside,
            "budget": f"{self.budget_kind}:{self.budget:g}",
            "train_seconds": round(self.seconds or now - started, 3),
            "startup_seconds": round(started - self.born - self.waited, 3),
            "peak_memory_bytes": peak_memory(self.device),
            "seed": self.seed,
            "parameters": sum(p.numel() for p in model.parameters()) if model is not None else None,
            "torch": torch.__version__,
            "device": device_name(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "ranks": self.world,
            "profile": self.profile.name,
            "data": self.data.manifest["hash"],
            "diverged": False,
        }

    def _stop_diverged(self) -> NoReturn:
        self._meter_off()
        step = self.metrics.diverged
        if self.rank == 0:
            write_json(self.out / "train.json", {**self._summary(), "diverged": True, "diverged_at": step})
        print(f"harness: the loss is not finite at step {step}: the run diverged", file=sys.stderr)
        sys.exit(DIVERGED)

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Leaves a traceback like any other; running out of memory also gets a summary and an exit code of its own."""
        sys.__excepthook__(kind, error, trace)
        if not out_of_memory(error):
            return
        self._meter_off()
        self.metrics.file.flush()
        peak = peak_memory(self.device)
        gpu = self.device.type == "cuda"
        hint = advice(self.profile, torch.cuda.get_device_properties(self.device).total_memory if gpu else None)
        write_json(self.out / "train.json", {**self._summary(), "out_of_memory": True, "hint": hint})
        print(f"harness: out of memory at a peak of {peak / 2**30:.2f} GiB; {hint}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(OUT_OF_MEMORY)  # an excepthook cannot choose the exit code any other way


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, whoever says so."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in NO_MEMORY)
