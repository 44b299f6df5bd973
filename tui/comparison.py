"""Experiments beside each other: the runs to overlay, the constants and numbers that differ, the code.

Read in a thread: git takes its time.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import LabError
from core.models import Experiment, Run, RunState
from core.store.reader import Reader
from core.text import bytes_text, duration, number, one_line
from tui.detail import Sources
from tui.snapshot import PURPOSES

LETTERS = "ABCDEF"
DRAWN = (RunState.FINISHED, RunState.RUNNING, RunState.STARTING, RunState.DIVERGED, RunState.CRASHED, RunState.TIMEOUT)
"""runs that may have a curve worth looking at; of equals the later in this order gives way"""


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared: an experiment, or the unchanged code."""

    experiment: Experiment | None
    commit: str
    """what its runs trained; empty while nobody approved it"""
    runs: tuple[Run, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """the editable files as they were trained"""

    @property
    def name(self) -> str:
        return f"#{self.experiment.id}" if self.experiment else "baseline"

    @property
    def title(self) -> str:
        return self.experiment.title if self.experiment else "the unchanged code"

    def run(self, seed: int | None) -> Run | None:
        """The run to look at: the one on this seed, else the newest that finished, else the newest."""
        best = sorted(self.runs, key=lambda run: (run.seed == seed, -DRAWN.index(run.state), run.id))
        return best[-1] if best else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the Compare screen shows."""

    sides: tuple[Side, ...] = ()
    """what the others are compared with first"""
    problem: str = ""
    """why the code cannot be read"""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that all of them ran on: on the same seed runs differ the least."""
        own = [{run.seed for run in side.runs} for side in self.sides if side.runs]
        return tuple(sorted(set.intersection(*own))) if own else ()

    @property
    def experiments(self) -> frozenset[int]:
        return frozenset(side.experiment.id for side in self.sides if side.experiment)


def compare(reader: Reader, numbers: Sequence[int], sources: Sources) -> Comparison:
    """Read these experiments; one alone is put beside the champion it was proposed on.

    Raises:
        StoreError: the record cannot be read.
    """
    found = [e for n in sorted(dict.fromkeys(numbers))[: len(LETTERS)] if (e := reader.experiment(n)) is not None]
    sides = [Side(e, e.commit_sha or "", _runs_of(reader, e)) for e in found]
    if len(found) == 1:
        sides.insert(0, _parent(reader, found[0]))
    problem = ""
    for index, side in enumerate(sides):
        try:
            files = _files(reader, side, sources)
        except LabError as error:
            problem = problem or error.message
            continue
        sides[index] = Side(side.experiment, side.commit, side.runs, files)
    return Comparison(tuple(sides), problem)


def _runs_of(reader: Reader, experiment: Experiment) -> tuple[Run, ...]:
    runs = [run for run in reader.runs(experiment_id=experiment.id) if run.state in DRAWN and not run.is_audit]
    return tuple(run for run in runs if run.commit_sha == experiment.commit_sha) or tuple(runs)


def _parent(reader: Reader, experiment: Experiment) -> Side:
    """The champion an experiment was proposed on: with its own runs, before there are any those it was kept by."""
    commit = experiment.parent_commit
    kept = next((c.experiment_id for c in reversed(reader.champions()) if c.commit_sha == commit), None)
    runs = [r for r in reader.runs(commit_sha=commit) if r.state in DRAWN and not r.is_audit]
    own = [run for run in runs if run.experiment_id is None]
    return Side(reader.experiment(kept) if kept else None, commit, tuple(own or runs))


def _files(reader: Reader, side: Side, sources: Sources) -> dict[str, str]:
    """The editable files; of a proposal nobody approved yet, with its patch applied."""
    paths = {path for path in sources.editable if not set("*?") & set(path)}
    if side.commit:
        return sources.files(side.commit, paths)
    from core.patches import apply, parse

    shown = side.experiment
    text = (reader.patch(shown.patch_sha256) or "") if shown and shown.patch_sha256 else ""
    if shown is None or not text:
        return {}
    patch = parse(text, may_create=True, may_delete=True)
    return dict(apply(patch, sources.files(shown.parent_commit, paths | {file.path for file in patch.files})))


# ---- constants -----------------------------------------------------------------------------------------------------


def constants_of(files: Mapping[str, str]) -> dict[str, str]:
    """Module-level `UPPER_CASE = value` of the Python files: name -> value as written."""
    from core.patches import python_tree

    found: dict[str, str] = {}
    scripts = sorted(path for path in files if path.endswith(".py"))
    for path in scripts:
        try:
            for node in python_tree(files[path]).body:
                for name, value in _assigned(node):
                    found[name if len(scripts) == 1 else f"{path}: {name}"] = ast.unparse(value)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return found


def _assigned(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper():
            return [(name, value)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name.isupper():
            return [(name, value)]
    return []


Row = tuple[str, tuple[str, ...]]
"""a name, and what each side has there"""


def differing(sides: Sequence[Side]) -> tuple[list[Row], int]:
    """The constants that are not the same on all sides, and how many are."""
    own = [constants_of(side.files) for side in sides]
    names = list(dict.fromkeys(name for constants in own for name in constants))
    rows = [(name, tuple(constants.get(name, "") for constants in own)) for name in names]
    different = [row for row in rows if len(set(row[1])) > 1]
    return different, len(rows) - len(different)


# ---- numbers of the runs -------------------------------------------------------------------------------------------


def _deep(run: Run, *path: str) -> float | None:
    """A number somewhere in a run's detail, which is written by training code."""
    value: Any = run.detail
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(value: float | None) -> str:
    return number(value, 0)


def _per_second(run: Run) -> float | None:
    tokens, seconds = (
        _deep(run, "train", "tokens"),
        _deep(run, "train", "train_seconds") or _deep(run, "seconds", "train"),
    )
    return tokens / seconds if tokens is not None and seconds else None


MEASURES: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("seed", lambda run: str(run.seed)),
    ("run", lambda run: f"{run.id} {PURPOSES[run.purpose]}"),
    ("ended", lambda run: str(run.state)),
    ("steps", lambda run: _count(_deep(run, "train", "steps"))),
    ("tokens", lambda run: _count(tokens_of(run))),
    ("tokens/s", lambda run: _count(_per_second(run))),
    ("parameters", lambda run: _count(_deep(run, "train", "parameters") or _deep(run, "result", "parameters"))),
    ("peak memory", lambda run: bytes_text(_deep(run, "train", "peak_memory_bytes"))),
    ("training", lambda run: duration(_deep(run, "train", "train_seconds") or _deep(run, "seconds", "train"))),
    ("evaluation", lambda run: duration(_deep(run, "seconds", "evaluate"))),
    ("device", lambda run: one_line(run.device_class, 24)),
)


def tokens_of(run: Run) -> float | None:
    """Tokens a run was trained on."""
    found = _deep(run, "train", "tokens")
    return found if found is not None else _deep(run, "tokens")


def measured(runs: Sequence[Run | None], metric: str) -> list[Row]:
    """Numbers of the runs; those that no run has are left out."""
    score: tuple[str, Callable[[Run], str]] = (one_line(metric, 16), lambda run: number(run.metric))
    measures = (score, *MEASURES)
    rows = [(name, tuple(read(run) if run else "–" for run in runs)) for name, read in measures]
    return [(name, values) for name, values in rows if any(value != "–" for value in values)]
