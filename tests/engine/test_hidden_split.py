"""What is about to be kept is scored on the hidden split first, from the checkpoints that lie there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core import verify
from core.engine.engine import Engine
from core.models import Autonomy, Experiment, Purpose, Run, RunState, State, Verdict
from core.requests import Approve, Override
from core.store import Reader
from tests.toy import EVALUATE, SCORED, ScriptedResearcher, engine_at_work, toy_lab, until

BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")
OPEN_ONLY = ("LEVEL = 2.0", "LEVEL = 1.91\nOPEN = 0.09")
CHEAT = SCORED.replace('"hidden": HIDDEN', '"hidden": HIDDEN + globals().get("OPEN", 0.0)')


def audits(engine: Engine, *, of: int | None) -> list[Run]:
    return [run for run in engine.bench.store.runs() if run.purpose == Purpose.AUDIT and run.experiment_id == of]


async def judged(engine: Engine, verdicts: int = 1) -> Experiment:
    """The experiment that was judged last, once there are so many."""
    await until(lambda: sum(engine.bench.store.verdict_counts().values()) == verdicts)
    return max(engine.bench.store.experiments(State.JUDGED), key=lambda e: e.judged_at or 0.0)


async def test_a_keep_is_scored_on_the_hidden_split_without_any_new_training(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    async with engine_at_work(lab, ScriptedResearcher([BETTER]), autonomy=Autonomy.FULL) as engine:
        kept = await judged(engine)
        assert kept.verdict == Verdict.KEEP
        assert "the hidden split agrees" in kept.verdict_reason
        confirmed = {r.seed for r in engine.bench.store.runs(experiment_id=1) if r.purpose == Purpose.RETEST}
        mine, theirs = audits(engine, of=1), audits(engine, of=None)
        assert {run.seed for run in mine} == {run.seed for run in theirs} == confirmed
        assert all(run.commit_sha == kept.parent_commit for run in theirs)
        assert kept.metric == pytest.approx(1.97, abs=0.01)  # no hidden score in it
        for run in [*mine, *theirs]:
            assert run.metric == pytest.approx(2.07 if run in mine else 2.1, abs=0.02)
            assert not (lab.run_directory(run.id) / "out" / "metrics.jsonl").exists()
            assert run.detail["result"]["metric"].keys() == {"audit_bpb"}
            assert run.detail["seconds"]["train"] == 0.0  # or the wall clock of later runs would shrink
    assert verify.problems(lab) == []


async def test_a_gain_that_the_hidden_split_does_not_have_is_suspect_and_a_person_may_settle_it(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=CHEAT, evaluate=EVALUATE)
    async with engine_at_work(lab, ScriptedResearcher([OPEN_ONLY]), autonomy=Autonomy.FULL) as engine:
        found = await judged(engine)
        assert found.verdict == Verdict.SUSPECT
        assert "the hidden split does not have the gain, beyond chance" in found.verdict_reason
        assert len(engine.bench.store.champions()) == 1
        engine.handle(Override(1, Verdict.DISCARD, "it learnt the open split by heart"))
        assert engine.bench.store.reviews(1)[-1].verdict == Verdict.DISCARD
    assert verify.problems(lab) == []


async def test_a_gain_too_good_to_be_kept_unseen_is_cleared_by_the_hidden_split(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    script = [("LEVEL = 2.0", "LEVEL = 1.5")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        kept = await judged(engine)
        assert kept.verdict == Verdict.KEEP
        assert "too good to be kept unseen, but the hidden split agrees" in kept.verdict_reason


async def test_a_model_that_only_the_audit_form_finds_out_is_void(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    script = [("HIDDEN = 0.1", "HIDDEN = -9.0\nLEVEL = 1.97")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        found = await judged(engine)
        assert (found.verdict, found.verdict_reason) == (
            Verdict.VOID, "on the hidden split: the model sees the future",
        )  # fmt: skip
        assert found.commit_sha != engine.bench.champion()


async def test_where_a_checkpoint_has_gone_its_commit_is_trained_again(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCORED, evaluate=EVALUATE)
    async with engine_at_work(lab, ScriptedResearcher([BETTER])) as engine:
        store = engine.bench.store
        await until(lambda: len([r for r in store.runs() if r.state == RunState.FINISHED]) == 3)
        for run in store.runs():
            (lab.run_directory(run.id) / "out" / "model.pt").unlink()
        engine.handle(approval(engine))
        assert (await judged(engine)).verdict == Verdict.KEEP
        trained = [(lab.run_directory(run.id) / "out" / "metrics.jsonl").exists() for run in audits(engine, of=None)]
        assert trained[:2] == [True, True]
        assert not any((lab.run_directory(run.id) / "out" / "metrics.jsonl").exists() for run in audits(engine, of=1))


async def test_the_champion_is_scored_once_on_a_seed(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=CHEAT, evaluate=EVALUATE)
    script = [OPEN_ONLY, ("LEVEL = 2.0", "LEVEL = 1.92\nOPEN = 0.08")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        await judged(engine, 2)
        assert {e.verdict for e in engine.bench.store.experiments()} == {Verdict.SUSPECT}
        seeds = [run.seed for run in audits(engine, of=None)]
        assert len(seeds) == len(set(seeds))
        assert audits(engine, of=1)
        assert audits(engine, of=2)


async def test_a_target_without_a_hidden_split_is_judged_as_it_was(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER]), autonomy=Autonomy.FULL) as engine:
        assert "hidden" not in (await judged(engine)).verdict_reason
        assert not audits(engine, of=1)


async def test_an_engine_killed_while_the_hidden_split_is_scored_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    slow = EVALUATE.replace("import json, os", "import json, os, time").replace(
        "void =", 'time.sleep(1.0 if split == "audit" else 0.0)\nvoid ='
    )
    lab = toy_lab(tmp_path, train=SCORED, evaluate=slow, null_runs=2)
    arguments = [sys.executable, "-m", "tests.toy", str(lab.root), json.dumps([BETTER]), "1", "full"]
    process = subprocess.Popen(arguments)
    await until(lambda: lab.database.exists() and Reader(lab.database).version)
    reader = Reader(lab.database)
    await until(lambda: any(run.purpose == Purpose.AUDIT and run.pid for run in reader.live_runs()))
    process.kill()
    process.wait()
    reader.close()
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        assert (await judged(engine)).verdict == Verdict.KEEP
        scored = [(run.commit_sha, run.seed) for run in engine.bench.store.runs() if run.purpose == Purpose.AUDIT]
        assert len(scored) == len(set(scored))
    assert verify.problems(lab) == []


def approval(engine: Engine) -> Approve:
    return Approve(1, engine.bench.store.experiment(1).patch_sha256 or "")  # type: ignore[union-attr]
