"""Two ranks by torchrun (gloo on a CPU) train like one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.conftest import TRAIN, Run, environment, train

PROFILE = '{"name": "test", "rows": 4, "budget": "tokens:5120"}'


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_ranks_give_the_same_run_as_one(prepared: Path, tmp_path: Path) -> None:
    one = train(prepared, tmp_path / "one", AR_PROFILE=PROFILE)
    out = tmp_path / "two"
    env = environment(
        AR_OUT=str(out),
        AR_DATA=str(prepared),
        AR_SEED="1",
        AR_DEVICE="cpu",
        AR_PROFILE=PROFILE,
        GLOO_SOCKET_IFNAME="lo",
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py"]
    ended = subprocess.run(command, cwd=TRAIN.parent, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    two = Run(out, 0, ended.stderr)
    assert two.summary["ranks"] == 2
    assert two.summary["tokens"] == one.summary["tokens"] == 5120
    assert len(two.metrics) == len(one.metrics)
    for mine, theirs in zip(one.metrics, two.metrics, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=0.02)
    a, b = (torch.load(run.out / "model.pt", weights_only=True) for run in (one, two))
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 0.05
