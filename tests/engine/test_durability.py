"""A disk that fills up, a lab that moves, a log that grows: work stops where it must and goes on where it can."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from core import verify
from core.engine.engine import logging_to
from core.engine.preparing import Preparing
from core.errors import LabError, StoreError
from core.lab import Lab
from core.models import Autonomy, RunState, Verdict
from core.runs.local import Process
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

BETTER, WORSE = ("LEVEL = 2.0", "LEVEL = 1.97"), ("STEPS = 20", "STEPS = 21")


async def test_want_of_room_pauses_the_lab_and_room_lets_it_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = toy_lab(tmp_path)
    lab.config_file.write_text(lab.config_file.read_text().replace("min_free_gigabytes = 0", "min_free_gigabytes = 2"))
    disk = SimpleNamespace(free=1.5 * 2**30)
    monkeypatch.setattr("core.engine.room.shutil.disk_usage", lambda _path: disk)
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: "only 1.5 GB of disk is free (2 are wanted)" in store.paused())
        assert store.runs() == []
        disk.free = 2.1 * 2**30  # enough to start, too little to say that it is over
        seen = engine.bench.store.last_seq()
        engine.bench.wake.set()
        await until(lambda: not engine.bench.wake.is_set())
        assert store.paused()
        disk.free = 5 * 2**30
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        assert store.paused() == ""
        resumed = [event for event in store.events(after=seen) if event.kind == "resumed"]
        assert [event.body["actor"] for event in resumed] == ["engine"]


async def test_a_run_that_found_the_disk_full_says_nothing_of_its_patch(tmp_path: Path) -> None:
    full = ("LEVEL = 2.0", 'LEVEL = 2.0\nraise OSError(28, "No space left on device")')
    async with engine_at_work(toy_lab(tmp_path), ScriptedResearcher([full]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(store.paused)
        assert "found the disk full though there is room now" in store.paused()
        (run,) = store.runs(experiment_id=1)
        assert run.state == RunState.LOST
        assert "there was no room on the disk" in run.error
        assert store.experiments()[0].verdict is None


async def test_a_preparation_that_broke_off_begins_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, failures = toy_lab(tmp_path, null_runs=1), 3
    described = Preparing._describe

    async def fails_at_first(self: Preparing) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreError("lab.db: the disk is full") from None
        await described(self)

    async def runs(self: Preparing) -> None:  # a record that cannot be written is no failure that it could note
        await self._describe()
        self._described = True
        await self._prepare()

    monkeypatch.setattr("core.engine.engine.PREPARE_WAIT", 0.02)
    monkeypatch.setattr(Preparing, "_describe", fails_at_first)
    monkeypatch.setattr(Preparing, "run", runs)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        engine._prepare_wait = 0.01
        await until(lambda: engine.bench.store.runs())
        assert failures < 0
    assert verify.problems(lab) == []


async def test_a_file_that_became_editable_later_is_refused_in_words(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        await until(engine.bench.store.runs)
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace("[target]", '[target]\neditable = ["train.py", "model.py"]'))
    with pytest.raises(LabError, match=r"names model\.py, which the champion does not have"):
        async with engine_at_work(lab, ScriptedResearcher([])):
            pass


async def test_a_pause_of_a_person_does_not_end_because_there_is_room(tmp_path: Path) -> None:
    from core.requests import Pause

    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        engine.handle(Pause("lunch"))
        await until(lambda: not engine.bench.store.live_runs())
        engine.bench.wake.set()
        await until(lambda: not engine.bench.wake.is_set())
        assert engine.bench.store.paused() == "lunch"


async def test_a_database_that_cannot_grow_stops_the_engine_only_as_long_as_that_lasts(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TRAIN.replace('"t": step * 0.1', '"t": 2.0 * step / STEPS'))
    long = ("STEPS = 20", "STEPS = 20_000")
    async with engine_at_work(lab, ScriptedResearcher([long]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: len([run for run in store.runs() if run.state == RunState.FINISHED]) == 3)
        pages = store.db.execute("PRAGMA page_count").fetchone()[0]
        store.db.execute(f"PRAGMA max_page_count={pages}")
        await until(lambda: "the disk is full" in engine._trouble)
        store.db.execute("PRAGMA max_page_count=1073741823")
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        assert store.setting("engine")["problem"] == ""
        assert len(store.series(store.runs(experiment_id=1)[0].id, "loss").step) == 20_000
    assert verify.problems(lab) == []


async def test_stop_ends_the_runs_though_the_record_cannot_be_written(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=TRAIN.replace("SECONDS = 0.0", "SECONDS = 600.0"))
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        await until(lambda: (run := store.run(1)) and run.progress > 0)
        run = store.run(1)
        assert run is not None
        assert run.pid is not None
        process = Process(run.pid, run.pid_started or 0.0, run.boot_id)
        assert engine.bench.executor.alive(process)
        store.db.execute("PRAGMA query_only=ON")  # as a full disk or another writer: every write is refused
    assert not engine.bench.executor.alive(process)
    assert not lab.socket.exists()
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        await until(lambda: engine.bench.store.run(1).state == RunState.LOST)  # type: ignore[union-attr]
        await until(lambda: (again := engine.bench.store.run(2)) and again.seed == run.seed)
    assert verify.problems(lab) == []


async def test_a_lab_that_was_copied_opens_there(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER]), autonomy=Autonomy.FULL) as engine:
        await until(lambda: engine.bench.store.verdict_counts()[Verdict.KEEP] == 1)
        before = engine.bench.champion()
    moved = Lab(tmp_path / "my labs" / "b")
    shutil.copytree(lab.root, moved.root)
    shutil.rmtree(lab.root)
    shutil.rmtree(tmp_path / "source")  # the code lies in the lab's own repository
    assert verify.problems(moved) == []
    script = [BETTER, ("LEVEL = 1.97", "LEVEL = 1.94")]
    async with engine_at_work(moved, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        assert engine.bench.champion() == before
        runs = len(store.runs())
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 2)
        assert all(run.seed != 0 or run.experiment_id == 2 for run in store.runs()[runs:])  # no baseline again
    assert verify.problems(moved) == []


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """The handlers of the root logger as they were, afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def test_the_log_of_the_engine_is_rotated_and_never_more_than_four_files(tmp_path: Path, quiet_logging: None) -> None:
    path = tmp_path / "engine.log"
    logging_to(path, echo=False)
    for number in range(6_000):
        logging.getLogger("autoresearch.engine").info("%d %s", number, "x" * 1_000)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["engine.log", "engine.log.1", "engine.log.2", "engine.log.3"]
    assert all(file.stat().st_size <= 1 << 20 for file in files)
    assert path.read_text().splitlines()[-1].split()[3] == "5999"
