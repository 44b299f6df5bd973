"""Makes the patch between two versions of files."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from core.patches.model import NO_NEWLINE, FilePatch, Hunk, Patch, check_content, check_path, numbered, split_lines

_DEFINITION = re.compile(r"[ \t]*(?:class|(?:async[ \t]+)?def)[ \t]")


def diff(before: Mapping[str, str], after: Mapping[str, str | None], context: int = 3) -> Patch:
    """The patch from one set of files to another; a path that `after` does not name is unchanged, None deletes it."""
    files = []
    for path, text in sorted(after.items()):
        if before.get(path) == text:
            continue
        check_path(path)
        check_content(path, text or "")
        old, new = split_lines(before.get(path, "")), split_lines(text or "")
        hunks = tuple(_hunks(path, old, new, context))
        files.append(FilePatch(path, hunks, created=path not in before, deleted=text is None))
    return numbered(files)


QUADRATIC = 1_000
"""lines up to which a part without anchors is compared line by line; above, it could take a hostile file minutes"""
Change = tuple[int, int, int, int]
"""old lines [0]:[1] became new lines [2]:[3]"""


def line_changes(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """What differs, in order. Lines that occur once on both sides are the anchors (patience diff)."""
    equal: list[tuple[int, int, int]] = []
    waiting = [(0, len(old), 0, len(new))]
    while waiting:
        i1, i2, j1, j2 = waiting.pop()
        head, most = 0, min(i2 - i1, j2 - j1)
        while head < most and old[i1 + head] == new[j1 + head]:
            head += 1
        tail = 0
        while tail < most - head and old[i2 - 1 - tail] == new[j2 - 1 - tail]:
            tail += 1
        equal += [(i1, j1, head), (i2 - tail, j2 - tail, tail)]
        i1, i2, j1, j2 = i1 + head, i2 - tail, j1 + head, j2 - tail
        part, size = (i1, i2, j1, j2), i2 - i1 + j2 - j1
        anchors = _anchors(old, new, part) or (_anchors(old, new, part, 64) if size > QUADRATIC else [])
        if anchors:
            for (a1, b1), (a2, b2) in pairwise([(i1 - 1, j1 - 1), *anchors, (i2, j2)]):
                waiting.append((a1 + 1, a2, b1 + 1, b2))
            equal += [(a, b, 1) for a, b in anchors]
        elif i1 < i2 and j1 < j2 and size <= QUADRATIC:
            matcher = difflib.SequenceMatcher(None, old[i1:i2], new[j1:j2])
            equal += [(i1 + block.a, j1 + block.b, block.size) for block in matcher.get_matching_blocks()]

    changes, i, j = [], 0, 0
    for a, b, size in sorted((*equal, (len(old), len(new), 0))):
        if a > i or b > j:
            changes.append((i, a, j, b))
        i, j = a + size, b + size
    return _slid(changes, old, new)


def _anchors(old: Sequence[str], new: Sequence[str], part: Change, often: int = 1) -> list[tuple[int, int]]:
    """The longest rising run of pairs of lines that occur equally often in both parts, and at most so often."""
    i1, i2, j1, j2 = part
    here, there = Counter(old[i1:i2]), Counter(new[j1:j2])
    places: dict[str, list[int]] = {}
    for j in range(j2 - 1, j1 - 1, -1):
        if here[new[j]] == there[new[j]] <= often:
            places.setdefault(new[j], []).append(j)
    pairs = [(i, places[old[i]].pop()) for i in range(i1, i2) if old[i] in places]
    ends: list[int] = []  # by length of a run: the least last line in `new`
    runs: list[int] = []  # index in pairs of that run's last
    before: list[int | None] = []
    for index, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(runs[length - 1] if length else None)
        ends[length : length + 1], runs[length : length + 1] = [j], [index]
    chain: list[tuple[int, int]] = []
    at = runs[-1] if runs else None
    while at is not None:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]


def _slid(changes: list[Change], old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """Moves an insertion or deletion between equal lines to where a person would put it: at the `def`, not inside."""
    slid: list[Change] = []
    for index, (i1, i2, j1, j2) in enumerate(changes):
        lines, lo, hi = (new, j1, j2) if i1 == i2 else (old, i1, i2)
        best = 0
        if i1 == i2 or j1 == j2:
            floor = (slid[-1][3] if i1 == i2 else slid[-1][1]) + 1 if slid else 0
            after = changes[index + 1] if index + 1 < len(changes) else (len(old) + 1, 0, len(new) + 1, 0)
            ceiling = (after[2] if i1 == i2 else after[0]) - 1
            up = 0
            while lo + up > floor and lines[lo + up - 1] == lines[hi + up - 1]:
                up -= 1
            down = 0
            while hi + down < ceiling and lines[lo + down] == lines[hi + down]:
                down += 1
            best = min(range(up, down + 1), key=lambda by: (_depth(lines[lo + by]), by != 0, -by))
        slid.append((i1 + best, i2 + best, j1 + best, j2 + best))
    return slid


def _depth(line: str) -> int:
    """How deep a line is nested; a blank line is the last place to begin."""
    return len(line) - len(line.lstrip()) if line.strip() else 1_000


def _hunks(path: str, old: list[str], new: list[str], context: int) -> Iterable[Hunk]:
    group: list[Change] = []
    header, read = "", 0
    for change in [*line_changes(old, new), None]:
        if change and (not group or change[0] - group[-1][1] <= 2 * context):
            group.append(change)
            continue
        if group:
            start, end = max(0, group[0][0] - context), min(len(old), group[-1][1] + context)
            new_start, new_end = group[0][2] - (group[0][0] - start), group[-1][3] + (end - group[-1][1])
            lines, at = [], start
            for i1, i2, j1, j2 in group:
                lines += _marked(" ", old[at:i1]) + _marked("-", old[i1:i2]) + _marked("+", new[j1:j2])
                at = i2
            lines += _marked(" ", old[at:end])
            header = next((line for line in reversed(old[read:start]) if _DEFINITION.match(line)), header)
            read = start
            count = end - start
            yield Hunk(
                index=0, path=path, old_start=start + (count > 0), old_count=count, new_start=0,
                new_count=new_end - new_start, section=header.strip()[:80].rstrip(), lines=tuple(lines),
            )  # fmt: skip
        group = [change] if change else []


def _marked(marker: str, lines: Sequence[str]) -> list[str]:
    marked: list[str] = []
    for line in lines:
        marked += [marker + line[:-1]] if line[-1] == "\n" else [marker + line, NO_NEWLINE]
    return marked
