"""Fixtures: a small corpus, prepared once; a real run of the `test` profile, trained once; helpers to run processes."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.reduction
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.cache import locked
from tests.corpus import small_corpus

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "nanochat" / "train.py"


def environment(**more: str) -> dict[str, str]:
    """A clean environment for a child: one thread, this checkout importable, no run left over from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AR_", "AUTORESEARCH_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


def run_module(module: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment(**env), capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True, slots=True)
class Run:
    """A trainer that has ended."""

    out: Path
    code: int
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.out / "train.json").read_text())
        return summary

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "metrics.jsonl").read_text().splitlines()]


def train(data: Path, out: Path, src: Path = TRAIN.parent, **env: str) -> Run:
    """Runs train.py of `src` as the runner would: as a file, in its own directory, described by the environment."""
    described = {"AR_OUT": str(out), "AR_DATA": str(data), "AR_SEED": "1", "AR_DEVICE": "cpu", "AR_PROFILE": "test"}
    ended = subprocess.run(
        [sys.executable, "train.py"],
        cwd=src,
        env=environment(**{**described, **env}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Run(out, ended.returncode, ended.stderr)


def patched(directory: Path, *replacements: tuple[str, str]) -> Path:
    """A directory with train.py in which each old text (it must be there) became the new one."""
    text = TRAIN.read_text()
    for old, new in replacements:
        assert old in text, f"train.py no longer has {old!r}"
        text = text.replace(old, new)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "train.py").write_text(text)
    return directory


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two threads that spin at barriers on a shared core take many times as long as one."""
    import torch

    torch.set_num_threads(1)


class Forked:
    """A model server forked from a process that has torch already: ten milliseconds instead of a second and a half."""

    def __init__(self, _: Any, fds: tuple[int, int, int], spec: dict[str, Any]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["nanochat.model_server"])
        sent = [multiprocessing.reduction.DupFd(fd) for fd in fds]
        self.process = context.Process(target=_serve, args=(sent, spec))
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode


def _serve(fds: list[Any], spec: dict[str, Any]) -> None:
    import torch

    from nanochat.model_server import run

    torch.set_num_threads(1)
    control, tokens, logits = (fd.detach() for fd in fds)
    sys.exit(run(control, tokens, logits, spec))


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Whichever tests ran before in this process."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def warm_model_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanochat.scoring.start_server", Forked)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """Made once for all workers, like what is prepared from it."""
    directory = tmp_path_factory.getbasetemp().parent / f"training-{testrun_uid}" / "corpus"
    with locked(directory.with_suffix(".lock")):
        return directory if directory.exists() else small_corpus(directory)


@pytest.fixture(scope="session")
def prepared(corpus: Path) -> Path:
    """That corpus, prepared for the `test` profile."""
    from data.prepare import prepare
    from nanochat.prepare import settings_of
    from nanochat.profiles import load_profile

    return prepare(settings_of(load_profile("test")), str(corpus), str(corpus.parent / "cache")).path


@pytest.fixture(scope="session")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the unchanged train.py."""
    return train(prepared, tmp_path_factory.mktemp("run") / "out")
