"""The Experiments screen: table, plot, lineage, details, search, and the ways to other screens."""

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
from tui.listing import Outcome
from tui.screens.experiments import Experiments

SIZES = ((80, 24), (120, 36), (160, 50))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> SampleLab:
    return researched(tmp_path_factory.mktemp("experiments"))


@asynccontextmanager
async def on_experiments(lab: SampleLab, size: tuple[int, int] = (120, 36)) -> AsyncIterator[tuple[Human, Experiments]]:
    async with opened(lab, size=size) as human:
        await human.press("5")
        await human.until(lambda: isinstance(human.app.screen, Experiments), "the Experiments screen")
        screen = human.app.screen
        assert isinstance(screen, Experiments)
        await human.until(lambda: screen.survey.steps or not screen.lab.history, "the survey")
        await human.pilot.pause()
        yield human, screen


@pytest.mark.parametrize("size", SIZES)
async def test_table_and_plot_are_there_at_every_size(lab: SampleLab, size: tuple[int, int]) -> None:
    async with on_experiments(lab, size) as (human, screen):
        await human.sees("outcome")
        for words in ("✓ kept", "baseline 1.8", "added up Δ -0.0", "▸", "2 wait for you (key 1)", "/ find", "val_bpb"):
            assert words in human.screen, words
        assert screen.query_one("#details").is_on_screen == (size[0] >= 120)
        if size[0] >= 120:
            await human.sees("kept step")
            await human.sees("Hypothesis")


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_is_as_it_was_looked_at(lab: SampleLab, size: tuple[int, int]) -> None:
    async with on_experiments(lab, size) as (human, screen):
        await human.press("j", "j")
        if size[0] >= 120:
            await human.until(
                lambda: screen.detail and screen.detail.experiment.id == screen.table.cursor_id, "the details"
            )
            await human.pilot.pause(0.1)
        shown = f"{human.screen}\n"
    is_golden(f"experiments-{size[0]}x{size[1]}.txt", shown)


async def test_columns_are_sorted_one_after_the_other_and_the_head_says_so(lab: SampleLab) -> None:
    async with on_experiments(lab, (80, 24)) as (human, screen):
        await human.press("s", "s")
        await human.sees("val_bpb▾")
        metrics = [row.metric for row in screen.table.rows if row.metric is not None]
        assert metrics == sorted(metrics)
        assert screen.table.cursor == 0
        await human.press("o")
        await human.sees("val_bpb▴")
        assert [row.metric for row in screen.table.rows if row.metric is not None] == sorted(metrics, reverse=True)


async def test_only_one_outcome_or_one_author_until_esc(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, screen):
        everything = len(screen.table.rows)
        await human.press("f")
        await human.sees("only kept")
        assert {row.verdict for row in screen.table.rows} == {Verdict.KEEP}
        await human.press("b")
        assert screen.listing.author is not None
        assert screen.listing.outcome is Outcome.KEPT
        await human.press("escape")
        assert len(screen.table.rows) == everything
        assert human.app.screen is screen


async def test_words_are_found_in_patches_and_esc_shows_all_again(lab: SampleLab) -> None:
    async with on_experiments(lab, (80, 24)) as (human, screen):
        await human.press("slash")
        await human.types("SOFTCAP")
        await human.press("enter")
        await human.until(lambda: screen.listing.found is not None, "the search")
        assert 0 < len(screen.table.rows) <= len(screen.lab.history)
        await human.sees("SOFTCAP”")
        await human.press("slash", "ctrl+u")
        await human.types("nowhere at all")
        await human.press("enter")
        await human.sees("Nothing matches.")
        await human.press("escape")
        assert len(screen.table.rows) == len(screen.lab.history)


async def test_letters_typed_into_the_search_do_nothing_else(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, screen):
        before = screen.listing
        await human.press("slash")
        await human.types("s o f b q 5 c")
        await human.press("escape")
        assert screen.listing == before
        assert human.app.screen is screen


async def test_enter_opens_it_on_the_review_screen_and_decides_nothing(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, _):
        await human.press("G", "enter")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        await human.until(lambda: human.review.shown and human.review.shown.id == 1, "#1")
        assert human.asked == []


