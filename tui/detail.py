"""Everything about one experiment that the panes show; read in a thread, for a big patch or a cold git takes time."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from core.errors import LabError, PatchError, WorkspaceError
from core.models import Experiment, PatchVersion, Review, Run, RunState
from core.store.reader import Reader
from core.text import log_lines

if TYPE_CHECKING:  # imported inside the functions: together a third of what the first paint may take
    from core.guards import Finding
    from core.patches import Patch

FAILED = (RunState.CRASHED, RunState.DIVERGED, RunState.TIMEOUT, RunState.VOID)
USUAL = ("train.py",)
"""the files a patch may touch where the configuration names none"""
LOG_TAIL = 16 * 1024
"""bytes at the end of a log in which a traceback is looked for"""


class Sources(Protocol):
    """Where the text of the parent commit comes from."""

    @property
    def editable(self) -> tuple[str, ...]:
        """the files a patch may touch; patterns included"""
        ...

    def files(self, commit: str, paths: Collection[str]) -> dict[str, str]:
        """the text of those of the files that exist at a commit"""
        ...


@dataclass(frozen=True, slots=True)
class Detail:
    """One experiment, whole."""

    experiment: Experiment
    text: str = ""
    """the patch as it is stored"""
    patch: Patch | None = None
    files: Mapping[str, str] | None = None
    """the editable files and those the patch touches, at the parent commit"""
    editable: tuple[str, ...] = ()
    problem: str = ""
    """why the patch cannot be read, does not apply, or leaves the editable files"""
    findings: tuple[Finding, ...] = ()
    """what a careful reader should look at first"""
    reviews: tuple[Review, ...] = ()
    runs: tuple[Run, ...] = ()
    versions: tuple[PatchVersion, ...] = ()
    log: tuple[str, ...] = ()
    """the end of the last run's log, where it failed"""

    @property
    def hunks(self) -> int:
        return len(self.patch.hunks) if self.patch else 0


def load(reader: Reader, experiment_id: int, sources: Sources, log_of: Callable[[int], Path]) -> Detail | None:
    """Read one experiment; None when there is none of this number.

    Raises:
        StoreError: the record cannot be read.
    """
    from core.patches import parse, problems

    experiment = reader.experiment(experiment_id)
    if experiment is None:
        return None
    runs = tuple(reader.runs(experiment_id=experiment_id))
    text = (reader.patch(experiment.patch_sha256) or "") if experiment.patch_sha256 else ""
    patch: Patch | None = None
    files: Mapping[str, str] | None = None
    problem = ""
    editable: tuple[str, ...] = ()
    try:
        patch = parse(text, may_create=True, may_delete=True) if text else None
        editable = sources.editable
        wanted = {path for path in editable if "*" not in path and "?" not in path}
        wanted |= {file.path for file in patch.files} if patch else set()
        files = sources.files(experiment.parent_commit, wanted)
    except LabError as error:
        problem = error.message
    if patch and files is not None:
        problem = " ".join(problems(patch, files, editable))
    return Detail(
        experiment=experiment,
        text=text,
        patch=patch,
        files=files,
        editable=editable,
        problem=problem,
        findings=_findings(patch, files, editable),
        reviews=tuple(reader.reviews(experiment_id)),
        runs=runs,
        versions=tuple(reader.patch_versions(experiment_id)),
        log=tail(log_of(runs[-1].id)) if runs and runs[-1].state in FAILED else (),
    )


def _findings(patch: Patch | None, files: Mapping[str, str] | None, editable: Collection[str]) -> tuple[Finding, ...]:
    if patch is None or files is None:
        return ()
    from core.guards import findings
    from core.patches import apply

    try:
        return findings(patch, files, apply(patch, files), editable)
    except PatchError:
        return findings(patch, files, {}, editable)


