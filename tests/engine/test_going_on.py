"""Whatever comes from outside, the lab goes on: hostile files, odd clocks, broken researchers, seeds that diverge."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.autonomy import Passed, Waits
from core.engine.ending import Ending
from core.engine.judging import Judging
from core.engine.measuring import Measuring
from core.errors import PatchError
from core.models import Autonomy, Experiment, Proposal, Run, RunState, State, Verdict
from core.patches import apply, parse
from core.requests import Approve, Pause, Resume, SetAutonomy, Undo
from core.researchers.base import Say, Situation
from core.runs import local, runner
from core.runs.local import LocalExecutor, Process
from core.runs.metrics import MetricsTail, metric_from_log
from tests.toy import EVALUATE, SCORED, TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

BETTER, WORSE, ELSEWHERE = (
    ("LEVEL = 2.0", "LEVEL = 1.97"), ("LEVEL = 2.0", "LEVEL = 2.5"), ("STEPS = 20", "STEPS = 21"),
)  # fmt: skip
HUGE = "1" + "0" * 400
DEEP = "[" * 600 + "]" * 600
HOSTILE = f"""\
for name, text in {{
    "phase.json": '{{"phase": "training", "since": {{"training": {HUGE}}}}}',
    "train.json": '{{"flops": {HUGE}, "budget": {DEEP}}}',
}}.items():
    with open(os.path.join(out, name), "w") as file:
        file.write(text)
with open(os.path.join(out, "metrics.jsonl"), "a") as file:
    file.write('{{"step": {HUGE}, "t": {HUGE}, "progress": {HUGE}, "loss": {HUGE}}}\\n')
if FAIL == "crash":"""

# ---- what a run leaves behind ---------------------------------------------------------------------------------------


async def test_numbers_and_depths_that_nobody_can_reckon_with_do_not_hold_the_engine_up(tmp_path: Path) -> None:
    researcher = ScriptedResearcher([('if FAIL == "crash":', HOSTILE), ELSEWHERE])
    async with engine_at_work(toy_lab(tmp_path), researcher, autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 2)
        assert [event for event in store.events() if event.kind == "engine_trouble"] == []


SUMMARY = """
import json
with open(os.path.join(out, "train.json"), "w") as file:
    json.dump({"budget": "seconds:2", "seed": int(os.environ["AR_SEED"])}, file)
