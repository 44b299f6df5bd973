"""Drawn cells as a row of the terminal: what every plot does last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.render.braille import Cell


def strip_of(cells: Sequence[Cell], styles: Mapping[int | None, Style]) -> Strip:
    """Cells as few pieces: a blank goes with whatever stands before it. `styles`: by what a cell belongs to."""
    pieces: list[tuple[str, Style]] = []
    for char, owner in cells:
        if pieces and (char == " " or styles[owner] is pieces[-1][1]):
            pieces[-1] = (pieces[-1][0] + char, pieces[-1][1])
        else:
            pieces.append((char, styles[owner]))
    return Strip([Segment(text, style) for text, style in pieces], len(cells))
