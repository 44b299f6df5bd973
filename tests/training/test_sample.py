"""Sampling from a trained checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nanochat.sample import main
from tests.training.conftest import TRAIN, Run


def test_a_trained_model_continues_a_prompt_reproducibly(trained: Run, prepared: Path, capsys: Any) -> None:
    arguments = ["--out", str(trained.out), "--src", str(TRAIN.parent), "--data", str(prepared), "--profile", "test"]
    said = []
    for _ in range(2):
        assert main([*arguments, "--prompt", "import ", "--tokens", "20"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert said[0].startswith("import ")
    assert len(said[0]) > len("import ") + 5


def test_a_missing_checkpoint_is_an_error_in_one_line(tmp_path: Path, prepared: Path, capsys: Any) -> None:
    arguments = ["--out", str(tmp_path), "--src", str(TRAIN.parent), "--data", str(prepared), "--profile", "test"]
    assert main(arguments) == 1
    assert "missing" in capsys.readouterr().err
