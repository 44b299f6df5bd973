"""What in a finished run does not fit the champion's: its own summary, and the runner's clocks."""

from __future__ import annotations

from typing import Any

import pytest

from core.runs.doubts import doubts, same_on_every_seed

SUMMARY = {
    "seed": 3, "budget": "flops:1e+12", "flops": 1.01e12, "flops_outside": 1e9, "tokens": 50_000,
    "train_seconds": 20.0, "data": "abc", "profile": "cpu",
}  # fmt: skip


def run(cpu: float = 30.0, wall: float = 25.0, **changes: Any) -> dict[str, Any]:
    return {
        "train": {**SUMMARY, **changes},
        "usage": {"train": {"cpu_seconds": cpu}},
        "seconds": {"train": wall},
    }


CHAMPION = [run(seed=0), run(seed=1, cpu=33.0), run(seed=2, cpu=28.0)]


def test_a_run_like_the_champions_is_not_doubted() -> None:
    assert doubts(run(cpu=35.0), CHAMPION, seed=3) == []


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (run(seed=137), "seed 137, not 3"),
        (run(budget="flops:2e+12"), "budget is 'flops:2e+12'"),
        (run(data="xyz"), "data is 'xyz'"),
        (run(flops=2.0e12), "2 times the champion's flops"),
        (run(flops_outside=2.02e11), "20% of the budget was computed beside the counted loop"),
        (run(cpu=75.0), "2.5 times the champion's processor time"),
        ({**run(), "gate": {"opened": True, "cpu_seconds": 9.0}}, "it computed for 9 s while it waited for its turn"),
        ({**run(), "train": None}, "no summary"),
        ({**run(), "train": {"seed": 3}}, "budget is None"),
    ],
)
def test_what_does_not_fit_is_said(ended: dict[str, Any], says: str) -> None:
    assert says in "; ".join(doubts(ended, CHAMPION, seed=3))


def test_under_a_budget_in_seconds_the_time_outside_training_counts() -> None:
    changes: dict[str, Any] = {"budget": "seconds:300", "train_seconds": 300.0, "flops": 0.0, "flops_outside": 0}
    champion = [run(wall=340.0, seed=0, **changes)]
    assert doubts(run(cpu=900.0, wall=380.0, **changes), champion, seed=3) == []
    assert "time outside training" in doubts(run(wall=500.0, **changes), champion, seed=3)[0]
    longer = run(wall=380.0, **{**changes, "train_seconds": 360.0})
    assert doubts(longer, champion, seed=3) == ["it spent 1.2 times the champion's train seconds"]


def test_a_champion_that_counted_nothing_is_no_error() -> None:
    champion = [run(seed=0, budget="tokens:100", tokens=0)]
    assert doubts(run(budget="tokens:100", tokens=5), champion, seed=3) == ["it spent 5, the champion none, of tokens"]
    champion = [run(seed=0, flops=0.0, flops_outside=0)]
    found = doubts(run(flops=0.0, flops_outside=2e9), champion, seed=3)
    assert found == ["2e+09 FLOPs was computed beside the counted loop"]


def test_a_hostile_summary_is_no_error() -> None:
    values: list[Any] = ["much", None, [], {}, True, float("inf")]
    for value in values:
        assert doubts(run(seed=value, flops=value, budget=value, train_seconds=value), CHAMPION, seed=3)


def test_without_a_champion_or_without_summaries_nothing_can_be_said() -> None:
    assert doubts(run(), [], seed=3) == []
    assert doubts(run(), [{"state": "finished"}], seed=3) == []


def test_the_same_bits_on_every_seed_confirm_nothing() -> None:
    assert same_on_every_seed([1.5, 1.5])
    assert not same_on_every_seed([1.5])
    assert not same_on_every_seed([1.5, 1.5, 1.6])
