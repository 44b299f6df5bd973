"""What the dial lets pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from core.autonomy import Limits, Passed, Proposed, Waits, may_pass, refusal
from core.models import Autonomy

SANDBOXED = Limits(lines=20, tier="A")
UNSANDBOXED = Limits(lines=20, tier="C")
SMALL = Proposed(constants_only=False, lines=6)
CONSTANTS = Proposed(constants_only=True, lines=400)


@dataclass(frozen=True)
class Found:
    level: str
    why: str = "sets a seed"


def waits(autonomy: Autonomy, proposed: Proposed, limits: Limits = SANDBOXED) -> str:
    answer = may_pass(autonomy, proposed, limits)
    assert isinstance(answer, Waits)
    return answer.reason


def passes(autonomy: Autonomy, proposed: Proposed, limits: Limits = SANDBOXED) -> str:
    answer = may_pass(autonomy, proposed, limits)
    assert isinstance(answer, Passed)
    assert answer.why.endswith(".")
    return answer.policy


@pytest.mark.parametrize("proposed", [SMALL, CONSTANTS])
def test_manual_lets_nothing_pass(proposed: Proposed) -> None:
    assert "manual" in waits(Autonomy.MANUAL, proposed)


def test_guarded_lets_constants_pass_however_many_lines_they_take() -> None:
    assert passes(Autonomy.GUARDED, CONSTANTS) == "guarded/constants"


def test_guarded_lets_a_short_patch_pass_when_nothing_is_flagged() -> None:
    assert passes(Autonomy.GUARDED, replace(SMALL, lines=20)) == "guarded/small"
    assert "21 lines" in waits(Autonomy.GUARDED, replace(SMALL, lines=21))


def test_guarded_asks_about_a_caution_and_says_which() -> None:
    assert "sets a seed" in waits(Autonomy.GUARDED, replace(SMALL, findings=[Found("caution")]))


def test_a_note_stops_nobody() -> None:
    assert passes(Autonomy.GUARDED, replace(SMALL, findings=[Found("note")])) == "guarded/small"


def test_full_lets_long_patches_and_cautions_pass() -> None:
    assert passes(Autonomy.FULL, replace(SMALL, lines=900, findings=[Found("caution")])) == "full"


@pytest.mark.parametrize("autonomy", [Autonomy.GUARDED, Autonomy.FULL])
@pytest.mark.parametrize("proposed", [SMALL, CONSTANTS])
@pytest.mark.parametrize("level", ["danger", "a level nobody knows"])
def test_danger_waits_for_a_human_at_every_setting(autonomy: Autonomy, proposed: Proposed, level: str) -> None:
    assert "sets a seed" in waits(autonomy, replace(proposed, findings=[Found("note"), Found(level)]))


def test_the_same_reason_is_given_once() -> None:
    reason = waits(Autonomy.FULL, replace(SMALL, findings=[Found("danger"), Found("danger"), Found("danger", "forks")]))
    assert reason == "Danger, at any autonomy: sets a seed; forks."


@pytest.mark.parametrize("autonomy", [Autonomy.GUARDED, Autonomy.FULL])
@pytest.mark.parametrize("tier", ["C", "", "unknown"])
def test_without_a_sandbox_nothing_passes_unless_the_config_says_so(autonomy: Autonomy, tier: str) -> None:
    limits = Limits(tier=tier)
    assert "no sandbox" in waits(autonomy, CONSTANTS, limits)
    assert "no sandbox" in refusal(autonomy, limits)
    assert passes(autonomy, CONSTANTS, replace(limits, allow_unsandboxed=True))
    assert refusal(autonomy, replace(limits, allow_unsandboxed=True)) == ""


def test_landlock_is_a_sandbox_and_manual_needs_none() -> None:
    assert passes(Autonomy.FULL, SMALL, Limits(tier="B")) == "full"
    assert refusal(Autonomy.MANUAL, UNSANDBOXED) == ""


@pytest.mark.parametrize("autonomy", list(Autonomy))
def test_an_invalid_patch_waits_at_every_setting_with_its_problem(autonomy: Autonomy) -> None:
    assert "does not apply" in waits(autonomy, replace(CONSTANTS, problem="hunk 2 does not apply"))
