"""The fast operators against the plain formulas in their docstrings, and the operation counter against arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nanochat.flops import FlopMeter
from nanochat.ops import attention, relu_squared, rms_norm, softcap, softcap_cross_entropy


def both(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """The value and the gradients of a function of these inputs."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    out = function(*leaves)
    (out * torch.linspace(0.5, 1.5, out.numel()).view(out.shape)).sum().backward()
    return [out.detach(), *(x.grad for x in leaves if x.grad is not None)]


def assert_same(fast: list[Tensor], plain: list[Tensor]) -> None:
    assert len(fast) == len(plain)
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    T = q.size(1)
    distance = torch.arange(T)[:, None] - torch.arange(T)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * q.size(-1) ** -0.5
    scores = scores.masked_fill((distance < 0) | (distance > window), -torch.inf)
    return torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v)


@pytest.mark.parametrize("window", [1, 3, 8, 16, 31, 32, 100])
def test_windowed_attention_is_masked_attention(window: int) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 32, 3, 8) for _ in range(3))
    fast = both(lambda q, k, v: attention(q, k, v, window), q, k, v)
    assert_same(fast, both(lambda q, k, v: masked_attention(q, k, v, window), q, k, v))


@pytest.mark.parametrize("rows", [5, 256, 300])
def test_the_chunked_loss_is_cross_entropy_of_capped_logits(rows: int) -> None:
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(rows, 16), torch.randn(40, 16) * 3, torch.randint(40, (rows,))
    fast = both(lambda h, w: softcap_cross_entropy(h, w, targets, 15.0), hidden, weight)
    assert_same(fast, both(lambda h, w: F.cross_entropy(softcap(F.linear(h, w), 15.0), targets), hidden, weight))


def test_the_chunked_loss_survives_huge_logits() -> None:
    hidden, weight = torch.full((4, 2), 1e6), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = softcap_cross_entropy(hidden.requires_grad_(), weight, torch.tensor([0, 1, 0, 1]), 15.0)
    assert torch.isfinite(loss)


def test_norm_and_activation_are_their_references() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, 16)
    assert_same(both(rms_norm, x), both(lambda x: F.rms_norm(x, (16,)), x))
    assert_same(both(relu_squared, x), both(lambda x: F.relu(x).square(), x))
    assert torch.isfinite(rms_norm(torch.zeros(2, 4))).all()


def test_in_half_precision_the_operators_stay_close() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, 16)
    torch.testing.assert_close(rms_norm(x.bfloat16()).float(), rms_norm(x), rtol=0.02, atol=0.02)
    hidden, weight, targets = torch.randn(64, 16), torch.randn(40, 16), torch.randint(40, (64,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = softcap_cross_entropy(hidden, weight, targets, 15.0)
    torch.testing.assert_close(half, softcap_cross_entropy(hidden, weight, targets, 15.0), rtol=0.02, atol=0.02)


def test_the_meter_counts_matrices_attention_and_their_gradients() -> None:
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    q = torch.ones(2, 16, 3, 8, requires_grad=True)
    with FlopMeter() as meter:
        (a @ b).sum().backward()
        matrices = meter.total
        out = attention(q, q, q, 100)
        forward = meter.total - matrices
        out.sum().backward()
    assert matrices == 3 * 2 * 3 * 5 * 7
    assert forward == 2 * 2 * 3 * 16 * 16 * 8 * 2
    assert meter.total - matrices - forward == pytest.approx(2.5 * forward)


def test_the_meter_counts_in_inference_mode_too() -> None:
    layer = torch.nn.Linear(4, 6)
    with torch.inference_mode(), FlopMeter() as meter:
        layer(torch.ones(3, 4))
        torch.ones(3, 4) @ torch.ones(4, 5)
    assert meter.total == 2 * 3 * 4 * 6 + 2 * 3 * 4 * 5


def test_a_shorter_window_costs_fewer_operations() -> None:
    q = torch.ones(1, 64, 1, 8)
    costs = []
    for window in (100, 32, 16):
        with FlopMeter() as meter:
            attention(q, q, q, window)
        costs.append(meter.total)
    assert costs == sorted(costs, reverse=True)
    assert costs[2] < 0.5 * costs[0]
