"""The progress plot as characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.render.braille import Symbols
from tui.render.progress import Dot, Ink, Name, Progress, Reign, draw, inks, with_cursor

STORY = Progress(
    dots=(
        Dot(1, 1.8501, Ink.TRIED),
        Dot(2, None, Ink.TRIED),
        Dot(3, 1.8300, Ink.KEPT),
        Dot(4, 1.8400, Ink.UNCLEAR),
        Dot(5, 1.7900, Ink.SUSPECT),
        Dot(6, 9.0, Ink.TRIED),
        Dot(8, 1.8100, Ink.KEPT),
    ),
    reigns=(Reign(0, 1.842), Reign(3, 1.830), Reign(8, 1.810)),
    names=(Name(8, 1.81, "Shorter windows"), Name(3, 1.83, "A longer cooldown")),
    band=0.004,
    last=9,
)


def text(progress: Progress, width: int = 60, height: int = 12, symbols: Symbols = Symbols.ASCII) -> str:
    rows, _ = draw(progress, width, height, symbols)
    return "\n".join("".join(char for char, _ in row).rstrip() for row in rows)


def test_a_story_as_characters() -> None:
    assert "\n" + text(STORY) == GOLDEN


GOLDEN = r"""
    |     .                           ^
    |----------------+
1.84+~~~~~~~~~~~~~~~~|     ?
    |                #---------------------------+
    |                ~#3 A longer cooldown~~~~~~~|
1.82+                                            |
    |                                            |~~~~~~~~~~
    |                                            #----------
1.80+                          Shorter windows #8
    |
    |                           !
    +-----------x---------------5---------------------------"""


def test_it_fills_just_its_cells() -> None:
    for width, height in ((80, 7), (24, 4), (200, 60)):
        rows, frame = draw(STORY, width, height)
        assert frame is not None
        assert [len(row) for row in rows] == [width] * height


def test_too_small_or_nothing_known_is_blank() -> None:
    assert draw(STORY, 20, 10)[1] is None
    assert draw(STORY, 80, 3)[1] is None
    assert draw(Progress(), 80, 10)[1] is None
    assert draw(STORY, 0, 0)[0] == ()


def test_what_has_no_metric_stands_on_the_floor_and_what_is_beyond_points_there() -> None:
    rows = text(STORY).splitlines()
    assert "x" in rows[-1]
    assert "^" in rows[0]


def test_better_is_up_when_the_direction_is_max() -> None:
    up = Progress((Dot(1, 2.0, Ink.KEPT),), (Reign(0, 1.0), Reign(1, 2.0)), direction="max", last=2)
    rows = text(up).splitlines()
    assert next(y for y, row in enumerate(rows) if "#" in row) < 3


def test_no_name_covers_another_or_a_kept_mark() -> None:
    kept = [Dot(n, 1.8 - n / 500, Ink.KEPT) for n in range(1, 30)]
    many = Progress(
        tuple(kept),
        tuple(Reign(dot.number, dot.value or 0.0) for dot in kept),
        tuple(Name(dot.number, dot.value or 0.0, "x" * 40) for dot in kept),
        last=30,
    )
    rows, frame = draw(many, 80, 12)
    assert frame is not None
    marks = [ink for row in rows for _, ink in row if ink is Ink.KEPT]
    assert len(marks) == len({frame.column(dot.number) for dot in kept})


def test_the_cursor_marks_the_floor_and_nothing_else() -> None:
    rows, frame = draw(STORY, 60, 12)
    pointed = with_cursor(rows, frame, 4)
    assert pointed[:-1] == rows[:-1]
    assert [char for char, ink in pointed[-1] if ink is Ink.CURSOR] == ["▲"]
    assert with_cursor(rows, frame, None) == rows
    assert with_cursor(rows, frame, 99) == rows


def test_the_legend_has_what_occurs() -> None:
    assert inks(STORY) == [Ink.KEPT, Ink.SUSPECT, Ink.UNCLEAR, Ink.TRIED, Ink.FAILED, Ink.CHAMPION, Ink.BAND]
    assert inks(Progress()) == []


@pytest.mark.parametrize("name", ["日本語のタイトル", "e\u0301e\u0301", "", "[/]"])
def test_wide_and_combining_names_keep_the_row_in_its_cells(name: str) -> None:
    from core.text import width

    told = Progress(STORY.dots, STORY.reigns, (Name(3, 1.83, name),), last=9)
    for row in draw(told, 60, 12)[0]:
        assert width("".join(char for char, _ in row)) == 60


values = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(values, st.sampled_from([Ink.TRIED, Ink.UNCLEAR, Ink.SUSPECT, Ink.KEPT])), max_size=30),
       st.floats(0, 1e12), st.sampled_from(list(Symbols)))  # fmt: skip
def test_any_numbers_can_be_drawn(found: list[tuple[float | None, Ink]], band: float, symbols: Symbols) -> None:
    dots = tuple(Dot(n, value, ink) for n, (value, ink) in enumerate(found, 1))
    reigns = tuple(Reign(d.number, d.value) for d in dots if d.value is not None and abs(d.value) < 1e100)[:5]
    rows, _ = draw(Progress(dots, reigns, band=band, last=len(dots)), 50, 9, symbols)
    assert [len(row) for row in rows] == [50] * 9


def test_a_result_on_the_champions_own_row_is_seen_on_its_line() -> None:
    lab = Progress(dots=(Dot(1, 1.842, Ink.TRIED),), reigns=(Reign(0, 1.842),), band=0.004, last=4)
    rows, frame = draw(lab, 60, 12, Symbols.ASCII)
    assert frame is not None
    assert rows[frame.row(1.842)][frame.left + frame.column(1)] == (".", Ink.TRIED)


def test_the_number_of_what_has_no_metric_stands_beside_its_mark() -> None:
    lab = Progress(dots=(Dot(3, None, Ink.TRIED),), reigns=(Reign(0, 1.842),), band=0.004, last=4)
    assert "x3" in text(lab).splitlines()[-1]


def test_a_number_that_the_cursor_stands_in_goes_whole() -> None:
    lab = Progress(dots=(), reigns=(Reign(0, 1.842),), band=0.004, last=20)
    rows, frame = draw(lab, 60, 12, Symbols.ASCII)
    floor = "".join(char for char, _ in with_cursor(rows, frame, 10, Symbols.ASCII)[-1])
    assert "5" in floor
    assert "^" in floor
    assert "^0" not in floor
