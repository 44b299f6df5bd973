"""A researcher's search-and-replace edits, and what to tell it when one does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from core.errors import PatchError
from core.models import Edit

COMPARED = 300
"""characters of a line by which it is looked for: comparing takes the square of them"""


def from_edits(files: Mapping[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """The new content of each file the edits change, applied in order; PatchError tells a model all that fails."""
    changed: dict[str, str] = {}
    wrong: list[str] = []
    for number, edit in enumerate(edits, 1):
        text = changed.get(edit.path, files.get(edit.path))
        reason = f"there is no such file; files: {', '.join(sorted(files))}" if text is None else ""
        reason = reason or ("`search` is empty" if not edit.search else "")
        reason = reason or ("`search` and `replace` are the same" if edit.search == edit.replace else "")
        if text is not None and not reason:
            places = _places(text, edit.search)
            if len(places) == 1:
                changed[edit.path] = text[: places[0]] + edit.replace + text[places[0] + len(edit.search) :]
            elif places:
                where = ", ".join(str(text.count("\n", 0, place) + 1) for place in places[:10])
                reason = f"`search` occurs {len(places)} times (lines {where}); add lines around it until it is unique"
            else:
                reason = f"`search` does not occur; {_difference(text, edit.search)}"
        if reason:
            wrong.append(f"edit {number} ({edit.path}): {reason}")
    if wrong or not edits:
        message = "\n".join([f"{len(wrong)} of {len(edits)} edits do not apply:", *wrong]) if edits else "No edits."
        raise PatchError(message, hint="Each `search` must be copied exactly from the file and occur once.")
    return changed


def _places(text: str, search: str) -> list[int]:
    places, at = [], text.find(search)
    while at >= 0:
        places.append(at)
        at = text.find(search, at + 1)
    return places


def _difference(text: str, search: str) -> str:
    """Where the text comes nearest to `search`, and the first line that is not the same."""
    have, want = text.split("\n"), search.split("\n")
    bare = [line.strip() for line in have]
    matcher = difflib.SequenceMatcher(None, bare, [line.strip() for line in want])
    match = max(matcher.get_matching_blocks(), key=lambda block: sum(map(len, bare[block.a : block.a + block.size])))
    if not any(bare[match.a : match.a + match.size]):
        near = nearest(have, max(want, key=len))
        return f"the nearest line is {near}: {have[near - 1]!r}" if near else "nothing in the file is like it"
    start = match.a - match.b
    for offset, line in enumerate(want):
        theirs = have[start + offset] if 0 <= start + offset < len(have) else "(end of file)"
        if theirs != line and not (offset in (0, len(want) - 1) and line in theirs):
            kind = "indentation or spaces differ" if theirs.split() == line.split() else "they differ"
            where = f"the nearest place is line {start + 1}, but there line {start + offset + 1}"
            return f"{where} is {theirs[:200]!r} and `search` has {line[:200]!r} ({kind})"
    return f"the nearest place is line {start + 1}; the two differ at the ends of lines"


def nearest(lines: Sequence[str], wanted: str) -> int:
    """The number, from 1, of the line most like the wanted one; 0 when none is."""
    bare = [line.strip()[:COMPARED] for line in lines]
    close = difflib.get_close_matches(wanted.strip()[:COMPARED], dict.fromkeys(bare), 1, 0.5)
    return bare.index(close[0]) + 1 if close else 0
