"""A patch as the rows a diff widget draws: numbers, safe text, and which words of a changed line are new."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from core.text import one_line, reveal

if TYPE_CHECKING:  # imported inside the functions: the first paint has no patch yet
    from core.patches import FilePatch, Hunk, Patch

TEXT_LIMIT = 1_000
"""characters of a line that are shown"""
TAB = 4
ALIKE = 0.4
"""similarity from which a removed and an added line are one changed line"""
RUN_LIMIT = 400
"""changed lines in a row above which a block counts as rewritten and is not compared word by word"""
PARSE_LIMIT = 100_000
"""characters of a file above which git's own guess of the enclosing function must do: parsing takes 30 ms"""
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class RowKind(StrEnum):
    """What a row of a diff is."""

    FILE = "file"
    HUNK = "hunk"
    CONTEXT = "context"
    ADDED = "added"
    REMOVED = "removed"
    NO_NEWLINE = "nonewline"


Span = tuple[int, int]
"""start and end in the text of a row"""


class Row(NamedTuple):
    """One line of the diff view; a patch has thousands."""

    kind: RowKind
    old_no: int | None
    new_no: int | None
    """None also for the added lines of a hunk that is switched out"""
    text: str
    """safe to show, tabs expanded, without the marker"""
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


def rows(patch: Patch, files_before: Mapping[str, str] | None = None, kept: Collection[int] | None = None) -> list[Row]:
    """All rows of a patch; `kept` holds the hunks that are switched in, None stands for all of them."""
    out: list[Row] = []
    total = len(patch.hunks)
    for file in patch.files:
        out.append(Row(RowKind.FILE, None, None, _file_text(file)))
        scopes = _scopes(file, (files_before or {}).get(file.path, ""))
        shift = 0
        for hunk in file.hunks:
            switched_in = kept is None or hunk.index in kept
            text = _hunk_text(hunk, total, _enclosing(hunk, scopes))
            out.append(Row(RowKind.HUNK, None, None, text, hunk=hunk.index, kept=switched_in))
            out += _lines(hunk, len(out), shift, switched_in)
            shift += hunk.new_count - hunk.old_count if switched_in else 0
    return out


def split_rows(unified: Sequence[Row]) -> list[SplitRow]:
    """The same rows in two columns: what was on the left, what will be on the right, changed lines side by side."""
    out: list[SplitRow] = []
    left: list[tuple[int, Row]] = []
    right: list[tuple[int, Row]] = []
    before = RowKind.CONTEXT
    for index, row in enumerate(unified):
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
    place = f"line {hunk.old_start}" if hunk.old_count else f"after line {hunk.old_start}"
    where = f"{place} in {scope}" if scope else place
    return f"hunk {hunk.index + 1}/{total}  {where}  +{marks.count('+')} -{marks.count('-')}"


# --- where a hunk is -------------------------------------------------------------------------------------------------


class _Scope(NamedTuple):
    name: str
    first: int
    last: int
    indent: int


def _scopes(file: FilePatch, before: str) -> list[_Scope]:
    """Classes and functions of the old file, outer ones first; none where it is not Python that parses."""
    if not (file.path.endswith(".py") and 0 < len(before) <= PARSE_LIMIT):
        return []
    try:
        from core.patches import python_tree

        tree = python_tree(before)
    except SyntaxError:
        return []
    found: list[_Scope] = []
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
                    found.append(_Scope(one_line(name, 80), first, node.end_lineno or node.lineno, node.col_offset))
                waiting.append((node, name))
    return sorted(found, key=lambda scope: (scope.first, -scope.last))


def _enclosing(hunk: Hunk, scopes: Sequence[_Scope]) -> str:
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
    texts = ["" if line[0] == "\\" else _shown(line[1:]) for line in hunk.lines]
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
        for old, new, old_spans, new_spans in _pairs(texts, removed, added):
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


def _shown(text: str) -> str:
    if text.isascii() and text.isprintable() and len(text) <= TEXT_LIMIT:
        return text
    text = reveal(text[: TEXT_LIMIT + 1].expandtabs(TAB))
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def _pairs(
    texts: Sequence[str], removed: Sequence[int], added: Sequence[int]
) -> Iterator[tuple[int, int, tuple[Span, ...], tuple[Span, ...]]]:
    """Removed and added lines that are versions of each other, in order, with what differs in each."""
    if not removed or not added or len(removed) + len(added) > RUN_LIMIT:
        return
    ahead = 8 if len(removed) + len(added) <= 64 else 2
    tokens = {index: _TOKEN.findall(texts[index]) for index in (*removed, *added)}
    start = expected = 0
    for old in removed:
        # the likely partner keeps its distance to the pair before
        for position in range(max(start, expected - 1), min(expected + ahead, len(added))):
            new = added[position]
            changed = _changed(tokens[old], tokens[new], _weight(texts[old]) + _weight(texts[new]))
            if changed is not None:
                yield old, new, _spans(tokens[old], changed[0]), _spans(tokens[new], changed[1])
                start = expected = position + 1
                break
        else:
            expected += 1


def _weight(text: str) -> int:
    return len(text) - text.count(" ")


def _changed(old: Sequence[str], new: Sequence[str], whole: int) -> tuple[list[Span], list[Span]] | None:
    """Ranges of tokens that differ; None when less than ALIKE of the `whole` weight of both lines is in common."""
    head, most = 0, min(len(old), len(new))
    while head < most and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    old_middle, new_middle = old[head:old_end], new[head:new_end]
    differing = _weight("".join(old_middle)) + _weight("".join(new_middle))
    allowed = (1 - ALIKE) * whole
    if len(old_middle) < 2 or len(new_middle) < 2:
        ranges = [(head, old_end)] if old_middle else [], [(head, new_end)] if new_middle else []
        return ranges if differing <= allowed and whole else None
    if differing > allowed:  # not alike yet: can what is common inside help at all?
        common = Counter(old_middle) & Counter(new_middle)
        if differing - 2 * sum(_weight(token) * count for token, count in common.items()) > allowed:
            return None

    letters: dict[str, str] = {}
    coded = ["".join(letters.setdefault(t, chr(0x100 + len(letters))) for t in m) for m in (old_middle, new_middle)]
    from diff_match_patch import diff_match_patch

    finder = diff_match_patch()
    finder.Diff_Timeout = 0.02
    pieces = finder.diff_main(coded[0], coded[1], False)
    finder.diff_cleanupSemantic(pieces)  # a lone bracket in common is noise
    old_at = new_at = head
    changed: tuple[list[Span], list[Span]] = [], []
    for kind, text in pieces:
        if kind < 0:
            changed[0].append((old_at, old_at + len(text)))
        elif kind > 0:
            changed[1].append((new_at, new_at + len(text)))
        else:
            differing -= 2 * _weight("".join(old[old_at : old_at + len(text)]))
        old_at += len(text) if kind <= 0 else 0
        new_at += len(text) if kind >= 0 else 0
    return changed if differing <= allowed else None


def _spans(tokens: Sequence[str], changed: Sequence[Span]) -> tuple[Span, ...]:
    """Ranges of tokens as ranges of characters; two with only blanks between them become one."""
    spans: list[Span] = []
    at, offset = 0, 0
    for first, last in changed:
        offset += len("".join(tokens[at:first]))
        end = offset + len("".join(tokens[first:last]))
        joined = spans and all(token.isspace() for token in tokens[at:first])
        spans[-1:] = [(spans[-1][0], end)] if joined else [*spans[-1:], (offset, end)]
        at, offset = last, end
    return tuple(spans)
