"""Whether a proposal is nearly one that a human vetoed: by its code, or by what it says. Pure.

A patch is reduced to its marks: changed lines without comments and spacing, numbers left out. A line in which only
numbers changed is marked with the way each went, so that a smaller step of a vetoed change is the same idea and a step
the other way is not. The same idea in other code is known by its words, which is less sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.errors import PatchError
from core.models import Decision, Experiment, Review, State
from core.patches import Hunk, Patch, parse
from core.researchers.claude.likeness import ALIKE, Meaning, likeness, meaning, names_of, rarity, stems

SAME = 0.75
"""share of marks in common from which two patches count as one idea"""
REMEMBERED = 500
"""vetoes that are looked through"""
TEXTS = 500
"""experiments, the newest, that say which words are rare here"""
NUMBER = re.compile(r"(?<![\w.])\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?")
COMMENT = re.compile(r"\s*#.*$")


@dataclass(frozen=True, slots=True)
class Vetoed:
    """An idea a human does not want."""

    experiment: int
    title: str
    reason: str
    actor: str
    marks: frozenset[str]
    meaning: Meaning


def marks(patch: Patch) -> frozenset[str]:
    """What a patch does, apart from how far it goes."""
    found: set[str] = set()
    for hunk in patch.hunks:
        removed, added = _changes(hunk)
        for old, new in _pairs(removed, added):
            found.add(f"{hunk.path}: {_ways(old, new)}")
            removed.remove(old)
            added.remove(new)
        found |= {f"{hunk.path}: -{_bare(line)}" for line in removed if _bare(line)}
        found |= {f"{hunk.path}: +{_bare(line)}" for line in added if _bare(line)}
    return frozenset(found)


def vetoed_ideas(
    history: Sequence[Experiment], reviews: Mapping[int, Sequence[Review]], body: Callable[[str], str | None]
) -> Iterator[Vetoed]:
    """The ideas humans vetoed, newest first; `body` finds a patch by its hash."""
    vetoed = [e for e in history if e.state is State.VETOED and e.patch_sha256]
    for experiment in reversed(vetoed[-REMEMBERED:]):
        text = body(experiment.patch_sha256 or "")
        veto = next((r for r in reversed(reviews.get(experiment.id, ())) if r.decision is Decision.VETO), None)
        try:
            if text is not None and veto is not None:
                patch = parse(text)
                told = meaning(experiment.title, experiment.hypothesis, patch)
                yield Vetoed(experiment.id, experiment.title, veto.reason, veto.actor, marks(patch), told)
        except PatchError:  # recorded by an older program that read patches differently
            continue


def near_repeat(patch: Patch, vetoed: Iterable[Vetoed]) -> Vetoed | None:
    """The vetoed idea this patch is nearly the same as."""
    mine = marks(patch)
    for idea in vetoed:
        if mine and idea.marks and len(mine & idea.marks) >= SAME * len(mine | idea.marks):
            return idea
    return None


def resembling(
    mine: Meaning, patch: Patch, vetoed: Iterable[Vetoed], history: Sequence[Experiment], files: Mapping[str, str]
) -> Vetoed | None:
    """The vetoed idea that says most nearly the same, if any comes near; `history` and `files` tell what is rare.

    The same numbers moved the other way are the opposite, whatever the words.
    """
    mark = marks(patch)
    word = rarity(stems(f"{e.title} {e.hypothesis}") for e in history[-TEXTS:])
    name = rarity(names_of(files))
    scored = [
        (likeness(mine, idea.meaning, word=word, name=name), idea)
        for idea in vetoed
        if mark == idea.marks or _wayless(mark) != _wayless(idea.marks)
    ]
    best = max(scored, key=lambda pair: pair[0], default=None)
    return best[1] if best is not None and best[0] >= ALIKE else None


def _changes(hunk: Hunk) -> tuple[list[str], list[str]]:
    """Removed and added lines of a hunk, bare of comments; lines that are there on both sides only moved."""
    removed = [COMMENT.sub("", line[1:]).strip() for line in hunk.lines if line[0] == "-"]
    added = [COMMENT.sub("", line[1:]).strip() for line in hunk.lines if line[0] == "+"]
    for line in list(removed):
        if line in added:
            removed.remove(line)
            added.remove(line)
    return removed, added


def _pairs(removed: Sequence[str], added: Sequence[str]) -> list[tuple[str, str]]:
    """Lines that differ in their numbers only."""
    left, pairs = list(added), []
    for old in removed:
        new = next((line for line in left if NUMBER.search(line) and _bare(line) == _bare(old)), None)
        if new is not None:
            left.remove(new)
            pairs.append((old, new))
    return pairs


def _ways(old: str, new: str) -> str:
    """`LR = 0.02` → `LR = 0.03` is `LR=↑`."""
    numbers = zip(NUMBER.findall(old), NUMBER.findall(new), strict=False)
    ways = iter(["↑" if _value(b) > _value(a) else "↓" if _value(b) < _value(a) else "=" for a, b in numbers])
    return "".join(NUMBER.sub(lambda _: next(ways, "="), new).split())


def _wayless(found: frozenset[str]) -> frozenset[str]:
    return frozenset(re.sub("[↑↓]", "↕", mark) for mark in found)


def _value(text: str) -> float:
    return float(text.replace("_", ""))


def _bare(line: str) -> str:
    return "".join(NUMBER.sub("#", line).split())