async def test_esc_goes_back_to_the_table_where_it_was_opened_and_from_there_to_the_queue(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, screen):
        await human.press("G", "enter")
        await human.until(lambda: human.review.shown and human.review.shown.id == 1, "#1")
        await human.sees("Esc: back to Experiments")
        await human.press("3", "escape")
        await human.until(lambda: human.app.screen is screen, "the table again")
        assert screen.table.cursor_id == 1
        await human.press("escape")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        assert not human.review.desk.pinned
        await human.press("h")
        await human.sees("Esc: 2 waiting")
        await human.press("escape")
        await human.pilot.pause()
        assert human.app.screen is human.review


async def test_what_came_up_out_of_sight_cannot_be_decided_at_once(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, _):
        await human.press("escape", "v")
        await human.until(lambda: human.app.screen is human.review)
        assert human.review.desk.in_grace


async def test_the_number_keys_lead_to_the_panes_of_review(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, _):
        await human.press("4")
        await human.until(lambda: human.app.screen is human.review)
        assert human.review.panes.current == "log"


async def test_up_to_six_are_marked_and_compared(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, screen):
        await human.press(*["space"] * 7)
        await human.is_told("6 are marked")
        newest = [row.id for row in screen.table.rows[:6]]
        assert screen.marked == newest
        await human.sees("6 marked")
        await human.press("c")
        await human.until(lambda: human.app.screen is not screen, "the Compare screen")
        assert human.app.places.compare.wanted == tuple(newest)
        await human.press("escape")
        await human.until(lambda: human.app.screen is screen, "Experiments again")
        await human.press("M")
        assert screen.marked == []


async def test_the_cursor_stays_on_its_experiment_when_others_arrive(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "waiting")
    async with on_experiments(lab, (80, 24)) as (human, screen):
        await human.press("j", "j", "j")
        at = screen.table.cursor_id
        count = len(screen.table.rows)
        lab.proposes("one more")
        await human.until(lambda: len(screen.table.rows) == count + 1, "the new row")
        assert screen.table.cursor_id == at
    lab.close()


async def test_panes_are_gone_through_with_tab_and_zoomed(lab: SampleLab) -> None:
    async with on_experiments(lab, (80, 24)) as (human, screen):
        await human.press("tab")
        await human.sees("Hypothesis")
        assert not screen.table.is_on_screen
        await human.press("tab")
        await human.sees("─ baseline" if len(screen.survey.steps) < 4 else "kept step")
        await human.press("z")
        assert not screen.query_one("#progress").is_on_screen
        await human.press("escape", "escape")
        assert screen.table.is_on_screen
        assert human.app.screen is screen


async def test_an_empty_lab_says_what_to_do(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "empty")
    async with on_experiments(lab, (80, 24)) as (human, _):
        await human.sees("No experiment yet")
        assert "i gives the researcher an idea" in human.screen
        await human.press("space")
        await human.is_told("no experiment is listed")
        await human.press("enter", "c")
        await human.is_told("there is no experiment to compare")
    lab.close()


async def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "hostile")
    async with on_experiments(lab, (120, 36)) as (human, screen):
        await human.sees("[@click=app.q")
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"} & set(human.screen)
        await human.press("b", "f", "tab", "tab")
        assert human.app.screen is screen
    lab.close()


async def test_a_terminal_too_small_says_so(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, screen):
        await human.pilot.resize_terminal(50, 12)
        await human.sees("too small: 50×12")
        await human.press("space")
        assert screen.marked == []


async def test_help_and_palette_have_the_keys_of_this_screen(lab: SampleLab) -> None:
    async with on_experiments(lab) as (human, screen):
        await human.press("question_mark")
        await human.sees("Mark the experiment under the cursor")
        assert "Never run it" not in human.screen
        await human.press("escape", "colon")
        await human.types("reverse")
        await human.press("enter")
        await human.until(lambda: screen.listing.reverse, "the other way")


async def test_a_step_of_the_cursor_repaints_two_rows_and_the_plots_floor(lab: SampleLab) -> None:
    async with on_experiments(lab, (80, 24)) as (human, screen):
        dirty: list[int] = []
        refresh = screen.table.refresh

        def counted(*regions: Region, **options: bool) -> object:
            dirty.extend(region.area for region in regions)
            return refresh(*regions, **options)

        screen.table.refresh = counted  # type: ignore[method-assign, assignment]
        await human.press("j")
        assert sum(dirty) == 2 * screen.table.size.width
