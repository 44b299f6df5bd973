"""Has the candidate's code changed the ground under the evaluator? Frozen.

Before the candidate's file is imported, the functions that scoring and the model's own arithmetic stand on
are remembered; afterwards each must still be the same object. The scorer itself calls only operators it
captured.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import os
import sys
from types import ModuleType
from typing import Any

import torch

WATCHED = (
    "torch", "torch.nn.functional", "torch.Tensor", "torch.special", "torch.linalg", "torch.fft", "torch.cuda",
    "torch.nn.Module", "torch.serialization", "torch.random", "numpy", "json", "os", "os.path", "time", "math",
    "pathlib.Path", "hashlib", "builtins", "data.prepared", "data.prepared.Prepared", "nanochat.profiles",
    "nanochat.ops", "nanochat.device", "nanochat.scoring", "nanochat.integrity",
)  # fmt: skip


def snapshot() -> dict[str, Any]:
    """Every function, class and (of our own modules) constant of what is watched, by name."""
    found: dict[str, Any] = {}
    for where in WATCHED:
        owner = _resolve(where)
        if isinstance(owner, type):  # an inherited method can be covered up by one of the same name
            found |= {f"{where}.{name}": inspect.getattr_static(owner, name, None) for name in dir(owner)}
            continue
        ours = where.startswith(("nanochat", "data"))
        for name, value in list(vars(owner).items()):
            if callable(value) or (ours and not name.startswith("__")):
                found[f"{where}.{name}"] = value
    return found


def changed(before: dict[str, Any]) -> list[str]:
    """Names whose object is another one now, or gone. Lazily added names are no change."""
    now = snapshot()
    return [n for n, value in before.items() if now.get(n) is not value and not _wrapped_by_torch(now.get(n), value)]


def _wrapped_by_torch(now: Any, before: Any) -> bool:
    """torch._dynamo, imported late, wraps a few functions of torch itself (torch.manual_seed)."""
    code = getattr(now, "__code__", None)
    inside = os.path.dirname(torch.__file__) + os.sep
    return code is not None and code.co_filename.startswith(inside) and _original(now) is before


def _original(function: Any) -> Any:
    return getattr(function, "_torchdynamo_orig_callable", getattr(function, "__wrapped__", None))


def active_modes() -> list[str]:
    """Dispatch and function modes left switched on: they would see, and could change, every operator."""
    from torch.overrides import _get_current_function_mode_stack
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

    return [type(mode).__name__ for mode in (*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack())]


def _resolve(where: str) -> Any:
    if where == "builtins":
        return builtins
    parts = where.split(".")
    for cut in range(len(parts), 0, -1):
        module: ModuleType | None = sys.modules.get(".".join(parts[:cut]))
        if module is None and cut == len(parts) and parts[0] in ("data", "nanochat", "json", "hashlib"):
            try:
                module = importlib.import_module(where)
            except ImportError:
                continue
        if module is not None:
            owner: Any = module
            for part in parts[cut:]:
                owner = getattr(owner, part)
            return owner
    raise KeyError(where)
