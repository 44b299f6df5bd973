"""What the model may look at: every tool but `propose`. All of it is read through a reader of its own.

Every answer is data: cut to a length, control characters made visible, between marks it cannot contain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.errors import LabError
from core.lab import Lab
from core.models import CHAMPION_PURPOSES, Experiment, Purpose, Run, RunState, Verdict
from core.researchers.base import Situation
from core.researchers.claude import forms
from core.researchers.claude.digest import digest
from core.researchers.claude.history import DIGITS, interval, line
from core.researchers.claude.query import QueryError, select
from core.researchers.claude.shelf import Shelf, Unreadable
from core.researchers.claude.words import fenced, quoted
from core.store import Reader
from core.text import log_lines, number, one_line, signed

LONGEST = 12_000
"""characters of one answer"""
FILE_LIMIT = 60_000
LISTED, FOLDER = 40, 200
"""names of files in a complaint, and in a folder"""
COMPARABLE = (*CHAMPION_PURPOSES, Purpose.CANDIDATE)
"""not an audit, whose score no researcher sees, nor a run at another scale"""
LOG_BYTES, LOG_LINES, LOG_CHARACTERS = 32_768, 50, 4_000


class Wrong(Exception):
    """The tool cannot do that; the words are for the model."""


class Desk:
    """The record and the files, opened for one question."""

    def __init__(
        self,
        lab: Lab,
        reader: Reader,
        situation: Situation,
        shelf: Shelf,
        remember: Callable[[str], None],
    ) -> None:
        self.lab = lab
        self.reader = reader
        self.situation = situation
        self.shelf = shelf
        self.remember = remember

    async def use(self, form: forms.Form) -> str:
        """A tool's answer.

        Raises:
            Wrong: what was asked for is not there or not allowed.
        """
        match form:
            case forms.ReadFile():
                return await self._file(form)
            case forms.Experiments():
                return self._experiments(form)
            case forms.ReadExperiment():
                return self._experiment(form.id)
            case forms.Curve():
                return self._curve(form)
            case forms.Query():
                return await self._query(form.sql)
            case forms.Remember():
                self.remember(form.note)
                return "Noted."
        raise Wrong("There is no such tool.")

    async def _file(self, form: forms.ReadFile) -> str:
        if (text := self.situation.files.get(form.path)) is None:
            if form.path not in self.shelf.names:
                return self._folder(form.path)
            try:
                text = await asyncio.to_thread(self.shelf.text, form.path)
            except Unreadable as error:
                raise Wrong(str(error)) from error
            except (OSError, LabError) as error:
                raise Wrong(f"{form.path} cannot be read: {one_line(str(error), 200)}.") from error
        lines = text.splitlines(keepends=True)
        last = min(form.last_line or len(lines), len(lines))
        if form.first_line > last:
            raise Wrong(f"{form.path} has {len(lines)} lines.")
        part = "".join(lines[form.first_line - 1 : last])
        if len(part) > FILE_LIMIT:
            raise Wrong(f"That is {len(part):,} characters: read fewer lines at a time ({len(lines)} lines in all).")
        return fenced(f"{form.path}, lines {form.first_line} to {last} of {len(lines)}", part)

    def _folder(self, path: str) -> str:
        """The files of a folder that can be read."""
        mine = Shelf(tuple(self.situation.files)).folder(path)
        if not (found := [*mine, *self.shelf.folder(path)]):
            known = ", ".join([*sorted(self.situation.files), *self.shelf.names[:LISTED]])
            more = f" and {len(self.shelf.names) - LISTED} more" if len(self.shelf.names) > LISTED else ""
            problem = f" {self.shelf.problem}" if self.shelf.problem else ""
            raise Wrong(f"There is no {one_line(path, 100)} to read. There are: {known}{more}.{problem}")
        shown = "\n".join(one_line(name, 200) for name in found[:FOLDER])
        return quoted(f"{min(len(found), FOLDER)} of {len(found)} files that can be read", shown, LONGEST)

    def _experiments(self, form: forms.Experiments) -> str:
        wanted = form.words.casefold()
        found = [
            e
            for e in self.situation.history
            if (form.verdict is None or e.verdict is form.verdict)
            and (form.state is None or e.state is form.state)
            and (not form.category or e.category == form.category)
            and wanted in f"{e.title}\n{e.hypothesis}\n{e.rationale}".casefold()
        ]
        if form.sort in ("best", "worst"):
            sign = (1 if self.situation.direction == "min" else -1) * (1 if form.sort == "best" else -1)
            found = sorted((e for e in found if e.delta is not None), key=lambda e: (sign * (e.delta or 0.0), e.id))
        elif form.sort == "newest":
            found = found[::-1]
        lines = [line(e, self.situation.reviews.get(e.id, ())) for e in found[: form.limit]]
        return quoted(f"{len(lines)} of {len(found)} experiments", "\n".join(lines) or "none", LONGEST)

    def _experiment(self, experiment_id: int) -> str:
        experiment = self._existing(experiment_id)
        parts = [
            line(experiment, self.situation.reviews.get(experiment_id, ())),
            f"author {experiment.author}; expected: {experiment.expected or '–'}",
            f"hypothesis: {experiment.hypothesis}",
            f"rationale: {experiment.rationale[:3_000]}",
        ]
        for review in self.situation.reviews.get(experiment_id, ()):
            what = f"{review.decision} to {review.verdict}" if review.verdict else review.decision
            parts.append(f"{what} by {review.actor} ({review.via}): {review.reason or 'no reason given'}")
        if experiment.verdict_reason:
            parts.append(f"verdict {experiment.verdict}: {experiment.verdict_reason}")
        parts += [run_line(run) for run in self.reader.runs(experiment_id=experiment_id)]
        parts.append(self._patches(experiment))
        if experiment.verdict is Verdict.CRASHED:
            parts.append(f"the end of its output:\n{self.traceback(experiment_id)}")
        return quoted(f"experiment #{experiment_id}", "\n".join(parts), LONGEST)

    def _patches(self, experiment: Experiment) -> str:
        """The patch as it ran and, where a human changed it, the one that was proposed."""
        ran = self.reader.patch(experiment.patch_sha256 or "") or "(no patch)"
        proposed = experiment.proposed_sha256
        if proposed in (None, experiment.patch_sha256):
            return f"patch:\n{ran}"
        sources = ", ".join(version.source for version in self.reader.patch_versions(experiment.id))
        return f"patch ({sources}):\n{ran}\nas first proposed:\n{self.reader.patch(proposed or '') or ''}"

    def traceback(self, experiment_id: int) -> str:
        """The last lines an experiment's newest run wrote, without the paths of this machine."""
        runs = self.reader.runs(experiment_id=experiment_id)
        if not runs:
            return "(it never ran)"
        directory = self.lab.run_directory(runs[-1].id)
        try:
            with (directory / "stdout.log").open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - LOG_BYTES))
                text = file.read(LOG_BYTES).decode("utf-8", errors="replace")
        except OSError:
            return runs[-1].error or "(it left no output)"
        for path in (directory / "src", directory):
            text = text.replace(f"{path.resolve()}/", "").replace(f"{path}/", "")
        return "\n".join(log_lines(text)[-LOG_LINES:])[-LOG_CHARACTERS:] or runs[-1].error

    def _curve(self, form: forms.Curve) -> str:
        experiment = self._existing(form.experiment)
        runs = [run for run in self.reader.runs(experiment_id=form.experiment) if not run.is_audit]
        if not runs:
            raise Wrong(f"#{form.experiment} has not run.")
        run = next((r for r in runs if r.is_screening and r.state is RunState.FINISHED), runs[-1])
        mine = self.reader.series(run.id, form.series)
        names = self.reader.series_names(run.id)
        if not mine.step:
            raise Wrong(f"Its run logged no {one_line(form.series, 40)}; it has: {', '.join(names) or 'nothing'}.")
        theirs = self._champion_run(experiment.parent_commit, run)
        beside = self.reader.series(theirs.id, form.series) if theirs else None
        text = digest(mine, beside if beside and beside.step else None, finished=run.state is RunState.FINISHED)
        heads = [run_line(run), *([f"champion then: {run_line(theirs)}"] if theirs else [])]
        others = ", ".join(name for name in names if name != form.series)
        return quoted(f"curve of #{form.experiment}", "\n".join([*heads, text, f"other series: {others}"]), LONGEST)

    def _champion_run(self, commit: str, run: Run) -> Run | None:
        """A finished run of the champion an experiment was compared with, on the same seed where there is one."""
        same_kind = [
            r
            for r in self.reader.runs(commit_sha=commit)
            if r.state is RunState.FINISHED and r.device_class == run.device_class and r.purpose in COMPARABLE
        ]
        return next((r for r in same_kind if r.seed == run.seed), same_kind[-1] if same_kind else None)

    async def _query(self, sql: str) -> str:
        try:
            text = await asyncio.to_thread(select, self.lab.database, sql)
        except QueryError as error:
            raise Wrong(str(error)) from error
        return quoted("rows", text, LONGEST)

    def _existing(self, experiment_id: int) -> Experiment:
        found = next((e for e in self.situation.history if e.id == experiment_id), None)
        if found is None:
            raise Wrong(f"There is no experiment #{experiment_id}.")
        return found


def run_line(run: Run) -> str:
    """A run in one line."""
    result = number(run.metric, DIGITS) if run.metric is not None else (run.error or f"{run.progress:.0%} done")
    if run.is_audit:
        result = "on the hidden split, whose score is not shown"
    return f"run {run.id} ({run.purpose}, seed {run.seed}): {run.state}, {one_line(result, 300)}"


def change(experiment: Experiment) -> str:
    """An experiment's difference to the champion it was measured against."""
    return f"Δ{signed(experiment.delta, DIGITS)}{interval(experiment)}"
