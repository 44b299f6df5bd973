"""A lab whose files are wrong: a clear message, nothing lost, the engine lives."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlite_utils import Database

from core import verify
from core.engine.engine import locked, make_bench
from core.engine.start import start_detached
from core.errors import LabError, StoreError
from core.lab import create, find
from core.models import State
from core.requests import Approve, NoEngine, Ping, StopEngine, Veto, ask
from core.store import Reader, Writer
from core.store.migrations import SCHEMA_VERSION, migrations
from core.workspace import Workspace
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")


def test_a_damaged_database_is_named_and_left_alone(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    lab.database.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match="damaged") as error:
        make_bench(lab)
    assert "backups" in error.value.hint
    assert lab.database.read_bytes().startswith(b"this is no database")


def test_a_newer_database_opens_for_reading_only(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    make_bench(lab).store.close()
    db = sqlite3.connect(lab.database)
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        Writer(lab.database)
    assert Reader(lab.database).newer


def test_an_older_database_says_how_it_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    old = Database(path)
    migrations().apply(old, stop_before="m002_overrides_and_manifests")
    old.execute("PRAGMA user_version=1")
    old.close()
    with pytest.raises(StoreError, match="older autoresearch-tui") as error:
        Reader(path)
    assert "backups" in error.value.hint
    Writer(path).close()
    assert Reader(path).version == SCHEMA_VERSION
    assert list((tmp_path / "backups").iterdir())


def test_a_missing_database_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        Reader(tmp_path / "lab.db")
    assert "init" in error.value.hint


def test_a_second_engine_is_refused_and_told_who_works_there(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    with locked(lab), pytest.raises(LabError, match=str(os.getpid())), locked(lab):
        pass


async def test_a_socket_left_by_a_dead_engine_is_replaced(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(lab.socket))
    stale.close()
    with pytest.raises(NoEngine):
        await ask(lab.socket, Ping())
    async with engine_at_work(lab, ScriptedResearcher([])):
        await until(lambda: lab.socket.stat().st_mode & 0o777 == 0o600)
        assert (await _asked(lab.socket))["pid"] == os.getpid()
    assert not lab.socket.exists()


async def _asked(path: Path) -> dict[str, object]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask(path, Ping())
            except NoEngine:
                await asyncio.sleep(0.01)


async def test_garbage_on_the_socket_is_answered_and_harms_nothing(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([])):
        await _asked(lab.socket)
        reader, writer = await asyncio.open_unix_connection(str(lab.socket))
        for line in (b"\xff\xfe\n", b"[]\n", b'{"request": "ping"}\n'):
            writer.write(line)
        answers = [json.loads(await reader.readline()) for _ in range(3)]
        assert [answer["ok"] for answer in answers] == [False, False, True]
        writer.close()


async def test_a_repository_that_has_vanished_is_trouble_the_engine_survives(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: store.queue() and len([r for r in store.runs() if r.metric is not None]) == 3)
        sha = store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
        lab.repo.rename(lab.root / "elsewhere")
        engine.handle(Approve(1, sha))  # a decision needs no repository
        await until(lambda: "not a git repository" in store.setting("engine")["problem"])
        assert any("not a git repository" in problem for problem in verify.problems(lab))
        (lab.root / "elsewhere").rename(lab.repo)
        await until(lambda: store.experiment(1).state == State.JUDGED)  # type: ignore[union-attr]
        assert store.setting("engine")["problem"] == ""
    assert verify.problems(lab) == []


def test_a_dirty_checkout_does_not_matter(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    bench = make_bench(lab)
    (lab.repo / "train.py").write_text("somebody is editing here")
    assert "LEVEL" in bench.champion_files()["train.py"]
    bench.store.close()


async def test_a_full_disk_is_said_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: store.queue() and len([r for r in store.runs() if r.metric is not None]) == 3)
        sha = store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
        before = store.experiment(1)
        pages = store.db.execute("PRAGMA page_count").fetchone()[0]
        store.db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreError, match="disk is full"):
            engine.handle(Veto(1, sha, "x" * 100_000))
        assert store.experiment(1) == before
        store.db.execute("PRAGMA max_page_count=1073741823")
        engine.handle(Veto(1, sha, "now there is room"))
    assert verify.problems(lab) == []


def test_a_read_only_lab_says_so(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    lab.root.chmod(0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)  # root writes everywhere
    try:
        with pytest.raises(LabError, match="cannot be written"), locked(lab):
            pass
    finally:
        os.seteuid(was)
        lab.root.chmod(0o755)


def test_a_directory_with_something_else_in_it_does_not_become_a_lab(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(LabError, match="not an empty directory"):
        create(tmp_path, profile="cpu")
    with pytest.raises(LabError, match="is not a lab"):
        find(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("left", ["", "index.lock", "HEAD.lock", "refs/heads/main.lock"])
def test_a_repository_whose_making_was_cut_off_is_made(tmp_path: Path, left: str) -> None:
    lab = toy_lab(tmp_path)
    if left:
        Workspace(lab.repo, lab=lab.name).create({}, "")
        shutil.rmtree(lab.repo / ".git" / "refs" / "heads")
        (lab.repo / ".git" / "refs" / "heads").mkdir()
    home = lab.repo / ".git" / left
    home.parent.mkdir(parents=True, exist_ok=True)
    home.touch() if left else home.mkdir()
    make_bench(lab).store.close()
    assert verify.problems(lab) == []


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"]
)
def test_an_engine_started_from_a_hook_touches_no_other_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    theirs = Workspace(tmp_path / "theirs", lab="theirs")
    head = theirs.create({"mine.txt": "precious\n"}, "mine")
    before = {path: path.read_bytes() for path in theirs.repo.rglob("*") if path.is_file()}
    places = {"GIT_INDEX_FILE": ".git/index", "GIT_WORK_TREE": ".", "GIT_OBJECT_DIRECTORY": ".git/objects"}
    monkeypatch.setenv(name, str(theirs.repo / places.get(name, ".git")))
    lab = toy_lab(tmp_path)
    make_bench(lab).store.close()
    assert {path: path.read_bytes() for path in theirs.repo.rglob("*") if path.is_file()} == before
    assert theirs.head() == head
    assert verify.problems(lab) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_lab_of_another_user_opens(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    make_bench(lab).store.close()
    for path in (lab.root, *lab.root.rglob("*")):
        os.chown(path, 1000, 1000)
    make_bench(lab).store.close()
    assert verify.problems(lab) == []


def test_a_mark_in_front_of_a_file_is_not_taken_over(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train="\ufeff" + TRAIN)
    bench = make_bench(lab)
    assert bench.champion_files()["train.py"] == TRAIN
    bench.store.close()


def test_two_terminals_that_open_a_lab_in_the_same_moment_have_one_engine(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    with ThreadPoolExecutor(2) as both:
        assert [*both.map(start_detached, [lab, lab])] == [None, None]
    asyncio.run(ask(lab.socket, StopEngine(runs=True)))
    start_detached(lab)  # while the one before may still be ending
    asyncio.run(ask(lab.socket, StopEngine(runs=True)))


def test_a_lab_at_the_end_of_a_long_path_opens_from_its_own_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a-rather-long-name/" * 6)
    lab = toy_lab(deep)
    monkeypatch.chdir(lab.root)
    start_detached(lab)
    asyncio.run(ask(lab.socket, StopEngine(runs=True)))


def test_verify_finds_a_patch_a_ref_and_a_row_that_were_tampered_with(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)

    async def session() -> None:
        async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
            await until(lambda: engine.bench.store.queue())
            sha = engine.bench.store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
            engine.handle(Approve(1, sha))
            await until(lambda: engine.bench.store.experiment(1).state == State.JUDGED)  # type: ignore[union-attr]

    asyncio.run(session())
    assert verify.problems(lab) == []
    db = sqlite3.connect(lab.database)
    db.execute("UPDATE experiments SET parent_commit = commit_sha")
    db.commit()
    assert "#1 was committed on" in "".join(verify.problems(lab))
    shutil.rmtree(lab.repo / ".git" / "refs" / "autoresearch")
    db.execute("UPDATE patches SET body = body || ' '")
    db.execute("UPDATE runs SET metric = NULL WHERE id = 1")
    db.execute("DELETE FROM reviews")
    db.commit()
    db.close()
    found = "\n".join(verify.problems(lab))
    for words in ("another content than its hash", "refs/autoresearch/1", "without a metric", "nobody approved it"):
        assert words in found


async def test_half_a_character_in_a_request_or_a_proposal_is_stored_as_a_question_mark(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE], name="half \udcff")) as engine:
        store = engine.bench.store
        await until(lambda: store.queue())
        await ask(lab.socket, Veto(1, store.experiment(1).patch_sha256 or "", "no \udcff", actor="\ud800"))  # type: ignore[union-attr]
        (review,) = store.reviews()
        assert (review.reason, review.actor) == ("no ?", "?")
        store.set("note", {"half": "\ud800"})
        assert store.setting("note") == {"half": "?"}
    assert verify.problems(lab) == []


async def test_a_profile_that_does_not_exist_is_named_once(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    words = "no profile 'tset'; there are: cpu"
    command = json.dumps(["{python}", "-c", f'import sys; sys.exit("{words}")'])
    lab.config_file.write_text(lab.config_file.read_text().replace("describe = []", f"describe = {command}"))
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        await until(lambda: engine.bench.store.setting("preparation", {}).get("state") == "failed")
        assert engine.bench.store.setting("preparation")["error"] == words