"""


async def test_a_mistake_over_one_run_or_experiment_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine itself gets wrong: here the result of one experiment, and the verdict on the next."""
    metric, doubts = Ending._metric, Judging._doubts

    def stumbles(self: Ending, run: Run, ended: dict[str, Any]) -> float | None:
        return metric(self, run, ended) if run.experiment_id != 1 else 1 / 0

    def stumbles_too(self: Judging, experiment: Experiment, runs: list[Run], kind: str) -> list[str]:
        return doubts(self, experiment, runs, kind) if experiment.id != 2 else [str(1 // 0)]

    monkeypatch.setattr(Ending, "_metric", stumbles)
    monkeypatch.setattr(Judging, "_doubts", stumbles_too)
    researcher = ScriptedResearcher([WORSE, BETTER, ELSEWHERE])
    async with engine_at_work(toy_lab(tmp_path), researcher, autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 3)
        first, second, third = store.experiments()
        assert first.verdict == Verdict.CRASHED
        assert "cannot be reckoned with (ZeroDivisionError: division by zero)" in first.verdict_reason
        assert second.verdict == Verdict.VOID
        assert "cannot be judged (ZeroDivisionError" in second.verdict_reason
        assert third.verdict in (Verdict.DISCARD, Verdict.INCONCLUSIVE)


async def test_a_result_on_record_stays_though_what_follows_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Measuring, kind: str) -> None:
        raise ZeroDivisionError

    def is_gone_with_its_exit(self: LocalExecutor, process: Process) -> bool:
        return alive(self, process) and not (lab.run_directory(1) / "exit.json").exists()

    lab, alive = toy_lab(tmp_path, null_runs=1), LocalExecutor.alive
    monkeypatch.setattr(Measuring, "publish", fails)
    monkeypatch.setattr(LocalExecutor, "alive", is_gone_with_its_exit)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        await until(lambda: store.runs() and not store.live_runs())
        assert [(run.state, run.metric is not None) for run in store.runs()] == [(RunState.FINISHED, True)]
        assert store.paused() == ""


async def test_an_evaluator_that_names_no_metric_and_a_summary_without_tokens_end_in_words(tmp_path: Path) -> None:
    number = EVALUATE.replace('{"metric": {split + "_bpb": score}, "void": void}', '{"metric": score}')
    train = SCORED.replace('print(f"val_bpb', f'{SUMMARY}print(f"val_bpb')
    lab = toy_lab(tmp_path, train=train, evaluate=number)
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        await until(engine.bench.store.paused)
        assert "ended crashed (the run left no val_bpb)" in engine.bench.store.paused()
        assert [event for event in engine.bench.store.events() if event.kind == "engine_trouble"] == []


async def test_a_script_that_runs_by_itself_still_does_after_a_patch(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=f"#!{sys.executable}\n{TRAIN}", null_runs=1)
    (tmp_path / "source" / "train.py").chmod(0o755)
    lab.config_file.write_text(lab.config_file.read_text().replace("[target]", '[target]\ntrain = ["./train.py"]'))
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        assert [run.state for run in store.runs()] == [RunState.FINISHED] * 2


async def test_a_metric_that_is_not_finite_is_a_run_that_diverged(tmp_path: Path) -> None:
    nan = ('print(f"val_bpb: {LEVEL', 'print("val_bpb: 1.0")\nprint(f"val_bpb: {float(\'nan\') + LEVEL')
    async with engine_at_work(toy_lab(tmp_path), ScriptedResearcher([nan]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        (run,) = store.runs(experiment_id=1)
        assert (run.state, run.error, run.metric) == (RunState.DIVERGED, "its val_bpb is nan", None)
        assert store.experiments()[0].verdict == Verdict.DISCARD


async def test_one_crash_of_a_champion_that_is_measured_is_chance_and_two_need_a_person(tmp_path: Path) -> None:
    unlucky = TRAIN.replace('if FAIL == "crash":', 'if os.environ["AR_SEED"] == "3":')
    lab = toy_lab(tmp_path / "one", train=unlucky, rerun_every=2)
    script = [("LEVEL = 2.0", f"LEVEL = 2.{n}") for n in range(50, 56)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 6)
        assert [run.seed for run in store.runs() if run.state == RunState.CRASHED] == [3]
    worse = unlucky.replace('== "3":', 'in ("3", "4"):')
    lab = toy_lab(tmp_path / "two", train=worse, rerun_every=1)
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        await until(engine.bench.store.paused)
        assert "the champion's own run" in engine.bench.store.paused()


@pytest.mark.parametrize("text", [DEEP, "{" * 5000, '{"a":' * 70 + "1" + "}" * 70])
def test_json_that_is_nested_too_deep_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested too deep|Expecting"):
        runner.loads(text)


def test_an_integer_that_is_too_long_becomes_a_float() -> None:
    assert runner.loads(f'{{"a": {HUGE}, "b": -{HUGE}, "c": 12345678901234567890, "d": 7}}') == {
        "a": float("inf"), "b": float("-inf"), "c": 1.2345678901234567e19, "d": 7,
    }  # fmt: skip


def test_a_metric_too_large_to_be_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f'{{"val_bpb": {HUGE}}}\n')
    assert metric_from_log(tmp_path / "log", "val_bpb") == float("inf")  # which the engine refuses as it does a NaN


def test_a_curve_with_a_step_beyond_all_numbers_goes_on_behind_it(tmp_path: Path) -> None:
    lines = [f'{{"step": {HUGE}, "loss": 1}}', f'{{"step": 1, "t": {HUGE}, "progress": {HUGE}, "loss": 2}}']
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 2, "loss": 3}', ""]))
    assert MetricsTail(tmp_path / "metrics.jsonl").read() == [("loss", 1, 0.0, 2.0), ("loss", 2, 0.0, 3.0)]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"state": "running"}, {"state": ["finished"]}, {"state": "finished", "at": "now"},
        {"state": "finished", "seconds": [1]}, {"state": "crashed", "gate": "open"}, {"state": "finished", "result": 3},
    ],
)  # fmt: skip
def test_an_exit_that_says_no_end_is_none(tmp_path: Path, body: dict[str, object]) -> None:
    (tmp_path / "exit.json").write_text(json.dumps({"run": 1, "attempt": 1, **body}))
    assert local.read_exit(tmp_path, run=1, attempt=1) is None


