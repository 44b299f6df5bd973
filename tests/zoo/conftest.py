"""The stage: data prepared once for all workers, and a lab with things worth stealing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.runs.sandbox import Sandbox, Tier, probe
from tests.zoo.escapes import SECRET
from tests.zoo.stage import Stage

PACKAGES = (
    "asyncio", "collections", "concurrent", "ctypes", "curses", "dbm", "distutils", "email", "html", "http", "idlelib",
    "importlib", "json", "lib2to3", "logging", "multiprocessing", "sqlite3", "tkinter", "unittest", "urllib", "xml",
    "xmlrpc",
)  # fmt: skip


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some megabytes of real text, prepared for the `test` profile."""
    from data.cache import locked
    from data.prepare import prepare
    from nanochat.prepare import settings_of
    from nanochat.profiles import load_profile

    shared = tmp_path_factory.getbasetemp().parent  # of all xdist workers; preparing takes a lock of its own
    corpus = shared / "zoo-corpus"
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    sources = [source for package in PACKAGES for source in sorted((stdlib / package).rglob("*.py"))]
    with locked(shared / "zoo-corpus.lock"):
        for source in () if corpus.exists() else (*sources, *stdlib.glob("*.py")):
            target = corpus / source.relative_to(stdlib)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            os.utime(target, (0, 0))
    return prepare(settings_of(load_profile("test")), str(corpus), str(shared / "zoo-cache")).path


def make_stage(root: Path, prepared: Path, sandbox: Sandbox, kept: Path) -> Stage:
    (root / "secret").write_text(SECRET)
    (root / "lab.db").write_text(SECRET)
    return Stage(root, prepared, sandbox, kept)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """A directory of this session and all its workers."""
    directory = tmp_path_factory.getbasetemp().parent / f"zoo-{testrun_uid}"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="session")
def inside(tmp_path_factory: pytest.TempPathFactory, prepared: Path, kept: Path) -> Stage:
    """The strongest sandbox that this machine has."""
    sandbox = probe(["cpu"])
    if sandbox.tier == Tier.NONE:
        pytest.skip(sandbox.detail)
    return make_stage(tmp_path_factory.mktemp("inside"), prepared, sandbox, kept)


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory, prepared: Path, kept: Path) -> Stage:
    """No sandbox at all."""
    return make_stage(tmp_path_factory.mktemp("outside"), prepared, probe(["cpu"], wanted="none"), kept)


@pytest.fixture
def worth_stealing(inside: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A key in our environment, an engine's socket and a listener; the words that a script needs to find them."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    engine = socket.socket(socket.AF_UNIX)
    (inside.root / "engine.sock").unlink(missing_ok=True)
    monkeypatch.chdir(inside.root)  # the name of a socket is short
    engine.bind("engine.sock")
    engine.listen()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.0)
    files = json.loads((inside.data / "holdout.json").read_text())["files"]
    yield {"PORT": str(listener.getsockname()[1]), "WANTED": repr(files)}
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()
    engine.close()
