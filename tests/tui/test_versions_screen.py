"""The Versions screen: what changed in a patch from one version to the next, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.models import Decision, State
from tests.sample_lab import SampleLab, unified
from tests.sample_target import TRAIN
from tests.tui.cockpit import Human, cockpit
from tests.tui.golden import is_golden


def version(lab: SampleLab, experiment: int, body: str, how: str) -> None:
    lab._version(experiment, body, how)
    lab.writer.update_experiment(experiment, state=State.PROPOSED)


def softcap(value: str) -> str:
    return unified("train.py", TRAIN, TRAIN.replace("SOFTCAP = 15.0", f"SOFTCAP = {value}"))


def revised(lab: SampleLab) -> None:
    """Proposed, sent back, revised, carried over."""
    lab.baseline()
    experiment = lab.proposes(edits=(("SOFTCAP = 15.0", "SOFTCAP = 14.0"),))
    lab.decides(experiment, Decision.REVISE, reason="14 is a lot: try less")
    version(lab, experiment, softcap("12.0"), "revised")
    version(lab, experiment, softcap("12.5"), "edited")


async def looking(human: Human) -> None:
    await human.press("V")
    await human.sees("Versions")
    await human.sees("hunk 1/1")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 50)])
async def test_the_last_step_comes_first(tmp_path: Path, size: tuple[int, int]) -> None:
    async with cockpit(tmp_path, revised, size=size) as human:
        await looking(human)
        assert "version 2 (revised by the researcher) → 3 (edited by hand)" in human.screen
        assert "SOFTCAP = 12.5" in human.screen
        assert "SOFTCAP = 14.0" not in human.screen
        assert "step 2 of 3" in human.screen


async def test_a_step_says_what_the_reviewer_had_asked_for(tmp_path: Path) -> None:
    async with cockpit(tmp_path, revised) as human:
        await looking(human)
        await human.press("h")
        await human.sees("version 1 (as proposed) → 2 (revised by the researcher)")
        await human.sees("after: “14 is a lot: try less”")
        await human.sees("SOFTCAP = 14.0")


async def test_the_whole_way_from_the_proposal_is_a_step_too(tmp_path: Path) -> None:
    async with cockpit(tmp_path, revised) as human:
        await looking(human)
        await human.press("l")
        await human.sees("version 1 (as proposed) → 3 (edited by hand)")
        assert "SOFTCAP = 14.0" in human.screen
        assert "SOFTCAP = 12.5" in human.screen


async def test_nothing_is_decided_here_and_esc_goes_back_with_the_hunks_as_they_were(tmp_path: Path) -> None:
    async with cockpit(tmp_path, revised) as human:
        await human.press("space")
        assert human.review.panes.diff.kept == frozenset()
        await looking(human)
        await human.press("a", "v", "r", "space", "enter")
        assert human.asked == []
        await human.press("escape")
        await human.until(lambda: human.app.screen is human.review)
        assert human.review.panes.diff.kept == frozenset()


async def test_a_patch_with_one_version_says_why_the_key_is_dim(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("V")
        await human.is_told("this patch has only one version")
        assert human.app.screen is human.review


async def test_a_version_for_another_champion_is_shown_whole(tmp_path: Path) -> None:
    def carried(lab: SampleLab) -> None:
        lab.baseline()
        other = TRAIN.replace("SOFTCAP = 15.0", "SOFTCAP = 7.0")
        experiment = lab.proposes(patch=unified("train.py", other, other.replace("SOFTCAP = 7.0", "SOFTCAP = 14.0")))
        version(lab, experiment, softcap("14.0"), "rebased")

    async with cockpit(tmp_path, carried) as human:
        await looking(human)
        await human.sees("version 1 was made for another champion: this is all of the newer one")
        await human.sees("SOFTCAP = 14.0")


async def test_a_version_that_cannot_be_read_is_said_and_the_others_are_there(tmp_path: Path) -> None:
    def broken(lab: SampleLab) -> None:
        revised(lab)
        version(lab, 1, "no patch at all", "edited")

    async with cockpit(tmp_path, broken) as human:
        await human.press("V")
        await human.sees("This step cannot be shown")
        await human.press("h")
        await human.sees("version 2 (revised by the researcher) → 3 (edited by hand)")
        await human.sees("SOFTCAP = 12.5")


async def test_a_new_version_while_one_looks_comes_up(tmp_path: Path) -> None:
    async with cockpit(tmp_path, revised) as human:
        await looking(human)
        version(human.lab, 1, softcap("13.0"), "revised")
        await human.sees("version 3 (edited by hand) → 4 (revised by the researcher)")


async def test_hostile_notes_reach_no_terminal(tmp_path: Path) -> None:
    def hostile(lab: SampleLab) -> None:
        revised(lab)
        lab.decides(1, Decision.REVISE, reason="[/] \x1b]52;c;aGk=\x07 \u202e")
        version(lab, 1, softcap("13.5"), "revised")

    async with cockpit(tmp_path, hostile) as human:
        await looking(human)
        assert "[/]" in human.screen
        assert not set(human.screen) & set("\x1b\x07\u202e")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 50)])
async def test_the_screen_is_as_it_was_looked_at(tmp_path: Path, size: tuple[int, int]) -> None:
    async with cockpit(tmp_path, revised, size=size) as human:
        await looking(human)
        shown = f"{human.screen}\n"
    is_golden(f"versions-{size[0]}x{size[1]}.txt", shown)
