"""train.py on a GPU: it learns, compiling is free of charge, running out of memory is said, the score is the score."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.conftest import SIZES, STEPS, evaluate, profile_json, train
from tests.training.conftest import TRAIN, Run, patched

pytestmark = pytest.mark.slow
Finished = Callable[[str], Run]


def test_the_loss_goes_down(device: str, finished: Finished) -> None:
    losses = [line["loss"] for line in finished(device).metrics]
    assert losses[0] == pytest.approx(math.log(SIZES["vocab"]), abs=0.05)
    assert sum(losses[-5:]) / 5 < 0.85 * losses[0]


def test_a_run_leaves_its_curve_its_summary_and_its_weights(device: str, finished: Finished) -> None:
    run = finished(device)
    assert [line["step"] for line in run.metrics] == list(range(STEPS[device]))
    assert all(math.isfinite(line["grad_norm"]) for line in run.metrics)
    assert run.summary["steps"] == STEPS[device]
    assert run.summary["peak_memory_bytes"] > 10**7
    assert run.summary["ranks"] == 1
    assert (run.out / "model.pt").stat().st_size > 4 * run.summary["parameters"]
    assert json.loads((run.out / "phase.json").read_text())["phase"] == "done"


@pytest.mark.gpu
def test_the_run_was_in_half_precision_on_the_gpu(cuda: str, finished: Finished) -> None:
    import torch

    summary = finished(cuda).summary
    assert summary["device"] == torch.cuda.get_device_name(0)
    assert summary["dtype"] == ("bfloat16" if torch.cuda.get_device_capability(0)[0] >= 8 else "float32")


@pytest.mark.gpu
def test_compiling_and_warming_up_cost_nothing_of_the_budget(cuda: str, prepared: Path, tmp_path: Path) -> None:
    """Compiling takes seconds; no step of a budget of two seconds may contain it, and its steps are undone."""
    began = time.perf_counter()
    run = train(prepared, tmp_path / "out", cuda, budget="seconds:2")
    wall = time.perf_counter() - began
    assert run.code == 0, run.stderr
    assert run.summary["train_seconds"] == pytest.approx(2.0, abs=0.5)
    assert run.summary["startup_seconds"] + run.summary["train_seconds"] < wall
    assert run.metrics[0]["t"] < 0.5
    assert run.metrics[0]["loss"] == pytest.approx(
        math.log(SIZES["vocab"]), abs=0.05
    )  # warm-up steps taught it nothing
    gaps = [b["t"] - a["t"] for a, b in zip(run.metrics, run.metrics[1:], strict=False)]
    assert max(gaps) < 0.5, "something was compiled inside the budget"
    assert run.summary["tokens"] == len(run.metrics) * SIZES["step_tokens"]


@pytest.mark.gpu
@pytest.mark.parametrize("value", ["loss", "loss.item()"])
def test_no_step_waits_for_the_device(value: str, cuda: str, prepared: Path, tmp_path: Path) -> None:
    """torch itself looks out for operators that wait; one that does is found, or this would prove nothing."""
    norm, finish = "        norm = run.grad_norm(model)\n", "    run.finish(model)\n"
    src = patched(
        tmp_path / "src",
        (norm, "        if run.step == 5:\n            torch.cuda.set_sync_debug_mode('error')\n" + norm),
        (finish, "    torch.cuda.set_sync_debug_mode('default')\n" + finish),
        ("run.log(loss=loss,", f"run.log(loss={value},"),
    )
    run = train(prepared, tmp_path / "out", cuda, src, compile=False)
    assert (run.code == 0) == (value == "loss"), run.stderr
    assert ("synchronizing" in run.stderr) == (value != "loss")


@pytest.mark.gpu
def test_in_8_bits_it_learns_as_in_16(cuda: str, finished: Finished, prepared: Path, tmp_path: Path) -> None:
    import torch

    from nanochat.float8 import why_not

    if reason := why_not(torch.device(cuda)):
        pytest.skip(reason)
    run = train(prepared, tmp_path / "out", cuda, float8=True)
    assert run.code == 0, run.stderr
    ours, exact = ([line["loss"] for line in one.metrics] for one in (run, finished(cuda)))
    assert ours != exact
    assert sum(ours[-5:]) / 5 == pytest.approx(sum(exact[-5:]) / 5, abs=0.1)
    result = evaluate(prepared, run, tmp_path / "eval", cuda, trained_on=cuda).result
    assert result["void"] is None


@pytest.mark.gpu
def test_utilisation_is_reported(cuda: str, finished: Finished) -> None:
    import torch

    from nanochat.device import peak_flops

    if peak_flops(torch.device(cuda)) is None:
        pytest.skip(f"the peak of {torch.cuda.get_device_name(0)} is not in nanochat.device.PEAK_FLOPS")
    shares = [line["mfu"] for line in finished(cuda).metrics]
    assert all(0 < share < 1 for share in shares[10:])


@pytest.mark.gpu
def test_the_memory_estimate_is_no_less_than_what_is_used(cuda: str, finished: Finished) -> None:
    from nanochat.memory import OWN_BYTES, estimate
    from nanochat.profiles import load_profile

    expected = estimate(load_profile(profile_json())).training - OWN_BYTES  # torch does not count the context
    used = finished(cuda).summary["peak_memory_bytes"]
    assert used < 1.25 * expected
    assert used > 0.2 * expected


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [True, False])
def test_the_estimate_holds_where_activations_rule(compiled: bool, cuda: str, prepared: Path, tmp_path: Path) -> None:
    from nanochat.memory import OWN_BYTES, estimate
    from nanochat.profiles import load_profile

    sizes: dict[str, Any] = {
        "rows": 128,
        "step_tokens": 128 * 256,
        "compile": compiled,
        "budget": f"tokens:{5 * 128 * 256}",
    }
    run = train(prepared, tmp_path / "out", cuda, **sizes)
    assert run.code == 0, run.stderr
    expected = estimate(load_profile(profile_json(**sizes))).training - OWN_BYTES
    assert 0.5 * expected < run.summary["peak_memory_bytes"] < 1.15 * expected


def test_running_out_of_memory_ends_with_exit_code_4_the_peak_and_a_hint(
    device: str, prepared: Path, tmp_path: Path
) -> None:
    greedy = "        torch.empty(1 << 44, device=run.device)\n"
    src = patched(tmp_path / "src", ("        muon.step()\n", greedy))
    run = train(prepared, tmp_path / "out", device, src, compile=False)
    assert run.code == 4, run.stderr
    assert run.summary["out_of_memory"]
    assert run.summary["peak_memory_bytes"] > 10**7
    assert "[target.sizes]" in run.summary["hint"] or "rows" in run.summary["hint"]
    last = run.stderr.strip().splitlines()[-1]  # what the runner shows as the reason
    assert last.startswith("harness: out of memory at a peak of ")


@pytest.mark.gpu
def test_a_device_that_is_not_there_is_one_line_and_exit_code_2(cuda: str, prepared: Path, tmp_path: Path) -> None:
    run = train(prepared, tmp_path / "out", "cuda:99")
    assert run.code == 2
    assert run.stderr.count("\n") == 1
    assert "CUDA" in run.stderr


def test_the_device_gives_the_score_that_a_cpu_gives(
    device: str, finished: Finished, prepared: Path, tmp_path: Path
) -> None:
    run = finished(device)
    here = evaluate(prepared, run, tmp_path / "here", device, trained_on=device).result
    there = evaluate(prepared, run, tmp_path / "there", "cpu", trained_on=device).result
    assert here["void"] is there["void"] is None
    assert here["causality"]["ok"]
    assert here["metric"]["val_bpb"] == pytest.approx(there["metric"]["val_bpb"], abs=0.01)


@pytest.mark.gpu
def test_logits_stay_on_the_gpu_between_the_evaluators_two_processes(
    cuda: str, finished: Finished, prepared: Path, tmp_path: Path
) -> None:
    """CUDA IPC works without a sandbox, though the profile asks for segments that cannot be shared that way."""
    said = evaluate(prepared, finished(cuda), tmp_path / "eval", cuda, trained_on=cuda).said
    assert "through the host" not in said
    assert "cannot be shared" not in said


def test_the_score_is_the_same_with_the_model_in_a_sandbox(
    device: str, finished: Finished, prepared: Path, tmp_path: Path
) -> None:
    """In namespaces of its own the model may not reach the evaluator's buffer; then the logits go through the host."""
    from core.runs.local import Child
    from core.runs.sandbox import Tier, probe

    sandbox = probe([device])
    if sandbox.tier == Tier.NONE:
        pytest.skip(sandbox.detail)
    run = finished(device)
    env = {"AR_DEVICE": device, "OMP_NUM_THREADS": "1", "HOME": "/tmp"}
    model = Child([], cwd="/", env=env, seconds=0)
    inside = list(sandbox.wrap(model, readable=[str(TRAIN.parent), str(run.out)], device=device).argv)
    free = evaluate(prepared, run, tmp_path / "free", device, trained_on=device)
    kept = evaluate(prepared, run, tmp_path / "kept", device, trained_on=device, sandbox=inside)
    print(kept.said)
    assert kept.result["void"] is None, kept.said
    assert kept.result["metric"]["val_bpb"] == pytest.approx(free.result["metric"]["val_bpb"], abs=1e-3)


@pytest.mark.gpu
def test_the_same_seed_trains_alike(cuda: str, finished: Finished, prepared: Path, tmp_path: Path) -> None:
    """On a GPU not to the bit: attention's backward adds in any order."""
    first = finished(cuda)
    again = train(prepared, tmp_path / "out", cuda)
    assert again.code == 0, again.stderr
    for a, b in zip(first.metrics[:10], again.metrics[:10], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=0.02)
    assert first.metrics[-1]["loss"] == pytest.approx(again.metrics[-1]["loss"], abs=0.1)
