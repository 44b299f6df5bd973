"""The notebook: ideas written in advance, each a real patch to nanochat's train.py. The pages are in ideas/*.toml.

A page applies when every piece of code it changes is there, once. A page that does not apply is passed over, and
says why.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from core.errors import PatchError
from core.models import Edit, Experiment, State
from core.patches import from_edits
from core.researchers.constants import find_constants, with_values, without
from core.researchers.outcomes import Change, read_key

SOURCE = "notebook"
HOME = "from nanochat.harness import"
"""what a file must contain for the notebook to speak of it: the constants of another script mean other things"""
CHAPTERS = ("schedules", "architecture", "simpler")
"""files beside findings.toml, which comes first; a page of each is tried in turn"""


@dataclass(frozen=True, slots=True)
class Idea:
    """One page."""

    slug: str
    """its name in keys; never changed, never used again"""
    title: str
    category: str
    hypothesis: str
    known: str
    """what is known about it, where that was reported, and what speaks against it here"""
    scaling: str
    """what to expect of it at a larger depth"""
    expected: str
    numbers: Mapping[str, tuple[float, float]]
    """constant -> (the value it must have now, the new one)"""
    removes: tuple[str, ...]
    """constants whose lines go"""
    edits: tuple[tuple[str, str], ...]
    """(search, replace); each search must occur exactly once in the file"""


@dataclass(frozen=True, slots=True)
class Page:
    """An idea, ready to be proposed for the files as they are now."""

    idea: Idea
    files: dict[str, str]
    """path -> new content"""
    key: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An idea that does not apply now."""

    idea: Idea
    reason: str


def notebook() -> list[Idea]:
    """All ideas, in the order in which they are tried."""
    folder = Path(__file__).parent / "ideas"
    in_turn = zip_longest(*(_chapter(folder / f"{name}.toml") for name in CHAPTERS))
    return [*_chapter(folder / "findings.toml"), *(idea for row in in_turn for idea in row if idea is not None)]


def _chapter(path: Path) -> list[Idea]:
    return [_idea(page) for page in tomllib.loads(path.read_text(encoding="utf-8"))["idea"]]


def _idea(page: Mapping[str, Any]) -> Idea:
    text = {
        name: " ".join(page[name].split())
        for name in ("slug", "title", "category", "hypothesis", "known", "scaling", "expected")
    }
    numbers = {name: (float(was), float(to)) for name, (was, to) in page.get("numbers", {}).items()}
    edits = tuple((edit["search"], edit["replace"]) for edit in page.get("edit", ()))
    return Idea(**text, numbers=numbers, removes=tuple(page.get("removes", ())), edits=edits)


def pages(
    ideas: Sequence[Idea], files: Mapping[str, str], history: Sequence[Experiment], champion: str
) -> Iterator[Page | Skipped]:
    """The ideas nobody proposed yet, in order, each applied to the files or with the reason why it cannot be."""
    used = used_slugs(history, champion)
    return (opened(idea, files) for idea in ideas if idea.slug not in used)


def used_slugs(history: Sequence[Experiment], champion: str) -> set[str]:
    """Ideas that had their turn. One that became invalid because the champion moved on gets one more."""
    used: set[str] = set()
    invalid: dict[str, list[str]] = {}
    for experiment in history:
        found = read_key(experiment.key)
        slug = found.get("idea")
        if found.get("source") != SOURCE or not isinstance(slug, str):
            continue
        if experiment.state is State.INVALID:
            invalid.setdefault(slug, []).append(experiment.parent_commit)
        else:
            used.add(slug)
    return used | {slug for slug, parents in invalid.items() if len(parents) > 1 or champion in parents}


def opened(idea: Idea, files: Mapping[str, str]) -> Page | Skipped:
    """The idea applied to the one file it fits, or why it fits none."""
    reasons = []
    for path in sorted(files):
        if HOME not in files[path]:
            continue
        try:
            content = apply_idea(idea, path, files[path])
        except PatchError as error:
            reasons.append(error.message)
            continue
        if content != files[path]:
            return Page(idea, {path: content}, key_of(idea, path))
    return Skipped(idea, "; ".join(reasons) or "the notebook is about nanochat's train.py")


def key_of(idea: Idea, path: str) -> str:
    """The experiment's key. Where an idea is new numbers and nothing else, the search learns from its outcome too."""
    if not idea.numbers or idea.edits or idea.removes:
        return json.dumps({"source": SOURCE, "idea": idea.slug}, separators=(",", ":"))
    before = {name: was for name, (was, _) in idea.numbers.items()}
    after = {name: to for name, (_, to) in idea.numbers.items()}
    return Change(path, before, after).key(SOURCE, idea=idea.slug)


def apply_idea(idea: Idea, path: str, content: str) -> str:
    """The file with the idea in it.

    Raises:
        PatchError: a piece of code it changes is not there once, or a constant has another value by now.
    """
    for search, _ in idea.edits:
        count = content.count(search)
        line = search.strip().partition("\n")[0]
        if count == 0:
            raise PatchError(f"{path} no longer has: {line}")
        if count > 1:
            raise PatchError(f"{path} has {count} times, not once: {line}")
    constants = {c.name: c for c in find_constants({path: content})} if idea.numbers else {}
    for name, (was, _) in idea.numbers.items():
        if name not in constants:
            raise PatchError(f"{path} has no constant {name}")
        if constants[name].value != was:
            raise PatchError(f"{name} is {constants[name].text} by now, the idea was written for {was:g}")
    content = with_values(content, {constants[name]: to for name, (_, to) in idea.numbers.items()})
    for name in idea.removes:
        content = without(content, name)
    if idea.edits:
        edits = [Edit(path, search, replace) for search, replace in idea.edits]
        content = from_edits({path: content}, edits)[path]
    return content
