from __future__ import annotations

import math

import pytest
from textual.app import App, ComposeResult

from core.models import Series
from tui.render.curves import SMOOTHING
from tui.widgets.chart import REPAINT_SECONDS, Chart

HOSTILE = "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x9b5m \u202eevil [/] [bold]x 日本語 👩‍👩‍👧"
NOTHING = Series("loss", (), (), ())


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ChartApp(App[None]):
    def __init__(self, symbols: str = "braille") -> None:
        super().__init__()
        self.clock = FakeClock()
        self.symbols = symbols

    def compose(self) -> ComposeResult:
        yield Chart(clock=self.clock, symbols=self.symbols)

    @property
    def chart(self) -> Chart:
        return self.query_one(Chart)

    def rows(self) -> list[str]:
        return [self.chart.render_line(y).text.rstrip() for y in range(self.chart.size.height)]

    def show(self, *arguments: Series | None, **words: str) -> None:
        """At a time when the chart may paint."""
        self.clock.now += REPAINT_SECONDS
        series, champion = (*arguments, None)[:2]
        assert series is not None
        self.chart.show(series, champion, title=words.get("title", ""), note=words.get("note", ""))

    def repainted(self) -> int:
        """Cells that were marked for repainting since the last look."""
        return sum(region.area for region in self.chart._exchange_repaint_regions())


def falling(points: int, *, of: int = 600, floor: float = 3.0, seconds: float = 300.0) -> Series:
    t = tuple(seconds * i / (of - 1) for i in range(points))
    return Series("loss", tuple(range(points)), t, tuple(floor + 7 * math.exp(-x / 30) for x in t))


async def test_without_points_it_says_when_the_curve_begins() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)):
        app.show(NOTHING, note="compiling")
        assert app.rows()[0] == "loss  compiling"
        assert app.rows()[1] == "No points yet: the curve begins with the first training step."
        assert app.rows()[-1] == "loss: no value yet"


async def test_a_run_that_ended_without_a_point_promises_none() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.chart.show(NOTHING, None, title="loss")
        await pilot.pause()
        assert app.rows()[-1] == "loss: no value yet"
        app.chart.show(NOTHING, None, title="loss", over=True)
        await pilot.pause()
        assert app.rows()[1] == "No points: the run ended before its first training step."
        assert app.rows()[-1] == "loss: no value"


async def test_a_curve_over_the_champion_is_told_in_words_below() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)):
        app.show(falling(300, floor=2.9), falling(600), title="loss", note="#42 over #37")
        assert app.rows()[0] == "loss  dotted: champion  #42 over #37"
        assert app.rows()[-1] == "loss 2.948 at 2m30s, 0.100 below the champion at the same time"
        assert "5m" in app.rows()[-2]  # the axis ends with the champion's run


async def test_a_tick_repaints_only_what_changed() -> None:
    app = ChartApp()
    async with app.run_test(size=(120, 36)) as pilot:
        app.show(falling(300), falling(600))
        await pilot.pause()
        app.repainted()
        cells = []
        for points in range(301, 321):
            app.show(falling(points), falling(600))
            cells.append(app.repainted())
        assert max(cells) <= 60
        assert sum(cells) > 0


async def test_nothing_new_repaints_nothing() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(falling(300), falling(600))
        await pilot.pause()
        app.repainted()
        app.show(falling(300), falling(600))
        assert app.repainted() == 0


async def test_it_paints_at_most_twice_a_second_and_always_the_newest() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(falling(300), None)
        before = app.rows()
        for points in range(301, 350):
            app.chart.show(falling(points), None)
        assert app.rows() == before
        app.clock.now += REPAINT_SECONDS
        app.chart._paint()
        assert app.rows()[-1] == f"loss {falling(349).value[-1]:.3f} at 2m54s"
        await pilot.pause()


async def test_a_hidden_chart_draws_when_it_is_shown_again() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(falling(300))
        app.chart.display = False
        await pilot.pause()
        app.show(falling(500))
        assert app.rows()[-1:] != [f"loss {falling(500).value[-1]:.3f} at 4m10s"]
        app.clock.now += REPAINT_SECONDS
        app.chart.display = True
        await pilot.pause()
        await pilot.pause()
        assert app.rows()[-1] == f"loss {falling(500).value[-1]:.3f} at 4m10s"


async def test_log_scale_smoothing_axis_and_reset_say_what_they_did() -> None:
    app = ChartApp()
    async with app.run_test(size=(100, 20)):
        app.show(falling(300), falling(600), title="loss")
        plain = app.rows()
        app.chart.toggle_log()
        assert "log scale" in app.rows()[0]
        app.chart.smooth(1)
        assert f"smoothed {SMOOTHING[1]}" in app.rows()[0]
        app.chart.next_axis()
        assert "x: steps" in app.rows()[0]
        app.chart.next_axis()
        assert "x: % of the time" in app.rows()[0]
        assert "100" in app.rows()[-2]
        for _ in range(20):
            app.chart.smooth(1)
        app.chart.reset()
        assert app.rows() == plain


async def test_a_curve_without_positive_values_refuses_the_log_scale_and_says_why() -> None:
    app = ChartApp()
    async with app.run_test(size=(100, 20)):
        app.show(Series("delta", (0, 1), (0.0, 1.0), (-1.0, -2.0)))
        app.chart.toggle_log()
        assert "no logarithmic scale" in app.rows()[0]


async def test_a_value_that_is_no_number_is_a_gap_and_is_said() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)):
        curve = falling(300)
        values = tuple(math.nan if i > 250 else v for i, v in enumerate(curve.value))
        app.show(Series("loss", curve.step, curve.t, values))
        assert "not a number since" in app.rows()[-1]
        app.show(Series("loss", curve.step, curve.t, (math.nan,) * 300))
        assert app.rows()[-1] == "loss is not a number"


@pytest.mark.parametrize("symbols", ["braille", "block", "ascii"])
async def test_symbols_for_every_font(symbols: str) -> None:
    app = ChartApp(symbols)
    async with app.run_test(size=(80, 20)):
        app.show(falling(300), falling(600))
        assert (symbols == "ascii") == all(row.isascii() for row in app.rows())


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (24, 6), (80, 24), (160, 50)])
async def test_hostile_words_and_numbers_fit_any_size(size: tuple[int, int]) -> None:
    app = ChartApp()
    async with app.run_test(size=size) as pilot:
        wild = (1e308, -1e308, math.inf, -math.inf, math.nan, 0.0, 1e-300, 3.0)
        series = Series(HOSTILE, tuple(range(8)), tuple(float(i) for i in range(8)), wild)
        for _ in range(3):
            app.show(series, falling(600), title=HOSTILE, note=HOSTILE)
            app.chart.toggle_log()
            app.chart.next_axis()
            await pilot.pause()
            strips = [app.chart.render_line(y) for y in range(size[1])]
            assert all(strip.cell_length == app.chart.size.width for strip in strips)
            assert not any(c in strip.text for strip in strips for c in "\x1b\x9b\x07\u202e")
