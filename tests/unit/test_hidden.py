"""The hidden split: an honest keep passes, a gain that only the open split has is held back."""

from __future__ import annotations

import math
import random

import pytest

from core.models import Verdict
from core.verdict import Judged, Measured, Noise, Policy, RunSeeds, measure_noise, next_step
from core.verdict.hidden import Hidden, Scores, chance_of_gap, hidden_gain

KNOWN = Noise(0.01, 30)


def scores(opened: float, hidden: float, *, seeds: int = 3, gap: float = 0.0) -> Scores:
    """Checkpoints of a commit; on every second seed the hidden score is `gap` higher."""
    return {s: (opened + 0.01 * s, hidden + 0.01 * s + (gap if s % 2 else 0.0)) for s in range(seeds)}


CHAMPION = scores(2.0, 2.1, gap=0.002)


def test_a_gain_that_both_splits_have_is_confirmed() -> None:
    found = hidden_gain(scores(1.95, 2.05), CHAMPION, [], KNOWN)
    assert (found.contradicts, found.confirms) == (False, True)
    assert found.gain == pytest.approx(0.05)
    assert found.reason == "the hidden split agrees (3 seeds)"


def test_a_gain_of_which_the_hidden_split_has_nothing_is_contradicted() -> None:
    found = hidden_gain(scores(1.95, 2.1), CHAMPION, [], KNOWN)
    assert (found.contradicts, found.confirms) == (True, False)
    assert "does not have the gain, beyond chance (3 seeds)" in found.reason


def test_what_is_worse_on_the_hidden_split_is_said_to_be() -> None:
    assert "is worse" in hidden_gain(scores(1.95, 2.2), CHAMPION, [], KNOWN).reason


def test_a_gain_that_is_smaller_on_another_text_is_no_cheat() -> None:
    found = hidden_gain(scores(1.5, 1.8), CHAMPION, [], Noise(0.0001, 100))
    assert (found.contradicts, found.confirms) == (False, True)


def test_a_shortfall_within_chance_contradicts_nothing_and_confirms_nothing() -> None:
    found = hidden_gain(scores(1.99, 2.099, gap=0.01), scores(2.0, 2.1, gap=-0.01), [], KNOWN)
    assert (found.contradicts, found.confirms) == (False, False)
    assert "within chance" in found.reason


def test_a_simplification_with_the_same_bits_is_not_spoken_against() -> None:
    found = hidden_gain(CHAMPION, CHAMPION, [], KNOWN)
    assert (found.contradicts, found.confirms) == (False, False)
    assert found.reason == "the hidden split does not speak against it (3 seeds)"


def test_of_a_higher_metric_more_is_better() -> None:
    assert hidden_gain(scores(2.05, 2.15), CHAMPION, [], KNOWN, "max").confirms
    assert hidden_gain(scores(2.05, 2.1), CHAMPION, [], KNOWN, "max").contradicts


def test_only_seeds_that_both_have_are_compared() -> None:
    assert hidden_gain(scores(1.95, 2.05, seeds=4), scores(2.0, 2.1, seeds=2), [], KNOWN).n == 2
    nothing = hidden_gain(scores(1.95, 2.05), {}, [], KNOWN)
    assert nothing.contradicts
    assert "could not be compared" in nothing.reason


def test_the_lower_of_both_bounds_counts_and_neither_is_zero() -> None:
    few: list[Scores] = [{0: (1.0, 1.0), 1: (1.0, 1.1)}]
    many: list[Scores] = [{s: (1.0, 1.0 + 0.001 * (s % 2)) for s in range(40)}]
    by_noise = chance_of_gap([], KNOWN)
    assert chance_of_gap(few, KNOWN) == by_noise > 0
    assert chance_of_gap(many, KNOWN) < by_noise
    assert chance_of_gap([], Noise()) == 0.0


def test_no_figure_of_the_hidden_split_is_in_the_words() -> None:
    for candidate in (scores(1.95, 2.05), scores(1.95, 2.1), scores(1.99, 2.099, gap=0.01), scores(1.9, 2.3)):
        assert "." not in hidden_gain(candidate, CHAMPION, [], KNOWN).reason


# ---- simulated: keeps of the real rule ------------------------------------------------------------------------------


def judged_keep(rng: random.Random, effect: float, hidden_share: float) -> Hidden | None:
    """One patch through the real verdict, sigma = 1; what the hidden split says, or None where it is not kept."""
    levels: dict[tuple[str, int], float] = {}

    def score(who: str, seed: int) -> float:
        return levels.setdefault((who, seed), rng.gauss(0.0, 1.0)) - (effect if who == "it" else 0.0)

    champion = [Measured(s, score("champion", s)) for s in range(3)]
    noise = measure_noise([[m.value for m in champion]])
    screening: Measured | None = None
    confirmed: list[Measured] = []
    while True:
        step = next_step(screening, confirmed, champion, noise, Policy(suspect_share=math.inf, suspect_sigmas=math.inf),
                         lines_delta=1, seeds=range(12))  # fmt: skip
        if isinstance(step, Judged):
            break
        assert isinstance(step, RunSeeds)
        champion += [Measured(s, score("champion", s)) for s in step.champion_seeds]
        for seed in step.candidate_seeds:
            run = Measured(seed, score("it", seed))
            if screening is None:
                screening = run
            else:
                confirmed.append(run)
    if step.verdict is not Verdict.KEEP:
        return None
    shown = {m.seed: m.value for m in champion}
    there = effect * hidden_share * (1 + 0.3 * rng.gauss(0, 1))

    def both(who: str, seed: int, opened: float) -> tuple[float, float]:
        base = levels[who, seed] - (there if who == "it" else 0.0)
        return opened, base + rng.gauss(0.0, 1.0)

    mine = {m.seed: both("it", m.seed, m.value) for m in confirmed}
    theirs = {seed: both("champion", seed, value) for seed, value in shown.items()}
    return hidden_gain(mine, theirs, [], noise)


def share_held_back(effect: float, hidden_share: float, *, keeps: int = 400) -> float:
    rng = random.Random(f"{effect} {hidden_share}")
    found: list[Hidden] = []
    while len(found) < keeps:
        if (said := judged_keep(rng, effect, hidden_share)) is not None:
            found.append(said)
    return sum(said.contradicts for said in found) / keeps


@pytest.mark.parametrize("effect", [1.0, 2.0, 4.0])
def test_an_honest_keep_is_held_back_in_three_of_a_hundred_at_most(effect: float) -> None:
    assert share_held_back(effect, 1.0) <= 0.03


@pytest.mark.parametrize(("effect", "least"), [(6.0, 0.5), (10.0, 0.9)])
def test_a_large_gain_of_the_open_split_alone_is_held_back(effect: float, least: float) -> None:
    assert share_held_back(effect, 0.0) >= least
