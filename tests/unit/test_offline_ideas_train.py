"""Every idea of the notebook really trains, saves a model that loads, and sees no future."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.researchers.notebook import notebook

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong with each idea; all of them train in one process, which imports torch once."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AR_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.offline_training", str(tmp_path_factory.mktemp("ideas"))],
        cwd=ROOT,
        env={**env, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line["problem"] for line in lines}


@pytest.mark.parametrize("name", ["baseline", *(idea.slug for idea in notebook())])
def test_it_trains_and_its_model_loads_and_is_causal(name: str, problems: dict[str, str]) -> None:
    assert problems[name] == ""