def blocked(detail: Detail, champion: str | None) -> str:
    """Why the patch as it stands cannot run; the engine's own remarks block only where it does not fit the champion."""
    shown = detail.experiment
    if shown.problem and champion is not None and shown.parent_commit != champion:
        return shown.problem
    return detail.problem


def left_over(detail: Detail, kept: Collection[int]) -> str:
    """Why the hunks that are left cannot run as they are; empty when they can."""
    if detail.patch is None or detail.files is None:
        return ""
    from core.patches import problems, select

    try:
        rest = select(detail.patch, kept)
    except PatchError as error:
        return error.message
    return " ".join(problems(rest, detail.files, detail.editable)) if rest.files else "nothing is left of the patch"


def resulting(detail: Detail, kept: Collection[int]) -> dict[str, str]:
    """The files after the hunks that are kept; where they do not apply, the files as they are at the parent."""
    files = dict(detail.files or {})
    if detail.patch is None:
        return files
    from core.patches import apply, select

    try:
        return apply(select(detail.patch, kept), files)
    except PatchError:
        return files


def edited(detail: Detail, after: Mapping[str, str]) -> tuple[Patch, list[str]]:
    """The patch that makes these files from the parent's, and what keeps it from being run.

    Raises:
        PatchError: the texts cannot be in a patch at all.
    """
    from core.patches import diff, problems

    before = dict(detail.files or {})
    patch = diff(before, dict(after))
    return patch, problems(patch, before, detail.editable)


def tail(path: Path, limit: int = LOG_TAIL) -> tuple[str, ...]:
    """The last lines of a log, safe to show; empty where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - limit))
            return tuple(log_lines(log.read(limit).decode("utf-8", errors="replace")))
    except OSError:
        return ()


def with_live(runs: Sequence[Run], live: Sequence[Run]) -> tuple[Run, ...]:
    """The runs, those that are under way as they stand now."""
    now = {run.id: run for run in live}
    return tuple(now.get(run.id, run) for run in runs)


class LabSources:
    """The lab's own repository and configuration."""

    def __init__(self, repo: Path, config: Path, *, lab: str) -> None:
        self._repo, self._config, self._lab = repo, config, lab
        self._cache: dict[tuple[str, str], str | None] = {}
        self._editable: tuple[int, tuple[str, ...]] | None = None
        """when the configuration was written, and what it said"""

    @property
    def editable(self) -> tuple[str, ...]:
        try:
            written = self._config.stat().st_mtime_ns
        except OSError:
            written = 0
        if self._editable is None or self._editable[0] != written:
            self._editable = (written, _editable(self._config))
        return self._editable[1]

    def files(self, commit: str, paths: Collection[str]) -> dict[str, str]:
        from core.workspace import Workspace

        workspace = Workspace(self._repo, lab=self._lab)
        found: dict[str, str] = {}
        for path in sorted(paths):
            if (commit, path) not in self._cache:
                if len(self._cache) > 256:
                    self._cache.clear()
                try:
                    self._cache[commit, path] = workspace.files(commit, [path])[path]
                except ImportError as error:  # GitPython's way to say that git is not installed
                    raise WorkspaceError("git cannot be started", hint="apt-get install git") from error
                except WorkspaceError as error:
                    if "exist" not in error.message:  # git's word for a path that is not there: a new file
                        raise
                    self._cache[commit, path] = None
            text = self._cache[commit, path]
            if text is not None:
                found[path] = text
        return found


def _editable(config: Path) -> tuple[str, ...]:
    """What the configuration says. The checker behind `core.config` takes longer than the first patch may: it is asked
    only where there is something to check.

    Raises:
        ConfigError: it is missing, is not TOML, or has a mistake.
    """
    try:
        target = tomllib.loads(config.read_text(encoding="utf-8")).get("target", {})
    except (OSError, ValueError):
        target = None
    if isinstance(target, dict) and "editable" not in target:
        return USUAL
    from core.config import load as load_config

    return tuple(load_config(config).target.editable)
