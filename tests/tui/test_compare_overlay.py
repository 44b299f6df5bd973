"""Curves over each other: what is drawn, what the crosshair says, what differs in code and numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from core.models import Series
from core.store.reader import Reader
from tests.tui.research_desk import researched
from tui.comparison import Comparison, Side, compare, constants_of, differing, measured
from tui.detail import LabSources
from tui.render.braille import Symbols, Trace
from tui.render.overlay import Picture, Sight, draw, extent, value_at
from tui.widgets.numbers import numbers
from tui.widgets.overlay import Curve

FALLING = Trace([float(x) for x in range(101)], [10 * math.exp(-x / 20) + 1 for x in range(101)])
LOWER = Trace(FALLING.x, [y - 0.3 for y in FALLING.y])


def text(picture: Picture) -> str:
    return "\n".join("".join(char for char, _ in row).rstrip() for row in picture.rows)


def test_each_curve_carries_its_letter_and_its_last_value() -> None:
    shown = text(draw([FALLING, LOWER], "AB", 70, 14, symbols=Symbols.ASCII))
    assert shown.count("A") > 2
    assert shown.count("B") > 2
    assert "A 1.07" in shown
    assert "B 0.77" in shown


def test_closer_shows_a_part_around_the_crosshair_in_its_own_height() -> None:
    sight = Sight(cross=50.0).closer(4, extent([FALLING]))
    assert sight.span((0, 100)) == (37.5, 62.5)
    window = draw([FALLING], "A", 60, 12, sight=sight).window
    assert window is not None
    assert (window.x_low, window.x_high) == (37.5, 62.5)
    assert 1.3 < window.y_low < window.y_high < 2.7


@pytest.mark.parametrize("cross", [0.0, 100.0, None])
def test_closer_and_farther_again_never_leaves_the_curves(cross: float | None) -> None:
    sight = Sight(cross=cross)
    for factor in (2, 2, 64, 64, 0.5, 1 / 4096):
        sight = sight.closer(factor, (0.0, 100.0))
        low, high = sight.span((0.0, 100.0))
        assert low >= -1e-9
        assert high <= 100 + 1e-9
    assert sight.span((0.0, 100.0)) == (0.0, 100.0)


def test_the_crosshair_stands_where_it_was_put_and_reads_the_nearest_value() -> None:
    picture = draw([FALLING], "A", 60, 12, sight=Sight(cross=80.0), symbols=Symbols.ASCII)
    column = picture.left + picture.column_of(80.0)
    assert sum(row[column][0] == "|" for row in picture.rows) > 5
    assert value_at(FALLING, 80.2) == FALLING.y[80]
    assert value_at(FALLING, None) == FALLING.y[-1]
    assert value_at(FALLING, 300.0) is None
    assert value_at(Trace([], []), 1.0) is None
    assert value_at(Trace([0.0, 1.0], [2.0, math.nan]), 1.0) is None


@pytest.mark.parametrize("size", [(0, 0), (5, 1), (20, 4), (80, 3), (200, 50)])
@pytest.mark.parametrize("log", [False, True])
def test_it_fills_just_its_cells(size: tuple[int, int], log: bool) -> None:
    lines = [FALLING, Trace([], []), Trace([1.0, 2.0], [math.nan, math.inf]), Trace([3.0], [-5.0])]
    picture = draw(lines, "ABCD", *size, log=log, sight=Sight(zoom=8, centre=0.9, cross=95.0))
    assert [len(row) for row in picture.rows] == [size[0]] * size[1]


def test_no_logarithm_without_a_positive_value() -> None:
    assert "no positive value" in draw([Trace([0.0, 1.0], [-1.0, -2.0])], "A", 60, 12, log=True).note


def test_a_curve_over_every_axis() -> None:
    curve = Curve(Series("loss", (0, 10, 20), (1.0, 2.0, 4.0), (3.0, 2.0, 1.0)), progress=0.5, tokens=2000.0)
    assert curve.trace("training time", 0, dotted=False).x == (1.0, 2.0, 4.0)
    assert curve.trace("steps", 0, dotted=False).x == (0, 10, 20)
    assert curve.trace("% of the budget", 0, dotted=False).x == [12.5, 25.0, 50.0]
    assert curve.trace("tokens", 0, dotted=False).x == [0.0, 1000.0, 2000.0]


def test_steps_written_again_by_a_restarted_script_are_put_in_order() -> None:
    curve = Curve(Series("loss", (0, 1, 2), (5.0, 1.0, 2.0), (3.0, 2.0, 1.0)))
    line = curve.trace("training time", 0, dotted=False)
    assert list(line.x) == [1.0, 2.0, 5.0]
    assert list(line.y) == [2.0, 1.0, 3.0]


# ---- code and numbers ----------------------------------------------------------------------------------------------


def test_constants_are_what_is_written_in_capitals_at_the_top() -> None:
    script = (
        'LR = 0.02  # hot\nBETAS = (0.8, 0.95)\nWINDOW: str = "SSSL"\nx = 1\ndef f():\n    LOCAL = 2\nNAME, B = 1, 2\n'
    )
    assert constants_of({"train.py": script, "notes.md": "LR = 3"}) == {
        "LR": "0.02", "BETAS": "(0.8, 0.95)", "WINDOW": "'SSSL'",
    }  # fmt: skip
    assert constants_of({"a.py": "X = 1", "b.py": "X = 2"}) == {"a.py: X": "1", "b.py: X": "2"}
    assert constants_of({"a.py": "def broken(:", "b.py": "\0"}) == {}


def test_only_constants_that_differ_are_listed() -> None:
    sides = [Side(None, "a", (), {"t.py": "A = 1\nB = 2"}), Side(None, "b", (), {"t.py": "A = 1\nB = 3\nC = 4"})]
    assert differing(sides) == ([("B", ("2", "3")), ("C", ("", "4"))], 1)
    shown = numbers(Comparison(tuple(sides)), [None, None], metric="val_bpb", room=60).plain
    assert "Constants that differ; 1 are the same" in shown
    assert "*3" in shown
    assert "not there" in shown
    assert all(len(line) <= 60 for line in shown.splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab = researched(tmp_path_factory.mktemp("lab"))
    lab.close()
    return lab.lab.root


def test_one_experiment_alone_is_put_beside_the_champion_it_was_proposed_on(folder: Path) -> None:
    reader, sources = Reader(folder / "lab.db"), LabSources(folder / "repo", folder / "autoresearch.toml", lab="lab")
    judged = [e for e in reader.experiments() if e.metric is not None]
    first, last = judged[0], judged[-1]
    alone = compare(reader, [first.id], sources)
    assert [side.name for side in alone.sides] == ["baseline", f"#{first.id}"]
    assert alone.sides[0].runs
    assert alone.seeds == (0,) if first.confirmations == 0 else alone.seeds
    beside = compare(reader, [last.id], sources)
    assert beside.sides[0].commit == last.parent_commit
    assert len(differing(beside.sides)[0]) == 1
    both = compare(reader, [last.id, first.id, last.id, 999], sources)
    assert [side.name for side in both.sides] == [f"#{first.id}", f"#{last.id}"]
    rows = dict(measured([side.run(None) for side in both.sides], "val_bpb"))
    assert rows["tokens"] == ("983,040", "983,040")
    assert "tokens/s" in rows


def test_a_proposal_that_never_ran_has_its_code_compared(folder: Path) -> None:
    reader, sources = Reader(folder / "lab.db"), LabSources(folder / "repo", folder / "autoresearch.toml", lab="lab")
    waiting = reader.queue()[0]
    found = compare(reader, [waiting.id], sources)
    assert found.sides[1].run(None) is None
    assert len(differing(found.sides)[0]) == 1


def test_a_repository_that_is_gone_is_a_problem_in_words(folder: Path, tmp_path: Path) -> None:
    reader, sources = Reader(folder / "lab.db"), LabSources(tmp_path / "none", folder / "autoresearch.toml", lab="lab")
    found = compare(reader, [1, 2], sources)
    assert len(found.sides) == 2
    assert found.problem
    assert "cannot be read" in numbers(found, [None, None], metric="val_bpb", room=70).plain
