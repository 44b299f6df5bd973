"""Panes, list, history, find, help and palette."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from core.models import Decision, Purpose, Verdict
from core.store.reader import Reader
from tests.sample_lab import SampleLab
from tests.sample_target import TITLES
from tests.tui.cockpit import Human, cockpit
from tui.screens.help import WORDS


def in_sight(human: Human) -> list[str]:
    return list(human.review.panes.in_sight)


async def test_one_pane_at_a_time_in_a_narrow_terminal(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        panes = human.review.panes
        for key, pane, words in (
            ("2", "why", "Rationale"),
            ("3", "curves", "dotted: champion"),
            ("4", "log", "▌4 Log"),
        ):
            await human.press(key)
            await human.sees(words)
            assert in_sight(human) == [pane]
        await human.press("tab")
        assert panes.current == "list"
        await human.press("shift+tab")
        assert panes.current == "log"


async def test_wide_and_very_wide_terminals_show_more(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(120, 36)) as human:
        assert in_sight(human) == ["diff", "why", "curves"]
        await human.press("4")
        assert in_sight(human) == ["diff", "why", "log"]
        await human.press("z")
        assert in_sight(human) == ["log"]
        await human.press("z", "1", "0")
        assert in_sight(human) == ["list", "diff"]
        await human.press("escape")
        assert in_sight(human) == ["diff", "why", "log"]
        await human.pilot.resize_terminal(160, 50)
        assert in_sight(human) == ["list", "diff", "why", "log"]


async def test_the_list_opens_an_experiment_and_escape_goes_back_to_the_queue(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("0", "G", "enter")
        await human.until(lambda: human.review.shown and human.review.shown.id == 1)
        await human.sees("DISCARDED")
        await human.sees("Esc: 3 waiting")
        await human.press("a")
        await human.is_told("#1 is judged: only a waiting proposal can be decided")
        await human.press("escape")
        await human.until(lambda: human.review.shown and human.review.shown.id == 6)
        assert human.asked == []


async def test_what_cannot_be_seen_cannot_be_decided(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("0", "a")
        await human.is_told("the list covers the patch")
        assert human.asked == []


async def test_older_and_newer_go_through_history(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("h")
        await human.until(lambda: human.review.shown and human.review.shown.id == 5)
        await human.press("l", "l")
        await human.until(lambda: human.review.shown and human.review.shown.id == 7)
        await human.press("l", "l")
        await human.is_told("this is the newest experiment")


async def test_a_patch_that_takes_its_time_says_so_and_cannot_be_decided_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cockpit(tmp_path) as human:
        client, review, may_read = human.app.client, human.review, Event()
        read = client.with_reader

        def later(reading: Callable[[Reader], Any]) -> Any:
            may_read.wait(10)
            return read(reading)

        monkeypatch.setattr(client, "with_reader", later)
        await human.press("h")
        assert review.view.loading
        await human.sees(f"#{review.desk.shown} is being read.")
        assert review.panes.diff.hunks == 0
        may_read.set()
        await human.until(lambda: review.panes.diff.hunks, "the patch")
        assert not review.view.loading


async def test_back_before_the_other_patch_was_read_the_first_one_stands_there_again(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        review, first = human.review, human.review.desk.shown
        other = review.desk.neighbour(review.lab, -1)
        assert first is not None
        assert other is not None
        review.open(other)
        review.draw()
        assert review.panes.diff.hunks == 0
        review.open(first)
        await human.until(lambda: review.panes.diff.hunks, "the first patch")
        assert review.shown
        assert review.shown.id == first


@pytest.mark.parametrize("pane", ["1", "2", "4"])
async def test_words_are_found_in_a_pane(tmp_path: Path, pane: str) -> None:
    words = {"1": "decay", "2": "too", "4": "model"}[pane]
    async with cockpit(tmp_path) as human:
        await human.press(pane, "slash")
        await human.types(words)
        await human.press("enter")
        await human.sees("next match")
        await human.press("n", "p", "escape")
        assert "next match" not in human.screen
        await human.press("slash")
        await human.types("no such words")
        await human.press("enter")
        await human.is_told("not found: no such words")


async def test_letters_typed_into_find_decide_nothing(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("slash")
        await human.types("a d v q u")
        await human.press("ctrl+d", "escape")
        assert human.asked == []
        assert human.app.screen is human.review


async def test_help_says_why_a_key_cannot_act(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("question_mark")
        await human.sees("Run the patch, without the hunks")
        await human.sees("now: there is no decision that can still be taken back")
        await human.press("escape")
        assert human.app.screen is human.review


async def test_help_ends_with_what_the_words_mean_a_line_each_at_80_columns(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("question_mark", "G")
        for word, meaning in WORDS.items():
            assert f"   {word:<14}{meaning}" in human.screen


async def test_the_palette_runs_a_command_by_name_but_never_approves(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("colon")
        await human.types("pause")
        await human.press("enter")
        await human.until(lambda: human.asked)
        await human.sees("PAUSED")
        human.asked.clear()
        await human.press("colon")
        await human.types("approve")
        await human.press("enter")
        await human.is_told("Enter never decides")
        assert human.asked == []


async def test_the_curves_can_be_changed(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        chart = human.review.panes.chart
        await human.press("c")
        await human.sees("#5 grad_norm")
        await human.press("L", "right_square_bracket", "x")
        assert (chart.log_scale, chart.smoothing, chart.axis) == (True, 1, 1)


async def test_a_judged_patch_shows_the_curve_of_the_run_that_trained_not_of_its_audit(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        lab.baseline()
        judged = lab.proposes(TITLES[6])
        lab.decides(judged, Decision.APPROVE)
        lab.whole_run(judged, 1.848)
        lab.ends(lab.starts(judged, purpose=Purpose.AUDIT, seed=1), metric=1.83)
        lab.judges(judged, Verdict.DISCARD, delta=0.0061)

    async with cockpit(tmp_path, story, size=(80, 24)) as human:
        await human.press("0", "G", "enter")
        await human.sees("#1 DISCARD")
        await human.press("3")
        await human.sees("run 4, candidate seed 0")
        assert "no value yet" not in human.screen


async def test_a_run_has_one_name_on_every_screen(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        lab.baseline()
        lab.trains(lab.starts(None, purpose=Purpose.NULL, seed=3), 0.2)

    async with cockpit(tmp_path, story, size=(80, 24)) as human:
        for key, words in (("3", "run 4, noise run seed 3"), ("7", "run 4, noise run, seed 3"), ("9", "▶ champion")):
            await human.sees("champion")
            await human.press(key)
            await human.sees(words)
            assert "null" not in human.screen


async def test_a_click_on_a_key_does_what_the_key_does(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.pilot.click("#tabs", offset=(12, 0))
        await human.pilot.pause()
        assert human.review.panes.current == "why"


async def test_keys_can_be_remapped_by_the_id_of_their_action(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        human.review.keymap = {"approve": "f5"}
        human.app.set_keymap({"approve": "f5"})
        await human.press("a")
        assert human.asked == []
        await human.press("f5")
        await human.until(lambda: human.asked)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(("state", "read_only"), [("better", False), ("waiting", True)])
async def test_where_nothing_can_be_decided_the_last_row_shows_the_ways_out(
    tmp_path: Path, state: str, read_only: bool, width: int
) -> None:
    async with cockpit(tmp_path, state, read_only=read_only, size=(width, 24)) as human:
        last = human.screen.splitlines()[-1]
        for words in ("5 experiments", "6 compare", "7 live", "? help", ": commands", "q detach"):
            assert words in last
        assert "veto" not in last


async def test_where_a_proposal_waits_the_last_row_is_about_it(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(160, 50)) as human:
        last = human.screen.splitlines()[-1]
        assert last.lstrip().startswith("a approve")
        assert "experiments" not in last


async def test_help_says_once_why_nothing_can_be_decided(tmp_path: Path) -> None:
    async with cockpit(tmp_path, read_only=True, size=(120, 50)) as human:
        await human.press("question_mark")
        await human.sees("Decide about the patch")
        assert human.screen.count("now: this screen was opened to look only") == 1
        heading, first = human.screen.index("Decide about the patch"), human.screen.index("Run the patch")
        assert heading < human.screen.index("now: this screen") < first
