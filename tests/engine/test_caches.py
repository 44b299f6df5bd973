"""What a champion's runs compiled is handed on to the runs that derive from it; what a candidate compiled is not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import verify
from core.models import Autonomy, Purpose, Run, RunState
from core.runs import caches, runner
from tests.toy import EVALUATE, SCORED, ScriptedResearcher, engine_at_work, toy_lab, until

COMPILES = """\
cache = os.environ["TORCHINDUCTOR_CACHE_DIR"]
known = sorted(os.listdir(cache)) if os.path.isdir(cache) else []
os.makedirs(cache, exist_ok=True)
with open(os.path.join(cache, f"of-level-{LEVEL}"), "w") as file:
    file.write("machine code")
for name in known:
    with open(os.path.join(cache, name), "a") as file:
        file.write(", changed")
print("found:", " ".join(known) or "nothing")
"""
TRAIN = SCORED.replace('out = os.environ["AR_OUT"]\n', f'out = os.environ["AR_OUT"]\n{COMPILES}')


def found(log: Path) -> str:
    return next(line for line in log.read_text().splitlines() if line.startswith("found:"))


async def test_a_run_gets_a_copy_of_what_its_champion_compiled_and_leaves_nothing(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TRAIN, evaluate=EVALUATE, null_runs=2)
    script = [("LEVEL = 2.0", "LEVEL = 2.5"), ("LEVEL = 2.0", "LEVEL = 2.6"), ("LEVEL = 2.0", "LEVEL = 1.97")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 3)

        def log(run: Run) -> str:
            return found(lab.run_directory(run.id) / "stdout.log")

        trained = [run for run in store.runs() if run.state == RunState.FINISHED and run.purpose != Purpose.AUDIT]
        first, *others = trained
        assert log(first) == "found: nothing"
        assert {log(run) for run in others} == {"found: of-level-2.0"}, "the champion's, and no candidate's"
        kept = caches.place(lab.caches, first.commit_sha, first.device_class)
        assert (kept / "torchinductor" / "of-level-2.0").read_text() == "machine code", "a copy was written to"
        assert not any(caches.own(lab.run_directory(run.id)).exists() for run in trained)
        champion = store.experiment(3)
        assert champion is not None
        assert not caches.place(lab.caches, champion.commit_sha or "", first.device_class).exists()
    assert verify.problems(lab) == []


def make(run_directory: Path, text: str = "code") -> Path:
    made = caches.own(run_directory) / "torchinductor"
    made.mkdir(parents=True)
    (made / "kernel").write_text(text)
    return made


def test_a_cache_is_taken_once_and_the_oldest_go(tmp_path: Path) -> None:
    root = tmp_path / "caches"
    for number in range(5):
        make(tmp_path / f"run{number}", str(number))
        caches.take(tmp_path / f"run{number}", target := caches.place(root, f"commit{number}", "a cpu"))
        os.utime(target, (number, number))
    make(tmp_path / "again", "other")
    caches.take(tmp_path / "again", caches.place(root, "commit4", "a cpu"))
    assert (caches.place(root, "commit4", "a cpu") / "torchinductor" / "kernel").read_text() == "4"
    assert caches.find(root, ["commit0"], "a cpu") is None
    assert caches.find(root, ["unknown", "commit3", "commit4"], "a cpu") == caches.place(root, "commit3", "a cpu")
    assert caches.find(root, ["commit4"], "another cpu") is None


def test_a_cache_reaches_another_disk_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(old: str | Path, new: str | Path) -> None:
        if "out" in Path(old).parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(old, new)

    rename = os.rename
    monkeypatch.setattr(os, "rename", refuses)
    make(tmp_path / "run", "compiled")
    caches.take(tmp_path / "run", target := caches.place(tmp_path / "caches", "commit", "a cpu"))
    assert (target / "torchinductor" / "kernel").read_text() == "compiled"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_cache_that_is_too_large_or_no_directory_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "caches" / "one"
    (tmp_path / "link" / "out").mkdir(parents=True)
    caches.own(tmp_path / "link").symlink_to("/etc")
    caches.take(tmp_path / "link", target)
    monkeypatch.setattr(caches, "MOST_BYTES", 1000)
    make(tmp_path / "large", "x" * 5000)
    caches.take(tmp_path / "large", target)
    assert not target.exists()
    assert not caches.own(tmp_path / "large").exists(), "nor does it stay in each run of a champion's"


def test_a_copy_shares_no_file_with_the_cache_and_follows_no_link(tmp_path: Path) -> None:
    cache = make(tmp_path / "run")
    (cache / "passwd").symlink_to("/etc/passwd")
    os.link(cache / "kernel", cache / "twin")
    runner.copy_tree(cache, tmp_path / "copy")
    (tmp_path / "copy" / "kernel").write_text("changed")
    assert (cache / "kernel").read_text() == "code"
    assert (tmp_path / "copy" / "passwd").is_symlink()


COMPILE = """
import torch
from torch._dynamo.utils import counters

def loss(x, w):
    return torch.tanh(x @ w).square().mean()

x, w = torch.ones(8, 8), torch.ones(8, 8, requires_grad=True)
torch.compile(loss, dynamic=False)(x, w).backward()
print("hits", counters["inductor"]["fxgraph_cache_hit"], "misses", counters["inductor"]["fxgraph_cache_miss"])
"""


@pytest.mark.soak
def test_torch_finds_what_it_compiled_in_a_copied_cache(tmp_path: Path) -> None:
    if subprocess.run(["g++", "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no C++ compiler: torch.compile cannot make code for a CPU")

    def compiled(run: Path) -> str:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(caches.own(run) / "torchinductor")}
        command = [sys.executable, "-c", COMPILE]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first, second = tmp_path / "first", tmp_path / "second"
    assert compiled(first) == "hits 0 misses 2\n"
    kept = tmp_path / "caches" / "champion"
    caches.take(first, kept)
    (second / "out").mkdir(parents=True)
    runner.copy_tree(kept, caches.own(second))
    assert compiled(second) == "hits 2 misses 0\n"
