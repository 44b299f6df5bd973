"""Which words of a changed line are new: removed and added lines in pairs, and what differs in each. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

ALIKE = 0.4
"""similarity from which a removed and an added line are one changed line"""
RUN_LIMIT = 400
"""changed lines in a row above which a block counts as rewritten and is not compared word by word"""
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")

Span = tuple[int, int]
"""start and end in the text of a row"""


def pairs(
    texts: Sequence[str], removed: Sequence[int], added: Sequence[int]
) -> Iterator[tuple[int, int, tuple[Span, ...], tuple[Span, ...]]]:
    """Removed and added lines (their places in `texts`) that are versions of each other, with what differs in each."""
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
