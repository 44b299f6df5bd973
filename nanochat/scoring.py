"""Scores a model from its logits. Frozen.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEAN_TOLERANCE = 5e-3  # nats: half precision and batched kernels couple positions a little, a leak by far more
PEAK_TOLERANCE, HALF_PEAK_TOLERANCE = 2e-2, 0.5  # nats, at any one position, in float32 and in half precision
SHARED = 42.0  # what a buffer on a GPU holds when it is offered: the other side has really got it if it reads this
ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")

Losses = NDArray[np.float64]  # nats, (rows, T)


class Void(Exception):
    """The candidate broke the contract; the message says how, in plain words."""


class Scorer:
    """Loss per position of the model behind a model server. Use it as a context: it owns the process."""

    def __init__(self, command: Sequence[str], spec: dict[str, Any], half: bool) -> None:
        """Starts the server; `spec` is what model_server.py reads. `half`: the arithmetic is not all in float32."""
        self.spec, self.half = spec, half
        self.on_gpu = not str(spec["device"]).startswith("cpu")
        self.shape = (int(spec["batch"]), int(spec["sequence"]))
        self.control, theirs = socket.socketpair()
        tokens_fd = _shared_memory(8 * math.prod(self.shape))
        # bfloat16 on a GPU, where this is only used, and only takes memory, if the GPU's own cannot be shared
        logits_fd = _shared_memory((2 if self.on_gpu else 4) * math.prod(self.shape) * int(spec["vocab"]))
        fds = (theirs.fileno(), tokens_fd, logits_fd)
        self.process = start_server(command, fds, spec)
        theirs.close()
        self.tokens = np.frombuffer(mmap.mmap(tokens_fd, 0), dtype=np.int64).reshape(self.shape)
        self.host = mmap.mmap(logits_fd, 0)
        self.logits: Any = None
        if not self.on_gpu:
            self.logits = np.frombuffer(self.host, dtype=np.float32).reshape(*self.shape, -1)
        for fd in (tokens_fd, logits_fd):
            os.close(fd)
        self.replies = self.control.makefile("r")

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process, whatever it is doing. A second time changes nothing."""
        self.control.close()
        self.process.kill()
        self.process.wait()
        self.logits = None

    def wait_until_ready(self) -> int:
        """The number of parameters, once the model is loaded. Raises Void when it cannot be."""
        if self.on_gpu:
            self._share_gpu_buffer()
        return int(self._reply()["parameters"])

    def losses(self, tokens: NDArray[Any], targets: NDArray[Any]) -> Losses:
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

            z = self.logits[row].to(self.spec["device"], copy=True).float()  # a copy of our own, as below
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
        """Logits on the GPU, which the server gets a handle to (CUDA IPC).

        A process in namespaces of its own cannot always open it; then the logits take the way through the host.
        """
        # segments that can grow are shared by reaching into the other process, which no sandbox allows
        for name in ALLOCATOR:
            os.environ.pop(name, None)
        import torch
        from torch.multiprocessing.reductions import ForkingPickler

        shape = (*self.shape, int(self.spec["vocab"]))
        shared = torch.full(shape, SHARED, dtype=torch.bfloat16, device=self.spec["device"])
        torch.cuda.synchronize(shared.device)
        try:
            handle = bytes(ForkingPickler.dumps(shared))
        except RuntimeError as error:
            print(f"evaluate: this GPU's memory cannot be shared ({error})", file=sys.stderr)
            handle = b""
        self.control.sendall(len(handle).to_bytes(8, "little") + handle)
        self.logits = shared if self._reply()["shared"] else torch.frombuffer(self.host, dtype=torch.bfloat16)
        self.logits = self.logits.view(shape)


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


def score(scorer: Scorer, rows: NDArray[Any], generator: np.random.Generator) -> Losses:
    """The loss of every row (n, T + 1) as it is: each is shown once, in batches that are always the same."""
    losses, batch = np.empty((len(rows), rows.shape[1] - 1)), scorer.shape[0]
    for at in generator.permutation(np.arange(0, len(rows), batch)):
        part = rows[at : at + batch]
        losses[at : at + batch] = scorer.losses(part[:, :-1], part[:, 1:])
    return losses


def bits_per_byte(nats: float, size: int) -> float:
    return nats / (math.log(2) * size)
