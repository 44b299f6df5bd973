"""Counts floating-point operations with torch's own formulas. Frozen.

A thin dispatch mode over `torch.utils.flop_counter.flop_registry`: torch's FlopCounterMode also tracks
modules and tries to decompose every operator, which costs several times as much per step. It knows no
formula for the CPU's attention operator (it counts 0), so that is given here. Causal attention is charged
as if it were full, as torch does.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape))


CPU_ATTENTION: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


class FlopMeter(TorchDispatchMode):  # type: ignore[misc]
    """While entered, adds up in `total` the operations of every operator that has a formula."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return (
            False  # nothing is compiled under the meter; True would import the compiler (1.3 s) at the first operator
        )

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        # torch's own table itself, not a copy: attention on CUDA puts its formula there when it is first used
        self.formulas = ChainMap(CPU_ATTENTION, flop_registry)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self.formulas.get(func._overloadpacket)
        if formula is None and torch.is_inference_mode_enabled():
            # without autograd below it, a composite operator (linear, matmul) arrives whole
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += int(formula(*args, **kwargs, out_val=out))
        return out