async def test_a_flood_of_points_is_read_a_piece_at_a_look_and_not_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.runs.metrics.READ_LIMIT", 1000)
    monkeypatch.setattr("core.runs.metrics.WHOLE_LIMIT", 5000)
    flood = TRAIN.replace('print(f"val_bpb', 'open(out + "/metrics.jsonl", "w").write(FLOOD)\nprint(f"val_bpb')
    flood = flood.replace(
        "rng =", 'FLOOD = "".join(f\'{{"step": {i}, "loss": 1.5}}\\n\' for i in range(1000, 2000))\nrng ='
    )
    async with engine_at_work(toy_lab(tmp_path, train=flood), ScriptedResearcher([])) as engine:
        store = engine.bench.store
        read: list[int] = []
        add = store.add_points

        def counted(run: int, points: list[tuple[str, int, float, float]]) -> None:
            read.append(len(points))
            add(run, points)

        monkeypatch.setattr(store, "add_points", counted)
        await until(lambda: (run := store.run(1)) is not None and run.state == RunState.FINISHED)
        assert max(read) <= 1000 / len('{"step": 1000, "loss": 1.5}\n') + 20
        assert 100 < len(store.series(1, "loss").step) < 200


async def test_a_metric_printed_after_the_log_was_full_counts(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    lab.config_file.write_text(lab.config_file.read_text() + "log_megabytes = 0.01\n")
    chatty = ('if FAIL == "crash":', 'print("step\\n" * 20_000)\nif FAIL == "crash":')
    async with engine_at_work(lab, ScriptedResearcher([chatty]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()))
        (run,) = store.runs(experiment_id=1)
        assert run.state == RunState.FINISHED
        log = (lab.run_directory(run.id) / "stdout.log").read_text()
        assert "[the log is cut here: over 0 MB; its end follows]" in log
        assert len(log) < 25_000


# ---- clocks, seeds, disks -------------------------------------------------------------------------------------------


async def test_a_clock_that_is_set_back_does_not_keep_what_was_approved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_at_work(toy_lab(tmp_path, undo_seconds=600.0), ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: store.queue() and len([r for r in store.runs() if r.state == RunState.FINISHED]) == 3)
        engine.handle(Approve(1, store.experiment(1).patch_sha256 or ""))  # type: ignore[union-attr]
        now = time.time()
        monkeypatch.setattr("core.engine.bench.time", SimpleNamespace(time=lambda: now - 3600))
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])


async def test_a_seed_on_which_the_first_champion_diverges_is_replaced_by_another(tmp_path: Path) -> None:
    train = TRAIN.replace('if FAIL == "diverge"', 'if os.environ["AR_SEED"] == "1"')
    async with engine_at_work(
        toy_lab(tmp_path, train=train), ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL
    ) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        own = [(run.seed, run.state) for run in store.runs() if run.experiment_id is None]
        assert own == [(0, "finished"), (1, "diverged"), (2, "finished"), (3, "finished")]
        assert not store.paused()


async def test_a_champion_that_diverges_on_its_first_seed_waits_for_a_person_and_goes_on_with_the_next(
    tmp_path: Path,
) -> None:
    train = TRAIN.replace('if FAIL == "diverge"', 'if os.environ["AR_SEED"] == "0"')
    async with engine_at_work(
        toy_lab(tmp_path, train=train), ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL
    ) as engine:
        store = engine.bench.store
        await until(lambda: "ended diverged" in store.paused())
        engine.handle(Resume())
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        assert [run.seed for run in store.runs() if run.experiment_id is None] == [0, 1, 2, 3]


async def test_a_champion_whose_runner_is_killed_each_time_is_not_made_again_for_ever(tmp_path: Path) -> None:
    train = TRAIN.replace("rng =", "import signal\nos.kill(os.getppid(), signal.SIGKILL)\nrng =")
    lab = toy_lab(tmp_path, train=train)
    lab.config_file.write_text(lab.config_file.read_text() + '[sandbox]\nuse = "none"\n')
    async with engine_at_work(lab, ScriptedResearcher([])) as engine:
        store = engine.bench.store
        await until(lambda: "were lost 3 times" in store.paused())
        assert [run.state for run in store.runs()] == [RunState.LOST] * 3


