"""The next run starts up while the last one is evaluated, and waits at its gate: what comes of it, in every order."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from core import verify
from core.engine.engine import Engine
from core.errors import Refused
from core.lab import Lab
from core.models import Autonomy, Purpose, Run, RunState, State, Verdict
from core.requests import Approve, Override, Pause, Resume, StopRun, Undo
from core.runs import gate, local, memory
from core.runs.sandbox import Tier
from tests.toy import EVALUATE, SCORED, ScriptedResearcher, engine_at_work, toy_lab, until

WAITS = """\
since = {}
def say(phase):
    since[phase] = time.time()
    with open(os.path.join(out, "phase.tmp"), "w") as file:
        json.dump({"phase": phase, "since": since}, file)
    os.replace(os.path.join(out, "phase.tmp"), os.path.join(out, "phase.json"))
say("starting")
gate = os.environ.get("AR_GATE")
if gate and EARLY == "crash":
    raise RuntimeError("no room for two")
if gate and not os.path.exists(gate):
    say("waiting")
    while not os.path.exists(gate):
        time.sleep(0.005)
say("training")
"""
GATED = SCORED.replace('FAIL = ""', 'FAIL = ""\nEARLY = ""').replace(
    'out = os.environ["AR_OUT"]\n', f'out = os.environ["AR_OUT"]\n{WAITS}'
)
HELD = EVALUATE.replace(
    "import json, os\n",
    "import json, os, time\n"
    "while os.path.exists(os.path.join(os.path.dirname(__file__), 'hold')):\n"
    "    time.sleep(0.005)\n"
    "if os.path.exists(os.path.join(os.path.dirname(__file__), 'slow')) and os.environ['AR_SPLIT'] != 'audit':\n"
    "    time.sleep(3)\n",
)
BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")
WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
WORSE_TOO = ('FAIL = ""', "FAIL = str()\nLEVEL = 2.6")


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs fit on the device."""
    monkeypatch.setattr(memory, "room_for_two", lambda *_: True)


def gated_lab(root: Path, *, train: str = GATED, overlap: bool = True, null_runs: int = 1) -> Lab:
    lab = toy_lab(root, train=train, evaluate=HELD, null_runs=null_runs, max_confirmations=2)
    text = lab.config_file.read_text().replace("describe = []", "describe = []\nwaits_at_gate = true")
    lab.config_file.write_text(text.replace("[runs]", f"[runs]\noverlap = {json.dumps(overlap)}"))
    return lab


def hold(lab: Lab) -> Path:
    """While this file is there, evaluations do not end."""
    return lab.root.parent / "source" / "hold"


def waiting(engine: Engine) -> Run | None:
    return next((run for run in engine.bench.store.live_runs() if run.phase == "waiting"), None)


async def stands_ready(engine: Engine) -> Run:
    """Wait until one run is evaluated and the next one waits."""
    await until(lambda: waiting(engine), seconds=120)
    run = waiting(engine)
    assert run is not None
    return run


async def judged(engine: Engine, number: int) -> None:
    await until(lambda: sum(engine.bench.store.verdict_counts().values()) >= number, seconds=120)


def began_training(lab: Lab, run: Run) -> float:
    return local.read_since(lab.run_directory(run.id))["training"]


def ended(lab: Lab, run: Run) -> float:
    return float(json.loads((lab.run_directory(run.id) / "exit.json").read_text())["at"])


