"""Products in 8 bits against products in float32, on a CPU, where torch has them too, only slowly."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from nanochat.float8 import Float8Linear, float8_linear, use_float8
from nanochat.profiles import load_profile

target: Any = importlib.import_module("nanochat.train")
SMALL = load_profile({"name": "test", "depth": 2, "aspect": 64, "head_dim": 64, "rows": 2, "step_tokens": 128})
NUMBER, GRADIENT = 2**-4, 2**-3  # half of the last bit: three bits of mantissa, two for gradients


def both(function: Callable[..., Tensor], x: Tensor, weight: Tensor) -> list[Tensor]:
    leaves = [t.detach().clone().requires_grad_() for t in (x, weight)]
    out = function(*leaves)
    out.backward(torch.linspace(-1.0, 1.5, out.numel()).view(out.shape).to(out.dtype))
    return [t.detach() for t in (out, *(leaf.grad for leaf in leaves if leaf.grad is not None))]


def error(ours: Tensor, exact: Tensor) -> float:
    assert torch.isfinite(ours).all()
    return float((ours.float() - exact.float()).norm() / exact.float().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_a_product_and_its_gradients_are_right_to_the_last_bit_of_the_format(size: float, dtype: torch.dtype) -> None:
    """Whatever the size of the numbers: each matrix has a scale of its own."""
    torch.manual_seed(0)
    x, weight = (size * torch.randn(2, 24, 128)).to(dtype), torch.randn(256, 128) * 0.02
    ours = both(float8_linear, x, weight)
    out, grad_x, grad_w = both(lambda a, b: F.linear(a, b), x.float(), weight)
    assert [t.dtype for t in ours] == [dtype, dtype, torch.float32]
    assert 0.01 < error(ours[0], out) < NUMBER
    assert 0.01 < error(ours[1], grad_x) < GRADIENT
    assert 0.01 < error(ours[2], grad_w) < GRADIENT


def test_zeros_stay_zeros() -> None:
    for part in both(float8_linear, torch.zeros(16, 128), torch.zeros(128, 128))[:2]:
        assert not part.any()


def test_matrices_lie_as_the_gpu_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first by rows, the second by columns, all sides multiples of 16: a CPU would take any."""
    seen = 0

    def checked(a: Tensor, b: Tensor, *scales: Tensor, **more: Any) -> Tensor:
        nonlocal seen
        seen += 1
        assert a.is_contiguous()
        assert b.t().is_contiguous()
        assert all(side % 16 == 0 for side in (*a.shape, *b.shape))
        assert all(scale.dtype == torch.float32 and scale.ndim == 0 for scale in scales)
        return real(a, b, *scales, **more)

    real = torch._scaled_mm
    monkeypatch.setattr(torch, "_scaled_mm", checked)
    both(float8_linear, torch.randn(3, 16, 128).transpose(0, 1), torch.randn(256, 128))
    assert seen == 3


def test_it_is_one_graph_for_the_compiler() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(32, 128).bfloat16(), torch.randn(256, 128)
    compiled = torch.compile(float8_linear, backend="aot_eager", fullgraph=True)
    for ours, exact in zip(both(compiled, x, weight), both(float8_linear, x, weight), strict=True):
        assert torch.equal(ours, exact)
    model, tokens = target.build_model(SMALL), torch.zeros(2, SMALL.sequence, dtype=torch.int64)
    assert use_float8(model)
    explained = torch._dynamo.explain(model)(tokens, tokens)
    assert explained.graph_break_count == 0, explained.break_reasons
    torch._dynamo.reset()


def test_only_large_matrices_and_only_in_training() -> None:
    torch.manual_seed(0)
    plain = target.build_model(SMALL)
    with torch.no_grad():
        for parameter in plain.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)  # what starts at zero does nothing
        plain.head.weight.normal_(std=0.02)
    eight = copy.deepcopy(plain)
    assert (
        use_float8(eight) == 2 * 6 + 1
    )  # q, k, v, out, two of the MLP; and the head, which is used without its forward
    assert use_float8(eight) == 0
    assert [type(m) for m in (eight.blocks[0].mlp.fc, eight.blocks[1].attention.gate)] == [Float8Linear, nn.Linear]
    assert list(eight.state_dict()) == list(plain.state_dict())
    tokens = torch.randint(SMALL.vocab, (2, SMALL.sequence))
    assert torch.equal(eight.eval()(tokens), plain.eval()(tokens))
    loss, exact = eight.train()(tokens, tokens), plain.train()(tokens, tokens)
    assert loss.item() != exact.item()
    assert loss.item() == pytest.approx(exact.item(), rel=0.01)
    for one in (loss, exact):
        one.backward()
    for (name, a), b in zip(eight.named_parameters(), plain.parameters(), strict=True):
        if b.grad.norm() > 1e-6:
            assert F.cosine_similarity(a.grad.flatten(), b.grad.flatten(), dim=0) > 0.9, name
