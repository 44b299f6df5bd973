"""A table of what differs between runs: constants of their code, and what was measured. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from core.models import Run
from core.store.rows import Summary
from core.text import UNKNOWN, clip, one_line, width
from tui.comparison import LETTERS, Comparison, Row, differing, measured
from tui.widgets.experiments_table import delta_text


def numbers(
    comparison: Comparison, runs: Sequence[Run | None], *, metric: str, room: int, rows: Sequence[Summary | None] = ()
) -> Content:
    """The pane's text in `room` cells; `rows`: the sides in the list of experiments, for their verdicts."""
    sides = comparison.sides
    if not sides:
        return Content()
    constants, same = differing(sides)
    found = measured(runs, metric)
    names = [row[0] for row in (*constants, *found)]
    first = min(max((width(name) for name in names), default=8), max(10, room // (3 if len(sides) < 4 else 4)), 24) + 1
    cell = max(6, (room - first) // len(sides))
    parts: list[str | Content | tuple[str, str]] = []
    heads = [f"{letter} {side.name}" for letter, side in zip(LETTERS, sides, strict=False)]
    parts.append((_line("", heads, first, cell) + "\n", "bold"))
    score, rest = found[:1], found[1:]
    if not score or score[0][0] != one_line(metric, 16):
        score, rest = [], found  # none of them has a result
    if any(rows):
        deltas = tuple((delta_text(row, cell) if row else "") or UNKNOWN for row in rows)
        score.append(("Δ 95 %" if cell >= 16 else "Δ", deltas))
    parts += [f"{_line(*row, first, cell)}\n" for row in score]
    if comparison.problem:
        parts.append((f"\nThe code cannot be read: {one_line(comparison.problem, 200)}\n", "$text-warning"))
    elif constants:
        parts.append((f"\nConstants that differ; {same} are the same\n", "bold"))
        parts += [_marked(row, first, cell) for row in constants]
    else:
        parts.append(f"\nNo constant differs; {same} are the same.\n")
    parts.append(("\nRuns\n", "bold"))
    parts += [f"{_line(*row, first, cell)}\n" for row in rest]
    return Content.assemble(*parts)


def _line(name: str, values: Sequence[str], first: int, cell: int) -> str:
    return _fit(name, first) + "".join(_fit(value, cell) for value in values).rstrip()


def _marked(row: Row, first: int, cell: int) -> Content:
    """What is not as on the first side is bold, and marked for those who see no bold."""
    name, values = row
    parts: list[str | tuple[str, str]] = [_fit(name, first)]
    for value in values:
        changed = value != values[0]
        text = _fit(f"{'*' if changed else ' '}{value or 'not there'}", cell)
        parts.append((text, "bold $text-accent") if changed else text)
    return Content.assemble(*parts, "\n")


def _fit(text: str, cells: int) -> str:
    """In exactly so many cells, the last one blank."""
    shown = clip(one_line(text, cells), cells - 1)
    return shown + " " * (cells - width(shown))