@pytest.mark.usefixtures("roomy")
async def test_the_next_run_stands_ready_and_trains_once_the_last_one_has_been_evaluated(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        next_one = await stands_ready(engine)
        last = store.runs()[0]
        assert (last.phase, next_one.purpose, next_one.state) == ("evaluating", Purpose.CANDIDATE, RunState.STARTING)
        assert store.experiment(1).state == State.APPROVED  # type: ignore[union-attr]
        assert verify.problems(lab) == []
        hold(lab).unlink()
        await judged(engine, 1)
        assert began_training(lab, next_one) >= ended(lab, last)
        done = store.run(next_one.id)
        assert done is not None
        assert done.state == RunState.FINISHED
        assert set(done.detail["seconds"]) == {"queue", "start", "compile", "train", "evaluate", "judge"}
        assert done.detail["gate"]["opened"]
        assert done.detail["seconds"]["queue"] >= done.detail["gate"]["seconds"] > 0
        assert done.started_at is not None
        assert done.started_at >= ended(lab, last)
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_overlapped_or_not_the_same_runs_give_the_same_metrics_in_the_same_order(tmp_path: Path) -> None:
    found = {}
    for overlap in (True, False):
        lab = gated_lab(tmp_path / str(overlap), overlap=overlap, null_runs=2)
        researcher = ScriptedResearcher([WORSE, BETTER, WORSE_TOO])
        if overlap:
            hold(lab).touch()
        async with engine_at_work(lab, researcher, autonomy=Autonomy.FULL) as engine:
            if overlap:
                await stands_ready(engine)
                hold(lab).unlink()
            await judged(engine, 3)
            runs = [run for run in engine.bench.store.runs() if run.state == RunState.FINISHED]
            found[overlap] = [(run.experiment_id, run.purpose, run.seed, run.metric) for run in runs]
            assert any(run.detail["gate"] for run in runs) == overlap
        assert verify.problems(lab) == []
    assert found[True] == found[False]


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("kept_in", ["bubblewrap", "landlock"])
async def test_a_trainer_in_a_sandbox_cannot_open_its_own_gate(tmp_path: Path, kept_in: str) -> None:
    tries = 'if gate:\n    try:\n        open(gate, "w").close()\n    except OSError as error:\n        print(error)\n'
    lab = gated_lab(tmp_path, train=GATED.replace("if gate and EARLY", f"{tries}if gate and EARLY"))
    lab.config_file.write_text(lab.config_file.read_text().replace("[sandbox]", f'[sandbox]\nuse = "{kept_in}"'))
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        if engine.bench.sandbox.tier == Tier.NONE:
            pytest.skip(engine.bench.sandbox.detail)
        run = await stands_ready(engine)
        assert gate.closed(lab.run_directory(run.id))
        said = (lab.run_directory(run.id) / "stdout.log").read_text()
        assert "Read-only file system" in said or "Permission denied" in said


@pytest.mark.usefixtures("roomy")
async def test_a_promising_result_is_confirmed_before_the_run_that_stood_ready(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER, WORSE_TOO]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.runs(experiment_id=1))
        hold(lab).touch()
        await until(lambda: (run := waiting(engine)) and run.experiment_id == 2)
        early = await stands_ready(engine)
        hold(lab).unlink()
        await judged(engine, 2)
        withdrawn = store.run(early.id)
        assert withdrawn is not None
        assert withdrawn.state == RunState.LOST
        assert withdrawn.error.startswith("started ahead and withdrawn: ")
        assert "goes first" in withdrawn.error
        assert store.experiment(1).verdict == Verdict.KEEP  # type: ignore[union-attr]
        assert store.experiment(2).verdict == Verdict.DISCARD  # type: ignore[union-attr]
        of_second = [run for run in store.runs(experiment_id=2) if run.state == RunState.FINISHED]
        confirmations = [run for run in store.runs(experiment_id=1) if run.purpose == Purpose.RETEST]
        assert confirmations
        assert min(run.id for run in of_second) > max(run.id for run in confirmations)
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_a_run_that_would_be_measured_with_something_old_does_not_pass_its_gate(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        early = await stands_ready(engine)
        store.set("profile", {"depth": 5})
        await until(lambda: store.run(early.id).state == RunState.LOST, seconds=120)  # type: ignore[union-attr]
        assert store.run(early.id).error == (  # type: ignore[union-attr]
            "started ahead and withdrawn: what it is measured with has changed"
        )
        hold(lab).unlink()
        await judged(engine, 1)
        assert {run.device_class for run in store.runs(experiment_id=1)[1:]} == {engine.bench.devices[0].kind}


@pytest.mark.usefixtures("roomy")
async def test_a_decision_can_be_taken_back_while_its_run_waits(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: store.queue(), seconds=120)
        engine.handle(Approve(1, store.experiment(1).patch_sha256 or ""))  # type: ignore[union-attr]
        run = await stands_ready(engine)
        engine.handle(Undo(1))
        assert verify.problems(lab) == []
        await until(lambda: store.run(run.id).state == RunState.LOST, seconds=120)  # type: ignore[union-attr]
        assert store.run(run.id).error == "started ahead and withdrawn: #1 is not to run"  # type: ignore[union-attr]
        assert store.experiment(1).state == State.PROPOSED  # type: ignore[union-attr]
        engine.handle(Approve(1, store.experiment(1).patch_sha256 or ""))  # type: ignore[union-attr]
        await stands_ready(engine)
        hold(lab).unlink()
        await judged(engine, 1)
        with pytest.raises(Refused, match="no decision"):
            engine.handle(Undo(1))
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_pause_ends_a_waiting_run_and_resume_makes_it_again(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        for _ in range(4):  # more often than a lost run may be made again
            run = await stands_ready(engine)
            engine.handle(Pause("lunch"))
            await until(lambda n=run.id: store.run(n).state == RunState.LOST)  # type: ignore[misc,union-attr]
            assert "train" not in store.run(run.id).detail["seconds"]  # type: ignore[union-attr]
            assert store.live_runs()[0].phase == "evaluating"
            engine.handle(Resume())
        hold(lab).unlink()
        await judged(engine, 1)
        assert store.experiment(1).verdict == Verdict.DISCARD  # type: ignore[union-attr]
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_a_new_champion_sends_the_waiting_run_back_to_be_rebased(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    script = [("LEVEL = 2.0", "LEVEL = 2.1"), ("STEPS = 20", "STEPS = 21"), ("STEPS = 20", "STEPS = 22")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await judged(engine, 1)
        hold(lab).touch()
        early = await stands_ready(engine)
        engine.handle(Override(1, Verdict.KEEP, "shorter is better"))
        await until(lambda: store.run(early.id).state == RunState.LOST)  # type: ignore[union-attr]
        assert store.run(early.id).error == "started ahead and withdrawn: the champion has changed"  # type: ignore[union-attr]
        hold(lab).unlink()
        await judged(engine, 3)
        again = store.experiment(early.experiment_id or 0)
        assert again is not None
        assert again.commit_sha != early.commit_sha
        assert again.parent_commit == store.experiment(1).commit_sha  # type: ignore[union-attr]
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_what_fails_before_its_turn_is_made_again_by_itself(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path, train=GATED.replace('EARLY = ""', 'EARLY = "crash"'))
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: any(run.state == RunState.LOST for run in store.runs()))
        hold(lab).unlink()
        await judged(engine, 1)
        first, second = store.runs(experiment_id=1)
        assert (first.state, second.state) == (RunState.LOST, RunState.FINISHED)
        assert first.error.startswith("failed before its turn: ")
        assert "no room for two" in first.error
        assert second.detail["gate"] is None
        assert not store.paused()
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_where_no_two_runs_fit_the_lab_stops_trying(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path, train=GATED.replace('EARLY = ""', 'EARLY = "crash"'))
    script = [("LEVEL = 2.0", f"LEVEL = 2.{number}") for number in range(50, 70)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store

        def evaluated() -> list[Run]:
            return [run for run in store.live_runs() if run.phase == "evaluating"]

        def early() -> int:
            return sum(run.error.startswith("failed before its turn") for run in store.runs())

        for number in (1, 2, 3):
            hold(lab).touch()
            await until(lambda n=number: early() == n)  # type: ignore[misc]
            held = evaluated()
            assert engine.running.ahead.may_start(held) == (number < 3)
            hold(lab).unlink()
            await until(lambda one=held[0]: store.run(one.id).ended_at)  # type: ignore[misc,union-attr]
        await judged(engine, 4)
        assert early() == 3
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_a_waiting_run_whose_runner_is_killed_is_lost_and_made_again(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        run = await stands_ready(engine)
        os.kill(run.pid or 0, signal.SIGKILL)
        await until(lambda: store.run(run.id).state == RunState.LOST)  # type: ignore[union-attr]
        hold(lab).unlink()
        await judged(engine, 1)
        assert [r.state for r in store.runs(experiment_id=1)] == [RunState.LOST, RunState.FINISHED]
    assert verify.problems(lab) == []


@pytest.mark.usefixtures("roomy")
async def test_a_person_can_stop_a_run_that_waits(tmp_path: Path) -> None:
    lab = gated_lab(tmp_path)
    hold(lab).touch()
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        run = await stands_ready(engine)
        engine.handle(StopRun(run.id))
        await judged(engine, 1)
        assert engine.bench.store.experiment(1).verdict == Verdict.VOID  # type: ignore[union-attr]
    assert verify.problems(lab) == []


async def test_nothing_stands_ready_where_memory_is_short_or_the_lab_wants_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(memory, "room_for_two", lambda *known: asked.append(known))
    for name, overlap in (("short", True), ("off", False)):
        lab = gated_lab(tmp_path / name, overlap=overlap)
        hold(lab).touch()
        async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
            store = engine.bench.store
            await until(lambda at=store: at.runs() and at.runs()[0].phase == "evaluating", seconds=120)  # type: ignore[misc]
            await until(lambda at=store, on=overlap: bool(asked) == on and at.experiments(State.APPROVED), seconds=120)  # type: ignore[misc]
            assert len(store.runs()) == 1
            hold(lab).unlink()
            await judged(engine, 1)
            assert all(run.detail["gate"] is None for run in store.runs())
        assert bool(asked) == overlap
        asked.clear()
