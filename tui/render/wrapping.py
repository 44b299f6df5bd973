"""Where a long line is broken, so that all of it is on the screen. Pure."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size

FEWEST_CELLS = 24
"""a column that is narrower breaks nothing: a line would become a tower of crumbs"""


class Piece(NamedTuple):
    """A part of a text that fits a column."""

    start: int
    end: int
    indent: int
    """blanks before it"""


def pieces(text: str, room: int) -> tuple[Piece, ...]:
    """The whole text in pieces of at most `room` cells: broken after a blank where one is near, the later pieces as
    deep as the first. Only one piece where the room is less than FEWEST_CELLS, or all of it fits.
    """
    if room < FEWEST_CELLS or (len(text) <= room and text.isascii()):
        return (Piece(0, len(text), 0),)
    return _pieces(text, room)


@lru_cache(256)
def _pieces(text: str, room: int) -> tuple[Piece, ...]:
    if cell_len(text) <= room:
        return (Piece(0, len(text), 0),)
    indent = min(len(text) - len(text.lstrip(" ")), room // 3)
    ends, start = [0], 0
    while start < len(text):
        left = room - (indent if start else 0)
        end = _fitting(text, start, left)
        if end < len(text):
            blank = text.rfind(" ", start + left // 2, end) + 1
            end = blank or end
        ends.append(end)
        start = end
    return tuple(Piece(start, end, indent if start else 0) for start, end in pairwise(ends))


def _fitting(text: str, start: int, room: int) -> int:
    """The end of the longest part from `start` on that takes at most `room` cells; of one character at least."""
    part = text[start : start + room]
    if part.isascii():
        return start + len(part)
    used = 0
    for at in range(start, len(text)):
        used += get_character_cell_size(text[at])
        if used > room and at > start:
            return at
    return len(text)
