"""A patch as the rows a diff widget draws: numbers, safe text, and which words of a changed line are new."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING, NamedTuple, overload

from core.text import one_line, reveal
from tui.render.diff_words import Span, pairs

if TYPE_CHECKING:  # imported inside the functions: the first paint has no patch yet
    from core.patches import FilePatch, Hunk, Patch

TEXT_LIMIT = 1_000
"""characters that are shown of a line that stays as it is, of a path"""
CHANGED_LIMIT = 20_000
"""characters of a changed line: it is decided about, so all of it is shown"""
TAB = 4
PARSE_LIMIT = 100_000
"""characters of a file above which git's own guess of the enclosing function must do: parsing takes 30 ms"""
_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class RowKind(StrEnum):
    """What a row of a diff is."""

    FILE = "file"
    HUNK = "hunk"
    CONTEXT = "context"
    ADDED = "added"
    REMOVED = "removed"
    NO_NEWLINE = "nonewline"


class Row(NamedTuple):
    """One line of the diff view; a patch has thousands."""

    kind: RowKind
    old_no: int | None
    new_no: int | None
    """None also for the added lines of a hunk that is switched out"""
    text: str
    """safe to show, tabs expanded, without the marker; see `shown`"""
    spans: tuple[Span, ...] = ()
    """the words that differ from the line this one is paired with"""
    hunk: int | None = None
    """index of the hunk in the patch; None for file rows"""
    kept: bool = True
    """False in a hunk that is switched out"""
    mate: int | None = None
    """index of the row this changed line is paired with"""


SplitRow = tuple[Row | None, Row | None]
"""left and right; file, hunk and context rows are the same on both sides"""


class Part(NamedTuple):
    """A file's row, or a hunk with its header: rows that are made together."""

    file: FilePatch
    hunk: Hunk | None
    shift: int
    """what kept hunks before it in the file have moved its new lines by"""
    kept: bool

    @property
    def size(self) -> int:
        return 1 + (len(self.hunk.lines) if self.hunk else 0)

    @property
    def highest(self) -> int:
        """The highest number of a line in it."""
        if self.hunk is None:
            return 0
        first, old, new = self.hunk.first, self.hunk.old_count, self.hunk.new_count
        last_new = first + self.shift + (new if self.kept else old)
        return max(first + old if old else 0, last_new if new or not self.kept else 0)


class Rows(Sequence[Row]):
    """All rows of a patch: counted at once, made hunk by hunk when one of them is asked for."""

    def __init__(
        self,
        patch: Patch | None = None,
        scopes: Mapping[str, Sequence[Scope]] | None = None,
        kept: Collection[int] | None = None,
    ) -> None:
        self._patch, self._scopes = patch, scopes or {}
        self.hunks = len(patch.hunks) if patch else 0
        self.kept = frozenset(range(self.hunks)) if kept is None else frozenset(kept)
        """indices of the hunks that are switched in"""
        self.parts = list(self._in_parts())
        self.starts = [*accumulate((part.size for part in self.parts), initial=0)]
        """the first row of each part, and behind the last one"""
        self._made: dict[int, list[Row]] = {}

    def _in_parts(self) -> Iterator[Part]:
        for file in self._patch.files if self._patch else ():
            yield Part(file, None, 0, True)
            shift = 0
            for hunk in file.hunks:
                kept = hunk.index in self.kept
                yield Part(file, hunk, shift, kept)
                shift += hunk.new_count - hunk.old_count if kept else 0

    def keeping(self, kept: Collection[int]) -> Rows:
        """The rows as they are when these hunks stay: a hunk that goes moves the new numbers after it."""
        return Rows(self._patch, self._scopes, kept)

    def of(self, at: int) -> list[Row]:
        """The rows of a part."""
        if at not in self._made:
            part = self.parts[at]
            if part.hunk is None:
                self._made[at] = [Row(RowKind.FILE, None, None, _file_text(part.file))]
            else:
                header = Row(RowKind.HUNK, None, None, self._header(part.hunk), hunk=part.hunk.index, kept=part.kept)
                self._made[at] = [header, *_lines(part.hunk, self.starts[at] + 1, part.shift, part.kept)]
        return self._made[at]

    @property
    def made(self) -> int:
        """How many parts have been made."""
        return len(self._made)

    def prepare(self, count: int) -> None:
        """Make the first rows, with those of the hunks they are in."""
        for at in range(bisect_left(self.starts, count, hi=len(self.parts))):
            self.of(at)

    def may_hold(self, at: int, words: str) -> bool:
        """Whether these words, in whatever letters, can be in the rows of a part: other parts need not be made."""
        hunk = self.parts[at].hunk
        if hunk is None or at in self._made:
            return True
        text = " ".join([self._header(hunk), *hunk.lines])
        return words.lower() in text.lower() or not (text.isascii() and text.isprintable())  # what is shown is another

    def _header(self, hunk: Hunk) -> str:
        return _hunk_text(hunk, self.hunks, _enclosing(hunk, self._scopes.get(hunk.path, ())))

    def __len__(self) -> int:
        return self.starts[-1]

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        at = bisect_right(self.starts, index) - 1
        return self.of(at)[index - self.starts[at]]


