"""What can be known of a GPU's run without one: sizes, operations, memory, and that the CUDA path can be traced."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.lab import create
from core.target import profile_argument
from nanochat import memory
from nanochat.flops import FlopMeter
from nanochat.harness import out_of_memory
from nanochat.memory import GIB, advice, estimate, fit, largest_rows, parameters
from nanochat.profiles import PROFILES, load_profile
from nanochat.profiles import main as profiles_command
from tui.commands.working import fitted

target: Any = importlib.import_module("nanochat.train")
GPU_PROFILES = [name for name, profile in PROFILES.items() if profile.device == "cuda"]


def meta_model(**changes: Any) -> Any:
    with torch.device("meta"):
        return target.build_model(load_profile({"name": "h100", **changes}))


@pytest.mark.parametrize(
    ("depth", "matrices", "total", "flops", "upstream"),
    [(12, 84_934_656, 286e6, 8.02e8, 7.60e8), (24, 679_477_248, 1384e6, 4.945e9, 4.78e9)],
)
def test_depth_12_and_24_have_upstreams_sizes(
    depth: int, matrices: int, total: float, flops: float, upstream: float
) -> None:
    """Only the short windows are wider: half of the context where upstream has come to a quarter."""
    model = meta_model(depth=depth)
    profile = load_profile({"name": "h100", "depth": depth})
    found = sum(p.numel() for p in model.parameters())
    assert parameters(profile)[0] == matrices
    assert sum(parameters(profile)) == found
    assert found == pytest.approx(total, rel=0.005)
    assert model.flops_per_token() == pytest.approx(flops, rel=0.002)
    model.windows = [512 if window < 2048 else window for window in model.windows]
    assert model.flops_per_token() == pytest.approx(upstream, rel=0.002)


@pytest.mark.parametrize("name", [*GPU_PROFILES, "cpu", "test"])
def test_parameters_are_counted_without_a_model(name: str) -> None:
    profile = load_profile(name)
    with torch.device("meta"):
        model = target.build_model(profile)
    assert sum(parameters(profile)) == sum(p.numel() for p in model.parameters())


def test_attention_for_cuda_has_shapes_gradients_operations_and_no_graph_break() -> None:
    """On tensors without data: torch's variable-length attention, as `nanochat.ops.attention` calls it on a GPU."""
    from nanochat.ops import _varlen_attention

    q = torch.empty(2, 64, 3, 128, device="meta", dtype=torch.bfloat16, requires_grad=True)
    with FlopMeter() as meter:
        out = _varlen_attention(q, q, q, 16)
        out.sum().backward()
    assert out.shape == q.shape
    assert q.grad is not None
    assert meter.total == 3.5 * 2 * 2 * 2 * 3 * 64 * 64 * 128
    explained = torch._dynamo.explain(lambda q: _varlen_attention(q + 1, q, q, 16).sum())(q)
    assert explained.graph_break_count == 0


