"""Carries a patch to another parent than it was made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from diff_match_patch import diff_match_patch

from core.errors import PatchError
from core.patches.applying import apply, blocks
from core.patches.checking import syntax_problem
from core.patches.making import Change, diff, line_changes
from core.patches.model import FilePatch, Hunk, Patch, split_lines


@dataclass(frozen=True, slots=True)
class Rebased:
    """A patch carried to another parent; `fuzzy` when a place was only found by likeness, so a person must look."""

    patch: Patch
    fuzzy: bool


def rebase(patch: Patch, onto_files: Mapping[str, str], base_files: Mapping[str, str]) -> Rebased:
    """The same change against other files than it was made for.

    Lines that moved, or whose neighbours changed at a line's distance, are carried exactly, as a merge would. A hunk
    that touches what changed is placed by likeness, which counts only if every piece found its place and the result
    parses; then `fuzzy` is set. PatchError when it has no place.
    """
    patched = apply(patch, base_files)
    after: dict[str, str | None] = {}
    fuzzy = False
    for file in patch.files:
        if file.created and file.path not in onto_files:
            after[file.path] = "".join(line for hunk in file.hunks for line in hunk.after)
        elif file.created or file.path not in onto_files:
            state = "exists by now" if file.created else "is gone by now"
            raise PatchError(f"The patch cannot be rebased: {file.path} {state}.", hint="Ask for the idea again.")
        elif file.deleted:
            if onto_files[file.path] != base_files[file.path]:
                raise PatchError(f"The patch deletes {file.path}, which has changed since.")
            after[file.path] = None
        else:
            base, onto = base_files[file.path], onto_files[file.path]
            merged = _merged(base, patched[file.path], onto)
            sound = merged is not None and not syntax_problem(file.path, merged)
            text, loose = (merged, False) if merged is not None and sound else _carried(file, base, onto)
            after[file.path] = text
            fuzzy |= loose
    result = diff(onto_files, after)
    if not result.files:
        raise PatchError("Nothing is left of the patch: the change is already there.", hint="Veto the experiment.")
    return Rebased(result, fuzzy)


def _merged(base_text: str, patched_text: str, onto_text: str) -> str | None:
    """Both sides' changes together; None where two of them touch."""
    base, patched, lines = split_lines(base_text), split_lines(patched_text), split_lines(onto_text)
    theirs = line_changes(base, lines)
    shift = 0
    for i1, i2, j1, j2 in line_changes(base, patched):
        if any(k1 <= i2 and k2 >= i1 for k1, k2, _, _ in theirs):
            return None
        at = i1 + shift + sum((l2 - l1) - (k2 - k1) for k1, k2, l1, l2 in theirs if k2 < i1)
        lines[at : at + i2 - i1] = patched[j1:j2]
        shift += (j2 - j1) - (i2 - i1)
    return "".join(lines)


def _carried(file: FilePatch, base_text: str, onto_text: str) -> tuple[str, bool]:
    base, lines = split_lines(base_text), split_lines(onto_text)
    changes = line_changes(base, lines)
    placed: list[tuple[int, Hunk]] = []
    loose: list[Hunk] = []
    there = False
    for hunk in file.hunks:
        before = hunk.before
        place = _moved(changes, hunk.first, len(before))
        found = blocks(lines, before)
        if place is not None and lines[place : place + len(before)] == before:
            placed.append((place, hunk))
        elif len(found) == 1:
            placed.append((found[0], hunk))
        elif blocks(lines, hunk.after):
            there = True  # someone else's kept change did the same
        else:
            loose.append(hunk)
    placed.sort(key=lambda item: item[0])
    if any(at + one.old_count > then for (at, one), (then, _) in pairwise(placed)):
        raise PatchError(f"The hunks of the patch overlap in the new {file.path}.", hint="Ask for the idea again.")
    for place, hunk in reversed(placed):
        lines[place : place + hunk.old_count] = hunk.after
    text = "".join(lines)
    for hunk in reversed(loose):
        text = _placed_by_likeness(hunk, base, line_changes(base, split_lines(text)), text)
    if loose and (problem := syntax_problem(file.path, text)):
        raise PatchError(
            f"The patch only fits {file.path} loosely, and then {problem}.", hint="Ask for the idea again."
        )
    return text, bool(loose) or there


def _moved(changes: Sequence[Change], first: int, count: int) -> int | None:
    """Where a block of lines is after the changes; None when they cut into it."""
    shift = 0
    for i1, i2, j1, j2 in changes:
        if i1 < first + count and i2 > first:
            return None
        if i2 <= first:
            shift += (j2 - j1) - (i2 - i1)
    return first + shift


def _placed_by_likeness(hunk: Hunk, base: Sequence[str], changes: Sequence[Change], text: str) -> str:
    finder = diff_match_patch()
    finder.Diff_Timeout, finder.Match_Threshold, finder.Patch_DeleteThreshold = 0.5, 0.35, 0.3
    before = hunk.before
    head, tail = "".join(base[: hunk.first]), "".join(base[hunk.first + len(before) :])
    pieces = finder.diff_main("".join(before), "".join(hunk.after))
    finder.diff_cleanupSemantic(pieces)
    patches = finder.patch_make([(0, head), *pieces, (0, tail)])
    earlier = [change for change in changes if change[0] < hunk.first]
    start = hunk.first + sum((j2 - j1) - (i2 - i1) for i1, i2, j1, j2 in earlier)
    offset = len("".join(split_lines(text)[: max(0, start)])) - len(head)
    for piece in patches:
        piece.start1 += offset
        piece.start2 += offset
    placed, applied = finder.patch_apply(patches, text)
    leaked = any(char in placed and char not in text for char in "\1\2\3\4")  # the library's padding
    if not all(applied) or leaked:
        raise PatchError(
            f"Hunk {hunk.index + 1} of the patch no longer fits {hunk.path}: the lines around it have changed.",
            hint="Ask for the idea again, or edit the patch.",
        )
    return str(placed)
