"""What a run on one of two GPUs would see of them in each kind of sandbox, by a driver that is made up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from core.runs import devices
from core.runs.local import Child
from core.runs.sandbox import places
from core.runs.sandbox.wrapping import Sandbox, Tier

NODES = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps")
CHILD = Child(["train"], cwd="/tmp", env={"AR_DEVICE": "cuda:1"}, seconds=1)


class Driver:
    """NVML for two boards whose minor numbers are not their places."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMinorNumber(self, board: int) -> int:
        return 1 - board

    def nvmlDeviceGetUUID(self, board: int) -> str:
        return f"GPU-{board}"


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    @contextmanager
    def loaded() -> Iterator[Driver]:
        yield Driver()

    real = places.os.path.exists  # type: ignore[attr-defined]
    monkeypatch.setattr(devices, "_nvml", loaded)
    monkeypatch.setattr("os.path.exists", lambda path: str(path).removeprefix("/dev/") in NODES or real(path))
    return places.gpus(["cpu", "cuda:0", "cuda:1"])


def test_a_gpu_is_known_by_the_drivers_own_number_and_name(gpus: Any) -> None:
    assert gpus == {"cuda:0": places.Gpu(1, "GPU-0"), "cuda:1": places.Gpu(0, "GPU-1")}
    assert places.gpu_nodes(gpus["cuda:1"]) == [f"/dev/{name}" for name in NODES if name != "nvidia1"]
    assert places.gpus(["cpu"]) == {}


@pytest.mark.parametrize("tier", [Tier.BUBBLEWRAP, Tier.LANDLOCK])
def test_a_run_sees_its_own_gpu_and_no_other(gpus: Any, tier: Tier) -> None:
    sandbox = Sandbox(tier, "", program="bwrap", gpus=gpus)
    child = sandbox.wrap(CHILD, writable=["/tmp"], device="cuda:1")
    words = list(child.argv)
    nodes = [word for word in words if word.startswith("/dev/nvidia")]
    assert set(nodes) == {f"/dev/{name}" for name in NODES} - {"/dev/nvidia1"}
    assert "/sys" in words, "without /sys cuInit fails"
    said = dict(child.env) if tier == Tier.LANDLOCK else dict(pairwise(words))
    assert said["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert said["AR_DEVICE"] == "cuda:0", "it is the only one it sees"


@pytest.mark.parametrize("tier", [Tier.BUBBLEWRAP, Tier.LANDLOCK])
def test_a_run_on_the_processor_sees_none(gpus: Any, tier: Tier) -> None:
    child = Sandbox(tier, "", program="bwrap", gpus=gpus).wrap(CHILD, writable=["/tmp"], device="cpu")
    words = list(child.argv)
    assert not [word for word in words if "nvidia" in word and word.startswith("/dev/")]
    assert "/sys" not in words
