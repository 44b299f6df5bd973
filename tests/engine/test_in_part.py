"""Approving some hunks of a patch: what is trained is exactly that, and the record says so. Real git, real runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import patches, verify
from core.engine.engine import Engine
from core.errors import Refused
from core.models import Decision, Proposal, State, Verdict
from core.requests import Approve, Undo
from core.researchers.base import Say, Situation
from tests.toy import TRAIN, engine_at_work, toy_lab, until

WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
REMARK = ("    for step in", "    # slowly\n    for step in")
EXIT = ("sys.exit(3)", "sys.exit(4)")


class ThreePlaces:
    """Proposes one patch that changes three places far from each other: a worse level, a comment, an exit code."""

    name = "scripted"

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        if situation.history:
            return None
        text = situation.files["train.py"].replace(*WORSE).replace(*REMARK).replace(*EXIT)
        return Proposal("three", "they help", "because", "toy", {"train.py": text}, self.name, key="0")


async def waiting(engine: Engine) -> tuple[str, patches.Patch]:
    """The sha256 of the patch that waits, and the patch."""
    store = engine.bench.store
    await until(store.queue)
    sha256 = store.experiment(1).patch_sha256 or ""  # type: ignore[union-attr]
    return sha256, patches.parse(store.patch(sha256) or "")


async def test_a_patch_approved_in_part_trains_exactly_that_part(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path)
    async with engine_at_work(lab, ThreePlaces()) as engine:
        store, git = engine.bench.store, engine.bench.workspace
        sha256, patch = await waiting(engine)
        assert len(patch.hunks) == 3
        answer = engine.handle(Approve(1, sha256, hunks_kept=(1, 2), hunks_seen=(0, 1), seconds=4.0, reason="not it"))
        await until(lambda: store.verdict_counts()[Verdict.DISCARD])
        experiment, review = store.experiment(1), store.reviews(1)[0]
        assert experiment is not None
        assert experiment.commit_sha is not None
        trained = git.files(experiment.commit_sha, ["train.py"])["train.py"]
        wanted = TRAIN.replace(*REMARK).replace(*EXIT)
        assert trained == wanted != TRAIN
        (run,) = store.runs(experiment_id=1)
        assert run.commit_sha == experiment.commit_sha == git.experiment_ref(1)
        assert (lab.run_directory(run.id) / "src" / "train.py").read_text() == wanted
        assert experiment.verdict_reason.startswith("exactly the champion's metric")  # the worse level was left out
        assert git.diff(experiment.parent_commit, experiment.commit_sha).count("@@ -") == 2

        assert review.decision == answer["decision"] == Decision.APPROVE_EDITED
        assert review.in_part
        assert (review.hunks_kept, review.hunks_seen, review.seconds) == ((1, 2), (0, 1), 4.0)
        assert review.patch_sha256 == sha256 != review.approved_sha256 == experiment.patch_sha256
        assert patches.select(patch, (1, 2)).sha256 == review.approved_sha256
        assert [version.source for version in store.patch_versions(1)] == ["proposed", "selected"]
    assert verify.problems(lab) == []


async def test_every_hunk_kept_is_the_patch_as_it_was_proposed(tmp_path: Path) -> None:
    async with engine_at_work(toy_lab(tmp_path), ThreePlaces()) as engine:
        sha256, _ = await waiting(engine)
        answer = engine.handle(Approve(1, sha256, hunks_kept=(2, 0, 1)))
        assert answer["decision"] == Decision.APPROVE
        review = engine.bench.store.reviews(1)[0]
        assert review.approved_sha256 == review.patch_sha256 == sha256
        assert not review.in_part
        assert [version.source for version in engine.bench.store.patch_versions(1)] == ["proposed"]


@pytest.mark.parametrize(
    ("kept", "words"),
    [((), "every hunk is switched out"), ((0, 7), "no hunk 8; it has 3"), ((-1, 0), "no hunk 0")],
)
async def test_a_selection_that_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, kept: tuple[int, ...], words: str
) -> None:
    async with engine_at_work(toy_lab(tmp_path), ThreePlaces()) as engine:
        store = engine.bench.store
        sha256, _ = await waiting(engine)
        before = store.experiment(1)
        with pytest.raises(Refused, match=words):
            engine.handle(Approve(1, sha256, hunks_kept=kept))
        assert store.experiment(1) == before
        assert store.reviews(1) == []
        assert [version.source for version in store.patch_versions(1)] == ["proposed"]


async def test_hunks_are_not_switched_out_of_an_edited_patch(tmp_path: Path) -> None:
    async with engine_at_work(toy_lab(tmp_path), ThreePlaces()) as engine:
        sha256, patch = await waiting(engine)
        with pytest.raises(Refused, match="an edited patch is taken whole"):
            engine.handle(Approve(1, sha256, edited=patch.text, hunks_kept=(0,)))


async def test_an_approval_in_part_that_is_taken_back_leaves_the_whole_patch_waiting(tmp_path: Path) -> None:
    async with engine_at_work(toy_lab(tmp_path, undo_seconds=600.0), ThreePlaces()) as engine:
        store = engine.bench.store
        sha256, _ = await waiting(engine)
        whole = store.experiment(1)
        engine.handle(Approve(1, sha256, hunks_kept=(0,)))
        engine.handle(Undo(1))
        experiment = store.experiment(1)
        assert experiment is not None
        assert (experiment.state, experiment.patch_sha256) == (State.PROPOSED, sha256)
        assert experiment == whole
        assert store.reviews(1)[0].undone_at is not None
        engine.handle(Approve(1, sha256, hunks_kept=(0, 1)))
        assert store.reviews(1)[1].hunks_kept == (0, 1)
