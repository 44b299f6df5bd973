"""A run is stopped early for its speed alone, by a rule that no stall and no larger model comes near."""

from __future__ import annotations

import pytest

from core.runs.collapse import Pace, collapsed, pace

FLOPS, SECONDS = Pace(100.0), Pace(300.0, 1_000.0)
N = 8.0


@pytest.mark.parametrize(
    ("t", "progress", "stopped"),
    [
        (99.0, 0.01, False),  # not yet as long as the champion trains
        (100.0, 0.124, True),
        (100.0, 0.125, False),
        (350.0, 0.13, False),  # slow, but the wall clock decides
        (1000.0, 0.0, False),  # says nothing about its budget
    ],
)
def test_once_the_champion_would_be_done_an_eighth_of_the_budget_must_be_spent(
    t: float, progress: float, stopped: bool
) -> None:
    assert bool(collapsed(t, progress, 0.0, FLOPS, N)) is stopped


@pytest.mark.parametrize(
    ("progress", "tokens", "stopped"),
    [
        (0.2, 100.0, False),  # too early
        (0.25, 9_300.0, True),
        (0.25, 9_400.0, False),
        (0.5, 0.0, False),  # logs no tokens
    ],
)
def test_with_a_budget_in_seconds_the_tokens_count(progress: float, tokens: float, stopped: bool) -> None:
    assert bool(collapsed(300.0 * progress, progress, tokens, SECONDS, N)) is stopped


def test_a_stall_of_half_the_time_is_no_collapse() -> None:
    assert not collapsed(0.0, 0.5, 1.0, SECONDS, N)  # a script that says it has taken no time at all
    assert not collapsed(100.0, 0.5, 0.0, FLOPS, N)
    assert not collapsed(75.0, 0.25, 37_500.0, SECONDS, N)


def test_the_reason_says_what_was_seen_and_what_the_rule_is() -> None:
    words = collapsed(104.0, 0.03, 0.0, FLOPS, N)
    assert words.startswith("stopped early: after 104 s, as long as the champion trains in all, 3.0% of its budget")
    assert "below 12.5%" in words
    assert "62 tokens a second after 25% of its budget, the champion has 1,000" in collapsed(
        75.0, 0.25, 4_650.0, SECONDS, N
    )


def test_the_pace_is_the_median_of_the_champions_runs() -> None:
    flops = {"train": {"budget": "flops:1e+12", "tokens": 10, "train_seconds": 1.0}}
    timed = {"train": {"budget": "seconds:300", "tokens": 3_000, "train_seconds": 300.0}}
    assert pace([(20.0, flops), (22.0, flops), (90.0, flops)]) == Pace(22.0, None)
    assert pace([(300.0, timed)]) == Pace(300.0, 10.0)
    assert pace([(5.0, {})]) == Pace(5.0, None)
    for odd in ({}, {"tokens": "many"}, {"tokens": None, "train_seconds": 3.0}, {"tokens": 5, "train_seconds": 0}):
        assert pace([(5.0, {"train": {"budget": "seconds:300", **odd}})]) == Pace(5.0, None)
    assert pace([(0.0, timed)]) is None
    assert pace([]) is None
