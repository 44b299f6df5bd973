"""A patch as a value: files, their hunks, and the one text that says the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.errors import PatchError
from core.text import invisible, one_line

SIZE_LIMIT = 1_000_000
"""characters of a patch that are still read"""
MAKE_IT_WITH_GIT = "Make the patch with `git diff` against the parent commit."
NO_NEWLINE = "\\ No newline at end of file"


@dataclass(frozen=True, slots=True)
class Hunk:
    """One changed place; `lines` carry their marker: space, `-`, `+`, or the backslash of `NO_NEWLINE`."""

    index: int
    """position among all hunks of the patch"""
    path: str
    old_start: int
    old_count: int
    new_start: int
    new_count: int
    section: str
    """what the header says after the second @@"""
    lines: tuple[str, ...]

    @property
    def header(self) -> str:
        def span(start: int, count: int) -> str:
            return f"{start}" if count == 1 else f"{start},{count}"

        old, new = span(self.old_start, self.old_count), span(self.new_start, self.new_count)
        return f"@@ -{old} +{new} @@ {self.section}".rstrip(" ")

    @property
    def first(self) -> int:
        """Index of the first old line, from 0; for a pure insertion the line it is put before."""
        return self.old_start - (self.old_count > 0)

    @property
    def before(self) -> list[str]:
        """The old lines, context included, with their line ends."""
        return self._side("+")

    @property
    def after(self) -> list[str]:
        """The new lines, context included, with their line ends."""
        return self._side("-")

    @property
    def added_lines(self) -> list[tuple[int, str]]:
        """Number in the new file and text of each added line."""
        added, number = [], self.new_start - (self.new_count > 0)
        for line in self.lines:
            number += line[0] in " +"
            if line[0] == "+":
                added.append((number, line[1:]))
        return added

    def _side(self, other: str) -> list[str]:
        side: list[str] = []
        ours = False
        for line in self.lines:
            if line[0] != "\\":
                ours = line[0] != other
                side += [f"{line[1:]}\n"] if ours else []
            elif ours:
                side[-1] = side[-1][:-1]
        return side


@dataclass(frozen=True, slots=True)
class FilePatch:
    """The hunks of one file, in order."""

    path: str
    hunks: tuple[Hunk, ...]
    created: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of text files."""

    files: tuple[FilePatch, ...]

    @property
    def hunks(self) -> tuple[Hunk, ...]:
        return tuple(hunk for file in self.files for hunk in file.hunks)

    @property
    def added(self) -> int:
        return sum(line[0] == "+" for hunk in self.hunks for line in hunk.lines)

    @property
    def removed(self) -> int:
        return sum(line[0] == "-" for hunk in self.hunks for line in hunk.lines)

    @property
    def text(self) -> str:
        """The unified diff as git takes it; empty for a patch that changes nothing."""
        out: list[str] = []
        for file in self.files:
            out.append(f"diff --git a/{file.path} b/{file.path}")
            if file.created or file.deleted:
                out.append(f"{'new' if file.created else 'deleted'} file mode 100644")
            if file.hunks:
                out.append("--- /dev/null" if file.created else f"--- a/{file.path}")
                out.append("+++ /dev/null" if file.deleted else f"+++ b/{file.path}")
            for hunk in file.hunks:
                out += [hunk.header, *hunk.lines]
        return "\n".join([*out, ""]) if out else ""

    @property
    def sha256(self) -> str:
        """What a review names."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def numbered(files: Iterable[FilePatch]) -> Patch:
    """The files with hunks counted through, each starting where the ones before it leave it in the new file."""
    index, numbered = 0, []
    for file in files:
        shift, hunks = 0, []
        for hunk in file.hunks:
            new_start = hunk.first + shift + (hunk.new_count > 0)
            hunks.append(replace(hunk, index=index, new_start=new_start))
            shift += hunk.new_count - hunk.old_count
            index += 1
        numbered.append(replace(file, hunks=tuple(hunks)))
    return Patch(tuple(numbered))


def split_lines(text: str) -> list[str]:
    """Split after each newline and nowhere else: `\\r`, form feeds and U+2028 belong to the line."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def check_path(path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts) or path[1:2] == ":":
        raise PatchError(f"The patch names {one_line(path, 80)!r}, which is no path inside the repository.")
    if any(part.rstrip(" .").lower() in (".git", "git~1") for part in parts):
        raise PatchError(f"The patch reaches into git's own directory: {one_line(path, 80)}.")
    if '"' in path or "\n" in path or "\t" in path or path != path.strip() or invisible(path):
        raise PatchError(f"The path {one_line(path, 80)!r} has characters that are not allowed.")


def check_content(what: str, text: str) -> None:
    if "\0" in text:
        raise PatchError(f"{what} holds a NUL byte.", hint="Only text files may be changed.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PatchError(f"{what} holds half a character (a lone surrogate).", hint="Write valid UTF-8.") from error
