"""All findings of a patch, from its files, its size, its syntax and its characters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from core.guards.rules import MASK_WORDS, SHELL, STRINGS, Kind, Level, Rule
from core.guards.sightings import Sighting, sightings
from core.patches import Hunk, Patch, is_editable, python_tree
from core.text import invisible, one_line

LARGE, VERY_LARGE = 150, 400
"""changed lines from which a patch is called large, and hard to review"""
ENDLESS = 500
"""characters from which nobody reads an added line to its end unasked"""
_MASK_WORD = re.compile(rf"\b(?:{'|'.join(MASK_WORDS)})\b")
_WORST_FIRST = (Level.DANGER, Level.CAUTION, Level.NOTE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at; `line` is the number in the new file, `hunk` the index in the patch."""

    kind: Kind
    path: str
    hunk: int | None
    line: int | None
    word: str
    """what was seen, safe to show"""
    why: str
    level: Level


def findings(
    patch: Patch, files_before: Mapping[str, str], files_after: Mapping[str, str], editable: Collection[str]
) -> tuple[Finding, ...]:
    """Everything worth a second look, the worst first, then in the order of the patch."""
    found = [*_of_files(patch, editable), *_of_size(patch)]
    for file in patch.files:
        added = {line: (text, hunk) for hunk in file.hunks for line, text in hunk.added_lines}
        texts = {line: text for line, (text, _) in added.items()}
        for rule, line, word in (
            *_seen(file.path, texts, files_before.get(file.path, ""), files_after.get(file.path)),
            *_hidden_characters(texts),
            *_endless(texts),
        ):
            found.append(_finding(rule, file.path, added[line][1].index, line, word))
        found += [finding for hunk in file.hunks for finding in _of_lost_masks(hunk)]
    unique: dict[object, Finding] = {}
    for item in found:
        unique.setdefault((item.kind, item.path, item.line, item.word), item)
    order = sorted(unique.values(), key=lambda item: (_WORST_FIRST.index(item.level), item.hunk or 0, item.line or 0))
    return tuple(order)


def _finding(rule: Rule, path: str, hunk: int | None, line: int | None, word: str) -> Finding:
    return Finding(rule.kind, path, hunk, line, one_line(word, 60), rule.why, rule.level)


def _of_files(patch: Patch, editable: Collection[str]) -> Iterator[Finding]:
    for file in patch.files:
        hunk, line = (file.hunks[0].index, file.hunks[0].new_start) if file.hunks else (None, None)
        if not is_editable(file.path, editable):
            frozen = Rule(Kind.FILES, Level.DANGER, "is not one of the files that may be edited")
            yield _finding(frozen, file.path, hunk, line, file.path)
        if file.created or file.deleted:
            rule = Rule(Kind.FILES, Level.CAUTION, f"is {'created' if file.created else 'deleted'}")
            yield _finding(rule, file.path, hunk, line, file.path)


def _of_size(patch: Patch) -> Iterator[Finding]:
    lines = patch.added + patch.removed
    if lines >= LARGE:
        level = Level.CAUTION if lines >= VERY_LARGE else Level.NOTE
        rule = Rule(Kind.SIZE, level, "is much to review at once; one idea a patch")
        yield _finding(rule, patch.files[0].path, None, None, f"{lines} lines")


def _seen(path: str, added: Mapping[int, str], before: str, after: str | None) -> Iterator[Sighting]:
    """What stands on added lines, by the syntax tree; by patterns where there is none, as in a patch that is stale."""
    if path.endswith(".py") and after is not None:
        try:
            tree = python_tree(after)
        except SyntaxError:
            pass
        else:
            yield from sightings(before, tree, added.keys())
            return
    text = "\n".join(added.values())
    likely = [(pattern, rule) for pattern, rule in (*STRINGS, *SHELL) if re.search(pattern, text, re.MULTILINE)]
    for line, text in added.items() if likely else ():
        for pattern, rule in likely:
            if match := re.search(pattern, text):
                yield Sighting(rule, line, match.group())


def _hidden_characters(added: Mapping[int, str]) -> Iterator[Sighting]:
    for line, text in added.items():
        for item in invisible(text)[:3]:
            variant = "\ufe00" <= item.char <= "\ufe0f"  # how an emoji is drawn
            rule = Rule(Kind.INVISIBLE, Level.CAUTION if variant else Level.DANGER, "cannot be seen, or moves the text")
            yield Sighting(rule, line, item.name)


def _endless(added: Mapping[int, str]) -> Iterator[Sighting]:
    rule = Rule(Kind.SIZE, Level.CAUTION, "are one line: read it to its end")
    for line, text in added.items():
        if len(text) > ENDLESS:
            yield Sighting(rule, line, f"{len(text):,} characters")


def _of_lost_masks(hunk: Hunk) -> Iterator[Finding]:
    """A mask can go without a line being added."""

    def words(marker: str) -> Counter[str]:
        code = (line[1:].split("#")[0] for line in hunk.lines if line[0] == marker)
        return Counter(word for line in code for word in _MASK_WORD.findall(line))

    rule = Rule(Kind.CAUSALITY, Level.CAUTION, "is taken away here: later tokens may become visible")
    lost = words("-")
    for word in lost - words("+") if lost else ():
        yield _finding(rule, hunk.path, hunk.index, hunk.new_start, word)
