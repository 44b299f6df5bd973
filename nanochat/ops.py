"""Operators whose fast form is not the readable one: norm, ReLU², windowed attention, softcap with
cross-entropy. Frozen.

Each has a plain reference in its docstring, and a test that holds the two together.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOSS_ROWS = 256  # rows of logits at a time: 256 x 2048 floats stay in a CPU core's cache


def to_compute_dtype(x: Tensor) -> Tensor:
    """x in the dtype of autocast, or as it is where autocast is off (float32 on a CPU without fast bfloat16)."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def rms_norm(x: Tensor) -> Tensor:
    """x divided by the root of its mean square over the last dimension. Reference: F.rms_norm(x, (x.size(-1),))."""
    if x.is_cuda:
        return F.rms_norm(x, (x.size(-1),))
    return _RMSNorm.apply(x)


def relu_squared(x: Tensor) -> Tensor:
    """Reference: F.relu(x).square()."""
    if x.is_cuda:
        return F.relu(x).square()
    return _ReLUSquared.apply(x)


class _RMSNorm(torch.autograd.Function):  # type: ignore[misc]
    """Five passes over memory, forward and backward, where autograd over F.rms_norm makes about twelve on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).square_().div_(x.size(-1))
        scale = mean_square.add_(torch.finfo(torch.float32).eps).rsqrt_().to(x.dtype)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        along = (grads[0] * y).mean(-1, keepdim=True)
        return torch.addcmul(grads[0], y, along, value=-1).mul_(scale)


class _ReLUSquared(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = x.clamp_min(0)
        ctx.save_for_backward(positive)
        return positive.square()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return (positive * grads[0]).mul_(2)


def attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Causal attention in which a token sees itself and the `window` tokens before it.

    q, k, v and the result are (B, T, H, D). Reference: softmax(q k^T / sqrt(D), masked to 0 <= i - j <=
    window) v. On CUDA in half precision the window is the kernel's own, so no mask is ever made; elsewhere
    the queries are cut into bands that see only the keys they need.
    """
    T = q.size(1)
    q, k, v = (to_compute_dtype(t) for t in (q, k, v))
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
        return _varlen_attention(q, k, v, window)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    if window >= T - 1:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
    bands = []
    for start in range(0, T, max(window, 1)):
        end, first = min(start + max(window, 1), T), max(0, start - window)
        distance = torch.arange(start, end, device=q.device)[:, None] - torch.arange(first, end, device=q.device)
        mask = (distance >= 0) & (distance <= window)
        keys, values = k[:, :, first:end], v[:, :, first:end]
        bands.append(F.scaled_dot_product_attention(q[:, :, start:end], keys, values, attn_mask=mask))
    return torch.cat(bands, dim=2).transpose(1, 2)


def _varlen_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    B, T, H, D = q.shape
    ends = torch.arange(0, (B + 1) * T, T, device=q.device, dtype=torch.int32)
    flat = (t.reshape(B * T, H, D) for t in (q, k, v))
    out = varlen_attn(*flat, ends, ends, T, T, window_size=(window if window < T - 1 else -1, 0))
    assert isinstance(out, Tensor)
    return out.view(B, T, H, D)


def softcap(logits: Tensor, cap: float) -> Tensor:
    """Logits squashed smoothly into (-cap, cap), in float32."""
    return cap * torch.tanh(logits.float() / cap)


def softcap_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, cap: float) -> Tensor:
    """Mean cross-entropy of softcap(hidden @ weight^T) against targets, without ever holding all logits on a CPU.

    hidden (..., C), weight (V, C), targets (...) of ids. Reference:
    F.cross_entropy(softcap(F.linear(hidden, weight), cap), targets). On CUDA that reference is what runs:
    the compiler fuses it.
    """
    hidden, targets = hidden.reshape(-1, hidden.size(-1)), targets.reshape(-1)
    if hidden.is_cuda or not torch.is_grad_enabled():
        return F.cross_entropy(softcap(F.linear(hidden, weight), cap), targets)
    return _ChunkedLoss.apply(hidden, weight, targets, cap)


class _ChunkedLoss(torch.autograd.Function):  # type: ignore[misc]
    """Loss and both gradients in one pass over chunks of rows; the backward only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, cap: float) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
        h, w = hidden.to(dtype), weight.to(dtype)
        grad_h = torch.empty_like(h)
        grad_w = torch.zeros(weight.shape, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(h), LOSS_ROWS):
            rows, wanted = h[start : start + LOSS_ROWS], targets[start : start + LOSS_ROWS, None]
            z = (rows @ w.t()).float().mul_(1 / cap).tanh_()  # (n, V), in (-1, 1)
            p = z * cap
            right = p.gather(1, wanted)
            norm = p.exp_().sum(1, keepdim=True)  # |z cap| <= cap: exp cannot overflow, no maximum to take off first
            total += (norm.log() - right).sum(dtype=torch.float64)
            # d loss / d logit = (softmax - one hot) (1 - z^2) / rows
            p.mul_(norm.reciprocal_().div_(len(h))).scatter_add_(1, wanted, torch.full_like(right, -1 / len(h)))
            grad = p.addcmul_(p, z.square_(), value=-1).to(dtype)
            grad_h[start : start + LOSS_ROWS] = grad @ w
            grad_w += (grad.t() @ rows).float() if dtype != torch.float32 else grad.t() @ rows
        ctx.save_for_backward(grad_h.to(hidden.dtype), grad_w.to(weight.dtype))
        return (total / len(h)).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_h, grad_w = ctx.saved_tensors
        return grad_h * grads[0], grad_w * grads[0], None, None
