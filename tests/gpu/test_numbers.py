"""The arithmetic of the device against float32 on a CPU: attention, loss, optimizer, the whole model.

In half precision a number is right to about one part in 250; tolerances are multiples of that.
"""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nanochat.device import autocast
from nanochat.ops import attention, relu_squared, rms_norm, softcap, softcap_cross_entropy
from nanochat.profiles import load_profile
from tests.gpu.conftest import profile_json

target: Any = importlib.import_module("nanochat.train")
ROWS, T, HEADS = 2, 192, 2


def both(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """The value of a function and its gradients, as float32 on the CPU."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    out.backward(torch.linspace(0.5, 1.5, out.numel(), device=out.device).view(out.shape).to(out.dtype))
    return [x.detach().float().cpu() for x in (out, *(leaf.grad for leaf in leaves if leaf.grad is not None))]


def alike(ours: Tensor, exact: Tensor, share: float) -> None:
    """The difference is small against the size of the numbers themselves."""
    assert torch.isfinite(ours).all()
    error = float((ours - exact).norm() / exact.norm().clamp_min(1e-12))
    assert error < share, f"off by {error:.2%}"


def masked_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    distance = torch.arange(q.size(1))[:, None] - torch.arange(q.size(1))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * q.size(-1) ** -0.5
    scores = scores.masked_fill((distance < 0) | (distance > window), -torch.inf)
    return torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v)


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("window", [1, 5, 64, 100, T - 1, T, 10 * T])
def test_attention_in_half_precision_is_masked_attention(device: str, window: int, head_dim: int) -> None:
    """A window that were one key too long or too short would be off by far more than the tolerance."""
    torch.manual_seed(0)
    exact = [(2 * torch.randn(ROWS, T, HEADS, head_dim)).bfloat16().float() for _ in range(3)]
    ours = both(lambda q, k, v: attention(q, k, v, window), *(x.to(device, torch.bfloat16) for x in exact))
    for got, wanted in zip(ours, both(lambda q, k, v: masked_attention(q, k, v, window), *exact), strict=True):
        alike(got, wanted, 0.02)


@pytest.mark.parametrize("window", [7, 64, T])
def test_attention_in_float32_goes_by_bands_and_is_masked_attention(device: str, window: int) -> None:
    """What a GPU without bfloat16 uses."""
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")
    exact = [torch.randn(ROWS, T, HEADS, 32) for _ in range(3)]
    ours = both(lambda q, k, v: attention(q, k, v, window), *(x.to(device) for x in exact))
    for got, wanted in zip(ours, both(lambda q, k, v: masked_attention(q, k, v, window), *exact), strict=True):
        alike(got, wanted, 1e-3)


def test_norm_and_activation_are_the_same_everywhere(device: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, 256).bfloat16().float() * 1e-2  # small: the constant under the root would show
    half = x.to(device, torch.bfloat16)
    for got, wanted in zip(both(rms_norm, half), both(lambda x: F.rms_norm(x, (256,)), x), strict=True):
        alike(got, wanted, 0.01)
    for got, wanted in zip(both(relu_squared, half), both(lambda x: F.relu(x).square(), x), strict=True):
        alike(got, wanted, 0.01)


def test_the_loss_and_its_gradients_are_cross_entropy_of_capped_logits(device: str) -> None:
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(300, 64), torch.randn(1024, 64), torch.randint(1024, (300,))

    def ours(h: Tensor, w: Tensor) -> Tensor:
        with autocast(torch.device(device), torch.bfloat16):
            return softcap_cross_entropy(h, w, targets.to(device), 15.0)

    exact = both(lambda h, w: F.cross_entropy(softcap(F.linear(h, w), 15.0), targets), hidden, weight)
    for got, wanted in zip(both(ours, hidden.to(device), weight.to(device)), exact, strict=True):
        alike(got, wanted, 0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_products_in_8_bits_are_right_to_the_last_bit_of_the_format(compiled: bool, cuda: str) -> None:
    from nanochat.float8 import float8_linear, why_not

    if reason := why_not(torch.device(cuda)):
        pytest.skip(reason)
    torch.manual_seed(0)
    x, weight = torch.randn(2, 96, 256).bfloat16().float(), torch.randn(512, 256) * 0.02
    function = torch.compile(float8_linear, fullgraph=True) if compiled else float8_linear
    ours = both(function, x.to(cuda, torch.bfloat16), weight.to(cuda))
    for got, wanted, share in zip(ours, both(F.linear, x, weight), (2**-4, 2**-3, 2**-3), strict=True):
        alike(got, wanted, share)


def woken(profile: Any) -> Any:
    """A model in which every block does something: what starts at zero does not."""
    torch.manual_seed(0)
    model = target.build_model(profile)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
        model.head.weight.normal_(std=0.02)
    return model


@pytest.mark.parametrize("depth", [1, 4])
def test_logits_loss_and_gradients_agree_with_float32_on_a_cpu(device: str, depth: int) -> None:
    profile = load_profile(profile_json(depth=depth, aspect=256 // depth))
    exact = woken(profile)
    ours = copy.deepcopy(exact).to(device)
    tokens, targets = (torch.randint(profile.vocab, (2, profile.sequence)) for _ in range(2))
    wanted = exact(tokens)
    loss = exact(tokens, targets)
    loss.backward()
    with autocast(torch.device(device), torch.bfloat16):
        logits = ours(tokens.to(device))
        part = ours(tokens.to(device), targets.to(device))
    part.backward()
    assert logits.dtype == torch.float32
    assert loss.item() > math.log(profile.vocab) - 1
    assert part.item() == pytest.approx(loss.item(), abs=0.01)
    alike(logits.detach().cpu(), wanted.detach(), 0.03)
    for (name, a), b in zip(ours.named_parameters(), exact.parameters(), strict=True):
        assert a.grad is not None, name
        assert b.grad is not None
        if b.grad.norm() > 1e-6:
            alike(a.grad.cpu(), b.grad, 0.1)


class Plain:
    """What build_optimizers needs of a run."""

    @staticmethod
    def compile(function: Any) -> Any:
        return function


def test_an_optimizer_step_goes_the_same_way_as_on_a_cpu_in_float32(device: str) -> None:
    profile = load_profile(profile_json())
    exact = woken(profile)
    before = {name: p.detach().clone() for name, p in exact.named_parameters()}
    ours = copy.deepcopy(exact).to(device)
    torch.manual_seed(1)
    for a, b in zip(ours.parameters(), exact.parameters(), strict=True):
        b.grad = torch.randn_like(b)
        a.grad = b.grad.to(device)
    for model in (ours, exact):
        for optimizer in target.build_optimizers(model, Plain):
            optimizer.step()
    for (name, a), b in zip(ours.named_parameters(), exact.parameters(), strict=True):
        moved, wanted = a.detach().cpu() - before[name], b.detach() - before[name]
        assert float(F.cosine_similarity(moved.flatten(), wanted.flatten(), dim=0)) > 0.995, name
        assert float(moved.norm()) == pytest.approx(float(wanted.norm()), rel=0.02), name
