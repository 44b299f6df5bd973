"""Reads a unified diff. Whatever is not a plain change of text files is refused here, with its line."""

from __future__ import annotations

import re

from core.errors import PatchError
from core.patches.model import (
    MAKE_IT_WITH_GIT,
    NO_NEWLINE,
    SIZE_LIMIT,
    FilePatch,
    Hunk,
    Patch,
    check_content,
    check_path,
    numbered,
)
from core.text import one_line

_HUNK_HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")


def parse(text: str, *, may_create: bool = False, may_delete: bool = False) -> Patch:
    """The patch a unified diff says; PatchError names the line that is wrong or not allowed."""
    if len(text) > SIZE_LIMIT:
        raise PatchError(f"The patch is larger than {SIZE_LIMIT:,} characters.", hint="Propose a smaller change.")
    check_content("The patch", text)
    reader = _Reader(text)
    patch = reader.read()
    for file in patch.files:
        if file.created and not may_create:
            raise PatchError(f"The patch creates {file.path}.", hint="Only files that exist may be changed.")
        if file.deleted and not may_delete:
            raise PatchError(f"The patch deletes {file.path}.", hint="Only the text of files may be changed.")
    return patch


class _Reader:
    """Walks the lines of a diff; holds the file it is in."""

    def __init__(self, text: str) -> None:
        if re.search(r"^--- .*\r$", text, re.MULTILINE):
            text = text.replace("\r\n", "\n")  # the whole patch went through a Windows editor
        self.lines = text.removesuffix("\n").split("\n")
        self.at = 0
        self.files: list[FilePatch] = []
        self.path: str | None = None
        self.hunks: list[Hunk] = []
        self.created = self.deleted = self.named = False

    def read(self) -> Patch:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.rstrip() == "--" and self.path:  # the signature under `git format-patch`
                break
            self.at += 1
            if line.startswith("diff --git "):
                self._close()
                self.path = self._header_path(line)
            elif line.startswith("--- ") and self._next().startswith("+++ "):
                self._names(line, self._next())
            elif line.startswith("@@ "):
                self._hunk(line)
            elif self.path is not None and line:
                self._extended(line)
        self._close()
        if not self.files:
            raise PatchError("There is no diff in the patch.", hint=MAKE_IT_WITH_GIT)
        return numbered(self.files)

    def _next(self) -> str:
        return self.lines[self.at] if self.at < len(self.lines) else ""

    def _wrong(self, what: str, hint: str = MAKE_IT_WITH_GIT) -> PatchError:
        return PatchError(f"Line {self.at} of the patch {what}.", hint=hint)

    def _close(self) -> None:
        if self.path is None:
            return
        if not self.hunks and not self.created and not self.deleted:
            raise self._wrong(f"ends {self.path}, but no hunk was given for it")
        if any(file.path == self.path for file in self.files):
            raise self._wrong(f"ends a second part for {self.path}")
        check_path(self.path)
        self.files.append(FilePatch(self.path, tuple(self.hunks), self.created, self.deleted))
        self.path, self.hunks = None, []
        self.created = self.deleted = self.named = False

    def _header_path(self, line: str) -> str:
        names = line.removeprefix("diff --git ")
        if names.startswith('"'):
            names = " ".join(_unquoted(name) for name in re.findall(r'"(?:\\.|[^"\\])*"', names))
        half = len(names) // 2  # the same name twice, also where it holds spaces
        old, new = names[:half], names[half + 1 :]
        if old[2:] == new[2:] and (old[1:2], new[1:2]) == ("/", "/"):
            return old[2:]
        if old == new and old:
            return old
        raise self._wrong("names two different files", "Renames and copies are not allowed.")

    def _names(self, old: str, new: str) -> None:
        self.at += 1
        if self.named or self.hunks or self.path is None:
            self._close()
        old, new = (_unquoted(name[4:].split("\t")[0]) for name in (old, new))
        self.created, self.deleted = old == "/dev/null", new == "/dev/null"
        if self.created or self.deleted:
            name = new if self.created else old
            path = name[2:] if name[1:2] == "/" else name
        elif old == new and (self.path is None or self.path == old):
            path = old
        elif old[2:] == new[2:] and (old[1:2], new[1:2]) == ("/", "/"):
            path = old[2:]
        else:
            raise self._wrong(f"renames {old} to {new}", "Renames and copies are not allowed.")
        if self.path not in (None, path):
            raise self._wrong(f"names {path}, the header above it names {self.path}")
        self.path, self.named = path, True

    def _extended(self, line: str) -> None:
        word = line.split(" ")[0]
        if re.search(r"\b(120000|160000)$", line):
            raise self._wrong(f"makes {self.path} a symlink or a submodule", "Only text files may be changed.")
        if self.hunks or self.named:
            raise self._wrong("lies outside the line counts of its hunk")
        if line.startswith(("new file mode 100644", "deleted file mode ")):
            self.created, self.deleted = word == "new", word == "deleted"
        elif "mode" in line.split(" ")[1:3]:
            raise self._wrong(f"changes the mode of {self.path}", "Only the text of files may be changed.")
        elif word in ("rename", "copy"):
            raise self._wrong(f"renames or copies {self.path}", "Renames and copies are not allowed.")
        elif word == "Binary" or line == "GIT binary patch":
            raise self._wrong(f"is a binary change of {self.path}", "Only text files may be changed.")
        elif word not in ("index", "similarity", "dissimilarity"):
            raise self._wrong("is no part of a diff")

    def _hunk(self, line: str) -> None:
        match = _HUNK_HEADER.fullmatch(line)
        if match is None:
            raise self._wrong("is a hunk header that cannot be read")
        if self.path is None or not self.named:
            raise self._wrong("is a hunk without the `---` and `+++` lines of its file")
        old_start, new_start = int(match[1]), int(match[3])
        old_count, new_count = (int(count) if count else 1 for count in (match[2], match[4]))
        lines: list[str] = []
        old, new, changes = old_count, new_count, 0
        for at in range(self.at, len(self.lines)):
            body = self.lines[at] or " "  # editors strip the blank of an empty context line
            mark = body[0]
            if mark == "\\" and lines and lines[-1] != NO_NEWLINE:
                body = NO_NEWLINE
            elif old <= 0 and new <= 0:
                break
            elif mark == " ":
                old, new = old - 1, new - 1
            elif mark == "-":
                old, changes = old - 1, changes + 1
            elif mark == "+":
                new, changes = new - 1, changes + 1
            else:
                break
            lines.append(body)
        self.at += len(lines)
        if old > 0 or new > 0 or self._next().startswith("\\"):
            self.at += 1
            raise self._wrong("ends a hunk before the line counts in its header are reached")
        if old or new or not changes:
            raise self._wrong("ends a hunk that does not have the line counts of its header, or changes nothing")
        hunk = Hunk(0, self.path, old_start, old_count, new_start, new_count, match[5], tuple(lines))
        if hunk.first < 0 or (self.hunks and hunk.first < self.hunks[-1].first + self.hunks[-1].old_count):
            raise self._wrong(f"ends a hunk that overlaps the one before it, or lies before the start of {self.path}")
        self.hunks.append(hunk)


def _unquoted(name: str) -> str:
    """Git quotes a path with unusual characters as a C string of UTF-8 bytes."""
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name
    try:
        return name[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1").decode()
    except UnicodeError as error:
        raise PatchError(f"The path {one_line(name, 80)} cannot be read.", hint=MAKE_IT_WITH_GIT) from error
