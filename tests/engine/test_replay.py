"""A recorded session, shown again: at its end the same, in its middle nothing that had not happened yet."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import LabError, Refused
from core.lab import Lab
from core.models import Autonomy, RunState, State, Verdict
from core.replay import Pace, Progress, Show, Stage, playing
from core.replay.pace import IDLE
from core.replay.recording import ENDED
from core.requests import Approve, Defer, Ping, SetAutonomy, Tell, Undo, Veto, ask
from core.store import Reader
from tests.toy import ScriptedResearcher, engine_at_work, toy_lab, until
from tests.tui.cockpit import driven
from tests.unit.report_lab import Session
from tui.widgets.line import Line

BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")
WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
VETOED = ('FAIL = ""', 'FAIL = "crash"')
ELSEWHERE = ("0.8**step", "0.79**step")
TABLES = (
    "patches", "experiments", "patch_versions", "reviews", "runs", "points", "telemetry", "champions", "messages",
    "usage", "settings", "events",
)  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A session with everything in it: a keep, a discard, a veto, an undo, a rebase, a message."""
    lab = toy_lab(tmp_path_factory.mktemp("recorded"), lookahead=4)
    asyncio.run(_session(lab))
    return lab


async def _session(lab: Lab) -> None:
    async with engine_at_work(lab, ScriptedResearcher([VETOED, BETTER, ELSEWHERE, WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 4)
        sha = {e.id: e.patch_sha256 or "" for e in store.experiments()}
        engine.handle(Tell("try a smaller batch"))
        engine.handle(Defer(3))
        engine.handle(Veto(1, sha[1], "it only crashes"))
        engine.handle(Undo(1))
        engine.handle(Veto(1, sha[1], "it only crashes"))
        engine.handle(Approve(2, sha[2], seconds=3.0))
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        await until(lambda: [v.source for v in store.patch_versions(3)] == ["proposed", "rebased"])
        engine.handle(SetAutonomy(Autonomy.FULL))
        await until(lambda: sum(store.verdict_counts().values()) >= 2)


@pytest.fixture
def stage(recorded: Lab, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(recorded, tmp_path / "again")
    yield stage
    stage.close()


def rows(lab: Lab, table: str) -> list[Any]:
    db = sqlite3.connect(f"file:{lab.database}?mode=ro", uri=True)
    try:
        return sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
    finally:
        db.close()


def fingerprint(lab: Lab) -> dict[str, str]:
    """Every file of a lab, save the shared memory that reading a WAL needs."""
    files = [p for p in lab.root.rglob("*") if p.is_file() and not p.name.endswith(("-shm", "-wal"))]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_at_its_end_every_table_is_as_recorded(recorded: Lab, stage: Stage) -> None:
    before = fingerprint(recorded)
    stage.advance(stage.recording.end)
    stage.advance(float("inf"))
    for table in TABLES:
        assert rows(stage.lab, table) == rows(recorded, table), table
    assert fingerprint(recorded) == before
    for run in Reader(recorded.database).runs():
        log = recorded.run_directory(run.id) / "stdout.log"
        assert (stage.lab.run_directory(run.id) / "stdout.log").read_bytes() == log.read_bytes()


def test_it_begins_with_nothing(stage: Stage) -> None:
    assert [rows(stage.lab, table) for table in TABLES if table != "settings"] == [[]] * (len(TABLES) - 1)
    assert stage.store.setting("lab")["metric"] == "val_bpb"
    assert stage.store.autonomy() == Autonomy.MANUAL
    assert stage.store.setting("noise") == {}


def test_nothing_is_shown_before_it_happened(stage: Stage) -> None:
    happened: dict[str, set[int]] = {"judged": set(), "ended": set()}
    for event in stage.recording.events:
        stage.advance(event.at)
        if event.kind == "judged" and event.experiment_id is not None:
            happened["judged"].add(event.experiment_id)
        if event.kind in ENDED and event.run_id is not None:
            happened["ended"].add(event.run_id)
        store, at = stage.store, event.at
        assert store.last_seq() >= event.seq
        assert {e.id for e in store.experiments() if e.verdict is not None} <= happened["judged"] | later(
            stage, event.seq
        )
        ended = {r.id for r in store.runs() if r.metric is not None or r.ended_at is not None}
        assert ended <= happened["ended"] | later(stage, event.seq)
        assert all(r.decided_at <= at for r in store.reviews())
        assert all(e.created_at <= at for e in store.experiments())
        assert all((run.progress == 0) == (run.phase == "starting") for run in store.live_runs())
        for summary in store.queue():
            assert store.experiment(summary.id).patch_sha256  # type: ignore[union-attr]


def later(stage: Stage, seq: int) -> set[int]:
    """Ids in entries of the very same instant, which are shown together."""
    at = next(e.at for e in stage.recording.events if e.seq == seq)
    same = [e for e in stage.recording.events if e.at == at]
    return {n for e in same for n in (e.experiment_id, e.run_id) if n is not None}


def test_the_middle_of_the_session_looks_like_its_middle(recorded: Lab, stage: Stage) -> None:
    judged = next(e for e in stage.recording.events if e.kind == "judged" and e.experiment_id == 2)
    stage.advance(judged.at - 1e-4)
    store = stage.store
    second = store.experiment(2)
    assert second is not None
    assert (second.state, second.verdict, second.delta) == (State.RUNNING, None, None)
    assert store.experiment(1).state == State.VETOED  # type: ignore[union-attr]
    assert [r.undone_at is None for r in store.reviews(1)] == [False, True]
    third = store.experiment(3)
    assert third is not None
    assert third.parent_commit == store.champions()[0].commit_sha
    assert [v.source for v in store.patch_versions(3)] == ["proposed"]
    assert [s.id for s in store.queue()] == [4, 3]
    assert len(store.champions()) == 1
    assert store.autonomy() == Autonomy.MANUAL
    assert store.setting("noise")
    finished = [r for r in store.runs() if r.state == RunState.FINISHED]
    assert len(store.series(finished[0].id, "loss").step) == 20

    stage.advance(judged.at + 1e-4)
    assert store.experiment(2).verdict == Verdict.KEEP  # type: ignore[union-attr]


def test_a_live_run_grows_with_its_curve(tmp_path: Path) -> None:
    session = Session(tmp_path / "slow")
    session.begin()
    session.close()
    stage = Stage(session.lab, tmp_path / "again")
    begin = stage.recording.runs[1]["started_at"]
    stage.advance(begin + 30.5)
    shown = stage.store.run(1)
    assert shown is not None
    assert (shown.state, shown.phase, shown.metric) == (RunState.RUNNING, "training", None)
    assert shown.progress == pytest.approx(4 / 6)
    assert stage.store.series(1, "loss").step == (0, 10, 20, 30)
    stage.advance(begin + 55.0)
    assert stage.store.run(1).phase == "evaluating"  # type: ignore[union-attr]
    assert stage.store.runs()[1:] == []
    stage.close()


def test_idle_stretches_are_cut_and_live_ones_only_scaled() -> None:
    pace = Pace([(0.0, 60.0, True), (60.0, 36_060.0, False), (36_060.0, 36_070.0, False)], 10.0, begin=0.0)
    assert pace.seconds == 6.0 + IDLE + 1.0
    assert pace.moment(0.0) == 0.0
    assert pace.moment(3.0) == 30.0
    assert pace.moment(6.0 + IDLE / 2) == 18_060.0
    assert pace.moment(10.0) == 36_070.0
    assert pace.moment(12.0) == 36_072.0


async def test_a_show_answers_that_it_is_there_and_lets_nobody_decide(recorded: Lab) -> None:
    with playing(recorded, speed=1000.0) as show:
        assert show.lab.name == f"replay of {recorded.name}"
        await ask(show.lab.socket, Ping())
        with pytest.raises(Refused, match="replay"):
            await ask(show.lab.socket, Veto(1, "0" * 64, "no"))
        reader = Reader(show.lab.database)
        assert reader.last_seq() == 0  # nothing is missed by a screen that takes a while to open
        show.now()
        await until(lambda: reader.last_seq() == stage_end(recorded))
        reader.close()
        folder = show.lab.root.parent
    assert not folder.exists()


def stage_end(lab: Lab) -> int:
    reader = Reader(lab.database)
    try:
        return reader.last_seq()
    finally:
        reader.close()


async def test_the_screen_follows_a_replay(recorded: Lab) -> None:
    from tui.app import AutoresearchApp

    with playing(recorded, speed=1000.0) as show:
        app = AutoresearchApp(show.lab, replay=show.progress, now=show.now)
        async with driven(app, (120, 36)) as pilot:
            deadline = time.monotonic() + 60

            def seen() -> bool:
                now = app.client.snapshot
                kept = now.champion is not None and now.champion.experiment_id is not None
                return len(now.history) == 4 and not now.live and kept and show.stage.over

            while not seen():
                assert time.monotonic() < deadline, "the screen never saw the end"
                await pilot.pause(0.05)
            assert not app.client.snapshot.problem
            await until(lambda: "the recording has ended" in str(app.review.query_one("#status", Line).render()))


async def test_a_show_says_how_far_it_has_come_and_stays_at_its_end(recorded: Lab, tmp_path: Path) -> None:
    stage, clock = Stage(recorded, tmp_path / "again"), iter([0.0, 0.0, 1e9])
    begin, end = stage.recording.begin, stage.recording.end
    show = Show(stage, speed=7.0, clock=lambda: next(clock))
    assert show.progress() == Progress(7.0, begin, 0.0, over=False)
    stage.advance(end)
    assert show.progress() == Progress(7.0, end, 1.0, over=True)
    stage.close()


def test_a_lab_without_a_session_has_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no record yet"), playing(toy_lab(tmp_path), speed=1.0):
        pass
