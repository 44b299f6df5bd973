from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from core.store.rows import Gauge
from tui.widgets.gauges import Gauges, cores_text, detailed_lines, device_lines, sparkline

GIB = 2**30


def gauge(device: str = "cuda:0", at: float = 1000.0, **values: Any) -> Gauge:
    return replace(Gauge(device, at, 83.0, 44.1 * GIB, 79.6 * GIB, 312.4, 61.0, 1980.0), **values)


def processor(at: float = 1000.0, cores: str = "9310") -> Gauge:
    return Gauge("cpu", at, 33.0, 6.2 * GIB, 31.3 * GIB, None, None, load=2.43, cores=cores)


class GaugeApp(App[None]):
    def __init__(self, *, detailed: bool = False) -> None:
        super().__init__()
        self.detailed = detailed

    def compose(self) -> ComposeResult:
        yield Gauges(detailed=self.detailed)

    @property
    def gauges(self) -> Gauges:
        return self.query_one(Gauges)

    def rows(self) -> list[str]:
        return [self.gauges.render_line(y).text.rstrip() for y in range(self.gauges.size.height)]


async def test_before_the_first_sample_it_says_so() -> None:
    app = GaugeApp()
    async with app.run_test(size=(80, 10)):
        assert app.rows() == ["No device has reported yet."]


async def test_a_device_that_is_set_aside_says_why_even_where_it_reports_nothing() -> None:
    app = GaugeApp(detailed=True)
    words = "cuda:2 gets no more runs: the champion's own run 7 broke off there (CUDA error: the GPU is lost)"
    async with app.run_test(size=(48, 12)) as pilot:
        app.gauges.show([], aside={"cuda:2": words})
        await pilot.pause()
        assert " ".join(row.strip() for row in app.rows()) == f"{words} No device has reported yet."
        app.gauges.show([gauge()], aside={"cuda:2": words})
        await pilot.pause()
        rows = app.rows()
        assert rows[0].startswith("cuda:2 gets no more runs")
        assert any(row.startswith("cuda:0") for row in rows)
        app.gauges.show([])
        await pilot.pause()
        assert app.rows()[0].startswith("cuda:0")


async def test_a_wide_terminal_has_a_line_a_device_and_a_narrow_one_two() -> None:
    app = GaugeApp()
    async with app.run_test(size=(100, 10)) as pilot:
        app.gauges.show([gauge(), processor()])
        await pilot.pause()
        assert len(app.rows()) == 2
        assert app.rows()[0].startswith("cuda:0    83 %  312 W   61 °C  1980 MHz      44.1/79.6 GiB VRAM")
        assert app.rows()[1].startswith("cpu       33 %  load   2.4 of 4              6.2/31.3 GiB RAM")
        await pilot.resize_terminal(80, 10)
        await pilot.pause()
        assert app.rows()[0].startswith("cuda:0    83 %  312 W   61 °C      44.1/79.6 GiB VRAM")
        assert app.rows()[1].startswith("cpu       33 %  load   2.4 of 4    6.2/31.3 GiB RAM")
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert len(app.rows()) == 4
        assert app.rows()[1].endswith("312 W   61 °C  1980 MHz  44.1/79.6 GiB VRAM")
        await pilot.resize_terminal(48, 10)
        await pilot.pause()
        assert app.rows()[1].endswith("312 W   61 °C  44.1/79.6 GiB VRAM")


@pytest.mark.parametrize(("device", "unknown"), [("cuda:0", 5), ("cpu", 3)])
def test_what_is_unknown_is_a_dash_never_a_zero(device: str, unknown: int) -> None:
    nothing = Gauge(device, 0.0, None, None, None, None, None)
    drawn = [device_lines(nothing, "", 55, "braille"), device_lines(nothing, "", 120, "braille")]
    for lines in [*drawn, detailed_lines(nothing, "", 48, "braille")]:
        text = "\n".join("".join(part for part, _ in line) for line in lines).replace("cuda:0", "")
        assert "0" not in text
        assert text.count("–") == unknown + (lines not in drawn)  # the share of the memory too


async def test_in_detail_a_gpu_has_its_sensors_and_a_processor_its_cores() -> None:
    app = GaugeApp(detailed=True)
    async with app.run_test(size=(48, 10)) as pilot:
        app.gauges.show([gauge(), processor()])
        await pilot.pause()
        assert [row[:34].rstrip() for row in app.rows()] == [
            "cuda:0    83 %  ██████████░░",
            "  memory  55 %  ███████░░░░░  44.1",
            "  sensors  312 W   61 °C  1980 MHz",
            "cpu       33 %  ████░░░░░░░░",
            "  memory  20 %  ██░░░░░░░░░░  6.2/",
            "  load     2.4 on 4 cores",
            "  cores   █▃▁▁",
        ]


async def test_a_processor_alone_has_no_row_of_a_gpu() -> None:
    app = GaugeApp(detailed=True)
    async with app.run_test(size=(48, 10)) as pilot:
        app.gauges.show([processor()])
        await pilot.pause()
        text = "\n".join(app.rows())
        assert not [word for word in ("cuda", " W", "°C", "MHz", "–") if word in text]


async def test_many_devices_stand_closer_than_in_detail() -> None:
    app = GaugeApp(detailed=True)
    async with app.run_test(size=(48, 20)) as pilot:
        app.gauges.show([gauge(f"cuda:{index}") for index in range(8)])
        await pilot.pause()
        assert len(app.rows()) == 16


@pytest.mark.parametrize("symbols", ["braille", "block", "ascii"])
def test_every_core_has_its_place_however_many_there_are(symbols: str) -> None:
    assert len(cores_text("9310", 38, symbols)) == 4
    assert len(cores_text("93" * 32, 38, symbols)) == 32
    assert len(cores_text("93" * 128, 38, symbols)) == 38


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


async def test_samples_of_a_run_that_is_over_say_how_old_they_are() -> None:
    app = GaugeApp()
    async with app.run_test(size=(80, 10)) as pilot:
        app.gauges.show([processor()], now=1010.0)
        await pilot.pause()
        assert "ago" not in app.rows()[0]
        app.gauges.show([processor()], now=1250.0)
        await pilot.pause()
        assert app.rows()[0].endswith("4m ago")
        app.gauges.show([processor(at=1251.0)], now=1252.0)
        await pilot.pause()
        assert "ago" not in app.rows()[0]
