"""Applies a patch exactly where it says, and switches hunks out of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from core.errors import PatchError
from core.patches.edits import nearest
from core.patches.model import MAKE_IT_WITH_GIT, Hunk, Patch, numbered, split_lines
from core.text import one_line


def apply(patch: Patch, files: Mapping[str, str]) -> dict[str, str]:
    """All the files with the patch applied exactly where it says; PatchError names the hunk and the nearest lines."""
    result = dict(files)
    for file in patch.files:
        if file.created == (file.path in files):
            state = "already exists" if file.created else f"is not there; files: {', '.join(sorted(files))}"
            raise PatchError(f"The patch {'creates' if file.created else 'changes'} {file.path}, which {state}.")
        lines = split_lines(files.get(file.path, ""))
        out: list[str] = []
        at = 0
        for hunk in file.hunks:
            before = hunk.before
            if hunk.first < at or hunk.first > len(lines) or lines[hunk.first : hunk.first + len(before)] != before:
                raise _misfit(hunk, lines)
            out += lines[at : hunk.first] + hunk.after
            at = hunk.first + len(before)
        out += lines[at:]
        if any(line[-1] != "\n" for line in out[:-1]) or (file.deleted and out):
            raise PatchError(f"The patch ends {file.path} in the middle: lines follow its last hunk.")
        if file.deleted:
            del result[file.path]
        else:
            result[file.path] = "".join(out)
    return result


def _misfit(hunk: Hunk, lines: Sequence[str]) -> PatchError:
    before = hunk.before
    there = lines[hunk.first : hunk.first + len(before)]
    offset = next((n for n, (a, b) in enumerate(zip(before, there, strict=False)) if a != b), len(there))
    wanted = before[offset] if offset < len(before) else ""
    found = repr(one_line(there[offset], 80)) if offset < len(there) else "the end of the file"
    elsewhere = [at + 1 for at in blocks(lines, before)]
    if elsewhere:
        hint = f"The same lines are at line {elsewhere[0]}: rebase the patch."
    else:
        near = nearest(lines, wanted) if wanted.strip() else 0
        hint = f"The nearest is line {near}: {one_line(lines[near - 1], 80)!r}." if near else MAKE_IT_WITH_GIT
    if wanted and wanted.rstrip("\r\n") == "".join(there[offset : offset + 1]).rstrip("\r\n"):
        hint = "Only the line end differs (Windows line ends, or no newline at the end of the file)."
    return PatchError(
        f"Hunk {hunk.index + 1} of the patch does not apply to {hunk.path}, line {hunk.first + offset + 1}: "
        f"it expects {one_line(wanted, 80)!r} and finds {found}.",
        hint=hint,
    )


def blocks(lines: Sequence[str], block: Sequence[str]) -> list[int]:
    """Where the block of lines occurs."""
    if not block:
        return []
    size, first = len(block), block[0]
    return [at for at, line in enumerate(lines) if line == first and list(lines[at : at + size]) == list(block)]


def select(patch: Patch, kept: Collection[int]) -> Patch:
    """The patch with only these hunks (indices across files), renumbered so that it applies on its own."""
    unknown = sorted(set(kept) - {hunk.index for hunk in patch.hunks})
    if unknown:
        raise PatchError(f"The patch has no hunk {unknown[0] + 1}; it has {len(patch.hunks)}.")
    files = []
    for file in patch.files:
        hunks = tuple(hunk for hunk in file.hunks if hunk.index in kept)
        if hunks or not file.hunks:
            files.append(replace(file, hunks=hunks, deleted=file.deleted and len(hunks) == len(file.hunks)))
    return numbered(files)
