"""Points become cells: no spike is lost, no gap is bridged, no colour bleeds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.render.braille import BLANK, Cell, Symbols, Trace, plot

NAN = math.nan


def text(cells: list[list[Cell]]) -> list[str]:
    return ["".join(char for char, _ in row) for row in cells]


def dots(cells: list[list[Cell]]) -> set[tuple[int, int]]:
    """Every braille dot as (column, row), counted from the upper left."""
    places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
    return {
        (2 * x + dx, 4 * y + dy)
        for y, row in enumerate(cells)
        for x, (char, owner) in enumerate(row)
        if owner is not None
        for bit, (dx, dy) in enumerate(places)
        if (ord(char) - 0x2800) >> bit & 1
    }


def test_a_straight_line_goes_from_corner_to_corner() -> None:
    line = Trace([0.0, 1.0], [0.0, 1.0])
    cells = plot([line], 4, 2, (0, 1), (0, 1))
    assert text(cells) == ["  ⡠⠊", "⡠⠊  "]
    assert dots(cells) == {(column, 7 - column) for column in range(8)}


def test_one_point_is_one_dot_and_no_point_is_none() -> None:
    assert len(dots(plot([Trace([0.5], [0.5])], 4, 2, (0, 1), (0, 1)))) == 1
    assert plot([Trace([], [])], 2, 1, (0, 1), (0, 1)) == [[BLANK, BLANK]]
    assert plot([Trace([0.0], [NAN])], 2, 1, (0, 1), (0, 1)) == [[BLANK, BLANK]]
    assert plot([Trace([0.0], [1.0])], 0, 0, (0, 1), (0, 1)) == []


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("at", [0, 1, 4_999, 7_777, 9_999])
def test_a_single_spike_in_ten_thousand_points_is_seen(at: int, dotted: bool) -> None:
    values = [0.0] * 10_000
    values[at] = 1.0
    found = dots(plot([Trace(range(10_000), values, dotted)], 40, 5, (0, 9_999), (0, 1)))
    assert min(row for _, row in found) == 0


@pytest.mark.parametrize("missing", [NAN, math.inf, -math.inf])
def test_what_is_not_finite_is_a_gap(missing: float) -> None:
    values = [1.0] * 40 + [missing] * 20 + [1.0] * 40
    found = {x for x, _ in dots(plot([Trace(range(100), values)], 50, 1, (0, 99), (0, 2)))}
    assert found == {*range(40), *range(60, 100)}


def test_a_gap_inside_one_column_does_not_join_what_is_on_its_sides() -> None:
    together = dots(plot([Trace([0.0, 0.1, 0.2], [0.0, 0.5, 1.0])], 1, 4, (0, 1), (0, 1)))
    apart = dots(plot([Trace([0.0, 0.1, 0.2], [0.0, NAN, 1.0])], 1, 4, (0, 1), (0, 1)))
    assert len(together) == 16
    assert len(apart) == 2


def test_a_steep_line_has_no_holes() -> None:
    found = dots(plot([Trace([0.0, 1.0], [0.0, 1.0])], 2, 10, (0, 1), (0, 1)))
    assert {row for _, row in found} == set(range(40))


def test_values_outside_the_window_are_cut_off_at_its_edge() -> None:
    found = dots(plot([Trace([0.0, 0.5, 1.0], [0.5, 1e300, 0.5])], 10, 4, (0, 1), (0, 1)))
    assert (0, 8) in found
    assert 0 in {row for _, row in found}
    assert not dots(plot([Trace([0.0, 1.0], [5.0, 6.0])], 10, 4, (0, 1), (0, 1)))


def test_where_lines_meet_the_cell_belongs_to_the_later_one_alone() -> None:
    flat, other = Trace([0.0, 1.0], [0.5, 0.5]), Trace([0.0, 1.0], [0.55, 0.55])
    alone = plot([other], 4, 1, (0, 1), (0, 1))
    both = plot([flat, other], 4, 1, (0, 1), (0, 1))
    assert [char for char, _ in both[0]] == [char for char, _ in alone[0]]
    assert {owner for _, owner in both[0]} == {1}


def test_a_dotted_line_has_half_the_dots() -> None:
    solid = dots(plot([Trace([0.0, 1.0], [0.5, 0.5])], 10, 1, (0, 1), (0, 1)))
    dotted = dots(plot([Trace([0.0, 1.0], [0.5, 0.5], dotted=True)], 10, 1, (0, 1), (0, 1)))
    assert (len(solid), len(dotted)) == (20, 10)


def test_blocks_and_ascii_stand_in_where_the_font_has_no_braille() -> None:
    line = Trace([0.0, 1.0], [0.0, 1.0])
    assert text(plot([line], 4, 2, (0, 1), (0, 1), Symbols.BLOCK)) == ["  ▄▀", "▄▀  "]
    assert text(plot([line], 6, 2, (0, 1), (0, 1), Symbols.ASCII)) == ["   .-'", ".-'   "]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats()), max_size=60),
    st.integers(0, 12),
    st.integers(0, 5),
    st.sampled_from(list(Symbols)),
    st.booleans(),
)
def test_any_points_fill_exactly_the_cells_asked_for(
    points: list[tuple[float, float]], width: int, height: int, symbols: Symbols, dotted: bool
) -> None:
    points.sort(key=lambda point: point[0])
    line = Trace([x for x, _ in points], [y for _, y in points], dotted)
    cells = plot([line], width, height, (0, 100), (-10, 10), symbols)
    assert [len(row) for row in cells] == [width] * height
    assert all(len(char) == 1 for row in cells for char, _ in row)
    visible = any(-10 <= y <= 10 for _, y in points)
    if visible and width and height:
        assert any(owner == 0 for row in cells for _, owner in row)
