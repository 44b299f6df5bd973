"""A human's verdict is a review of its own: on record with its reason, in no claim, and told to whoever proposes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from core import verify
from core.lab import Lab, find
from core.models import Autonomy, Decision, Experiment, Review, State, Verdict, Via
from core.reporting import gather
from core.reporting.words import decision
from core.requests import Override
from core.researchers.claude.history import outcome
from core.store import Reader, Writer
from core.store.migrations import migrations
from tests.toy import ScriptedResearcher, engine_at_work, toy_lab, until

TOO_GOOD = ("LEVEL = 2.0", "LEVEL = 0.5")


async def settled(root: Path) -> tuple[Experiment, list[Review]]:
    """A suspect result that a person keeps."""
    lab = toy_lab(root)
    async with engine_at_work(lab, ScriptedResearcher([TOO_GOOD]), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.verdict_counts()[Verdict.SUSPECT] == 1)
        engine.handle(Override(1, Verdict.KEEP, " I read every line ", seconds=41.5, actor="ada", via=Via.CLI))
        experiment = store.experiment(1)
        assert experiment is not None
        return experiment, store.reviews(1)


async def test_an_override_is_a_review_with_its_verdict_reason_and_time(tmp_path: Path) -> None:
    experiment, reviews = await settled(tmp_path)
    assert [review.decision for review in reviews] == [Decision.APPROVE, Decision.OVERRIDE]
    made = reviews[-1]
    assert (made.verdict, made.reason, made.actor, made.via, made.seconds) == (
        Verdict.KEEP, "I read every line", "ada", Via.CLI, 41.5,
    )  # fmt: skip
    assert made.patch_sha256 == experiment.patch_sha256
    assert made.approved_sha256 is None
    assert experiment.overridden_by == "ada"
    assert outcome(experiment, reviews).startswith("keep (by ada)")


async def test_a_report_shows_it_among_the_decisions_and_claims_nothing_from_it(tmp_path: Path) -> None:
    await settled(tmp_path)
    lab = toy_lab_at(tmp_path)
    report = gather(lab, Reader(lab.database), now=0.0)
    assert [decision(decided) for decided in report.decided] == ["approved", "settled by hand: keep"]
    assert report.claim.by_hand == 1
    assert report.claim.keeps == 0
    assert sum(agreement.judged for agreement in report.agreements) == 0
    assert not [agreement for agreement in report.agreements if not agreement.by_policy]


async def test_verify_finds_a_verdict_by_hand_that_nobody_gave(tmp_path: Path) -> None:
    await settled(tmp_path)
    lab = toy_lab_at(tmp_path)
    assert verify.problems(lab) == []
    with sqlite3.connect(lab.database) as db:
        db.execute("UPDATE reviews SET verdict = 'void' WHERE decision = 'override'")
    assert "#1 is keep, but a person made it void" in verify.problems(lab)
    with sqlite3.connect(lab.database) as db:
        db.execute("DELETE FROM reviews WHERE decision = 'override'")
    assert "#1 has a verdict by hand, but no review says so" in verify.problems(lab)


def test_a_verdict_by_hand_of_an_older_lab_gets_its_review(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    old = Database(path)
    migrations().apply(old, stop_before="m002_overrides_and_manifests")
    old.execute("INSERT INTO patches VALUES (?, 'diff', 1, 1, 0.0)", ["a" * 64])
    old.execute(
        "INSERT INTO experiments (id, state, title, author, parent_commit, patch_sha256, verdict, verdict_reason, "
        "overridden_by, created_at, judged_at) VALUES (1, 'judged', 't', 'x', 'p', ?, 'keep', 'by hand: why', 'ada', "
        "1.0, 2.0)",
        ["a" * 64],
    )
    old.execute("PRAGMA user_version=1")
    old.conn.commit()
    old.close()
    store = Writer(path)
    (review,) = store.reviews(1)
    assert (review.decision, review.verdict, review.actor) == (Decision.OVERRIDE, Verdict.KEEP, "ada")
    assert store.experiments(State.JUDGED)[0].overridden_by == "ada"
    store.close()


def toy_lab_at(root: Path) -> Lab:
    """The lab that `settled` made."""
    return find(root / "lab")