async def test_a_run_that_a_shutdown_ended_is_made_again_and_not_judged(tmp_path: Path) -> None:
    slow = ("SECONDS = 0.0", "SECONDS = 1.0")
    async with engine_at_work(toy_lab(tmp_path), ScriptedResearcher([slow]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: (runs := store.runs(experiment_id=1)) and runs[0].state == RunState.RUNNING)
        os.kill(store.runs(experiment_id=1)[0].pid or 0, signal.SIGTERM)
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        first, second = store.runs(experiment_id=1)
        assert (first.state, second.state) == (RunState.LOST, RunState.FINISHED)
        assert "was the machine shut down?" in first.error


# ---- researchers and patches ----------------------------------------------------------------------------------------


class Broken:
    """Falls over each time it is asked."""

    name = "broken"
    asked = 0

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        self.asked += 1
        raise ValueError("an answer that nobody foresaw")


async def test_a_researcher_that_falls_over_is_not_asked_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    researcher = Broken()
    monkeypatch.setattr("core.engine.proposing.time", SimpleNamespace(monotonic=lambda: 100.0))
    async with engine_at_work(toy_lab(tmp_path), researcher) as engine:
        store = engine.bench.store
        await until(lambda: store.setting("researcher", {}).get("state") == "error")
        said = store.setting("researcher")
        assert said["detail"].startswith("ValueError: an answer that nobody foresaw; trying again in")
        assert said["until"] > said["since"]
        for _ in range(5):
            engine.bench.wake.set()
            await until(lambda: not engine.bench.wake.is_set())
        assert researcher.asked == 1


class OfAnotherFile:
    """Its one proposal changes extra.py."""

    name = "scripted"

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        if situation.history:
            return None
        return Proposal("extra", "it helps", "because", "toy", {"extra.py": "A = 2\n"}, self.name, key="extra")


async def test_a_proposal_for_a_file_that_is_no_longer_editable_waits_and_others_run(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    (tmp_path / "source" / "extra.py").write_text("A = 1\n")
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace("prepare = []", 'prepare = []\neditable = ["train.py", "extra.py"]'))
    async with engine_at_work(lab, OfAnotherFile()) as engine:
        await until(engine.bench.store.queue)
    lab.config_file.write_text(text)
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        stuck = store.experiment(1)
        assert stuck is not None
        assert stuck.state == State.PROPOSED
        assert "extra.py" in stuck.problem


async def test_what_does_not_pass_is_looked_at_once_and_again_when_the_dial_is_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = ("STEPS = 20", "STEPS = 20\n" + "\n".join(f"A{number} = {number}" for number in range(40)))
    lab = toy_lab(tmp_path, lookahead=1)
    async with engine_at_work(lab, ScriptedResearcher([big]), autonomy=Autonomy.GUARDED) as engine:
        reviewing, looked = engine.reviewing, list[Autonomy]()
        engine.handle(Pause())
        await until(engine.bench.store.queue)
        passes = reviewing._passes

        def counted(experiment: Experiment, autonomy: Autonomy) -> Passed | Waits:
            looked.append(autonomy)
            return passes(experiment, autonomy)

        monkeypatch.setattr(reviewing, "_passes", counted)
        reviewing._waits.clear()
        for _ in range(3):
            reviewing.let_pass()
        assert looked == [Autonomy.GUARDED]
        engine.handle(SetAutonomy(Autonomy.FULL))
        await until(lambda: engine.bench.store.experiment(1).state == State.APPROVED)  # type: ignore[union-attr]


async def test_an_approval_taken_back_after_the_champion_moved_leaves_a_patch_that_fits(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=f"# first\n{TRAIN}")
    higher = ("# first\n", "# first\n# a line more\n")
    async with engine_at_work(lab, ScriptedResearcher([higher, ELSEWHERE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 2)
        engine.handle(Pause())
        engine.handle(Approve(2, store.experiment(2).patch_sha256 or ""))  # type: ignore[union-attr]
        read = store.experiment(2).patch_sha256  # type: ignore[union-attr]
        files = engine.bench.champion_files()
        moved = {"train.py": files["train.py"].replace(*higher)}
        champion = engine.bench.workspace.commit(1, engine.bench.champion(), moved, message="moved", at=1e9)
        store.add_champion(champion, experiment_id=1)
        assert engine.running.starting.commit(store.experiment(2))  # type: ignore[arg-type]
        engine.handle(Undo(2))
        waits = store.experiment(2)
        assert waits is not None
        assert waits.parent_commit == champion
        assert waits.patch_sha256 != read
        assert "STEPS = 21" in apply(parse(store.patch(waits.patch_sha256 or "") or ""), moved)["train.py"]
        with pytest.raises(PatchError):
            apply(parse(store.patch(read or "") or ""), moved)
