"""Matrix products in 8 bits, forward and backward, for GPUs that do them twice as fast as in bfloat16. Frozen.

Off unless the profile says `float8`: it is for depth 24 and beyond. Upstream saw 17 % more tokens a second at depth 26,
about 5 % after making up for what is learned less, and a loss at depth 12. The evaluation stays in bfloat16.

Every matrix is scaled as a whole so that its largest entry is the format's largest; numbers and weights are kept in
e4m3, gradients in e5m2, which reaches further (arXiv 2209.05433). The products are torch._scaled_mm's, which wants its
first matrix by rows, its second by columns, and sides in multiples of 16.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUMBERS, GRADIENTS = torch.float8_e4m3fn, torch.float8_e5m2
CAPABILITY = (8, 9)  # Ada and Hopper, and what came after them
SIDE = 16  # what sides must be multiples of
LEAST = 128  # the shorter side of a matrix that is worth the conversion


def why_not(device: torch.device) -> str:
    """Why this device cannot; empty where it can."""
    if device.type != "cuda":
        return f"float8 needs a GPU, not {device}"
    if (found := torch.cuda.get_device_capability(device)) < CAPABILITY:
        has, needs = (".".join(map(str, version)) for version in (found, CAPABILITY))
        return (
            f"float8 needs a GPU of compute capability {needs} or more; {torch.cuda.get_device_name(device)} has {has}"
        )
    return ""


def use_float8(model: nn.Module) -> int:
    """Makes the large matrices of the model multiply in 8 bits while it trains; returns how many there are."""
    chosen = [m for m in model.modules() if type(m) is nn.Linear and m.bias is None and _fits(m.weight)]
    for module in chosen:
        module.__class__ = Float8Linear
    return len(chosen)


def _fits(weight: Tensor) -> bool:
    return min(weight.shape) >= LEAST and all(side % SIDE == 0 for side in weight.shape)


class Float8Linear(nn.Linear):  # type: ignore[misc]
    """nn.Linear without a bias; in 8 bits in training, as ever in evaluation."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        rows = input.numel() // input.size(-1)
        if self.training and rows % SIDE == 0:
            return float8_linear(input, self.weight)
        return F.linear(input, self.weight)


def float8_linear(x: Tensor, weight: Tensor) -> Tensor:
    """x (..., in) times weight (out, in) transposed, in x's dtype, with gradients. Reference: F.linear(x, weight)."""
    y: Tensor = _Product.apply(x.reshape(-1, x.size(-1)), weight)
    return y.view(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x8, x_scale = _shrink(x, NUMBERS)
        w8, w_scale = _shrink(weight, NUMBERS)
        ctx.save_for_backward(x8, x_scale, w8, w_scale)
        ctx.weight_dtype = weight.dtype
        return torch._scaled_mm(x8, w8.t(), x_scale, w_scale, out_dtype=x.dtype, use_fast_accum=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x8, x_scale, w8, w_scale = ctx.saved_tensors
        g8, g_scale = _shrink(grads[0], GRADIENTS)
        grad_x = torch._scaled_mm(g8, _by_columns(w8), g_scale, w_scale, out_dtype=grads[0].dtype)
        grad_w = torch._scaled_mm(g8.t().contiguous(), _by_columns(x8), g_scale, x_scale, out_dtype=ctx.weight_dtype)
        return grad_x, grad_w


def _shrink(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(x in 8 bits by rows, what to multiply it with to get x back); nothing waits for the device."""
    most = torch.finfo(dtype).max
    scale = x.abs().max().float().clamp_min(1e-12) / most
    return (x.float() / scale).clamp(-most, most).to(dtype).contiguous(), scale


def _by_columns(x: Tensor) -> Tensor:
    return x.t().contiguous().t()
