"""What a wanted gain would cost in runs, said before they are spent."""

from __future__ import annotations

import math
import random
from statistics import NormalDist, fmean

import pytest

from core.verdict import Noise, Plan, interval, plan, plan_text, runs_left

KNOWN = Noise(0.01, 200)


@pytest.mark.parametrize(
    ("effect", "seeds"), [(0.1, 2), (0.02, 4), (0.01, 13), (0.005, 50)]
)  # 2 (1.64 + 0.84)^2 sigma^2 / effect^2, and a little for Student's t
def test_a_smaller_gain_takes_more_seeds_by_the_square(effect: float, seeds: int) -> None:
    found = plan(effect, KNOWN, 0)
    assert found is not None
    assert found.seeds == pytest.approx(seeds, rel=0.06)
    assert found.runs == 2 * found.seeds


def test_what_the_champion_has_run_need_not_be_run_again() -> None:
    fresh, known = plan(0.02, KNOWN, 0), plan(0.02, KNOWN, 40)
    assert fresh is not None
    assert known is not None
    assert known.runs == known.seeds < fresh.seeds


def test_pairs_that_are_quieter_are_counted_on() -> None:
    paired = Noise(0.01, 20, paired_sigma=0.003, paired_df=8)
    assert (plan(0.005, paired, 3) or Plan(99, 99)).seeds < 6
    barely = Noise(0.01, 20, paired_sigma=0.003, paired_df=2)
    assert plan(0.005, barely, 3) == plan(0.005, Noise(0.01, 20), 3)


def test_an_unknown_noise_or_a_hopeless_gain_has_no_plan() -> None:
    assert plan(0.01, Noise(), 3) is None
    assert plan(1e-9, KNOWN, 3) is None
    assert plan(0.0, KNOWN, 3) is None


def test_a_planned_gain_is_kept_in_about_four_of_five_cases() -> None:
    rng = random.Random(5)
    found = plan(0.01, KNOWN, 0)
    assert found is not None
    hurdle = NormalDist().inv_cdf(0.95) * 0.01 * math.sqrt(2 / found.seeds)
    kept = 0
    for _ in range(2000):
        gains = [rng.gauss(0.01, 0.01) - rng.gauss(0.0, 0.01) for _ in range(found.seeds)]
        kept += fmean(gains) > hurdle
    assert kept / 2000 == pytest.approx(0.8, abs=0.05)


def test_what_is_left_follows_from_the_interval_of_what_was_measured() -> None:
    low, high = interval(-0.01, 0.01 / math.sqrt(4), 100_000)
    assert runs_left(-0.01, low, high, 4) == math.ceil((1.64 + 0.8416) ** 2) - 4
    screened = interval(-0.01, 0.01, 100_000)
    assert runs_left(-0.01, *screened, 0) == math.ceil((1.64 + 0.8416) ** 2)
    assert runs_left(-0.1, low, high, 4) == 1
    assert runs_left(0.0, low, high, 4) is None
    assert runs_left(-1e-9, low, high, 4) is None
    assert runs_left(-0.01, -0.01, -0.01, 4) is None
    assert runs_left(-0.01, -math.inf, math.inf, 4) is None


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [(None, "(12 runs)"), (3.0, "(12 runs, about 36 s)"), (40.0, "about 8 minutes)"), (3600.0, "about 12.0 hours)")],
)
def test_a_plan_in_words_says_runs_and_time(seconds: float | None, ends: str) -> None:
    words = plan_text("0.002", 6, 12, seconds)
    assert words.startswith("to tell a gain of 0.002 from noise takes about 6 seeds (12 runs")
    assert words.endswith(ends)
    assert "about 1 more seed (1 run)" in plan_text("0.002", 1, 1, None, more=True)
