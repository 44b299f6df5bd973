"""Scores a model from its logits, and probes that no logit depends on a later token. Frozen.

The model sits in another process (model_server.py) and only ever sees tokens (B, T). Log-softmax and sums are taken
here, in float64, on a private copy of its logits: a model that computes its own loss has no say in its score. Nothing
here imports torch unless the logits are on a GPU.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CUTS = 16  # random (row, cut) pairs of the causality probe
WATCHED = 3  # batches that are probed, at least
NEAR = 64  # positions before the cut over which the mean change counts
MEAN_TOLERANCE = 5e-3  # nats: half precision and batched kernels couple positions a little, a leak by far more
PEAK_TOLERANCE, HALF_PEAK_TOLERANCE = 2e-2, 0.5  # nats, at any one position, in float32 and in half precision
CHUNK = 32  # positions scored at a time in the audit form
AUDIT_ROWS = 32  # rows scored that way


class Void(Exception):
    """The candidate broke the contract; the message says how, in plain words."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The outcome of a causality probe: the largest mean and single change of loss (nats) before a changed token."""

    ok: bool
    worst: float  # of the means near a cut
    peak: float  # at a single position


class Scorer:
    """Loss per position of the model behind a model server. Use it as a context: it owns the process."""

    def __init__(self, command: Sequence[str], spec: dict[str, Any], half: bool) -> None:
        """Starts the server; `spec` has src, out, profile, device, batch, sequence, vocab. `half`: not all float32."""
        self.spec, self.half = spec, half
        self.on_gpu = not str(spec["device"]).startswith("cpu")
        self.shape = (int(spec["batch"]), int(spec["sequence"]))
        self.control, theirs = socket.socketpair()
        tokens_fd = _shared_memory(8 * math.prod(self.shape))
        logits_fd = -1 if self.on_gpu else _shared_memory(4 * math.prod(self.shape) * int(spec["vocab"]))
        fds = (theirs.fileno(), tokens_fd, logits_fd)
        self.process = start_server(command, fds, spec)
        theirs.close()
        self.tokens = np.frombuffer(mmap.mmap(tokens_fd, 0), dtype=np.int64).reshape(self.shape)
        self.logits: Any = None
        if logits_fd >= 0:
            self.logits = np.frombuffer(mmap.mmap(logits_fd, 0), dtype=np.float32).reshape(*self.shape, -1)
        for fd in (tokens_fd, logits_fd):
            if fd >= 0:
                os.close(fd)
        self.replies = self.control.makefile("r")

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self.process.kill()
        self.process.wait()

    def wait_until_ready(self) -> int:
        """The number of parameters, once the model is loaded. Raises Void when it cannot be."""
        if self.on_gpu:
            self._share_gpu_buffer()
        return int(self._reply()["parameters"])

    def losses(self, tokens: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        """-log p(target) (B, T) for tokens and targets (B, T). Raises Void when the answer is no distribution."""
        rows = len(tokens)
        self.tokens[:rows] = tokens
        self.control.sendall(f"rows {rows}\n".encode())
        self._reply()
        losses = np.empty(targets.shape)
        for row in range(rows):
            losses[row] = self._row_losses(row, targets[row].astype(np.int64))
        if not np.isfinite(losses).all():
            raise Void("the logits are not finite: NaN, infinity, or too far apart for a probability")
        return losses

    def end(self) -> dict[str, list[str]]:
        """What the server says of its own process at the end: functions replaced, modes left on."""
        self.control.sendall(b"end\n")
        return self._reply()

    def tolerable(self, mean: float, peak: float) -> bool:
        """Whether changes of the loss (nats) are small enough to be arithmetic and no leak."""
        return mean <= MEAN_TOLERANCE and peak <= (HALF_PEAK_TOLERANCE if self.half else PEAK_TOLERANCE)

    def _row_losses(self, row: int, targets: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.on_gpu:
            import torch

            z = self.logits[row].float()  # a copy of our own, as below
            if not bool(torch.isfinite(z).all()):
                return np.full(len(targets), np.nan)
            picked = z.gather(1, torch.from_numpy(targets).to(z.device)[:, None])[:, 0]
            on_host: NDArray[np.float64] = (torch.logsumexp(z, 1).double() - picked.double()).cpu().numpy()
            return on_host
        z = self.logits[row].copy()  # a copy of our own: the other process could still be writing
        if not (np.isfinite(z.max()) and np.isfinite(z.min())):
            return np.full(len(targets), np.nan)
        picked = z[np.arange(len(targets)), targets].astype(np.float64)
        top = z.max(axis=1, keepdims=True)
        z -= top
        np.exp(z, out=z)
        result: NDArray[np.float64] = np.log(z.sum(axis=1, dtype=np.float64)) + top[:, 0].astype(np.float64) - picked
        return result

    def _reply(self) -> dict[str, Any]:
        line = self.replies.readline(1_000_000)
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            code = self.process.wait(timeout=60) if not line else None
            raise Void(f"the model's process ended{f' with exit code {code}' if code else ''} before it answered")
        if "error" in reply:
            raise RuntimeError(str(reply["error"])[:500])
        if "void" in reply:
            raise Void(str(reply["void"])[:500])
        return reply

    def _share_gpu_buffer(self) -> None:
        """Allocates the logits on the GPU and sends the server a handle (CUDA IPC)."""
        import torch
        from torch.multiprocessing.reductions import ForkingPickler

        dtype = torch.bfloat16 if self.half else torch.float32
        self.logits = torch.empty((*self.shape, int(self.spec["vocab"])), dtype=dtype, device=self.spec["device"])
        handle = bytes(ForkingPickler.dumps(self.logits))
        self.control.sendall(len(handle).to_bytes(8, "little") + handle)


def start_server(command: Sequence[str], fds: tuple[int, int, int], spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    """The model server as a process that has these file descriptors and does not know where the data is."""
    hidden = ("AR_DATA", "AR_EVAL_OUT", "AR_SPLIT", "AR_MODEL_SANDBOX")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    arguments = [*map(str, fds), json.dumps(spec)]
    passed = [fd for fd in fds if fd >= 0]
    # what the candidate prints is narration
    return subprocess.Popen([*command, *arguments], pass_fds=passed, env=env, stdout=sys.stderr.fileno())


def _shared_memory(size: int) -> int:
    """A file descriptor of anonymous memory that a child can map too."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("logits")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, size)
    return descriptor


@dataclass(frozen=True, slots=True)
class Score:
    """A whole split, scored: nats over the tokens that stand for text, and what the probes found on the way."""

    nats: float
    tokens: int
    probe: Probe
    drift: float  # nats, mean: one batch scored a second time


def score(
    scorer: Scorer, rows: NDArray[Any], token_bytes: NDArray[Any], batch: int, generator: np.random.Generator
) -> Score:
    """Loss of every row (n, T + 1), batches in random order, with the causality probe somewhere among them.

    A probed batch is shown with everything after a random cut of each row replaced, and then as it is:
    losses before the cuts must agree. The changed batch comes first and at a time nobody can know, so a
    model can neither answer from what it remembers nor behave while it is watched.
    """
    counted = token_bytes[rows[:, 1:]] > 0  # BOS stands for no text and is not scored
    per_row = np.zeros(len(rows))
    starts = generator.permutation(np.arange(0, len(rows), batch))
    full = [int(at) for at in starts if at + batch <= len(rows)]
    watched = set(full[-1:])  # the last one always: a leak cannot just wait for the probes to be over
    if full:
        count = min(len(full), max(WATCHED, -(-CUTS // batch)))
        watched |= set(generator.choice(full, size=count, replace=False).tolist())
    worst = peak = 0.0
    for at in starts:
        part, changed = rows[at : at + batch], None
        if at in watched:
            others = rows[generator.integers(len(rows), size=len(part))]
            cuts = generator.integers(min(2, part.shape[1] - 2), part.shape[1] - 1, size=len(part))
            changed = scorer.losses(change_after(part, cuts, others, generator), part[:, 1:])
        losses = scorer.losses(part[:, :-1], part[:, 1:])
        per_row[at : at + batch] = (losses * counted[at : at + batch]).sum(axis=1)
        if changed is not None:
            for row, cut in enumerate(cuts):
                change = np.abs(changed[row, :cut] - losses[row, :cut])
                worst, peak = max(worst, float(change[-NEAR:].mean())), max(peak, float(change.max()))
    again = int(generator.choice(full or starts))
    part = rows[again : again + batch]
    losses = (scorer.losses(part[:, :-1], part[:, 1:]) * counted[again : again + batch]).sum(axis=1)
    drift = abs(float(losses.sum() - per_row[again : again + batch].sum())) / max(
        1, int(counted[again : again + batch].sum())
    )
    probe = Probe(scorer.tolerable(worst, peak), worst, peak)
    return Score(float(per_row.sum()), int(counted.sum()), probe, drift)


def audit_form(scorer: Scorer, rows: NDArray[Any], batch: int, generator: np.random.Generator) -> Probe:
    """Score rows chunk by chunk, each chunk with a random suffix after it, and compare with scoring them at once.

    No position is ever scored with its true future in sight, so this also catches a leak that hides from
    the probe.
    """
    T = rows.shape[1] - 1
    picked = rows[generator.permutation(len(rows))[: max(batch, min(AUDIT_ROWS, len(rows)) // batch * batch)]]
    if len(picked) < batch:  # fewer rows than a batch: repeat some, so that the shape is the real one
        picked = picked[np.arange(batch) % len(picked)]
    slow = np.empty((len(picked), T))
    for at in range(0, len(picked), batch):
        group = picked[at : at + batch]
        ends = [*range(int(generator.integers(1, min(CHUNK, T) + 1)), T, CHUNK), T]
        start = 0
        for end in ends:
            others = rows[generator.integers(len(rows), size=len(group))]
            shown = change_after(group, np.full(len(group), end), others, generator)
            slow[at : at + batch, start:end] = scorer.losses(shown, group[:, 1:])[:, start:end]
            start = end
    fast = np.concatenate(
        [scorer.losses(picked[i : i + batch, :-1], picked[i : i + batch, 1:]) for i in range(0, len(picked), batch)]
    )
    peak, mean = float(np.abs(slow - fast).max()), abs(float(slow.mean() - fast.mean()))
    return Probe(scorer.tolerable(mean, peak), mean, peak)


def change_after(
    rows: NDArray[Any], cuts: NDArray[Any], others: NDArray[Any], generator: np.random.Generator
) -> NDArray[Any]:
    """Tokens (B, T) of rows, from position cuts[row] on replaced by a stretch of another row."""
    T = rows.shape[1] - 1
    elsewhere = np.roll(others[:, :T], int(generator.integers(T)), axis=1)
    return np.where(np.arange(T) < cuts[:, None], rows[:, :-1], elsewhere)


def bits_per_byte(nats: float, size: int) -> float:
    return nats / (math.log(2) * size)
