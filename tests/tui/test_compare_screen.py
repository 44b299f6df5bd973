"""The Compare screen: curves, numbers and code of several experiments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.geometry import Region

from core.models import Verdict
from tests.sample_lab import SampleLab, build
from tests.tui.cockpit import Human
from tests.tui.golden import is_golden
from tests.tui.research_desk import opened, researched
from tui.screens.compare import Compare
from tui.widgets.diff import DiffView

SIZES = ((80, 24), (120, 36), (160, 50))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> SampleLab:
    return researched(tmp_path_factory.mktemp("compare"))


def measured(lab: SampleLab, count: int) -> list[int]:
    """Experiments with a result, kept ones first."""
    found = [e for e in lab.writer.experiments() if e.metric is not None]
    return [e.id for e in sorted(found, key=lambda e: (e.verdict is not Verdict.KEEP, e.id))][:count]


@asynccontextmanager
async def comparing(
    lab: SampleLab, numbers: list[int], size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[Human, Compare]]:
    async with opened(lab, size=size) as human:
        human.app.places.compare.take(tuple(numbers))
        human.review.open(numbers[0])
        await human.press("5")
        experiments = human.app.places.experiments
        await human.until(lambda: experiments.is_current and experiments.table.rows, "the Experiments screen")
        experiments.marked[:] = numbers
        await human.press("c")
        screen = human.app.places.compare
        await human.until(lambda: screen.is_current and screen.found.sides, "what is compared")
        await human.pilot.pause(0.1)
        yield human, screen


@pytest.mark.parametrize("size", SIZES)
async def test_curves_numbers_and_code_at_every_size(lab: SampleLab, size: tuple[int, int]) -> None:
    async with comparing(lab, measured(lab, 3), size) as (human, screen):
        await human.sees("loss over training time")
        assert [side.name for side in screen.found.sides] == [f"#{n}" for n in sorted(measured(lab, 3))]
        if size[0] < 120:
            assert "peak memory" not in human.screen
            await human.press("tab")
        await human.sees("Constants that differ")
        await human.sees("finished")
        if size[0] < 120:
            await human.press("tab")
        await human.sees("hunk 1/")


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_is_as_it_was_looked_at(lab: SampleLab, size: tuple[int, int]) -> None:
    async with comparing(lab, measured(lab, 2), size) as (human, screen):
        await human.press("right")
        await human.until(lambda: screen.overlay.sight.cross is not None)
        await human.pilot.pause(0.1)
        shown = f"{human.screen}\n"
    is_golden(f"compare-{size[0]}x{size[1]}.txt", shown)


async def test_six_sides_fit_into_80_columns(lab: SampleLab) -> None:
    async with comparing(lab, measured(lab, 6), (80, 24)) as (human, screen):
        await human.sees(" F ")
        await human.press("tab")
        await human.sees("F #")
        assert len(screen.found.sides) == 6


async def test_the_axis_goes_over_time_steps_budget_and_tokens(lab: SampleLab) -> None:
    async with comparing(lab, measured(lab, 2)) as (human, screen):
        for words in ("over steps", "over % of the budget", "over tokens", "over training time"):
            await human.press("x")
            await human.sees(words)
        assert screen.overlay.axis == "training time"


async def test_log_scale_smoothing_and_another_curve(lab: SampleLab) -> None:
    async with comparing(lab, measured(lab, 2)) as (human, screen):
        await human.press("L", "right_square_bracket")
        await human.sees("log scale, smoothed 0.6")
        await human.press("L", "left_square_bracket", "c")
        await human.sees("grad_norm over training time")
        assert screen.overlay.smoothing == 0


async def test_the_crosshair_reads_every_curve_and_the_zoom_goes_around_it(lab: SampleLab) -> None:
    async with comparing(lab, measured(lab, 2)) as (human, screen):
        last = screen.overlay.values
        await human.press("left")
        await human.sees(", at ")
        assert screen.overlay.values != last
        cross = screen.overlay.sight.cross
        await human.press("right", "left", "plus")
        await human.sees("2× closer")
        assert screen.overlay.sight.cross == pytest.approx(cross)
        await human.press("minus", "0")
        assert screen.overlay.sight.cross is None
        assert "closer," not in human.screen


async def test_the_code_of_another_pair(lab: SampleLab) -> None:
    a, b, c = sorted(measured(lab, 3))
    async with comparing(lab, [a, b, c]) as (human, _):
        await human.sees(f"A #{a} → B #{b}")
        await human.press("d")
        await human.sees(f"A #{a} → C #{c}")
        await human.press("d")
        await human.sees(f"A #{a} → B #{b}")


async def test_one_alone_is_compared_with_its_champion_from_review_too(lab: SampleLab) -> None:
    async with opened(lab) as human:
        await human.until(lambda: human.review.shown)
        await human.press("6")
        screen = human.app.places.compare
        await human.until(lambda: screen.is_current and screen.found.sides, "what is compared")
        assert len(screen.found.sides) == 2
        assert screen.found.sides[0].commit == screen.found.sides[1].experiment.parent_commit  # type: ignore[union-attr]
        await human.press("escape")
        await human.until(lambda: human.app.screen is human.review)
        assert human.asked == []


async def test_disabled_keys_say_why(lab: SampleLab) -> None:
    async with comparing(lab, measured(lab, 2)) as (human, _):
        await human.press("d")
        await human.is_told("there is only one pair")


async def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "hostile")
    async with opened(lab) as human:
        await human.until(lambda: human.review.shown)
        await human.press("6")
        screen = human.app.places.compare
        await human.until(lambda: screen.is_current and screen.found.sides, "what is compared")
        await human.sees("has not run")
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"} & set(human.screen)
    lab.close()


async def test_a_step_of_the_crosshair_repaints_little(lab: SampleLab) -> None:
    async with comparing(lab, measured(lab, 2)) as (human, screen):
        await human.press("left")
        cells: list[int] = []
        refresh = screen.overlay.refresh

        def counted(*regions: Region, **options: bool) -> object:
            cells.extend(region.area for region in regions)
            return refresh(*regions, **options)

        screen.overlay.refresh = counted  # type: ignore[method-assign, assignment]
        await human.press("left")
        assert 0 < sum(cells) <= 4 * screen.overlay.size.height


async def test_nothing_of_what_was_compared_before_stands_under_the_new_names(lab: SampleLab) -> None:
    first, second, third = measured(lab, 3)
    async with comparing(lab, [first, second]) as (human, screen):
        code = screen.query_one(DiffView)
        await human.until(lambda: code.hunks, "the code")
        screen.take((third,))
        assert code.hunks == 0
        screen.draw()
        assert screen.overlay.empty_text == "The runs are being read."
        await human.until(lambda: screen.found.sides, "what is compared")
