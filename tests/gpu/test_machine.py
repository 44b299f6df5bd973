"""The GPU as the engine sees it: found, gauged, usable inside a sandbox."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.runs import devices
from core.runs.local import Child
from core.runs.sandbox import Sandbox, Tier, probe

GIB = 2**30
COMPUTE = """
import sys, torch
device = torch.device(sys.argv[1])
a = torch.ones(256, 256, device=device, dtype=torch.bfloat16)
assert float((a @ a)[0, 0]) == 256.0
if device.type == "cuda":
    assert torch.cuda.device_count() == 1, "it sees the other GPUs"
    f = torch.compile(lambda x: (x.float().tanh() * 2).sum())
    assert abs(float(f(a)) - 256 * 256 * 2 * 0.76159) < 50
open("done", "w").write("x")
print("done")
"""


def test_the_device_is_found_with_a_class_of_its_own(device: str) -> None:
    (found,) = devices.find([device])
    assert found.name == device
    assert found.memory > GIB
    assert "driver" in found.kind or device == "cpu"
    assert devices.profile_for([found]) != "cpu" or device == "cpu"


def test_gauges_say_what_the_device_does(device: str) -> None:
    (gauge,) = devices.sample(devices.find([device]))
    assert gauge.device == device
    assert abs(gauge.at - time.time()) < 60
    assert gauge.memory_used is not None
    assert gauge.memory_total is not None
    assert 0 < gauge.memory_used < gauge.memory_total
    assert gauge.utilization is None or 0 <= gauge.utilization <= 100
    assert gauge.power is None or 0 < gauge.power < 3000
    assert gauge.temperature is None or 0 < gauge.temperature < 120
    assert gauge.clock is None or 0 < gauge.clock < 10_000
    assert (device == "cpu") == bool(gauge.cores) == (gauge.load is not None)


@pytest.mark.gpu
def test_gauges_see_memory_come_and_go(cuda: str) -> None:
    import torch

    def used() -> float:
        (gauge,) = devices.sample(devices.find([cuda]))
        return gauge.memory_used or 0.0

    torch.zeros(1, device=cuda)  # the context first
    before = used()
    held = torch.zeros(GIB, dtype=torch.uint8, device=cuda)
    assert used() - before > 0.9 * GIB
    del held
    torch.cuda.empty_cache()
    assert used() - before < 0.1 * GIB


@pytest.fixture(params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest, device: str) -> Sandbox:
    """A sandbox of this kind. Where it works for a CPU it must work for a GPU too: `probe` calls cuInit inside."""
    plain = probe(["cpu"], wanted=request.param)
    if plain.tier == Tier.NONE:
        pytest.skip(plain.detail)
    found = probe([device], wanted=request.param)
    assert found.tier == plain.tier, found.detail
    return found


@pytest.mark.slow
def test_torch_computes_and_compiles_inside_a_sandbox(sandbox: Sandbox, device: str, tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", COMPUTE, device], str(tmp_path), {"OMP_NUM_THREADS": "1", "HOME": "/tmp"}, 300)
    kept = sandbox.wrap(child, writable=[str(tmp_path)], device=device)
    ended = subprocess.run(
        list(kept.argv), cwd=kept.cwd, env=dict(kept.env), capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "done").exists()
