"""The Decisions screen: every review, who let what through, what came of it, and how both agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.geometry import Region

from core.models import Decision, State, Verdict
from core.requests import Approve
from tests.sample_lab import SampleLab, build
from tests.tui.cockpit import Human, cockpit
from tests.tui.decided_lab import DecidedLab, every_kind, thousands
from tests.tui.golden import is_golden
from tests.tui.research_desk import opened
from tui.reviews import ANY_RULE, Said
from tui.screens.decisions import Decisions

SIZES = ((80, 24), (120, 36), (160, 50))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> DecidedLab:
    return every_kind(tmp_path_factory.mktemp("decisions") / "lab")


@asynccontextmanager
async def on_decisions(lab: SampleLab, size: tuple[int, int] = (120, 36)) -> AsyncIterator[tuple[Human, Decisions]]:
    async with opened(lab, size=size) as human:
        await human.press("9")
        await human.until(lambda: isinstance(human.app.screen, Decisions), "the Decisions screen")
        screen = human.app.screen
        assert isinstance(screen, Decisions)
        await human.until(lambda: screen.loaded, "the reviews")
        await human.pilot.pause()
        yield human, screen


async def reads(human: Human, screen: Decisions, experiment: int, said: Said) -> None:
    """The cursor goes to a review and rests until it is read in full."""
    at = next(i for i, r in enumerate(screen.table.rows) if r.review.experiment_id == experiment and r.said is said)
    while screen.table.cursor != at:
        await human.press("j" if screen.table.cursor < at else "k")
    row = screen.table.cursor_row
    await human.until(lambda: screen._found is not None and screen._found.row is row, "the review in full")
    await human.pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_is_as_it_was_read_and_approved(lab: DecidedLab, size: tuple[int, int]) -> None:
    async with on_decisions(lab, size) as (human, screen):
        if size[0] >= 120:
            await reads(human, screen, 3, Said.PART)
        else:
            await human.press("j", "j")
        shown = f"{human.screen}\n"
    is_golden(f"decisions-{size[0]}x{size[1]}.txt", shown)


async def test_the_newest_review_is_on_top_and_what_was_taken_back_says_so(lab: DecidedLab) -> None:
    async with on_decisions(lab, (80, 24)) as (human, screen):
        ages = [row.review.decided_at for row in screen.table.rows]
        assert ages == sorted(ages, reverse=True)
        rows = human.screen.split("\n")
        assert "▹ approved  anna     taken back" in next(line for line in rows if "2m ago" in line)
        assert "! settled   anna     · discard" in next(
            line for line in rows if line.lstrip().startswith("1h ago      4")
        )


async def test_a_review_in_full_says_who_why_how_fast_and_what_came_of_it(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await reads(human, screen, 1, Said.APPROVED)
        for words in ("by anna, 5h ago", "decided in 42s", "small and clear", "✓ kept", "confirmed on 2 fresh seeds"):
            assert words in human.screen, words
        await reads(human, screen, 2, Said.APPROVED)
        for words in ("by the autonomy dial", "rule guarded/small", "4 lines change", "worse than the champion"):
            assert words in human.screen, words
        await reads(human, screen, 6, Said.VETOED)
        assert "It never runs." in human.screen


async def test_hunks_that_were_switched_out_and_edits_are_shown(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await reads(human, screen, 3, Said.PART)
        assert "Switched out: 1 of 3 hunks" in human.screen
        assert "-COOLDOWN = 0.4" in human.screen
        await reads(human, screen, 4, Said.EDITED)
        assert "no longer +COOLDOWN = 0.55" in human.screen
        assert "now +COOLDOWN = 0.5" in human.screen
        await reads(human, screen, 4, Said.SETTLED)
        assert "settled as discard" in human.screen
        assert "it read the audit split" in human.screen


async def test_reviewers_and_verdicts_agree_or_not(lab: DecidedLab) -> None:
    async with on_decisions(lab, (80, 24)) as (human, _):
        await human.press("tab", "tab")
        await human.sees("The dial: guarded/small")
        seen = " ".join(human.screen.split())
        # the settled verdict of #4 and the approval that was taken back are in none of it
        assert "anna approved 2 patches (1 edited); of 1 judged 1 was kept (100%); vetoed 1, sent 1 back" in seen
        assert "half of the decisions took less than 31s" in seen
        assert "ben approved 1 patch (1 edited); of 1 judged 0 were kept (0%), 1 discard" in seen
        assert "let 1 patch through; of 1 judged 0 were kept (0%)" in seen


async def test_only_one_decision_one_person_or_what_the_dial_let_through(lab: DecidedLab) -> None:
    async with on_decisions(lab, (80, 24)) as (human, screen):
        everything = len(screen.table.rows)
        await human.press("f")
        await human.sees("only approved")
        assert {row.said for row in screen.table.rows} == {Said.APPROVED}
        await human.press("b")
        await human.sees("by anna")
        assert {row.review.actor for row in screen.table.rows} == {"anna"}
        await human.press("t")
        await human.sees("let through by any rule")
        assert screen.wishes.rule == ANY_RULE
        assert [row.review.experiment_id for row in screen.table.rows] == [2]
        await human.press("t")
        await human.sees("1 of 8  approved, guarded/small")
        await human.press("escape")
        assert len(screen.table.rows) == everything
        assert human.app.screen is screen


async def test_words_are_found_in_titles_reasons_and_names(lab: DecidedLab) -> None:
    async with on_decisions(lab, (80, 24)) as (human, screen):
        for words, found in (("MAKE IT SMALLER", [5]), ("softcap", [6]), ("ben", [3]), ("audit split", [4])):
            await human.press("slash", "ctrl+u")
            await human.types(words)
            await human.press("enter")
            assert [row.review.experiment_id for row in screen.table.rows] == found, words
        await human.press("slash", "ctrl+u")
        await human.types("nowhere at all")
        await human.press("enter")
        await human.sees("Nothing matches.")
        await human.press("enter")
        await human.is_told("no review is listed")
        await human.press("escape")
        assert len(screen.table.rows) == len(screen.rows)


async def test_letters_typed_into_the_search_do_nothing_else(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await human.press("slash")
        await human.types("f b t q 5 8")
        await human.press("escape")
        assert not screen.wishes.narrowed
        assert human.app.screen is screen


async def test_enter_opens_the_experiment_on_the_review_screen_and_decides_nothing(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, _):
        await human.press("G", "enter")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        await human.until(lambda: human.review.shown and human.review.shown.id == 1, "#1")
        assert human.asked == []


async def test_a_row_is_chosen_with_the_mouse_and_opened_with_a_second_click(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await human.pilot.click("#table", offset=(10, 6))
        assert screen.table.cursor == 5
        await human.pilot.click("#table", offset=(10, 6))
        await human.until(lambda: human.app.screen is human.review, "the Review screen")


async def test_panes_are_gone_through_with_tab_and_zoomed(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await human.press("tab", "z")
        assert not screen.table.is_on_screen
        await human.press("tab")
        await human.sees("Kept means")
        await human.press("j", "ctrl+d", "G", "g", "pageup", "shift+tab")
        await human.press("escape", "escape")
        assert screen.table.is_on_screen
        assert human.app.screen is screen
        await human.press("escape")
        await human.until(lambda: human.app.screen is human.review, "the way back")


async def test_without_a_review_the_screen_says_what_will_stand_here(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "empty")
    async with on_decisions(lab, (80, 24)) as (human, screen):
        await human.sees("No review yet")
        await human.press("f")
        await human.is_told("nothing was decided yet")
        await human.press("t")
        await human.is_told("the autonomy dial has let nothing through yet")
        await human.press("tab", "tab")
        await human.sees("how often an approval was kept will stand here")
        assert human.app.screen is screen
    lab.close()


async def test_a_decision_that_is_taken_meanwhile_comes_up_and_the_cursor_stays(tmp_path: Path) -> None:
    lab = every_kind(tmp_path / "lab")
    async with on_decisions(lab, (80, 24)) as (human, screen):
        await human.press("j", "j", "j")
        at = screen.table.cursor_key
        lab.reviews(7, Decision.VETO, minutes=0, reason="after all not")
        await human.until(lambda: len(screen.rows) == 9, "the new review")
        assert screen.table.cursor_key == at
        assert screen.table.rows[0].said is Said.VETOED
        lab.writer.undo_review(screen.table.rows[0].review.id, experiment_id=7, actor="anna")
        lab.writer.update_experiment(7, state=State.PROPOSED)
        await human.until(lambda: screen.table.rows[0].undone, "that it is taken back")
    lab.close()


async def test_a_lab_that_is_paused_says_so_here_too(tmp_path: Path) -> None:
    lab = DecidedLab(tmp_path / "lab")
    lab.reviews(lab.proposes(), Decision.APPROVE, minutes=3)
    async with on_decisions(lab, (80, 24)) as (human, _):
        assert "PAUSED" not in human.screen
        lab.writer.set("paused", "the disk is full")
        await human.sees("PAUSED")
    lab.close()


async def test_a_verdict_that_comes_in_is_what_came_of_the_review(tmp_path: Path) -> None:
    lab = DecidedLab(tmp_path / "lab")
    experiment = lab.proposes()
    lab.reviews(experiment, Decision.APPROVE, minutes=3)
    async with on_decisions(lab, (80, 24)) as (human, screen):
        await human.sees("▹ approved")
        lab.judges(experiment, Verdict.KEEP, delta=-0.005)
        await human.sees("✓ kept")
        await human.until(lambda: "1 was kept" in screen.records[0].words, "the agreement")
    lab.close()


async def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    bad = "[/] [b]x[/b] [@click=app.quit]y[/] \x1b]52;c;aGk=\x07 \x9b6n \u202eesrever\u202c a\u200bb"
    lab = DecidedLab(tmp_path / "lab")
    experiment = lab.proposes(bad, patch=f"diff --git a/t b/t\n--- a/t\n+++ b/t\n@@ -1 +1 @@\n-a\n+{bad}\n")
    lab.reviews(
        experiment, Decision.APPROVE_EDITED, minutes=1, reason=f"{bad}\n" * 3, actor=bad,
        edited="diff --git a/t b/t\n--- a/t\n+++ b/t\n@@ -1 +1 @@\n-a\n+b\n",
    )  # fmt: skip
    async with on_decisions(lab) as (human, screen):
        await reads(human, screen, experiment, Said.EDITED)
        await human.press("tab", "z")
        await human.sees("Edited: against the proposal")
        await human.press("b", "f", "t", "tab", "tab")
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"} & set(human.screen)
        assert human.app.screen is screen
    lab.close()


async def test_thousands_of_reviews_are_listed_and_a_step_repaints_two_rows(tmp_path: Path) -> None:
    lab = thousands(tmp_path / "lab")
    async with on_decisions(lab, (80, 24)) as (human, screen):
        await human.until(lambda: len(screen.table.rows) == 3_000, "all of them")
        dirty: list[int] = []
        refresh = screen.table.refresh

        def counted(*regions: Region, **options: bool) -> object:
            dirty.extend(region.area for region in regions)
            return refresh(*regions, **options)

        screen.table.refresh = counted  # type: ignore[method-assign, assignment]
        await human.press("j")
        assert sum(dirty) == 2 * screen.table.size.width
        await human.press("G")
        await human.sees("▸")
        assert screen.table.cursor == 2_999
        await human.press("t", "t")
        rules = {row.rule for row in screen.table.rows}
        assert rules == {"full"}
    lab.close()


async def test_a_terminal_too_small_says_so(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await human.pilot.resize_terminal(50, 12)
        await human.sees("too small: 50×12")
        await human.press("f")
        assert not screen.wishes.narrowed


async def test_help_and_palette_have_the_keys_of_this_screen(lab: DecidedLab) -> None:
    async with on_decisions(lab) as (human, screen):
        await human.press("question_mark")
        await human.sees("Only what the dial let through")
        assert "Never run it" not in human.screen
        await human.press("escape", "colon")
        await human.types("by person")
        await human.press("enter")
        await human.until(lambda: screen.wishes.who == "anna", "the person")


async def test_the_time_to_decide_stands_still_while_somebody_is_on_another_screen(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        before = human.review.desk.seconds
        human.clock.moves(10.0)
        await human.press("9")
        await human.until(lambda: human.app.screen is not human.review, "another screen")
        human.clock.moves(600.0)
        await human.press("5")
        human.clock.moves(600.0)
        await human.press("1")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        human.clock.moves(5.0)
        await human.press("a")
        await human.until(lambda: human.asked, "the request")
        [request] = human.asked
        assert isinstance(request, Approve)
        assert request.seconds == before + 15.0
