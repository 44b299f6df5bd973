"""A whole experiment through the engine: data, runs of the champion, a patch, live curves, gauges, a verdict."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core import verify
from core.lab import Lab, create
from core.models import Autonomy, Purpose, RunState, State, Verdict
from core.runs import runner
from core.runs.doubts import GATE_SECONDS
from core.runs.phases import NAMES
from tests.gpu.conftest import PATIENCE, SIZES
from tests.toy import ScriptedResearcher, engine_at_work, until

pytestmark = pytest.mark.slow
STEPS = {"cpu": 30, "cuda:0": 200}


def small_lab(root: Path, device: str) -> Lab:
    """A lab as `init` makes it, with the profile made small."""
    lab = create(root / "lab", profile="test" if device == "cpu" else "gpu-8g")
    text = lab.config_file.read_text()
    sizes: dict[str, Any] = {} if device == "cpu" else {**SIZES, "budget": f"tokens:{200 * SIZES['step_tokens']}"}
    sizes.pop("compile", None)
    for section, lines in {
        "review": "undo_seconds = 0\nallow_unsandboxed = true",
        "judging": "null_runs = 2\nmax_confirmations = 2\nrerun_every = 0",
        "runs": f'devices = ["{device}"]\nmin_free_gigabytes = 0',
    }.items():
        text = text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n")
    text += "\n[target.sizes]\n" + "".join(f"{name} = {value!r}\n" for name, value in sizes.items())
    lab.config_file.write_text(text)
    return lab


def test_an_experiment_from_proposal_to_verdict(device: str, tmp_path: Path) -> None:
    asyncio.run(one_experiment(device, tmp_path))


async def one_experiment(device: str, tmp_path: Path) -> None:
    """The patch takes the learning of the matrices away, so the verdict is certain."""
    lab = small_lab(tmp_path, device)
    researcher = ScriptedResearcher([("MATRIX_LR = 0.04", "MATRIX_LR = 0.0"), ("EMBED_LR = 0.3", "EMBED_LR = 0.31")])
    live: dict[int, int] = {}
    phases: set[str] = set()
    async with engine_at_work(lab, researcher, autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store

        def judged() -> bool:
            for run in store.live_runs():
                phases.add(run.phase)
                live[run.id] = max(live.get(run.id, 0), len(store.series(run.id, "loss").step))
            assert not store.paused()
            return bool(store.experiments(State.JUDGED))

        await until(judged, seconds=3 * PATIENCE)
        first = store.experiments(State.JUDGED)[0]
        runs = [run for run in store.runs() if run.state == RunState.FINISHED]
        assert first.verdict in (Verdict.DISCARD, Verdict.INCONCLUSIVE), first
        assert [run.purpose for run in runs][:2] == [Purpose.BASELINE, Purpose.NULL]
        assert "training" in phases
        assert max(live.values()) > 0, "no point of a curve was seen while its run lived"
        for run in runs:
            assert run.metric is not None
            assert 0.5 < run.metric < 8
            loss = store.series(run.id, "loss").value
            assert len(loss) == STEPS[device]
            assert all(map(math.isfinite, loss))
            assert run.device == device
        baseline, changed = runs[0], next(run for run in runs if run.experiment_id == first.id)
        assert baseline.metric is not None
        assert changed.metric is not None
        assert changed.metric > baseline.metric
        gauges = [gauge for gauge in store.gauges() if gauge.device == device]
        assert gauges
        ready = [run.detail["gate"] for run in runs if run.detail["gate"]]
        assert all(gate["opened"] for gate in ready)
        assert all(set(run.detail["seconds"]) == set(NAMES) for run in runs)
        if device != "cpu":
            assert ready, "no run stood ready while another was evaluated"
            assert all(gate["cpu_seconds"] < GATE_SECONDS for gate in ready)
            assert all(run.detail["seconds"]["compile"] > 0 for run in runs)
            assert any(lab.caches.iterdir()), "nothing that was compiled is handed on"
            assert "compiling" in phases
            assert max(gauge.memory_used or 0 for gauge in gauges) > 0.3 * 2**30
            assert (baseline.detail["train"] or {})["device"] in baseline.device_class
    assert verify.problems(lab) == []


def test_the_evaluator_may_hold_more_logits_than_it_may_write(tmp_path: Path) -> None:
    """A batch of logits is larger than any result; the limit on its files must not stop it."""
    code = "import os; fd = os.memfd_create('logits'); os.truncate(fd, 1 << 30); open('result.json', 'w').write('{}')"
    spec = {
        "run": 1, "attempt": 1, "log_bytes": 1 << 20, "out_bytes": 1 << 34,
        "trainer": {"argv": [sys.executable, "-c", ""], "cwd": str(tmp_path), "env": {}, "seconds": 30},
        "evaluator": {"argv": [sys.executable, "-c", code], "cwd": str(tmp_path / "eval"), "env": {}, "seconds": 30},
    }  # fmt: skip
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-I", "-S", str(Path(runner.__file__)), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    ended = json.loads((tmp_path / "exit.json").read_text())
    assert ended["state"] == "finished", ended
