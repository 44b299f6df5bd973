"""Fixtures for what only a GPU can show: `make gpu`. Where there is none these tests skip, saying why.

Nothing is downloaded: the text is Python's own library. Collecting imports neither torch nor a driver. What makes sense
on a CPU too takes the fixture `device`, so that the same lines run here and there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import TRAIN, Run, environment

CUDA = "cuda:0"
SIZES: dict[str, Any] = {
    "depth": 4, "aspect": 64, "sequence": 256, "vocab": 1024, "rows": 8, "step_tokens": 4096,
    "train_tokens": 400_000, "eval_tokens": 16_384, "budget": "tokens:409600",
}  # fmt: skip
"""gpu-8g made small: width 256, two heads of 128, two micro-batches a step, 100 steps"""
ON_A_CPU: dict[str, Any] = {
    "depth": 2, "aspect": 64, "rows": 2, "step_tokens": 1024, "budget": "tokens:51200", "compile": False,
}  # fmt: skip
"""the same tests in seconds, with the same data"""
STEPS = {"cpu": 50, CUDA: 100}
PATIENCE = 600
"""seconds; the first compilation on a slow host takes minutes"""


def why_no_gpu() -> str:
    """Why there is no GPU to test with; empty where there is one."""
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return f"no NVIDIA driver answers: {error}"
    if not count:
        return "the NVIDIA driver knows no GPU"
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} sees no CUDA device"


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of the GPU."""
    if reason := why_no_gpu():
        pytest.skip(reason)
    return CUDA


@pytest.fixture(params=["cpu", pytest.param(CUDA, marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The CPU everywhere, and the GPU where there is one."""
    if request.param == CUDA:
        request.getfixturevalue("cuda")
    return str(request.param)


def profile_json(device: str = CUDA, **changes: Any) -> str:
    return json.dumps({"name": "gpu-8g", **SIZES, **(ON_A_CPU if device == "cpu" else {}), **changes})


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little of the standard library, prepared for these sizes."""
    from data.prepare import prepare
    from nanochat.prepare import settings_of
    from nanochat.profiles import load_profile

    corpus = tmp_path_factory.mktemp("corpus")
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    for package in ("asyncio", "email", "json", "logging", "unittest", "xml", "concurrent", "http", "importlib"):
        for source in sorted((stdlib / package).rglob("*.py")):
            target = corpus / source.relative_to(stdlib)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return prepare(settings_of(load_profile(profile_json())), str(corpus), str(tmp_path_factory.mktemp("cache"))).path


def train(data: Path, out: Path, device: str, src: Path = TRAIN.parent, **changes: Any) -> Run:
    """train.py on a device, as the runner starts it, with the environment that the profile recommends."""
    from nanochat.profiles import load_profile

    profile = profile_json(device, **changes)
    env = environment(
        **load_profile(profile).env(),
        AR_OUT=str(out), AR_DATA=str(data), AR_SEED="1", AR_DEVICE=device, AR_PROFILE=profile,
    )  # fmt: skip
    command = [sys.executable, "train.py"]
    ended = subprocess.run(command, cwd=src, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Run(out, ended.returncode, ended.stderr)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the evaluator left, and what it said."""

    result: dict[str, Any]
    said: str


def evaluate(
    data: Path, run: Run, where: Path, device: str, *, trained_on: str, sandbox: list[str] | None = None
) -> Evaluated:
    """The evaluator on a finished run, in the environment that the profile recommends."""
    from nanochat.profiles import load_profile

    profile = profile_json(trained_on)
    where.mkdir(parents=True, exist_ok=True)
    env = environment(
        **load_profile(profile).env(),
        AR_OUT=str(run.out), AR_DATA=str(data), AR_SRC=str(TRAIN.parent), AR_EVAL_OUT=str(where), AR_DEVICE=device,
        AR_PROFILE=profile, AR_MODEL_SANDBOX=json.dumps(sandbox or []),
    )  # fmt: skip
    command = [sys.executable, "-m", "nanochat.evaluate"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr
    return Evaluated(json.loads((where / "result.json").read_text()), ended.stderr)


@pytest.fixture(scope="session")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """One whole run on a device, made once."""
    made: dict[str, Run] = {}

    def run(device: str) -> Run:
        if device not in made:
            out = tmp_path_factory.mktemp("run") / "out"
            made[device] = train(prepared, out, device)
            assert made[device].code == 0, made[device].stderr
        return made[device]

    return run