def test_the_update_of_the_matrices_is_compiled_once_a_shape() -> None:
    graphs: list[Any] = []

    def count(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    update = torch.compile(target.muon_step, backend=count, fullgraph=True, dynamic=False)
    with torch.no_grad():
        for shape in ((3, 8, 8), (3, 8, 32)):
            for step in range(4):
                weights, grads, momentum = (torch.randn(shape) for _ in range(3))
                second = torch.zeros_like(grads.narrow(target.neurons(grads), 0, 1))
                lr = torch.full((3, 1, 1), 0.1 / (step + 1))
                update(weights, grads, momentum, second, lr, torch.tensor(0.85 + 0.01 * step), torch.tensor(0.1))
    assert len(graphs) == 2


def test_the_model_is_one_graph() -> None:
    profile = load_profile({"name": "test", "depth": 2})
    model, tokens = target.build_model(profile), torch.zeros(2, profile.sequence, dtype=torch.int64)
    explained = torch._dynamo.explain(model)(tokens, tokens)
    assert explained.graph_break_count == 0, explained.break_reasons
    torch._dynamo.reset()


def test_the_estimate_is_near_the_peaks_that_upstream_reports() -> None:
    assert estimate(load_profile("h100")).total == pytest.approx(34e9, rel=0.15)
    many = {"name": "gpu-24g", "rows": 128, "step_tokens": 128 * 2048}
    assert estimate(load_profile(many)).total == pytest.approx(45.1e9, rel=0.15)


@pytest.mark.parametrize("name", GPU_PROFILES)
def test_every_profile_fits_its_device_with_room_to_spare(name: str) -> None:
    profile = load_profile(name)
    assert estimate(profile).total < 0.6 * profile.memory_gb * GIB


def test_more_rows_need_more_and_eager_code_needs_more() -> None:
    profile = load_profile("gpu-24g")
    totals = [estimate(replace(profile, rows=rows)).total for rows in (1, 2, 4, 8, 16, 32)]
    assert totals == sorted(totals)
    assert estimate(replace(profile, compile=False)).total > estimate(profile).total


@pytest.mark.parametrize(
    ("gigabytes", "name"),
    [(6, "gpu-8g"), (7.6, "gpu-8g"), (16, "gpu-8g"), (22.5, "gpu-24g"), (79.1, "h100"), (139.8, "h100")],
)
def test_a_device_gets_the_largest_micro_batch_that_fits(gigabytes: float, name: str) -> None:
    fitted = fit(gigabytes)
    assert fitted is not None
    assert fitted.name == name
    assert load_profile({"name": name, "rows": fitted.rows}) == fitted
    assert estimate(fitted).total <= memory.USABLE * gigabytes * GIB
    more = replace(fitted, rows=2 * fitted.rows)
    assert (
        2 * fitted.rows > fitted.step_tokens // fitted.sequence
        or estimate(more).total > memory.USABLE * gigabytes * GIB
    )


def test_the_command_prints_what_fits(capsys: Any) -> None:
    assert profiles_command(["--fit", "24"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["name"] == "gpu-24g"
    assert printed["rows"] >= 16
    assert profiles_command(["--fit", "0.5"]) == 2
    assert "no profile fits" in capsys.readouterr().err


def test_advice_names_the_rows_that_should_fit() -> None:
    profile = load_profile({"name": "h100", "rows": 128})
    assert f"rows = {largest_rows(profile, 0.9 * 80 * GIB)}" in advice(profile, 80 * GIB)
    assert "unchanged train.py" in advice(load_profile("gpu-8g"), 80 * GIB)
    assert "even one row" in advice(profile, 1 * GIB)
    assert "rows" in advice(profile)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("InductorError: OutOfMemoryError: CUDA out of memory."),
    ],
)
def test_memory_that_ran_out_is_known_by_all_its_names(error: BaseException) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(RuntimeError("shapes do not match"))


def test_a_new_lab_gets_the_rows_that_fit_its_gpu(tmp_path: Path) -> None:
    name, sizes = fitted("gpu-24g", 23.6)
    assert name == "gpu-24g"
    config = create(tmp_path / "lab", profile=name, sizes=sizes).load_config()
    assert config.target.sizes == sizes
    assert load_profile(profile_argument(config)).rows == sizes["rows"] >= 16
    assert fitted("gpu-8g", 0.5) == ("gpu-8g", {})


def test_a_size_that_is_yes_or_no_stays_one_on_its_way_to_the_trainer(tmp_path: Path) -> None:
    lab = create(tmp_path / "lab", profile="h100")
    sizes = "\n[target.sizes]\nfloat8 = true\ncompile = false\nrows = 1\ndepth = 24\n"
    lab.config_file.write_text(lab.config_file.read_text() + sizes)
    profile = load_profile(profile_argument(lab.load_config()))
    assert (profile.float8, profile.compile, profile.rows, profile.depth) == (True, False, 1, 24)