def rows(patch: Patch, files_before: Mapping[str, str] | None = None, kept: Collection[int] | None = None) -> Rows:
    """All rows of a patch; `kept` holds the hunks that are switched in, None stands for all of them."""
    before = files_before or {}
    return Rows(patch, {file.path: _scopes(file, before.get(file.path, "")) for file in patch.files}, kept)


def split_rows(unified: Sequence[Row], first: int = 0) -> list[SplitRow]:
    """The same rows in two columns: what was on the left, what will be on the right, changed lines side by side.

    `first` is the index of the first one, where they are a part of all.
    """
    out: list[SplitRow] = []
    left: list[tuple[int, Row]] = []
    right: list[tuple[int, Row]] = []
    before = RowKind.CONTEXT
    for index, row in enumerate(unified, first):
        side = before if row.kind is RowKind.NO_NEWLINE else row.kind
        if side is RowKind.REMOVED:
            left.append((index, row))
        elif side is RowKind.ADDED:
            right.append((index, row))
        else:
            out += _side_by_side(left, right)
            left, right = [], []
            out.append((row, row))
        before = side
    out += _side_by_side(left, right)
    return out


def _side_by_side(left: list[tuple[int, Row]], right: list[tuple[int, Row]]) -> Iterator[SplitRow]:
    position = {index: at for at, (index, _) in enumerate(right)}
    done = there = 0
    for here, (_, row) in enumerate(left):
        mate = position.get(row.mate) if row.mate is not None else None
        if mate is not None and mate >= there:
            yield from zip_longest((r for _, r in left[done:here]), (r for _, r in right[there:mate]))
            yield row, right[mate][1]
            done, there = here + 1, mate + 1
    yield from zip_longest((r for _, r in left[done:]), (r for _, r in right[there:]))


def _file_text(file: FilePatch) -> str:
    marks = [line[0] for hunk in file.hunks for line in hunk.lines]
    state = " (new file)" if file.created else " (deleted)" if file.deleted else ""
    return f"{one_line(file.path, TEXT_LIMIT)}{state}  +{marks.count('+')} -{marks.count('-')}"


def _hunk_text(hunk: Hunk, total: int, scope: str) -> str:
    marks = [line[0] for line in hunk.lines]
    context = next((n for n, mark in enumerate(marks) if mark in "+-"), 0)  # no change stands in these lines
    place = f"line {hunk.old_start + context}" if hunk.old_count else f"after line {hunk.old_start}"
    where = f"{place} in {scope}" if scope else place
    return f"hunk {hunk.index + 1}/{total}  {where}  +{marks.count('+')} -{marks.count('-')}"


# --- where a hunk is -------------------------------------------------------------------------------------------------


class Scope(NamedTuple):
    name: str
    first: int
    last: int
    indent: int


