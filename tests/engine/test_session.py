"""Whole sessions, in the words of the domain: real SQLite, real git, real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import verify
from core.errors import Refused
from core.models import Autonomy, Decision, Purpose, RunState, State, Verdict, Via
from core.requests import Approve, Audit, Defer, Override, Pause, Resume, Revise, StopRun, Tell, Undo, Veto
from tests.toy import ScriptedResearcher, engine_at_work, toy_lab, until

BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")
WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
ELSEWHERE = ("STEPS = 20", "STEPS = 21")


async def test_full_autonomy_keeps_a_better_patch_and_discards_a_worse_one(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    researcher = ScriptedResearcher([BETTER, WORSE])
    async with engine_at_work(lab, researcher, autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        kept = store.experiments(State.JUDGED)[0]
        assert kept.verdict == Verdict.KEEP
        assert kept.delta == pytest.approx(-0.03, abs=0.015)
        assert store.champion().commit_sha == kept.commit_sha == engine.bench.workspace.head()  # type: ignore[union-attr]
        assert "LEVEL = 1.97" in engine.bench.champion_files()["train.py"]
        review = store.reviews(kept.id)[0]
        assert (review.decision, review.via) == (Decision.APPROVE, Via.POLICY)
    assert verify.problems(lab) == []


async def test_the_baseline_is_measured_before_anything_else(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE]), autonomy=Autonomy.FULL) as engine:
        await until(lambda: engine.bench.store.verdict_counts()[Verdict.DISCARD])
        runs = engine.bench.store.runs()
        assert [run.purpose for run in runs] == [Purpose.BASELINE, Purpose.NULL, Purpose.NULL, Purpose.CANDIDATE]
        assert [run.seed for run in runs] == [0, 1, 2, 0]
        loss = engine.bench.store.series(runs[0].id, "loss")
        assert len(loss.step) == 20
        assert loss.value[0] == pytest.approx(5.0)


async def test_manual_autonomy_waits_for_a_human_and_starts_what_she_approves(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER, ELSEWHERE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 2)
        await until(lambda: len([r for r in store.runs() if r.state == RunState.FINISHED]) == 3)
        first = store.experiment(1)
        assert first is not None
        assert not store.runs(experiment_id=1)
        engine.handle(Approve(1, first.patch_sha256 or ""))
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)


async def test_a_waiting_proposal_is_carried_onto_the_new_champion(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER, ELSEWHERE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 2)
        before = store.experiment(2)
        engine.handle(Approve(1, store.experiment(1).patch_sha256 or ""))  # type: ignore[union-attr]
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        after = store.experiment(2)
        assert before is not None
        assert after is not None
        assert after.parent_commit == engine.bench.champion() != before.parent_commit
        assert [v.source for v in store.patch_versions(2)] == ["proposed", "rebased"]
        with pytest.raises(Refused, match="has changed since you read it"):
            engine.handle(Approve(2, before.patch_sha256 or ""))


async def test_an_edited_patch_runs_and_both_versions_stay_on_record(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 1)
        experiment = store.experiment(1)
        assert experiment is not None
        edited = (store.patch(experiment.patch_sha256 or "") or "").replace("LEVEL = 2.5", "LEVEL = 1.98")
        engine.handle(Approve(1, experiment.patch_sha256 or "", edited=edited))
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        assert [v.source for v in store.patch_versions(1)] == ["proposed", "edited"]
        review = store.reviews(1)[0]
        assert review.decision == Decision.APPROVE_EDITED
        assert review.patch_sha256 != review.approved_sha256 == store.experiment(1).patch_sha256  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("+LEVEL = 2.5", "+LEVEL = = 2.5", "yntax"),
        ("train.py", "harness.py", "harness.py"),
        ("-LEVEL = 2.0", "-LEVEL = 3.0", "apply"),
        ("+LEVEL = 2.5", "+LEVEL = 2.5 \x1b[2J", "U\\+001B|invisible|control|escape"),
    ],
)
async def test_an_edit_that_cannot_run_is_refused_with_words(tmp_path: Path, old: str, new: str, words: str) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 1)
        experiment = store.experiment(1)
        assert experiment is not None
        body = store.patch(experiment.patch_sha256 or "") or ""
        with pytest.raises(Refused, match=words):
            engine.handle(Approve(1, experiment.patch_sha256 or "", edited=body.replace(old, new)))
        assert store.experiment(1) == experiment
        assert store.reviews(1) == []


async def test_a_veto_needs_a_reason_and_ends_the_experiment(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    researcher = ScriptedResearcher([WORSE])
    async with engine_at_work(lab, researcher) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 1)
        sha = store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
        with pytest.raises(Refused, match="needs words"):
            engine.handle(Veto(1, sha, "  "))
        engine.handle(Veto(1, sha, "too wide"))
        await until(lambda: any(r.reason == "too wide" for s in researcher.asked for r in s.reviews.get(1, ())))
        assert store.experiment(1).state == State.VETOED  # type: ignore[union-attr]
        assert not store.runs(experiment_id=1)


async def test_a_note_sends_the_same_experiment_back_and_gets_a_new_version(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([('FAIL = ""', "FAIL = str()")])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 1)
        old = store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
        engine.handle(Revise(1, old, "say why"))
        await until(lambda: store.experiment(1).patch_sha256 != old and store.queue())  # type: ignore[union-attr]
        assert [v.source for v in store.patch_versions(1)] == ["proposed", "revised"]
        assert "say why" in (store.patch(store.experiment(1).patch_sha256 or "") or "")  # type: ignore[union-attr]


async def test_a_decision_can_be_undone_until_the_run_starts(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, undo_seconds=3600)
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 1)
        sha = store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
        answer = engine.handle(Approve(1, sha))
        assert answer["hold_until"] > engine.bench.now() + 3000
        engine.handle(Undo(1))
        assert store.experiment(1).state == State.PROPOSED  # type: ignore[union-attr]
        assert store.reviews(1)[0].undone_at is not None
        with pytest.raises(Refused, match="no decision"):
            engine.handle(Undo(1))


async def test_a_deferred_proposal_goes_to_the_end_of_the_queue(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER, ELSEWHERE])) as engine:
        await until(lambda: len(engine.bench.store.queue()) == 2)
        engine.handle(Defer(1))
        assert [s.id for s in engine.bench.store.queue()] == [2, 1]


@pytest.mark.parametrize(
    ("fail", "state", "verdict"),
    [
        ("crash", RunState.CRASHED, Verdict.CRASHED),
        ("diverge", RunState.DIVERGED, Verdict.DISCARD),
        ("hang", RunState.TIMEOUT, Verdict.CRASHED),
    ],
)
async def test_a_run_that_fails_is_a_verdict_and_the_engine_goes_on(
    tmp_path: Path, fail: str, state: RunState, verdict: Verdict
) -> None:
    lab = toy_lab(tmp_path, wall_clock_seconds=6.0 if fail == "hang" else 60.0)
    researcher = ScriptedResearcher([('FAIL = ""', f'FAIL = "{fail}"'), WORSE])
    async with engine_at_work(lab, researcher, autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 2)
        assert store.runs(experiment_id=1)[0].state == state
        assert store.experiment(1).verdict == verdict  # type: ignore[union-attr]
        if fail == "crash":
            assert "the toy broke" in store.experiment(1).verdict_reason  # type: ignore[union-attr]


async def test_a_ten_megabyte_log_line_is_kept_out_of_the_record_and_harms_nothing(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    researcher = ScriptedResearcher([('FAIL = ""', 'FAIL = "flood"')])
    async with engine_at_work(lab, researcher, autonomy=Autonomy.FULL) as engine:
        await until(lambda: sum(engine.bench.store.verdict_counts().values()) == 1)
        assert engine.bench.store.runs(experiment_id=1)[0].state == RunState.FINISHED


async def test_pause_lets_the_live_run_end_and_starts_no_other(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        store = engine.bench.store
        await until(lambda: store.live_runs())
        engine.handle(Pause("lunch"))
        await until(lambda: not store.live_runs())
        engine.bench.wake.set()
        await until(lambda: store.setting("researcher", {}).get("state") != "thinking")
        assert len(store.runs()) == 1
        engine.handle(Resume())
        await until(lambda: len(store.runs()) == 2)


async def test_a_stopped_run_is_void(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(
        lab, ScriptedResearcher([("SECONDS = 0.0", "SECONDS = 600.0")]), autonomy=Autonomy.FULL
    ) as engine:
        store = engine.bench.store
        await until(lambda: store.runs(experiment_id=1) and store.runs(experiment_id=1)[0].state == RunState.RUNNING)
        engine.handle(StopRun(store.runs(experiment_id=1)[0].id))
        await until(lambda: store.experiment(1).verdict == Verdict.VOID)  # type: ignore[union-attr]


async def test_a_failing_researcher_is_asked_again_and_says_so(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([WORSE], fail_first=1)) as engine:
        store = engine.bench.store
        await until(lambda: "the line is down" in store.setting("researcher", {}).get("detail", ""))
        await until(lambda: store.queue())


async def test_a_crashing_baseline_pauses_the_lab_and_says_why(tmp_path: Path) -> None:
    from tests.toy import TRAIN

    lab = toy_lab(tmp_path, train=TRAIN.replace('FAIL = ""', 'FAIL = "crash"'))
    async with engine_at_work(lab, ScriptedResearcher([WORSE])) as engine:
        await until(lambda: "the toy broke" in engine.bench.store.paused())
        assert len(engine.bench.store.runs()) == 1


async def test_words_to_the_researcher_reach_it(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    researcher = ScriptedResearcher([WORSE])
    async with engine_at_work(lab, researcher) as engine:
        await until(lambda: engine.bench.store.queue())
        engine.handle(Tell("try a smaller batch"))
        await until(lambda: any(m.body == "try a smaller batch" for s in researcher.asked for m in s.messages))


async def test_the_champion_is_measured_again_after_a_number_of_verdicts(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, rerun_every=2)
    script = [("LEVEL = 2.0", f"LEVEL = 2.{n}") for n in range(5, 9)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 4)
        own = [(run.purpose, run.seed) for run in store.runs() if run.experiment_id is None]
        assert own[:4] == [(Purpose.BASELINE, 0), (Purpose.NULL, 1), (Purpose.NULL, 2), (Purpose.NULL, 3)]


async def test_a_second_gain_is_measured_on_seeds_the_champion_was_not_chosen_by(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    script = [BETTER, ("LEVEL = 1.97", "LEVEL = 1.94")]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 2)
        chosen_by = {run.seed for run in store.runs(experiment_id=1)}
        champion = store.champions()[1].commit_sha
        own = {run.seed for run in store.runs(commit_sha=champion) if run.experiment_id is None}
        assert own
        assert not own & chosen_by
        assert {run.seed for run in store.runs(experiment_id=2)} & own


async def test_an_audit_measures_the_stack_of_keeps_on_seeds_nobody_used(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ScriptedResearcher([BETTER]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.runs())
        with pytest.raises(Refused, match="nothing has been kept"):
            engine.handle(Audit())
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        used = {run.seed for run in store.runs()}
        noise = store.setting("noise")
        engine.handle(Audit(seeds=3))
        with pytest.raises(Refused, match="already under way"):
            engine.handle(Audit())
        await until(lambda: store.setting("audit")["state"] == "done")
        result = store.setting("audit")["result"]
        assert result["n"] == 3
        assert result["low"] <= result["delta"] <= result["high"]
        assert result["delta"] == pytest.approx(-0.03, abs=0.01)
        audit_seeds = {run.seed for run in store.runs() if run.purpose == Purpose.AUDIT}
        assert len(audit_seeds) == 3
        assert not audit_seeds & used
        assert store.setting("noise") == noise  # another split is another scale


async def test_a_suspect_result_waits_for_a_human_who_may_keep_it_with_a_reason(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(
        lab, ScriptedResearcher([("LEVEL = 2.0", "LEVEL = 0.5")]), autonomy=Autonomy.FULL
    ) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.SUSPECT] == 1)
        assert len(store.champions()) == 1
        with pytest.raises(Refused, match="needs a reason"):
            engine.handle(Override(1, Verdict.KEEP, " "))
        engine.handle(Override(1, Verdict.KEEP, "I read every line", actor="ada"))
        kept = store.experiment(1)
        assert kept is not None
        assert (kept.verdict, kept.overridden_by) == (Verdict.KEEP, "ada")
        assert engine.bench.champion() == kept.commit_sha == engine.bench.workspace.head()
    assert verify.problems(lab) == []


async def test_a_gain_that_no_seed_changes_is_suspect(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    lucky = 'random.Random(int(os.environ["AR_SEED"]))', "random.Random(5)"  # draws well, every time
    async with engine_at_work(lab, ScriptedResearcher([lucky]), autonomy=Autonomy.MANUAL) as engine:
        store = engine.bench.store
        await until(lambda: store.queue())
        engine.handle(Approve(1, store.experiment(1).patch_sha256 or ""))  # type: ignore[union-attr]
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        judged = store.experiment(1)
        assert judged is not None
        assert judged.verdict == Verdict.SUSPECT
        assert "the seed has no effect" in judged.verdict_reason


@pytest.mark.parametrize(("direction", "worse", "better"), [("min", WORSE, BETTER), ("max", BETTER, WORSE)])
async def test_the_leaderboard_begins_with_the_best(
    tmp_path: Path, direction: str, worse: tuple[str, str], better: tuple[str, str]
) -> None:
    lab = toy_lab(tmp_path)
    lab.config_file.write_text(
        lab.config_file.read_text().replace("describe = []", f'describe = []\ndirection = "{direction}"')
    )
    async with engine_at_work(lab, ScriptedResearcher([worse, better]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == 2)
        titles = [title for (title,) in store.db.execute("SELECT title FROM leaderboard")]
        assert titles == [" → ".join(better), " → ".join(worse)]
