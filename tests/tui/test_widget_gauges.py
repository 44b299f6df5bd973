from __future__ import annotations

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from core.store.reader import Gauge
from tui.widgets.gauges import Gauges, device_lines, sparkline

GIB = 2**30


def gauge(device: str = "cuda:0", at: float = 1000.0, **values: float | None) -> Gauge:
    known: dict[str, float | None] = {
        "utilization": 83.0,
        "memory_used": 44.1 * GIB,
        "memory_total": 79.6 * GIB,
        "power": 312.4,
        "temperature": 61.0,
    }
    return Gauge(device=device, at=at, **(known | values))


class GaugeApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Gauges()

    @property
    def gauges(self) -> Gauges:
        return self.query_one(Gauges)

    def rows(self) -> list[str]:
        return [self.gauges.render_line(y).text.rstrip() for y in range(self.gauges.size.height)]


async def test_before_the_first_sample_it_says_so() -> None:
    app = GaugeApp()
    async with app.run_test(size=(80, 10)):
        assert app.rows() == ["No device has reported yet."]


async def test_a_wide_terminal_has_a_line_a_device_and_a_narrow_one_two() -> None:
    app = GaugeApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.gauges.show([gauge(), gauge("cpu", power=None, temperature=None)])
        await pilot.pause()
        assert len(app.rows()) == 2
        assert app.rows()[0].startswith("cuda:0    83 %  312 W   61 °C      44.1/79.6 GiB VRAM")
        assert app.rows()[1].startswith("cpu       83 %    – W    – °C      44.1/79.6 GiB RAM")
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert len(app.rows()) == 4
        assert app.rows()[1].endswith("312 W   61 °C  44.1/79.6 GiB VRAM")


def test_what_is_unknown_is_a_dash_never_a_zero() -> None:
    nothing = Gauge("cpu", 0.0, None, None, None, None, None)
    for width in (40, 120):
        text = "\n".join(
            "".join(part for part, _ in line) for line in device_lines(nothing, "", width, silent=False, blocks=True)
        )
        assert "0" not in text
        assert text.count("–") == 4


async def test_a_sample_that_changes_one_number_repaints_that_number() -> None:
    app = GaugeApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.gauges.show([gauge(at=1000.0)])
        await pilot.pause()
        app.gauges._exchange_repaint_regions()
        app.gauges.show([gauge(at=1001.0)])
        assert not app.gauges._exchange_repaint_regions()
        app.gauges.show([gauge(at=1002.0, power=318.0)])
        assert [(r.x, r.width, r.height) for r in app.gauges._exchange_repaint_regions()] == [(18, 1, 1)]


async def test_samples_seen_before_change_nothing() -> None:
    app = GaugeApp()
    async with app.run_test(size=(100, 10)) as pilot:
        samples = [gauge(at=1000.0 + i, utilization=float(i)) for i in range(60)]
        app.gauges.show(samples)
        await pilot.pause()
        before = app.rows()
        app.gauges.show(samples[:30])
        assert app.rows() == before


async def test_a_device_that_stopped_reporting_is_called_silent() -> None:
    app = GaugeApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.gauges.show([gauge("cuda:0", at=1000.0), gauge("cuda:1", at=1040.0)])
        await pilot.pause()
        assert app.rows()[0].endswith("silent")
        assert "silent" not in app.rows()[1]


@pytest.mark.parametrize("symbols", ["braille", "block", "ascii"])
def test_history_is_one_cell_for_two_steps_with_gaps(symbols: str) -> None:
    drawn = sparkline([0.0, 100.0, None, None, 50.0], symbols)
    assert cell_len(drawn) == 3
    assert drawn[1] == " "
    assert (symbols == "ascii") == drawn.isascii()


@pytest.mark.parametrize("size", [(1, 1), (12, 3), (39, 5), (80, 24), (200, 5)])
async def test_hostile_names_and_numbers_fit_any_width(size: tuple[int, int]) -> None:
    app = GaugeApp()
    async with app.run_test(size=size) as pilot:
        inf = float("inf")
        app.gauges.show(
            [
                gauge("\x1b]52;c;x\x07日本語[/]", utilization=inf, memory_used=inf, power=1e9, temperature=-1e6),
                gauge("nan", utilization=float("nan"), power=float("nan"), temperature=float("nan")),
            ]
        )
        await pilot.pause()
        strips = [app.gauges.render_line(y) for y in range(app.gauges.size.height)]
        assert all(strip.cell_length == app.gauges.size.width for strip in strips)
        assert not any("\x1b" in strip.text for strip in strips)
