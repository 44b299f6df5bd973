"""Re-derives what can be re-derived of a lab's record, and names what contradicts: rows, patches, refs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

from core.errors import LabError
from core.lab import Lab
from core.manifest import Manifest
from core.models import Decision, Run, RunState, State, Verdict
from core.store import Reader
from core.workspace import Workspace


def problems(lab: Lab) -> list[str]:
    """Everything that is wrong with a lab's record; empty when it is whole. Changes nothing."""
    reader = Reader(lab.database)
    try:
        found = reader.quick_check()
        if found != "ok":
            return [f"lab.db is damaged: {found}"]
        return [*_tables(reader), *_patches(reader), *_experiments(reader), *_runs(reader, lab), *_git(reader, lab)]
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
    settled: dict[int, Verdict | None] = {}
    for review in reader.reviews():
        if review.decision == Decision.OVERRIDE:
            settled[review.experiment_id] = review.verdict
        elif review.undone_at is None:
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
        if e.overridden_by is not None and e.id not in settled:
            yield f"#{e.id} has a verdict by hand, but no review says so"
        if e.id in settled and (e.overridden_by is None or e.verdict != settled[e.id]):
            yield f"#{e.id} is {e.verdict}, but a person made it {settled[e.id]}"
        if e.verdict == Verdict.KEEP and e.id not in kept:
            yield f"#{e.id} is kept, but never became the champion"
    for champion in reader.champions():
        if champion.experiment_id is None:
            continue
        experiment = reader.experiment(champion.experiment_id)
        if experiment is None or experiment.commit_sha != champion.commit_sha:
            yield f"champion {champion.seq} names another commit than #{champion.experiment_id}"


def _runs(reader: Reader, lab: Lab) -> Iterator[str]:
    by_device: dict[str, Run] = {}
    for run in reader.runs():
        if run.is_live:
            other = by_device.get(run.device)
            # one may stand ready while the other is evaluated
            if other is not None and (other.phase != "evaluating" or run.state != RunState.STARTING):
                yield f"runs {other.id} and {run.id} are both live on {run.device}"
            by_device[run.device] = run
        if run.state == RunState.FINISHED and (run.metric is None or not math.isfinite(run.metric)):
            yield f"run {run.id} finished without a metric"
        parts = _parts(lab.run_directory(run.id) / "manifest.json") if run.manifest else None
        if parts is not None and Manifest(parts).sha256 != run.manifest:
            yield f"run {run.id} has another manifest.json than the one it was recorded with"
        if run.experiment_id is not None:
            experiment = reader.experiment(run.experiment_id)
            if experiment is not None and experiment.state in (State.PROPOSED, State.VETOED, State.REVISING):
                moved = experiment.commit_sha != run.commit_sha
                if not moved and run.is_live:
                    yield f"run {run.id} is live, but #{run.experiment_id} is {experiment.state}"


def _parts(path: Path) -> dict[str, str] | None:
    """The manifest beside a run; None where it was cleared away."""
    try:
        parts = json.loads(path.read_bytes())["parts"]
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        return {}
    return parts if isinstance(parts, dict) else {}


def _git(reader: Reader, lab: Lab) -> Iterator[str]:
    workspace = Workspace(lab.repo, lab=lab.name)
    try:
        refs, parents = workspace.experiment_refs(), workspace.experiment_parents()
        head = workspace.head()
    except LabError as error:
        yield error.message
        return
    for e in reader.experiments():
        if e.commit_sha is not None and refs.get(e.id) != e.commit_sha:
            there = (refs.get(e.id) or "missing")[:12]
            yield f"refs/autoresearch/{e.id} is {there}, the record says {e.commit_sha[:12]}"
        elif e.commit_sha is not None and parents.get(e.id) != e.parent_commit:
            there = (parents.get(e.id) or "nothing")[:12]
            yield f"#{e.id} was committed on {there}, the record says on {e.parent_commit[:12]}"
    champion = reader.champion()
    if head is None and champion is not None:  # renamed since: the branch of its new name is made when it is opened
        under_old_names = (workspace.ref("refs/heads/autoresearch/*") or "").split()
        head = champion.commit_sha if champion.commit_sha in under_old_names else None
    if champion is not None and head != champion.commit_sha:
        yield f"the champion branch is at {(head or 'nothing')[:12]}, the record says {champion.commit_sha[:12]}"
    yield from workspace.problems()
