"""The harness: what a run writes, budgets, seeds, and how a run ends."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from data.prepared import Prepared
from nanochat.harness import Harness
from nanochat.profiles import load_profile
from tests.training.conftest import Run, environment, patched, train

WEIGHT = 64


@pytest.fixture
def harness(prepared: Path, tmp_path: Path) -> Iterator[Any]:
    """Makes harnesses in this process, without the parts that belong to a process of its own."""
    made: list[Harness] = []

    def make(budget: str, out: str = "out", **overrides: Any) -> Harness:
        profile = load_profile({"name": "test", **overrides})
        device = torch.device("cpu")
        made.append(Harness(tmp_path / out, Prepared.open(prepared), profile, 1, device, budget))
        made[-1]._meter_on()
        return made[-1]

    yield make
    for run in made:
        run._meter_off()


def work(times: int = 1) -> int:
    """A known number of operations."""
    a = torch.ones(WEIGHT, WEIGHT)
    for _ in range(times):
        a @ a
    return times * 2 * WEIGHT**3


def test_a_run_leaves_metrics_a_phase_a_summary_and_weights(trained: Run) -> None:
    assert trained.code == 0, trained.stderr
    assert json.loads((trained.out / "phase.json").read_text())["phase"] == "done"
    assert trained.summary["steps"] == len(trained.metrics) == 30
    assert trained.summary["parameters"] > 100_000
    assert trained.summary["peak_memory_bytes"] > 10**8
    assert not trained.summary["diverged"]
    state = torch.load(trained.out / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    first = trained.metrics[0]
    assert {"step", "t", "progress", "loss", "lr", "grad_norm", "tokens", "tokens_per_s"} <= first.keys()
    assert [line["step"] for line in trained.metrics] == list(range(30))
    assert [line["t"] for line in trained.metrics] == sorted(line["t"] for line in trained.metrics)


def test_the_loss_goes_down(trained: Run) -> None:
    losses = [line["loss"] for line in trained.metrics]
    assert losses[0] == pytest.approx(math.log(512), abs=0.05)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(prepared: Path, tmp_path: Path) -> None:
    """With a budget in FLOPs, which counts some steps and not others."""
    runs = [
        train(prepared, tmp_path / name, AR_SEED=seed, AR_BUDGET="flops:4e9")
        for name, seed in (("a", "7"), ("b", "7"), ("c", "8"))
    ]
    a, b, c = (torch.load(run.out / "model.pt", weights_only=True) for run in runs)
    assert runs[0].summary["steps"] == runs[1].summary["steps"] > 5
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])


def test_metering_does_not_change_a_single_bit(harness: Any) -> None:
    build_model = importlib.import_module("nanochat.train").build_model
    results = []
    for metered in (True, False):
        run = harness("flops:1e12")
        run._meter_off()
        torch.manual_seed(0)
        model = build_model(run.profile)
        if metered:
            run._meter_on()
        tokens = torch.arange(512).view(8, 64)
        model(tokens, tokens).backward()
        run._meter_off()
        results.append([p.grad for p in model.parameters()])
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True))


def test_a_budget_in_tokens_ends_after_so_many(harness: Any) -> None:
    run = harness("tokens:2048")
    assert [len(batch) for batch in run.batches()] == [1, 1, 1, 1]
    assert run.tokens == 2048


def test_a_budget_in_seconds_ends_in_time_and_progress_grows(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("nanochat.harness.time.perf_counter", lambda: clock[0])
    run = harness("seconds:0.2")
    seen = []
    for _ in run.batches():
        clock[0] += 0.01
        seen.append(run.progress)
    assert 0.2 <= run.seconds < 0.22
    assert seen == sorted(seen)
    assert seen[0] < 0.05
    assert seen[-1] > 0.8


def test_a_budget_in_flops_counts_what_is_computed(harness: Any) -> None:
    run = harness(f"flops:{100 * 2 * WEIGHT**3}")
    for _ in run.batches():
        work(5)
    assert run.step == 20
    assert run.flops == 100 * 2 * WEIGHT**3


def test_work_that_is_added_later_is_charged(harness: Any) -> None:
    honest, sly = (harness(f"flops:{1000 * 2 * WEIGHT**3}", name) for name in ("honest", "sly"))
    for _ in honest.batches():
        work(5)
    for _ in sly.batches():
        work(5 if sly.step < 3 else 50)
    assert sly.step < honest.step / 2  # until the first sample that sees it


def test_work_before_the_first_batch_and_after_the_last_is_seen(harness: Any) -> None:
    run = harness(f"flops:{100 * 2 * WEIGHT**3}")
    before = work(50)
    for _ in run.batches():
        work(5)
    assert run.step == 10
    after = work(30)
    run.finish(torch.nn.Linear(2, 2))
    assert run.flops_outside == before + after


def test_accumulation_hands_out_micro_batches(harness: Any) -> None:
    run = harness("tokens:4096", step_tokens=2048)
    for batch in run.batches():
        assert len(batch) == 4
        for tokens, targets in batch:
            assert tokens.shape == targets.shape == (8, 64)
            assert torch.equal(tokens[:, 1:], targets[:, :-1])


def test_the_data_starts_again_when_it_runs_out(harness: Any, prepared: Path) -> None:
    rows = Prepared.open(prepared).manifest["splits"]["train"]["rows"]
    steps = rows // 8 + 3
    run = harness(f"tokens:{steps * 512}")
    seen = [batch[0][0] for batch in run.batches()]
    assert len(seen) == steps
    flat = torch.cat(seen)
    assert torch.equal(flat[rows : rows + 8], flat[:8])


def test_a_loss_that_is_not_finite_stops_the_run_with_exit_code_3(prepared: Path, tmp_path: Path) -> None:
    src = patched(
        tmp_path / "src", ("run.log(loss=loss,", "run.log(loss=loss if run.step < 4 else loss * float('nan'),")
    )
    run = train(prepared, tmp_path / "out", src)
    assert run.code == 3
    assert run.summary["diverged"]
    assert run.summary["diverged_at"] == 4
    assert len(run.metrics) == 5
    assert "diverged" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (run.out / "model.pt").exists()


def test_running_out_of_memory_ends_with_exit_code_4_and_a_hint(prepared: Path, tmp_path: Path) -> None:
    src = patched(tmp_path / "src", ("        muon.step()\n", "        torch.empty(1 << 60)\n"))
    run = train(prepared, tmp_path / "out", src)
    assert run.code == 4
    assert run.summary["out_of_memory"]
    assert run.summary["peak_memory_bytes"] > 0
    assert "hint" in run.summary


def test_an_ordinary_error_keeps_its_traceback_and_exit_code_1(prepared: Path, tmp_path: Path) -> None:
    src = patched(tmp_path / "src", ("        muon.step()\n", "        muon.stop()\n"))
    run = train(prepared, tmp_path / "out", src)
    assert run.code == 1
    assert "AttributeError" in run.stderr


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"AR_PROFILE": "laptop"}, "no profile 'laptop'"),
        ({"AR_PROFILE": '{"name": "test", "depht": 3}'}, "depht"),
        ({"AR_PROFILE": "cpu"}, "prepare it again"),
        ({"AR_PROFILE": '{"name": "test", "float8": true}'}, "float8 needs a GPU, not cpu"),
        ({"AR_PROFILE": '{"name": "test", "kernels": "FA3"}'}, "attention by FA3: No module named"),
        ({"AR_PROFILE": '{"name": "test", "kernels": "FA9"}'}, "attention by FA9: Unknown"),
        ({"AR_BUDGET": "steps:3"}, "budget"),
        ({"AR_DATA": "/nowhere"}, "no prepared data"),
        ({"AR_SEED": "one"}, "one"),
        ({"AR_DEVICE": "cuda:99"}, "CUDA"),
        ({"AR_DEVICE": "abacus"}, "abacus"),
    ],
)
def test_a_wrong_environment_is_one_line_and_exit_code_2(
    env: dict[str, str], says: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    described = {"AR_OUT": str(tmp_path / "out"), "AR_DATA": str(prepared), "AR_PROFILE": "test", **env}
    for name, value in described.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        Harness.from_env()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_importing_the_trainer_does_not_import_the_compiler() -> None:
    heavy = "('torch._dynamo', 'torch._inductor', 'pyarrow', 'tokenizers')"
    code = f"import nanochat.train, sys; print([m for m in sys.modules if m in {heavy}])"
    ended = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
