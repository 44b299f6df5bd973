"""Re-derives what can be re-derived of a lab's record, and names what contradicts: rows, patches, refs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from core.errors import LabError
from core.lab import Lab
from core.models import LIVE_RUNS, Decision, RunState, State, Verdict
from core.store import Reader
from core.workspace import Workspace


def problems(lab: Lab) -> list[str]:
    """Everything that is wrong with a lab's record; empty when it is whole. Changes nothing."""
    reader = Reader(lab.database)
    try:
        found = reader.quick_check()
        if found != "ok":
            return [f"lab.db is damaged: {found}"]
        return [*_tables(reader), *_patches(reader), *_experiments(reader), *_runs(reader), *_git(reader, lab)]
    finally:
        reader.close()


def _tables(reader: Reader) -> Iterator[str]:
    if count := reader.foreign_key_problems():
        yield f"{count} rows point to rows that do not exist"
    if (gap := reader.events_missing()) > 0:
        yield f"{gap} entries of the journal are missing"


def _patches(reader: Reader) -> Iterator[str]:
    for sha256, body in reader.patches():
        if hashlib.sha256(body.encode()).hexdigest() != sha256:
            yield f"patch {sha256[:12]} has another content than its hash says"


def _experiments(reader: Reader) -> Iterator[str]:
    kept = {champion.experiment_id for champion in reader.champions()}
    reviews: dict[int, list[Decision]] = {}
    approved: dict[int, str | None] = {}
    for review in reader.reviews():
        if review.undone_at is None:
            reviews.setdefault(review.experiment_id, []).append(review.decision)
            approved[review.experiment_id] = review.approved_sha256
    for e in reader.experiments():
        decisions = reviews.get(e.id, [])
        if e.state in (State.APPROVED, State.RUNNING, State.JUDGED):
            if not decisions or decisions[-1] not in (Decision.APPROVE, Decision.APPROVE_EDITED):
                yield f"#{e.id} is {e.state}, but nobody approved it"
            versions = {v.sha256: v.source for v in reader.patch_versions(e.id)}
            if approved.get(e.id) != e.patch_sha256 and versions.get(e.patch_sha256 or "") != "rebased":
                yield f"#{e.id} is {e.state} with another patch than the approved one"
        if e.state == State.VETOED and (not decisions or decisions[-1] != Decision.VETO):
            yield f"#{e.id} is vetoed without a veto"
        if e.state in (State.RUNNING, State.JUDGED) and e.commit_sha is None:
            yield f"#{e.id} is {e.state} without a commit"
        if e.verdict == Verdict.KEEP and e.id not in kept:
            yield f"#{e.id} is kept, but never became the champion"
    for champion in reader.champions():
        if champion.experiment_id is None:
            continue
        experiment = reader.experiment(champion.experiment_id)
        if experiment is None or experiment.commit_sha != champion.commit_sha:
            yield f"champion {champion.seq} names another commit than #{champion.experiment_id}"


def _runs(reader: Reader) -> Iterator[str]:
    by_device: dict[str, int] = {}
    for run in reader.runs():
        if run.state in LIVE_RUNS:
            if run.device in by_device:
                yield f"runs {by_device[run.device]} and {run.id} are both live on {run.device}"
            by_device[run.device] = run.id
        if run.state == RunState.FINISHED and (run.metric is None or not math.isfinite(run.metric)):
            yield f"run {run.id} finished without a metric"
        if run.experiment_id is not None:
            experiment = reader.experiment(run.experiment_id)
            if experiment is not None and experiment.state in (State.PROPOSED, State.VETOED, State.REVISING):
                moved = experiment.commit_sha != run.commit_sha
                if not moved and run.state in LIVE_RUNS:
                    yield f"run {run.id} is live, but #{run.experiment_id} is {experiment.state}"


def _git(reader: Reader, lab: Lab) -> Iterator[str]:
    workspace = Workspace(lab.repo, lab=lab.name)
    try:
        refs = workspace.experiment_refs()
        head = workspace.head()
    except LabError as error:
        yield error.message
        return
    for e in reader.experiments():
        if e.commit_sha is not None and refs.get(e.id) != e.commit_sha:
            there = (refs.get(e.id) or "missing")[:12]
            yield f"refs/autoresearch/{e.id} is {there}, the record says {e.commit_sha[:12]}"
    champion = reader.champion()
    if champion is not None and head != champion.commit_sha:
        yield f"the champion branch is at {(head or 'nothing')[:12]}, the record says {champion.commit_sha[:12]}"
    yield from workspace.problems()
