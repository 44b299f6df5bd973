"""Charts: axes that stand still, labels that say what is there, and one line of words for those who do not see them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models import Series
from tui.render.braille import Symbols, Trace
from tui.render.curves import Chart, XAxis, at_equal, changed_spans, draw, in_words, smooth, trace

NAN = math.nan
X_AXES: list[XAxis] = ["t", "step"]


def falling(points: int, *, of: int = 300, floor: float = 3.0) -> Series:
    """A loss that starts near ln(vocabulary); one point a second, `points` of the `of` a whole run has."""
    steps = tuple(range(1, points + 1))
    values = tuple(floor + 7.5 * math.exp(-9 * step / of) for step in steps)
    return Series("loss", steps, tuple(float(step) for step in steps), values)


def lines(chart: Chart) -> list[str]:
    return ["".join(char for char, _ in row) for row in chart.rows]


def owned(chart: Chart, index: int) -> str:
    return "".join(char for row in chart.rows for char, owner in row if owner == index)


def window_of(chart: Chart) -> tuple[float, float]:
    assert chart.window
    return chart.window.y_low, chart.window.y_high


# --- the window ------------------------------------------------------------------------------------------------------


def test_the_first_fifth_does_not_squash_the_rest() -> None:
    low, high = window_of(draw([trace(falling(300))], 80, 20))
    assert low < 3.0 < high < 5.0
    assert window_of(draw([trace(falling(300))], 80, 20, whole=True))[1] > 10


def test_a_young_run_is_in_the_window_too() -> None:
    champion, live = falling(300), falling(10)
    _, high = window_of(draw([trace(champion, dotted=True), trace(live)], 80, 20))
    assert high > live.value[-1]


def test_the_axes_stand_still_until_a_sample_leaves_them() -> None:
    before = draw([Trace([0, 1, 2], [1.0, 2.0, 1.5])], 80, 20, x_end=10)
    inside = draw([Trace([0, 1, 2, 3], [1.0, 2.0, 1.5, 2.02])], 80, 20, x_end=10, window=before.window)
    outside = draw([Trace([0, 1, 2, 3], [1.0, 2.0, 1.5, 2.2])], 80, 20, x_end=10, window=before.window)
    assert inside.window == before.window
    assert window_of(outside)[1] > window_of(before)[1]


def test_a_window_that_has_become_far_too_high_shrinks() -> None:
    early = draw([trace(falling(20))], 80, 20, x_end=300)
    late = draw([trace(falling(290))], 80, 20, x_end=300, window=early.window)
    assert window_of(late)[1] < window_of(early)[1] / 2


def test_the_x_axis_is_the_budget_or_leaves_room_to_grow() -> None:
    budget = draw([trace(falling(10))], 80, 20, x_end=300).window
    open_end = draw([trace(falling(110))], 80, 20).window
    grown = draw([trace(falling(119))], 80, 20, window=open_end).window
    ends = [window.x_high for window in (budget, open_end, grown) if window]
    assert ends == [300, 120, 120]


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0], [0.0, 0.0], [1e308, -1e308, 1.0], [1e-9, 2e-9], [-5.0, -4.0]])
@pytest.mark.parametrize("log", [False, True])
def test_odd_values_still_make_a_chart(values: list[float], log: bool) -> None:
    chart = draw([Trace([*range(len(values))], values)], 60, 12, log=log)
    assert [len(row) for row in chart.rows] == [60] * 12


def test_nothing_to_draw_is_an_empty_chart() -> None:
    for empty in ([], [Trace([], [])], [Trace([1.0, 2.0], [NAN, math.inf])]):
        chart = draw(empty, 30, 6, log=True)
        assert lines(chart) == [" " * 30] * 6
        assert chart.window is None


# --- axes and labels -------------------------------------------------------------------------------------------------


GOLDEN = r"""
6+    |
 |    ||
 |     ||
5+      |.
 |      '|.
 |        '||
4+         '|..
 |           '||. .       2.95
 |              '||.. | . .
