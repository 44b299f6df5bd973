"""A run that waits at its gate: ready, its clock not started, and in the end the same to the last bit."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.training.conftest import Run, train

BUDGET = "flops:4e9"


def phase(run_directory: Path) -> dict[str, object]:
    try:
        read: dict[str, object] = json.loads((run_directory / "phase.json").read_text())
    except FileNotFoundError:
        return {}
    return read


@pytest.mark.slow
def test_a_run_that_waited_is_the_same_to_the_last_bit(prepared: Path, tmp_path: Path) -> None:
    gate, found = tmp_path / "go", []
    waits = threading.Thread(
        target=lambda: found.append(train(prepared, tmp_path / "waited", AR_GATE=str(gate), AR_BUDGET=BUDGET))
    )
    waits.start()
    while phase(tmp_path / "waited").get("phase") != "waiting":
        assert waits.is_alive()
        time.sleep(0.02)
    assert not (tmp_path / "waited" / "metrics.jsonl").read_text(), "it trained before its turn"
    straight: Run = train(prepared, tmp_path / "straight", AR_BUDGET=BUDGET)
    gate.touch()
    opened = time.time()
    waits.join()
    waited: Run = found[0]
    assert waited.code == straight.code == 0, waited.stderr
    a, b = (torch.load(run.out / "model.pt", weights_only=True) for run in (waited, straight))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [line["loss"] for line in waited.metrics] == [line["loss"] for line in straight.metrics]
    assert waited.summary["flops"] == straight.summary["flops"]
    since = phase(waited.out)["since"]
    assert isinstance(since, dict)
    assert list(since) == ["starting", "waiting", "training", "saving", "done"]
    assert opened <= since["training"] + 0.1
    assert waited.summary["startup_seconds"] <= since["waiting"] - since["starting"] + 1.0


@pytest.mark.slow
def test_an_open_gate_is_not_waited_at(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    run = train(prepared, tmp_path / "run", AR_GATE=os.fspath(tmp_path / "go"))
    assert run.code == 0, run.stderr
    since = phase(run.out)["since"]
    assert isinstance(since, dict)
    assert "waiting" not in since
