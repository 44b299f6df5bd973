"""What a run was measured with is on record; results compare only where it is the same."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path

import pytest

from core import verify
from core.engine.engine import Engine
from core.lab import Lab
from core.models import Autonomy, Purpose, RunState, Verdict
from core.runs.sandbox import Tier
from core.store import Reader, Writer
from tests.toy import EVALUATE, SCORED, ScriptedResearcher, engine_at_work, toy_lab, until

WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
SLOW = EVALUATE.replace("import json, os", "import json, os, time").replace("void =", "time.sleep(0.5)\nvoid =")


def finished(engine: Engine) -> int:
    return sum(run.state == RunState.FINISHED for run in engine.bench.store.runs())


def session(lab: Lab, runs: int) -> None:
    """An engine that works until so many runs have finished."""

    async def work() -> None:
        async with engine_at_work(lab, ScriptedResearcher([])) as engine:
            await until(lambda: finished(engine) >= runs)

    asyncio.run(work())


def test_every_run_names_its_manifest_and_has_the_parts_beside_it(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    session(lab, 3)
    reader = Reader(lab.database)
    known = reader.setting("manifest")
    for run in reader.runs():
        assert run.manifest == known["sha256"]
        assert run.device_class.endswith(f"· {known['sha256'][:8]}")
        assert json.loads((lab.run_directory(run.id) / "manifest.json").read_text())["parts"] == known["parts"]
    assert {"harness", "evaluator", "profile", "python", "torch"} <= known["parts"].keys()
    assert known["words"] == ""


def test_after_an_upgrade_of_the_evaluator_the_champion_is_measured_again_and_nothing_old_counts(
    tmp_path: Path,
) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    session(lab, 3)
    (tmp_path / "source" / "evaluate.py").write_text(EVALUATE.replace("score =", "score = 1.0 +"))
    session(lab, 6)
    reader = Reader(lab.database)
    old, new = reader.runs()[:3], reader.runs()[3:6]
    assert {run.device_class for run in old} != {run.device_class for run in new}
    assert [run.seed for run in new] == [0, 1, 2]
    assert all(run.metric is not None and run.metric > 2.9 for run in new)
    said = [event.body["words"] for event in reader.events() if event.kind == "manifest"]
    assert said[0] == ""
    assert said[1].startswith("the evaluator changed: earlier results stay on record")
    assert {kind: noise["df"] for kind, noise in reader.setting("noise").items()} == {
        old[0].device_class: 2, new[0].device_class: 2,
    }  # fmt: skip


def test_the_same_manifest_at_the_next_start_measures_nothing_again(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    session(lab, 3)

    async def again() -> int:
        async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
            await until(lambda: engine.bench.store.verdict_counts()[Verdict.DISCARD])
            return len([run for run in engine.bench.store.runs() if run.experiment_id is None])

    assert asyncio.run(again()) == 3
    assert len([event for event in Reader(lab.database).events() if event.kind == "manifest"]) == 1


def test_a_lab_from_before_manifests_is_told_why_its_champion_is_measured_again(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    session(lab, 3)
    with closing(Writer(lab.database)) as store:
        store.db.execute("DELETE FROM settings WHERE key = 'manifest'")
        store.db.execute("UPDATE runs SET manifest = '', device_class = 'this device'")
    session(lab, 6)
    reader = Reader(lab.database)
    assert reader.setting("manifest")["words"].startswith("no earlier run says what it was made with: earlier results")
    assert [run.seed for run in reader.runs()[3:6]] == [0, 1, 2]
    assert verify.problems(lab) == []


async def test_a_later_champion_is_measured_again_too(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    script = [("LEVEL = 2.0", "LEVEL = 1.97")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        await until(lambda: engine.bench.store.verdict_counts()[Verdict.KEEP])
        champion = engine.bench.champion()
        chosen_on = {run.seed for run in engine.bench.store.runs(experiment_id=1)}
    (tmp_path / "source" / "evaluate.py").write_text(EVALUATE + "# another version\n")
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        kind = engine.bench.devices[0].kind

        def new() -> list[int]:
            now = engine.bench.devices[0].kind
            own = [run for run in engine.bench.store.runs(commit_sha=champion) if run.device_class == now != kind]
            return [run.seed for run in own if run.purpose == Purpose.NULL and run.state == RunState.FINISHED]

        await until(lambda: len(new()) == 3)
        assert not set(new()) & chosen_on


@pytest.mark.parametrize("use", ["auto", "none"])
async def test_a_run_under_which_the_evaluator_changes_says_nothing(use: str, tmp_path: Path) -> None:
    """It is made again; without a sandbox, where the candidate may have changed it, it is void."""
    lab = toy_lab(tmp_path, train=SCORED, evaluate=SLOW, null_runs=1)
    lab.config_file.write_text(lab.config_file.read_text().replace("[sandbox]", f'[sandbox]\nuse = "{use}"'))
    script = [("LEVEL = 2.0", "LEVEL = 2.5\nNOTE = 1")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store, tier = engine.bench.store, engine.bench.sandbox.tier
        if use == "auto" and tier == Tier.NONE:
            pytest.skip(engine.bench.sandbox.detail)
        await until(lambda: any(run.phase == "evaluating" for run in store.runs(experiment_id=1)))
        (tmp_path / "source" / "evaluate.py").write_text(SLOW.replace("score =", "score = 0.1 *"))
        await until(lambda: sum(store.verdict_counts().values()))
        judged = store.experiment(1)
        assert judged is not None
        first, *later = store.runs(experiment_id=1)
        assert first.error.startswith("evaluate.py changed while it ran")
        assert first.metric is None
        if tier == Tier.NONE:
            assert first.state == RunState.VOID
            assert judged.verdict == Verdict.VOID
            assert judged.verdict_reason == first.error
        else:
            assert first.state == RunState.LOST
            assert later[0].state == RunState.FINISHED
            assert later[0].device_class != first.device_class
            assert judged.verdict == Verdict.DISCARD


def test_no_run_starts_before_this_engine_knows_what_it_is_measured_with(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    described = tmp_path / "source" / "profile.py"
    described.write_text("import time\ntime.sleep(0.5)\nprint('{\"depth\": 4}')\n")
    command = json.dumps(["{python}", str(described)])
    text = lab.config_file.read_text().replace("describe = []", f"describe = {command}")
    lab.config_file.write_text(text.replace("null_runs = 3", "null_runs = 1"))
    session(lab, 1)
    described.write_text(described.read_text().replace("4", "5"))
    lab.config_file.write_text(text)
    session(lab, 4)
    old, *new = Reader(lab.database).runs()
    assert len({run.device_class for run in new}) == 1
    assert {run.device_class for run in new} != {old.device_class}
