"""Deciding: what each key sends, what is said after it, and what never decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from core.models import Autonomy, State
from core.requests import Approve, Defer, Pause, Resume, Revise, SetAutonomy, StopRun, Tell, Undo, Veto
from core.store import Reader
from tests.sample_lab import build
from tests.tui.cockpit import Human, cockpit
from tui.farewell import farewell as words_after
from tui.snapshot import PreparationNote, Snapshot

SIZES = [(80, 24), (120, 36), (160, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_a_approves_what_is_on_the_screen_and_the_next_comes_up(tmp_path: Path, size: tuple[int, int]) -> None:
    async with cockpit(tmp_path, size=size) as human:
        shown = human.review.shown
        assert shown is not None
        await human.press("a")
        await human.is_told(f"#{shown.id} approved · u takes it back until it starts, in 5")
        [request] = human.asked
        assert isinstance(request, Approve)
        assert (request.experiment_id, request.patch_sha256) == (shown.id, shown.patch_sha256)
        assert request.hunks_kept is None
        assert request.seconds == 1.0
        await human.until(lambda: human.review.shown and human.review.shown.id == shown.id + 1)


async def test_enter_and_escape_never_decide(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("enter", "escape", "enter", "tab", "enter", "escape")
        assert human.asked == []


async def test_a_key_meant_for_the_last_proposal_does_not_decide_the_new_one(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("a")
        await human.until(lambda: human.review.shown and human.review.shown.id == 7)
        await human.press("a")
        await human.is_told("#7 has only just come up")
        assert len(human.asked) == 1
        human.clock.moves(0.6)
        await human.press("a")
        await human.until(lambda: len(human.asked) == 2)


async def test_a_second_press_while_the_first_is_under_way_is_not_sent(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        human.engine.gate = asyncio.Event()
        await human.press("a")
        await human.until(lambda: human.asked)
        await human.press("a", "d")
        await human.is_told("wait: approving #6")
        human.engine.gate.set()
        await human.is_told("#6 approved")
        assert len(human.asked) == 1


async def test_a_veto_needs_a_reason(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("v")
        await human.sees("Veto #6: why?")
        await human.press("enter")
        await human.sees("say why")
        assert human.asked == []
        await human.types("not worth it")
        await human.press("enter")
        await human.is_told("#6 vetoed · u takes it back")
        [request] = human.asked
        assert isinstance(request, Veto)
        assert request.reason == "not worth it"


async def test_a_ready_reason_is_one_key_away(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("v", "down", "down", "enter")
        await human.until(lambda: human.asked)
        [request] = human.asked
        assert isinstance(request, Veto)
        assert request.reason == "tried before"


async def test_words_that_were_not_sent_are_there_again(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("r")
        await human.types("smaller")
        await human.press("escape")
        assert human.asked == []
        await human.press("r")
        await human.sees("smaller")
        await human.press("enter")
        await human.is_told("#6 sent back to the researcher")
        [request] = human.asked
        assert isinstance(request, Revise)
        assert request.note == "smaller"


async def test_letters_typed_into_a_reason_do_not_decide(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("v")
        await human.types("aaa d u q")
        assert human.asked == []
        await human.press("escape")
        assert human.asked == []


async def test_a_hunk_is_switched_out_and_the_others_are_approved(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("n", "n", "space")
        await human.sees("1 OUT")
        await human.press("a")
        await human.is_told("#6 approved without 1 of 3 hunks")
        [request] = human.asked
        assert isinstance(request, Approve)
        assert request.hunks_kept == (0, 1)


async def test_approval_is_refused_with_words_when_nothing_is_left(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("space", "n", "space", "n", "space", "a")
        await human.is_told("every hunk is switched out")
        assert human.asked == []


async def test_it_is_said_when_what_is_left_of_a_patch_does_not_parse(tmp_path: Path) -> None:
    def split(lab: object) -> None:
        from tests.sample_lab import SampleLab

        assert isinstance(lab, SampleLab)
        lab.baseline()
        opened = ("SOFTCAP = 15.0\n", "SOFTCAP = (\n    15.0\n")
        closed = ("WEIGHT_DECAY = 0.1\n", "WEIGHT_DECAY = 0.1\n")
        lab.proposes("Two halves", (opened, closed, ("COOLDOWN = 0.4\n", "    )\nCOOLDOWN = 0.4\n")))

    async with cockpit(tmp_path, split) as human:
        # the two halves are one hunk or two, depending on how near they are: here they are too near to be told apart
        assert human.review.detail is not None
        assert human.review.blocked
        await human.sees("cannot run")
        await human.press("a")
        assert human.asked == []


async def test_defer_puts_it_last_and_shows_the_next(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("d")
        await human.is_told("#6 waits at the end of the queue")
        assert human.asked == [Defer(6)]
        await human.until(lambda: human.review.shown and human.review.shown.id == 7)
        assert [summary.id for summary in human.review.lab.queue] == [7, 8, 6]


async def test_undo_brings_the_proposal_back_to_the_screen(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("a")
        await human.is_told("#6 approved")
        await human.press("u")
        await human.is_told("#6: the decision is taken back")
        assert not any("#6 approved" in toast for toast in human.toasts)  # words of an earlier key would contradict
        assert human.asked[1:] == [Undo(6)]
        await human.until(lambda: human.review.shown and human.review.shown.id == 6)
        assert human.review.shown is not None
        await human.until(lambda: human.review.shown and human.review.shown.state is State.PROPOSED)


async def test_a_refusal_is_shown_with_its_reason_and_changes_nothing(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        human.engine.refuses = "the patch of #6 has changed since you read it"
        await human.press("a")
        await human.is_told("refused: the patch of #6 has changed")
        assert human.review.shown is not None
        assert human.review.shown.id == 6
        assert human.review.busy == ""


async def test_a_decision_without_an_engine_is_not_taken_and_says_how_to_go_on(tmp_path: Path) -> None:
    started: list[bool] = []
    async with cockpit(tmp_path, engine=False, start_engine=lambda: started.append(True)) as human:
        await human.sees("The engine is not running")
        await human.press("a")
        await human.is_told("the engine is not running; S starts it")
        await human.press("S")
        await human.until(lambda: started)
        await human.engine.start()
        await human.sees("● engine")
        await human.press("a")
        await human.until(lambda: human.asked)


async def test_a_patch_that_changes_under_the_reviewer_is_read_again_before_it_can_be_decided(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        from tests.sample_lab import unified
        from tests.sample_target import WINDOW

        before = human.review.shown
        assert before is not None
        from tests.sample_target import TRAIN

        body = unified("train.py", TRAIN, TRAIN.replace(*WINDOW[0]))
        human.lab._version(6, body, "rebased")
        human.lab.writer.event("rebased", experiment_id=6)
        await human.is_told("#6 has a new version")
        await human.press("a")
        await human.is_told("#6 has only just come up")
        assert human.asked == []


async def test_a_decision_taken_elsewhere_is_said(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        from core.models import Decision, Via

        human.lab.decides(6, Decision.APPROVE, via=Via.POLICY)
        await human.is_told("#6 was approved elsewhere")
        await human.until(lambda: human.review.shown and human.review.shown.id == 7)


async def test_a_new_proposal_takes_the_screen_only_when_none_waits_there(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "thinking") as human:
        assert human.review.shown is not None
        assert human.review.shown.state is State.JUDGED
        first = human.lab.proposes("A new one")
        await human.until(lambda: human.review.shown and human.review.shown.id == first)
        await human.press("a")
        await human.is_told("has only just come up")
        second = human.lab.proposes("Another one")
        await human.until(lambda: human.review.lab.by_id.get(second))
        assert human.review.desk.shown == first


# ---- the lab -------------------------------------------------------------------------------------------------------


async def test_the_dial_asks_before_everything_runs_without_a_human(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("A")
        await human.sees("Which patches wait for you?")
        await human.press("j", "j", "enter")
        await human.sees("Let everything run without you?")
        assert "#6 Sharpen QK-norm" in human.screen
        assert "still waits for you" in human.screen
        await human.press("enter")  # Cancel has the focus
        assert human.asked == []
        await human.press("A", "j", "j", "enter", "y")
        await human.until(lambda: human.asked)
        assert human.asked == [SetAutonomy(Autonomy.FULL)]
        await human.sees("FULL AUTO")


async def test_stopping_a_run_asks_with_cancel_focused(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("K")
        await human.sees("Stop run 7?")
        await human.press("enter")
        assert human.asked == []
        await human.press("K", "y")
        await human.until(lambda: human.asked)
        assert human.asked == [StopRun(7)]


async def test_pause_and_resume_are_one_key(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("P")
        await human.sees("PAUSED after this run")
        await human.press("P")
        await human.until(lambda: len(human.asked) == 2)
        assert human.asked == [Pause(), Resume()]


@pytest.mark.parametrize(("key", "kind"), [("m", "message"), ("i", "idea")])
async def test_words_reach_the_researcher(tmp_path: Path, key: str, kind: str) -> None:
    async with cockpit(tmp_path) as human:
        await human.press(key)
        await human.sees("The offline researcher cannot read prose")
        await human.types("try rope")
        await human.press("enter")
        await human.is_told("the researcher has it: it waits until a model proposes")
        assert human.asked == [Tell("try rope", kind=kind)]


async def test_q_detaches_and_says_what_goes_on(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("q")
    farewell = human.app.return_value
    assert farewell is not None
    assert "the engine goes on" in farewell
    assert "Running: #5, training, 55%" in farewell
    assert "3 waiting" in farewell


def test_whoever_leaves_is_told_a_share_of_the_budget_only_while_it_is_being_spent(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab")
    run = replace(Reader(lab.lab.database).live_runs()[0], phase="evaluating", progress=0.97)
    told = words_after(Snapshot(alive=True, live=(run,)), tmp_path)
    assert "Running: #5, evaluating." in told
    assert "%" not in told
    lab.close()


def test_whoever_leaves_is_told_that_the_data_could_not_be_prepared(tmp_path: Path) -> None:
    failed = PreparationNote("failed", error="shard 3 is cut short")
    told = words_after(Snapshot(alive=True, preparation=failed), tmp_path)
    assert "Nothing runs: the data could not be prepared (shard 3 is cut short)." in told


async def test_a_read_only_screen_decides_nothing_and_says_why(tmp_path: Path) -> None:
    async with cockpit(tmp_path, read_only=True) as human:
        await press_all(human, "a", "v", "r", "e", "d", "u", "P", "A", "m", "i", "K")
        assert human.asked == []
        assert any("to look only" in toast for toast in human.toasts)


async def press_all(human: Human, *keys: str) -> None:
    for key in keys:
        await human.press(key)


async def test_nothing_is_decided_about_a_patch_that_is_not_on_the_screen(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("3", "a")
        await human.is_told("the patch is not on the screen: 1 shows it")
        await human.press("4", "space")
        await human.is_told("the patch is not on the screen: 1 shows it")
        await human.press("2", "space")  # beside its reasons it may be decided about, but no hunk is seen there
        await human.is_told("the patch is not on the screen: 1 shows it")
        assert not human.asked