def _scopes(file: FilePatch, before: str) -> list[Scope]:
    """Classes and functions of the old file, outer ones first; none where it is not Python that parses."""
    if not (file.path.endswith(".py") and 0 < len(before) <= PARSE_LIMIT):
        return []
    try:
        from core.patches import python_tree

        tree = python_tree(before)
    except SyntaxError:
        return []
    found: list[Scope] = []
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        parent, prefix = waiting.pop()
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):  # statements only: expressions are many
            children = getattr(parent, part, ())
            for node in children if isinstance(children, list) else ():
                name = prefix
                if isinstance(node, _SCOPES):
                    name = f"{prefix}.{node.name}" if prefix else node.name
                    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                    found.append(Scope(one_line(name, 80), first, node.end_lineno or node.lineno, node.col_offset))
                waiting.append((node, name))
    return sorted(found, key=lambda scope: (scope.first, -scope.last))


def _enclosing(hunk: Hunk, scopes: Sequence[Scope]) -> str:
    """The innermost class or function around the first changed line; what git says where the syntax is unknown."""
    if not scopes:
        return one_line(hunk.section, 80)
    at, marker, text = hunk.first, " ", ""
    for line in hunk.lines:
        marker, text = line[0], line[1:]
        if marker in "+-" and (text.strip() or marker == "-"):
            break
        at += marker == " "
    # an added line stands behind line `at`: it belongs to the scope there if it is indented deeper
    number, indent = (at + 1, 10_000) if marker == "-" else (at, len(text) - len(text.lstrip()))
    inside = [scope for scope in scopes if scope.first <= number <= scope.last and indent > scope.indent]
    return inside[-1].name if inside else ""


# --- lines -----------------------------------------------------------------------------------------------------------


def _lines(hunk: Hunk, base: int, shift: int, kept: bool) -> list[Row]:
    """The rows of one hunk; `base` is the index of the first, `shift` what kept hunks before it have moved it by."""
    texts = ["" if line[0] == "\\" else shown(line) for line in hunk.lines]
    mates: dict[int, int] = {}
    spans: dict[int, tuple[Span, ...]] = {}
    run: list[int] = []
    for index, line in enumerate([*hunk.lines, " "]):
        if line[0] != " ":
            run.append(index)
        if line[0] != " " or not run:
            continue
        removed = [at for at in run if hunk.lines[at][0] == "-"]
        added = [at for at in run if hunk.lines[at][0] == "+"]
        for old, new, old_spans, new_spans in pairs(texts, removed, added):
            mates[old], mates[new] = new, old
            spans[old], spans[new] = old_spans, new_spans
        run = []

    out = []
    old_no, new_no = hunk.first + 1, hunk.first + 1 + shift
    for index, line in enumerate(hunk.lines):
        mate = base + mates[index] if index in mates else None
        match line[0]:
            case " ":
                out.append(Row(RowKind.CONTEXT, old_no, new_no, texts[index], (), hunk.index, kept))
                old_no, new_no = old_no + 1, new_no + 1
            case "-":
                row = Row(RowKind.REMOVED, old_no, None, texts[index], spans.get(index, ()), hunk.index, kept, mate)
                out.append(row)
                old_no, new_no = old_no + 1, new_no + (not kept)
            case "+":
                number = new_no if kept else None
                row = Row(RowKind.ADDED, None, number, texts[index], spans.get(index, ()), hunk.index, kept, mate)
                out.append(row)
                new_no += kept
            case _:
                text = "no newline at end of file"
                out.append(Row(RowKind.NO_NEWLINE, None, None, text, (), hunk.index, kept))
    return out


def shown(line: str) -> str:
    """A line of a hunk, its marker first, as what is shown of it."""
    text, limit = line[1:], TEXT_LIMIT if line[0] == " " else CHANGED_LIMIT
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    text = reveal(text.expandtabs(TAB))
    return text if len(text) <= limit else f"{text[:limit]}… and {len(text) - limit:,} more characters"