3+                  '''|- ' ' ' ' ' ' ' ' ' ' ' ' ' '  3.00
 ++---------+---------+----------+---------+---------+
  0        1m        2m         3m        4m        5m
"""


def test_a_whole_chart_looks_like_this() -> None:
    champion, live = falling(300), falling(130, floor=2.8)
    chart = draw([trace(champion, dotted=True), trace(live)], 60, 12, x_end=300, symbols=Symbols.ASCII)
    assert [row.rstrip() for row in lines(chart)] == GOLDEN.split("\n")[1:-1]


def test_y_labels_are_round_and_x_labels_are_seconds_minutes_or_steps() -> None:
    chart = lines(draw([trace(falling(300))], 80, 20, x_end=300))
    assert [row.split("┤")[0].strip() for row in chart if "┤" in row] == ["4.0", "3.5", "3.0"]
    assert chart[-1].split() == ["0", "1m", "2m", "3m", "4m", "5m"]
    short = lines(draw([trace(falling(25))], 80, 20, x_end=30))
    assert short[-1].split() == ["0", "5s", "10s", "15s", "20s", "25s", "30s"]
    steps = lines(draw([trace(falling(300), "step")], 80, 20, x="step"))
    assert steps[-1].split() == ["0", "50", "100", "150", "200", "250", "300"]


def test_large_numbers_have_their_letter_and_small_ones_their_digits() -> None:
    speed = lines(draw([Trace([0.0, 1.0], [118_000.0, 121_000.0])], 80, 12, whole=True))
    assert any(row.startswith("120k┤") for row in speed)
    rate = lines(draw([Trace([0.0, 1.0], [0.0001, 0.0004])], 80, 12, whole=True))
    assert any(row.startswith("0.0002┤") for row in rate)


def test_each_curve_ends_in_its_last_value_in_its_own_colour() -> None:
    chart = draw([trace(falling(300), dotted=True), trace(falling(150, floor=2.5))], 80, 20, x_end=300)
    assert "3.00" in owned(chart, 0)
    assert "2.58" in owned(chart, 1)


def test_a_last_value_outside_the_window_points_to_where_it_is() -> None:
    early = Trace([0.0, 100.0], [5.0, 1e301])  # diverged beyond what the axes follow
    chart = draw([early, Trace(range(101), [3.0, 3.1] * 50 + [3.0])], 80, 20)
    assert "↑" in owned(chart, 0)
    assert window_of(chart)[1] < 10


def test_the_champion_is_dotted_behind_the_live_curve() -> None:
    same = falling(300)
    behind = draw([trace(same, dotted=True), trace(same)], 80, 20)
    alone = draw([trace(same)], 80, 20)
    drawn = "".join(char for char in owned(behind, 1) if char >= "\u2800")
    assert drawn == "".join(char for char in owned(alone, 0) if char >= "\u2800")
    assert not [char for char in owned(behind, 0) if char >= "\u2800"]


def test_a_logarithmic_scale_has_its_own_ticks_and_skips_what_is_not_positive() -> None:
    chart = draw([Trace([0, 1, 2, 3], [1.0, 10.0, -5.0, 1000.0])], 60, 20, log=True, whole=True)
    labels = [row.split("┤")[0].strip() for row in lines(chart) if "┤" in row]
    assert {"1", "10", "100", "1000"} <= set(labels)
    assert chart.note == ""


def test_a_logarithmic_scale_without_positive_values_is_refused_with_its_reason() -> None:
    chart = draw([Trace([0.0, 1.0], [-1.0, 0.0])], 60, 12, log=True)
    assert "no positive value" in chart.note
    assert chart.window
    assert not chart.window.log


def test_ascii_charts_are_ascii_throughout() -> None:
    chart = draw([trace(falling(300), dotted=True), trace(falling(90))], 80, 20, symbols=Symbols.ASCII)
    assert "".join(lines(chart)).isascii()


def test_times_that_go_back_are_drawn_in_order() -> None:
    mixed, ordered = Trace([0, 2, 1, 3], [0.0, 2.0, 1.0, 3.0]), Trace([0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0])
    assert draw([mixed], 60, 12).rows == draw([ordered], 60, 12).rows


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats()), max_size=40),
    st.integers(0, 90),
    st.integers(0, 25),
    st.booleans(),
    st.sampled_from(X_AXES),
)
def test_any_series_makes_a_chart_of_exactly_the_size_asked_for(
    points: list[tuple[float, float]], width: int, height: int, log: bool, x: XAxis
) -> None:
    line = Trace([a for a, _ in points], [b for _, b in points])
    chart = draw([line, Trace([0.0, 5.0], [1.0, 2.0], dotted=True)], width, height, log=log, x=x)
    assert len(chart.rows) == height
    assert all(len(row) == width for row in chart.rows)
    assert draw([line], width, height, window=chart.window).rows is not None


# --- what has to be repainted ----------------------------------------------------------------------------------------


def test_one_more_point_repaints_a_few_cells() -> None:
    champion = trace(falling(300), dotted=True)
    before = draw([champion, trace(falling(150))], 120, 30, x_end=300)
    after = draw([champion, trace(falling(152))], 120, 30, x_end=300, window=before.window)
    spans = changed_spans(before, after)
    assert 0 < sum(width for _, _, width in spans) <= 24
    assert changed_spans(after, after) == []


def test_repainting_the_spans_gives_the_new_chart() -> None:
    champion = trace(falling(300), dotted=True)
    before = draw([champion, trace(falling(20))], 80, 20, x_end=300)
    after = draw([champion, trace(falling(90))], 80, 20, x_end=300, window=before.window)
    screen = [list(row) for row in before.rows]
    spans = changed_spans(before, after)
    for x, y, width in spans:
        screen[y][x : x + width] = after.rows[y][x : x + width]
    assert tuple(map(tuple, screen)) == after.rows
    assert len(spans) == len(set(spans))


def test_everything_is_repainted_at_first_and_after_a_resize() -> None:
    chart = draw([trace(falling(10))], 30, 5)
    everything = [(0, y, 30) for y in range(5)]
    assert changed_spans(None, chart) == everything
    assert changed_spans(draw([trace(falling(10))], 31, 5), chart) == everything


# --- words -----------------------------------------------------------------------------------------------------------


def series(*values: float, t: tuple[float, ...] | None = None, name: str = "loss") -> Series:
    return Series(name, tuple(range(len(values))), t or tuple(10.0 * n for n in range(len(values))), values)


def test_smoothing_starts_at_the_first_value_and_keeps_gaps() -> None:
    smoothed = smooth(series(4.0, 4.0, NAN, 8.0), 0.5).value
    assert smoothed[:2] == (4.0, 4.0)
    assert math.isnan(smoothed[2])
    assert 6.0 < smoothed[3] < 8.0
    assert smooth(series(1.0, NAN), 0).value[0] == 1.0


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6) | st.just(NAN), max_size=50), st.floats(0, 0.99))
def test_smoothed_values_stay_between_the_least_and_the_greatest(values: list[float], weight: float) -> None:
    finite = [value for value in values if math.isfinite(value)]
    smoothed = smooth(series(*values), weight).value
    assert len(smoothed) == len(values)
    for value in filter(math.isfinite, smoothed):
        assert min(finite) - 1e-3 <= value <= max(finite) + 1e-3


@pytest.mark.parametrize(
    ("now", "champion", "difference"),
    [
        (series(3.0, 2.0), series(3.0, 2.5, 2.0), -0.5),  # at 10 s
        (series(2.0, t=(5.0,)), series(3.0, 2.0), -0.5),  # between two points
        (series(2.0, t=(5.0,)), series(3.0, NAN, 2.0, t=(0.0, 5.0, 10.0)), -0.5),  # over a gap
        (series(2.0, NAN, t=(5.0, 6.0)), series(3.0, 2.0), -0.5),  # the last finite one
        (series(2.0, t=(10.1,)), series(3.0, 2.0), 0.0),  # ended a moment later
        (series(2.0, t=(20.0,)), series(3.0, 2.0), None),
        (series(2.0, t=(5.0,)), series(3.0, t=(6.0,)), None),
        (series(NAN), series(3.0), None),
        (series(), series(3.0), None),
        (series(2.0), series(), None),
    ],
)
def test_curves_are_compared_at_the_same_training_time(now: Series, champion: Series, difference: float | None) -> None:
    assert at_equal(now, champion) == (pytest.approx(difference) if difference is not None else None)


@pytest.mark.parametrize(
    ("now", "champion", "words"),
    [
        (series(), None, "loss: no value yet"),
        (series(NAN, NAN), None, "loss is not a number"),
        (series(3.0, 1.92, t=(0.0, 12.0)), None, "loss 1.920 at 12 s"),
        (series(1.92, t=(12.0,)), series(2.5, 1.4, t=(0.0, 24.0)), "loss 1.920 at 12 s, 0.030 below the champion"),
        (series(2.0, t=(12.0,)), series(2.5, 1.4, t=(0.0, 24.0)), "loss 2.000 at 12 s, 0.050 above the champion"),
        (series(1.95, t=(12.0,)), series(2.5, 1.4, t=(0.0, 24.0)), "loss 1.950 at 12 s, level with the champion"),
        (series(2.0, t=(99.0,)), series(2.5, t=(60.0,)), "loss 2.000 at 99 s, the champion's curve ends at 60 s"),
        (series(2.0, t=(5.4,)), series(2.5, t=(5.2,)), "loss 2.000 at 5 s, the champion has no value at that time"),
        (series(2.0, t=(9.0,)), series(2.5, t=(60.0,)), "loss 2.000 at 9 s, the champion has no value at that time"),
        (series(2.0, NAN, t=(150.0, 180.0)), series(2.5), "loss 2.000 at 2m30s, not a number since 3m00s"),
        (series(2.0, name="lo\x1bss\n"), None, "lo␛ss 2.000 at 0 s"),
    ],
)  # fmt: skip
def test_the_chart_in_words(now: Series, champion: Series | None, words: str) -> None:
    assert in_words(now, champion).removesuffix(" at the same time") == words


def test_the_words_say_that_times_are_equal() -> None:
    faster = Series("loss", (0, 1, 2), (0.0, 1.0, 2.0), (3.0, 2.0, 1.0))
    slower = Series("loss", (0, 1, 2), (0.0, 2.0, 4.0), (3.0, 2.0, 1.0))
    assert in_words(faster, slower).endswith("1.000 below the champion at the same time")
    assert in_words(faster, slower, x="step").endswith("level with the champion at the same step")
    assert in_words(Series("loss", (9,), (1.0,), (1.0,)), slower, x="step").endswith("no value at that step")
    assert in_words(series(1.0), series(2.0)) == "loss 1.000 at 0 s, 1.000 below the champion at the same time"
