"""Runs the candidate's model in a process of its own: tokens come in, logits go out, nothing else is here. Frozen.

The evaluator starts it. Targets, scores and data stay in the evaluator's process, so the candidate's code can neither
find them on a call stack nor change how it is scored; whatever it writes into the buffer is its answer.
`load_model` is also how a checkpoint is loaded for sampling.
"""

from __future__ import annotations

import importlib.util
import json
import mmap
import pickle
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from nanochat import integrity
from nanochat.device import autocast, compute_dtype
from nanochat.profiles import Profile, load_profile
from nanochat.scoring import SHARED, Void

CHECKPOINT_LIMIT = 8 * 2**30  # bytes
FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def load_model(src: Path, out: Path, profile: Profile, device: torch.device) -> torch.nn.Module:
    """The candidate's model with the run's weights, in eval mode. Raises Void for whatever the candidate got wrong."""
    state = read_checkpoint(out / "model.pt")
    spec = importlib.util.spec_from_file_location("train", src / "train.py")
    if spec is None or spec.loader is None or not (src / "train.py").is_file():
        raise RuntimeError(f"no train.py in {src}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module
    sys.path.insert(0, str(src))
    try:
        spec.loader.exec_module(module)
        build = getattr(module, "build_model", None)
        if not callable(build):
            raise Void("train.py has no function build_model(profile)")
        model = build(profile)
        if not isinstance(model, torch.nn.Module):
            raise Void(f"build_model must return a torch.nn.Module, not {type(model).__name__}")
        model = model.to(device)
        model.load_state_dict(state, strict=True)
        return model.eval()
    except (Void, torch.OutOfMemoryError, MemoryError):
        raise
    except SystemExit as error:
        raise Void(f"train.py ended the process when it was imported (exit {error.code})") from error
    except Exception as error:
        raise Void(f"train.py cannot be imported or its model not be built: {first_line(error)}") from error


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The state dict: a plain file of bounded size that holds tensors and nothing else. Raises Void."""
    if path.is_symlink() or not path.is_file():
        raise Void(f"{path.name} is {'a symbolic link' if path.is_symlink() else 'missing'}")
    if (size := path.stat().st_size) > CHECKPOINT_LIMIT:
        raise Void(f"{path.name} has {size / 2**30:.1f} GiB, more than the {CHECKPOINT_LIMIT / 2**30:.0f} allowed")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile file provokes in the unpickler
        raise Void(f"{path.name} holds more than tensors, or is damaged: {first_line(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise Void(f"{path.name} is not a state dict of tensors")
    return state


def answer(model: Any, tokens: torch.Tensor, vocab: int, dtype: torch.dtype) -> torch.Tensor:
    """Logits (B, T, V) for tokens (B, T), floating point. Raises Void when the model breaks the contract."""
    try:
        with autocast(tokens.device, dtype):
            logits = model(tokens)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise Void(f"the model failed on tokens of shape {tuple(tokens.shape)}: {first_line(error)}") from error
    if type(logits) is not torch.Tensor:
        raise Void(f"model(tokens) must return a plain tensor of logits, not {type(logits).__name__}")
    expected = (*tokens.shape, vocab)
    if tuple(logits.shape) != expected:
        raise Void(f"model(tokens) must return logits of shape {expected}, not {tuple(logits.shape)}")
    if logits.dtype not in FLOAT_TYPES:
        raise Void(f"logits must be float32, bfloat16 or float16, not {str(logits.dtype).removeprefix('torch.')}")
    if logits.device.type != tokens.device.type:
        raise Void(f"logits must stay on {tokens.device}, not move to {logits.device}")
    return logits


def serve(control: socket.socket, tokens: torch.Tensor, logits: torch.Tensor, spec: dict[str, Any]) -> None:
    """Answers `rows N` requests with logits in the buffer until `end`; every reply is one JSON line."""
    profile, device = load_profile(spec["profile"]), torch.device(spec["device"])
    dtype = compute_dtype(device)
    requests, replies = control.makefile("r"), control.makefile("w")

    def reply(**values: Any) -> None:
        replies.write(json.dumps(values) + "\n")
        replies.flush()

    ground = integrity.snapshot()
    try:
        model = load_model(Path(spec["src"]), Path(spec["out"]), profile, device)
        reply(parameters=sum(p.numel() for p in model.parameters()))
        with torch.inference_mode():
            for request in requests:
                if request.strip() == "end":
                    reply(replaced=integrity.changed(ground), modes=integrity.active_modes())
                    return
                rows = int(request.split()[1])
                logits[:rows].copy_(answer(model, tokens[:rows].to(device, copy=True), profile.vocab, dtype))
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                reply(rows=rows)
    except Void as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        reply(void=str(error))


def open_buffer(handle: bytes) -> torch.Tensor | None:
    """The evaluator's buffer on the GPU; None where this process cannot reach it."""
    if not handle:
        return None
    try:
        buffer = pickle.loads(handle)  # from the evaluator, before any foreign code
        return buffer if float(buffer.view(-1)[-1]) == SHARED else None
    except (RuntimeError, OSError) as error:
        print(f"the logits go through the host: {first_line(error)}", file=sys.stderr)
        return None


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]


def run(control_fd: int, tokens_fd: int, logits_fd: int, spec: dict[str, Any]) -> int:
    """Serves on these file descriptors until told to end; returns the exit code."""
    control = socket.socket(fileno=control_fd)
    torch.manual_seed(spec["seed"])
    shape = (spec["batch"], spec["sequence"])
    tokens = torch.frombuffer(mmap.mmap(tokens_fd, 0), dtype=torch.int64).view(shape)
    on_gpu = not str(spec["device"]).startswith("cpu")
    dtype = torch.bfloat16 if on_gpu else torch.float32
    logits = torch.frombuffer(mmap.mmap(logits_fd, 0), dtype=dtype).view(*shape, spec["vocab"])
    if on_gpu:  # the evaluator owns a buffer there, and sends a handle to it
        size = int.from_bytes(control.recv(8, socket.MSG_WAITALL), "little")
        opened = open_buffer(control.recv(size, socket.MSG_WAITALL) if size else b"")
        control.sendall(json.dumps({"shared": opened is not None}).encode() + b"\n")
        logits = logits if opened is None else opened
    try:
        serve(control, tokens, logits, spec)
    except (torch.OutOfMemoryError, MemoryError) as error:
        control.sendall(json.dumps({"error": f"out of memory: {first_line(error)}"}).encode() + b"\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])))
