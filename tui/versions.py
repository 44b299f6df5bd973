"""How an experiment's patch became what it is: its versions in pairs, and what changed in each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from core.errors import PatchError
from core.models import PatchVersion, Review
from core.store.reader import Reader
from core.text import one_line
from tui.detail import Sources

if TYPE_CHECKING:
    from core.patches import Patch

SOURCES = {
    "proposed": "as proposed",
    "edited": "edited by hand",
    "revised": "revised by the researcher",
    "selected": "without some hunks",
    "rebased": "carried over to a new champion",
}


@dataclass(frozen=True, slots=True)
class Step:
    """Two versions of one patch, the older one first."""

    before: PatchVersion
    after: PatchVersion
    why: str = ""
    """what a reviewer said about the older one"""

    @property
    def words(self) -> str:
        return f"version {self.before.version} ({source(self.before)}) → {self.after.version} ({source(self.after)})"


@dataclass(frozen=True, slots=True)
class History:
    """All versions of one patch."""

    experiment_id: int
    title: str = ""
    steps: tuple[Step, ...] = ()
    """each version against the one before it, oldest first; with three or more also the last against the first"""
    bodies: Mapping[str, str] | None = None
    """patch text by sha256"""
    files: Mapping[str, str] | None = None
    """the files the versions touch, at the commit the last one is made for"""


def source(version: PatchVersion) -> str:
    return SOURCES.get(version.source, one_line(version.source, 20))


def steps(versions: Sequence[PatchVersion], reviews: Sequence[Review]) -> tuple[Step, ...]:
    """The pairs that are worth a look; none for a patch with one version."""

    def said(version: PatchVersion) -> str:
        about = [r.reason for r in reviews if r.patch_sha256 == version.sha256 and r.reason and r.undone_at is None]
        return about[-1] if about else ""

    pairs = [Step(a, b, said(a)) for a, b in pairwise(versions) if a.sha256 != b.sha256]
    if len(pairs) > 1 and versions[0].sha256 != versions[-1].sha256:
        pairs.append(Step(versions[0], versions[-1]))
    return tuple(pairs)


def read(reader: Reader, experiment_id: int, sources: Sources) -> History:
    """The versions of one experiment's patch.

    Raises:
        StoreError: the record cannot be read.
        WorkspaceError: git cannot be read.
    """
    experiment = reader.experiment(experiment_id)
    if experiment is None:
        return History(experiment_id)
    found = steps(reader.patch_versions(experiment_id), reader.reviews(experiment_id))
    wanted = {version.sha256 for step in found for version in (step.before, step.after)}
    bodies = {sha256: reader.patch(sha256) or "" for sha256 in wanted}
    paths = {path for body in bodies.values() for path in _touched(body)}
    return History(experiment_id, experiment.title, found, bodies, sources.files(experiment.parent_commit, paths))


def _touched(body: str) -> set[str]:
    from core.patches import parse

    try:
        return {file.path for file in parse(body, may_create=True, may_delete=True).files}
    except PatchError:
        return set()  # `between` says so when it is looked at


def between(history: History, step: Step) -> tuple[Patch, Mapping[str, str], str]:
    """What changed from one version to the next: a patch, the files it is made against, and what must be said of it.

    A version that was made for another champion and does not apply to this one cannot be compared line by line; then
    it is the newer version's own patch.

    Raises:
        PatchError: the newer version cannot be read.
    """
    from core.patches import apply, diff, parse

    bodies, files = history.bodies or {}, dict(history.files or {})
    newer = parse(bodies[step.after.sha256], may_create=True, may_delete=True)
    try:
        older = parse(bodies[step.before.sha256], may_create=True, may_delete=True)
        before, after = {**files, **apply(older, files)}, {**files, **apply(newer, files)}
    except PatchError:
        return (
            newer,
            files,
            f"version {step.before.version} was made for another champion: this is all of the newer one",
        )
    gone = {path: None for path in before if path not in after}
    return diff(before, {**after, **gone}), before, ""
