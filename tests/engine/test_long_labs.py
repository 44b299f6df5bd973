"""Weeks of work leave nothing behind that grows: no processes, no telemetry, no checkpoints that nobody needs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.models import Autonomy, Purpose, RunState, Verdict
from core.requests import Audit, StopEngine
from core.store import Reader, Writer
from core.store.rows import Gauge
from tests.toy import EVALUATE, SCORED, ScriptedResearcher, engine_at_work, toy_lab, until


def zombies() -> int:
    """Children of this process that have ended and that nobody has waited for."""
    found = 0
    for thread in os.listdir("/proc/self/task"):
        for child in Path(f"/proc/self/task/{thread}/children").read_text().split():
            found += Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return found


async def test_a_runner_that_was_still_ending_when_its_run_was_taken_in_is_waited_for(tmp_path: Path) -> None:
    async with engine_at_work(toy_lab(tmp_path, null_runs=12), ScriptedResearcher([])) as engine:
        store, executor = engine.bench.store, engine.bench.executor
        await until(lambda: len([r for r in store.runs() if r.state == RunState.FINISHED]) == 12)
        assert len(executor._children) <= 1
        assert zombies() <= 1


async def test_checkpoints_of_a_champion_that_was_replaced_are_dropped(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    script = [("LEVEL = 2.0", "LEVEL = 1.97"), ("LEVEL = 1.97", "LEVEL = 1.94")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 2)

        def left() -> set[tuple[str, bool]]:
            runs = [store.run(int(path.parent.parent.name)) for path in lab.runs.glob("*/out/model.pt")]
            return {(run.commit_sha, run.is_audit) for run in runs if run}

        champion = engine.bench.champion()
        assert left() == {(champion, False)}
        engine.handle(Audit(seeds=2))
        await until(lambda: store.setting("audit")["state"] == "done")
        assert left() == {(champion, False)}, "nor does an audit leave any"


async def test_a_run_that_came_to_its_end_before_a_stop_counts(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, null_runs=1)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        await until(engine.bench.store.runs)
        while not (lab.run_directory(1) / "exit.json").exists():  # the loop has no turn meanwhile
            time.sleep(0.002)
        engine.handle(StopEngine(runs=True))
    assert [run.state for run in Reader(lab.database).runs()] == [RunState.FINISHED]


def telemetry(path: Path, seconds: int) -> Writer:
    """A record with a sample a second of two devices, the newest of now."""
    store, now = Writer(path), time.time()
    run = store.add_run(
        experiment_id=None, purpose=Purpose.BASELINE, commit_sha="a" * 40, seed=0, device="cuda:0", device_class="A"
    )
    rows = ((f"cuda:{number}", now - second, run) for number in range(2) for second in range(seconds))
    with store.transaction():
        store.db.executemany("INSERT INTO telemetry (device, at, run_id) VALUES (?, ?, ?)", rows)
    return store


def gauge(device: str) -> Gauge:
    return Gauge(device, time.time() + 1, 1.0, 1.0, 1.0, None, None)


def test_old_telemetry_of_runs_goes_too_a_little_at_a_time(tmp_path: Path) -> None:
    store = telemetry(tmp_path / "lab.db", 10_000)
    count = "SELECT count(*) FROM telemetry"
    store.add_gauges([gauge("cuda:0")], run_id=1, keep_seconds=3600)
    assert store.db.execute(count).fetchone() == (20_000 + 1 - 1000,)
    for _ in range(9):
        store.add_gauges([gauge("cuda:0"), gauge("cuda:1")], run_id=1, keep_seconds=3600)
    (oldest,) = store.db.execute("SELECT min(at) FROM telemetry").fetchone()
    assert time.time() - 3610 < oldest
    assert 7200 <= store.db.execute(count).fetchone()[0] <= 7240


def test_no_question_that_is_asked_each_second_reads_all_of_a_table(tmp_path: Path) -> None:
    store = telemetry(tmp_path / "lab.db", 10)
    asked: list[str] = []
    store.db.set_trace_callback(asked.append)
    store.add_gauges([gauge("cuda:0")], run_id=1, keep_seconds=5)
    assert len(store.gauges(since=time.time() - 3)) >= 4
    store.live_runs()
    store.counts()
    store.queue()
    store.setting("paused")
    store.runs(commit_sha="a" * 40)
    store.db.set_trace_callback(None)
    plans = [
        row[3]
        for statement in asked
        if statement.startswith(("SELECT", "WITH", "DELETE"))
        for row in store.db.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    scans = [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan and "devices" not in plan]
    assert plans
    assert scans == []


def test_the_samples_of_all_devices_come_in_the_order_of_time(tmp_path: Path) -> None:
    store = telemetry(tmp_path / "lab.db", 10)
    found = store.gauges(since=time.time() - 5.5)
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert {one.device for one in found} == {"cuda:0", "cuda:1"}
    assert store.gauges(since=time.time() + 60) == []
