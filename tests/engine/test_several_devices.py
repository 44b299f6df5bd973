"""A lab with several devices: each is kept busy, classes stay apart, and one that breaks takes nothing with it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from core import verify
from core.lab import Lab
from core.models import Autonomy, Purpose, RunState, State, Verdict
from core.requests import Resume
from core.runs import devices
from core.runs.devices import Device
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")


def lab_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *kinds: str, train: str = TRAIN) -> Lab:
    """A lab whose machine has so many devices of these kinds."""
    found = [Device(f"cuda:{number}", kind, 1) for number, kind in enumerate(kinds)]
    monkeypatch.setattr(devices, "find", lambda _names: found)
    lab = toy_lab(tmp_path, train=train, lookahead=len(kinds))
    lab.config_file.write_text(lab.config_file.read_text() + '[sandbox]\nuse = "none"\n')
    return lab


async def test_no_device_has_two_runs_at_a_time_and_none_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_with(tmp_path, monkeypatch, *["A"] * 4)
    script = [("STEPS = 20", f"STEPS = {number}") for number in range(30, 42)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) >= 10)
        for device in ("cuda:0", "cuda:1", "cuda:2", "cuda:3"):
            spans = sorted((r.created_at, r.ended_at or 0.0) for r in store.runs() if r.device == device and r.ended_at)
            assert spans
            assert all(before[1] <= after[0] for before, after in pairwise(spans))
        seen = Counter((r.experiment_id, r.purpose == Purpose.CANDIDATE, r.commit_sha, r.seed) for r in store.runs())
        assert max(seen.values()) == 1  # nothing was measured twice


async def test_an_experiment_is_judged_in_the_class_of_devices_it_was_screened_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_with(tmp_path, monkeypatch, "A", "B", train=TRAIN.replace("SECONDS = 0.0", "SECONDS = 0.2"))
    script = [BETTER, *(("STEPS = 20", f"STEPS = {number}") for number in range(30, 36))]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.KEEP] and sum(store.verdict_counts().values()) >= 5)
        for experiment in store.experiments(State.JUDGED):
            runs = store.runs(experiment_id=experiment.id)
            assert len({run.device_class for run in runs}) == 1
            counted = [r.metric or 0.0 for r in runs if r.purpose == Purpose.RETEST] or [r.metric or 0.0 for r in runs]
            assert experiment.metric == pytest.approx(sum(counted) / len(counted))


async def test_a_device_that_breaks_is_set_aside_and_what_it_ruined_is_measured_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    fails = f'if os.environ["AR_DEVICE"] == "cuda:2" and os.path.exists({json.dumps(str(broken))}):\n'
    train = TRAIN.replace("rng =", f'{fails}    raise RuntimeError("CUDA error: the GPU is lost")\nrng =')
    train = train.replace("SECONDS = 0.0", "SECONDS = 0.3").replace("STEPS = 20", "STEPS = 20\nX = 0")
    lab = lab_with(tmp_path, monkeypatch, "A", "A", "A", train=train)
    script = [("X = 0", f"X = {number}") for number in range(1, 100)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) >= 1)
        broken.touch()
        await until(lambda: store.setting("aside"))
        assert list(store.setting("aside")) == ["cuda:2"]
        assert store.verdict_counts()[Verdict.CRASHED] == 0
        ruined = {r.experiment_id for r in store.runs() if r.state == RunState.CRASHED} - {None}
        await until(lambda: all(e.verdict == Verdict.DISCARD for e in store.experiments() if e.id in ruined))
        assert len(ruined) == 3
        assert not store.paused()
        (event,) = [event for event in store.events() if event.kind == "device_set_aside"]
        assert "the champion's own run" in event.body["words"]
        crashed = [run for run in store.runs() if run.state == RunState.CRASHED]
        assert {run.device for run in crashed} == {"cuda:2"}
        assert [run.experiment_id is None for run in crashed] == [False, False, False, True]

        broken.unlink()
        engine.handle(Resume())
        assert store.setting("aside") == {}
        before = crashed[-1].id
        await until(
            lambda: [r for r in store.runs() if r.id > before and r.device == "cuda:2" and r.metric is not None]
        )
        first = next(run for run in store.runs() if run.id > before and run.device == "cuda:2")
        assert (first.experiment_id, first.state) == (None, RunState.FINISHED)  # it shows first what it is worth
    assert verify.problems(lab) == []


async def test_patches_that_crash_by_themselves_cost_the_champion_one_run_and_stay_crashed(tmp_path: Path) -> None:
    script = [('FAIL = ""', f'FAIL = "crash"  # {number}\nY = {number}') for number in range(5)]
    async with engine_at_work(toy_lab(tmp_path), ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.CRASHED] == 5)
        assert [run.purpose for run in store.runs()][3:] == [
            Purpose.CANDIDATE, Purpose.CANDIDATE, Purpose.CANDIDATE, Purpose.NULL, Purpose.CANDIDATE, Purpose.CANDIDATE,
        ]  # fmt: skip
        assert not store.paused()


async def test_where_the_only_device_breaks_the_lab_pauses(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    fails = f"if os.path.exists({json.dumps(str(broken))}):\n"
    lab = toy_lab(tmp_path, train=TRAIN.replace("rng =", f'{fails}    raise RuntimeError("no GPU")\nrng ='))
    lab.config_file.write_text(lab.config_file.read_text() + '[sandbox]\nuse = "none"\n')
    script = [("STEPS = 20", f"STEPS = {number}") for number in range(30, 42)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) >= 1)
        broken.touch()
        await until(lambda: "the champion's own run" in store.paused())
        assert store.verdict_counts()[Verdict.CRASHED] <= 3


async def test_a_device_named_twice_is_one_device(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    lab.config_file.write_text(lab.config_file.read_text().replace('["cpu"]', '["cpu", "cpu"]'))
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        assert [device.name for device in engine.bench.devices] == ["cpu"]
