from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from core.models import Series
from tui.widgets.chart import Chart
from tui.widgets.chart_grid import LARGE_HEIGHT, LEAST_HEIGHT, LEAST_WIDTH, ChartGrid, Curve, arrange, in_order

NAMES = ("loss", "lr", "grad_norm", "tokens_per_s", "mfu")


class GridApp(App[None]):
    def compose(self) -> ComposeResult:
        yield ChartGrid()

    @property
    def grid(self) -> ChartGrid:
        return self.query_one(ChartGrid)

    def show(self, names: tuple[str, ...] = NAMES, points: int = 50) -> list[str]:
        """Shows the curves; the names of those that were asked for."""
        asked: list[str] = []

        def find(name: str) -> Curve:
            asked.append(name)
            steps = tuple(range(points))
            return Curve(Series(name, steps, tuple(map(float, steps)), tuple(3.0 - i / 100 for i in steps)), None, None)

        self.grid.show(names, find, title="#5")
        return asked

    def heads(self) -> list[str]:
        """The first row of every chart that is there."""
        charts = [chart for chart in self.query(Chart).results(Chart) if chart.display and chart.size.height]
        return [chart.render_line(0).text.strip() for chart in charts]


@pytest.mark.parametrize("size", [(80, 19), (72, 24), (112, 33), (40, 12), (200, 60), (30, 5)])
@pytest.mark.parametrize("others", [0, 1, 4, 8, 31])
def test_small_charts_can_be_read_and_leave_the_large_one_its_room(size: tuple[int, int], others: int) -> None:
    width, height = size
    columns, rows, tall = arrange(width, height, others)
    assert columns * rows <= others + columns
    if rows:
        assert width // columns >= LEAST_WIDTH or columns == 1
        assert tall >= LEAST_HEIGHT
        assert height - rows * tall >= LARGE_HEIGHT or rows == 1


def test_the_usual_curves_come_first_and_the_count_of_tokens_last() -> None:
    assert in_order(["tokens", "mfu", "zloss", "lr", "accuracy", "loss"]) == (
        "loss", "lr", "mfu", "accuracy", "zloss", "tokens",
    )  # fmt: skip


async def test_one_is_large_and_the_others_are_small_with_their_newest_value() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.show()
        await pilot.pause()
        assert app.heads() == ["#5 loss", "lr 2.51", "grad_norm 2.51", "tokens_per_s 2.51", "mfu 2.51"]
        assert app.grid.chart.size.height >= LARGE_HEIGHT


async def test_only_the_curves_in_sight_are_asked_for() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 19)) as pilot:
        app.show()
        await pilot.pause()
        assert app.show(points=51) == ["loss", "lr", "grad_norm", "tokens_per_s"]
        assert app.grid.hidden == 1
        app.grid.show_alone(True)
        assert app.show(points=52) == ["loss"]


async def test_the_next_one_becomes_large_and_stays_so() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.show()
        app.grid.choose(1)
        await pilot.pause()
        assert app.heads()[:2] == ["#5 lr", "loss 2.51"]
        app.show(points=60)
        app.grid.choose(-1)
        app.grid.choose(-1)
        await pilot.pause()
        assert app.heads()[0] == "#5 mfu"
        app.show(("loss", "lr"))
        await pilot.pause()
        assert app.heads() == ["#5 loss", "lr 2.51"]


async def test_a_click_on_a_small_one_makes_it_large() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.show()
        await pilot.pause()
        await pilot.click("#small-1")
        assert app.grid.large == "grad_norm"


async def test_scale_smoothing_and_axis_are_those_of_all() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.show()
        await pilot.pause()
        app.grid.toggle_log()
        app.grid.smooth(2)
        app.grid.next_axis()
        app.grid.toggle_whole()
        looks = {(c.log_scale, c.smoothing, c.axis, c.whole) for c in app.query(Chart).results(Chart)}
        assert looks == {(True, 2, 1, True)}
        app.grid.reset()
        assert {(c.log_scale, c.smoothing, c.axis, c.whole) for c in app.query(Chart).results(Chart)} == {
            (False, 0, 0, False)
        }


async def test_without_curves_it_says_when_they_begin() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.show(())
        await pilot.pause()
        assert app.heads() == ["#5 loss"]
        assert "No points yet" in app.grid.chart.render_line(1).text


@pytest.mark.parametrize("size", [(20, 4), (50, 12), (80, 19), (200, 60)])
async def test_hostile_names_fit_any_size(size: tuple[int, int]) -> None:
    app = GridApp()
    async with app.run_test(size=size) as pilot:
        app.show(("\x1b]52;c;x\x07", "[/] [b]", "日本語 " * 20, "a" * 500))
        await pilot.pause()
        for chart in app.query(Chart).results(Chart):
            if chart.size.height:
                strips = [chart.render_line(y) for y in range(chart.size.height)]
                assert all(strip.cell_length == chart.size.width for strip in strips)
                assert not any("\x1b" in strip.text for strip in strips)
