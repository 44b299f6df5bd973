"""The rule that keeps, discards or asks for another seed, and the noise it goes by."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import Verdict
from core.verdict import (
    Drift,
    Judged,
    Measured,
    Noise,
    Policy,
    RunSeeds,
    calm_noise,
    drift,
    drift_text,
    effect_spread,
    gain_text,
    interval,
    measure_noise,
    next_step,
    probability_better,
    runs_needed,
    shrunken,
    sigma_interval,
    within_noise,
)
from core.verdict.quantiles import chi2_quantile, t_quantile
from tests.bench.aa_session import simulate

KNOWN = Noise(sigma=0.01, df=200, low=0.009, high=0.011)
PAIRED = replace(KNOWN, paired_sigma=0.002, paired_df=50)
POLICY = Policy()
SEEDS = range(8)


def runs(*values: float, first: int = 0) -> list[Measured]:
    return [Measured(first + i, value) for i, value in enumerate(values)]


CHAMPION = runs(1.0, 1.0, 1.0, 1.0, 1.0)


def judge(
    screening: float,
    confirmations: Sequence[float] = (),
    *,
    champion: Sequence[Measured] = CHAMPION,
    noise: Noise = KNOWN,
    policy: Policy = POLICY,
    lines: int = 0,
    cleared: bool = False,
) -> RunSeeds | Judged:
    """Screened on seed 0, confirmed on 1, 2, …"""
    return next_step(
        Measured(0, screening), runs(*confirmations, first=1), champion, noise, policy,
        lines_delta=lines, seeds=SEEDS, cleared=cleared,
    )  # fmt: skip


def verdict(screening: float, confirmations: Sequence[float] = (), **options: object) -> Judged:
    step = judge(screening, confirmations, **options)  # type: ignore[arg-type]
    assert isinstance(step, Judged)
    return step


def follow(
    candidate: Callable[[int], float], champion: Callable[[int], float], **options: object
) -> tuple[Judged, int]:
    """Run what is asked until there is a verdict; also how many candidate runs that took."""
    arguments: dict[str, object] = {"noise": KNOWN, "policy": POLICY, "lines_delta": 0, "seeds": SEEDS, **options}
    screening: Measured | None = None
    confirmations: list[Measured] = []
    known: list[Measured] = []
    count = 0
    for _ in range(200):
        step = next_step(screening, confirmations, known, **arguments)  # type: ignore[arg-type]
        if isinstance(step, Judged):
            return step, count
        assert step.candidate_seeds or step.champion_seeds
        assert not {m.seed for m in known} & set(step.champion_seeds)
        for seed in step.candidate_seeds:
            count += 1
            if screening is None:
                screening = Measured(seed, candidate(seed))
            else:
                assert seed != screening.seed
                assert seed not in {m.seed for m in confirmations}
                confirmations.append(Measured(seed, candidate(seed)))
        known += [Measured(seed, champion(seed)) for seed in step.champion_seeds]
    raise AssertionError("it never ends")


# ---- screening -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screening", [1.0001, 1.0, 1.5])
def test_a_screening_run_that_is_not_better_is_discarded(screening: float) -> None:
    judged = verdict(screening)
    assert judged.verdict is Verdict.DISCARD
    assert judged.n == 0
    assert judged.delta == pytest.approx(screening - 1.0)


def test_a_better_screening_run_is_confirmed_on_one_fresh_seed() -> None:
    assert judge(0.99) == RunSeeds((1,), ())


def test_the_champion_is_asked_for_the_same_seed_where_it_lacks_it() -> None:
    assert judge(0.99, champion=runs(1.0)) == RunSeeds((1,), (1,))


def test_seeds_the_champion_has_come_first() -> None:
    assert judge(0.99, champion=[Measured(0, 1.0), Measured(5, 1.0)]) == RunSeeds((5,), ())


def test_nothing_measured_yet_asks_for_both_sides() -> None:
    assert next_step(None, [], [], KNOWN, POLICY, lines_delta=0, seeds=[7, 8]) == RunSeeds((7,), (7,))


def test_screening_is_paired_when_pairing_is_known_to_help() -> None:
    champion = runs(1.05, 0.95, 1.0)
    assert isinstance(judge(1.04, champion=champion, noise=PAIRED), RunSeeds)
    assert verdict(1.06, champion=champion, noise=PAIRED).verdict is Verdict.DISCARD


def test_better_on_the_same_seed_is_confirmed_while_it_is_unknown_whether_pairing_helps() -> None:
    champion = runs(1.05, 0.95, 1.0)
    assert isinstance(judge(1.04, champion=champion), RunSeeds)
    assert verdict(1.06, champion=champion).verdict is Verdict.DISCARD


# ---- confirmation ----------------------------------------------------------------------------------------------


def test_a_clear_gain_is_kept_after_two_confirmations() -> None:
    judged = verdict(0.99, [0.975, 0.975])
    assert judged.verdict is Verdict.KEEP
    assert judged.n == 2
    assert judged.delta == pytest.approx(-0.025)
    assert judged.low is not None
    assert judged.high is not None
    assert judged.low < -0.025 < judged.high < 0
    assert judged.shrunken is not None
    assert -0.025 < judged.shrunken < 0
    assert judged.probability_better is not None
    assert judged.probability_better > 0.95


def test_one_confirmation_never_keeps() -> None:
    assert isinstance(judge(0.96, [0.955]), RunSeeds)


@pytest.mark.parametrize("confirmations", [[1.001], [0.99, 1.02], [0.99, 0.99, 1.03]])
def test_confirmation_stops_when_the_gain_turns(confirmations: list[float]) -> None:
    assert verdict(0.95, confirmations).verdict is Verdict.DISCARD


def test_the_screening_score_never_enters_the_estimate() -> None:
    lucky, plain = verdict(0.96, [0.98, 0.98]), verdict(0.999, [0.98, 0.98])
    assert lucky == plain


def test_a_confirmation_on_the_screening_seed_does_not_count() -> None:
    step = next_step(
        Measured(0, 0.96), [Measured(0, 0.96), Measured(1, 0.96)], CHAMPION, KNOWN, POLICY, lines_delta=0, seeds=SEEDS
    )
    assert step == RunSeeds((2,), ())


def test_four_confirmations_within_the_noise_are_inconclusive() -> None:
    judged = verdict(0.99, [0.985, 1.01, 0.99, 1.003])
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.low is not None
    assert judged.high is not None
    assert judged.low < 0 < judged.high


def test_paired_noise_tells_what_unpaired_noise_cannot() -> None:
    champion = runs(1.02, 0.98, 1.0, 1.01, 0.99)
    gains = [0.975, 0.995, 1.005, 0.985]  # five thousandths below the champion on each seed
    assert verdict(1.0, gains[:2], champion=champion, noise=PAIRED).verdict is Verdict.KEEP
    assert verdict(1.0, gains[:2], champion=champion, noise=PAIRED).paired
    assert isinstance(judge(0.99, gains[:2], champion=champion), RunSeeds)


def test_paired_noise_no_smaller_than_sigma_is_not_used() -> None:
    loud = replace(KNOWN, paired_sigma=0.0141, paired_df=50)
    assert not verdict(0.99, [0.975, 0.975], noise=loud).paired


def test_a_loud_change_must_clear_its_own_spread() -> None:
    assert verdict(0.98, [0.992, 0.992], noise=PAIRED).verdict is Verdict.KEEP
    assert isinstance(judge(0.98, [0.95, 0.999], noise=PAIRED), RunSeeds)


def test_few_degrees_of_freedom_raise_the_hurdle() -> None:
    three_null_runs = replace(KNOWN, df=2)
    assert verdict(0.99, [0.984, 0.9841]).verdict is Verdict.KEEP
    champion = runs(1.01, 0.99, 1.0, 1.013, 0.987)
    assert isinstance(judge(0.98, [0.99, 0.975], champion=champion, noise=three_null_runs), RunSeeds)


def test_a_human_may_order_confirmations_of_a_discarded_experiment() -> None:
    assert verdict(1.01, [0.97, 0.97]).verdict is Verdict.KEEP


# ---- simplifications -------------------------------------------------------------------------------------------


def test_an_inconclusive_patch_that_shortens_the_code_is_kept_as_a_simplification() -> None:
    judged = verdict(0.99, [0.985, 1.01, 0.99, 1.003], lines=-3)
    assert judged.verdict is Verdict.KEEP
    assert judged.reason.startswith("a simplification")
    assert "3 lines less" in judged.reason
    assert judged.high is not None
    assert judged.high > 0


def test_the_same_bits_with_shorter_code_are_a_simplification() -> None:
    assert judge(1.0, lines=-1) == RunSeeds((1,), ())
    assert isinstance(judge(1.0, [1.0], lines=-1), RunSeeds)
    judged = verdict(1.0, [1.0, 1.0], lines=-1)
    assert judged.verdict is Verdict.KEEP
    assert judged.reason.endswith("1 line less")
    champion = runs(1.0, 0.99, 1.02, 0.98)
    judged = verdict(1.0, [0.99, 1.02], champion=champion, lines=-1)
    assert (judged.verdict, judged.delta, judged.low, judged.high) == (Verdict.KEEP, 0, 0, 0)


def test_the_same_bits_with_as_much_code_are_discarded() -> None:
    assert verdict(1.0, lines=0).verdict is Verdict.DISCARD
    champion = [Measured(1, 0.99), Measured(2, 1.01)]  # the screening seed is new to the champion
    assert verdict(0.98, [0.99], champion=champion).verdict is Verdict.DISCARD


def test_a_worse_patch_is_discarded_however_short() -> None:
    assert verdict(1.02, lines=-50).verdict is Verdict.DISCARD


# ---- suspicion -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.9, 0.002])
def test_a_gain_beyond_five_percent_or_eight_sigma_is_suspect(value: float) -> None:
    judged = verdict(value, [value, value])
    assert judged.verdict is Verdict.SUSPECT
    assert judged.n == 2
    assert verdict(value, [value, value], cleared=True).verdict is Verdict.KEEP


def test_eight_sigma_is_suspect_though_it_is_a_small_share() -> None:
    quiet = replace(KNOWN, sigma=0.001)
    judged = verdict(0.985, [0.985, 0.985], noise=quiet)
    assert judged.verdict is Verdict.SUSPECT
    assert "8σ" in judged.reason


def test_a_screening_run_too_good_to_be_true_makes_a_keep_suspect() -> None:
    assert verdict(0.5, [0.975, 0.975]).verdict is Verdict.SUSPECT


def test_a_negative_or_zero_metric_has_a_share_too() -> None:
    policy = Policy(suspect_sigmas=1e9)
    champion = runs(-1.0, -1.0, -1.0)
    assert verdict(-1.2, [-1.2, -1.2], champion=champion, policy=policy).verdict is Verdict.SUSPECT
    assert verdict(-0.2, [-0.2, -0.2], champion=runs(0, 0, 0), policy=policy).verdict is Verdict.KEEP


# ---- missing metrics and missing noise -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_no_finite_metric_is_never_better(value: float) -> None:
    for policy in (POLICY, Policy(direction="max")):
        assert verdict(value, policy=policy).verdict is Verdict.CRASHED
        better = 0.99 if policy.direction == "min" else 1.01
        assert verdict(better, [better, value], policy=policy).verdict is Verdict.DISCARD


def test_a_seed_on_which_the_champion_diverged_is_passed_over() -> None:
    champion = [Measured(0, 1.0), Measured(1, math.nan), Measured(2, 1.0)]
    assert judge(0.99, champion=champion) == RunSeeds((2,), ())


def test_a_champion_without_any_metric_ends_as_inconclusive() -> None:
    judged, _ = follow(lambda seed: 1.0, lambda seed: math.nan)
    assert judged.verdict is Verdict.INCONCLUSIVE


def test_no_seed_left_ends_as_inconclusive() -> None:
    assert next_step(None, [], [], KNOWN, POLICY, lines_delta=0, seeds=[]) == Judged(
        Verdict.INCONCLUSIVE, "there is no seed to run it on"
    )
    step = next_step(Measured(0, 0.99), [], CHAMPION, KNOWN, POLICY, lines_delta=0, seeds=[0])
    assert isinstance(step, Judged)
    assert step.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("noise", [Noise(), Noise(sigma=0.01, df=0), Noise(sigma=0.0, df=2, high=0.0)])
def test_without_noise_every_one_of_four_seeds_must_be_better(noise: Noise) -> None:
    assert isinstance(judge(0.99, [0.97, 0.97], noise=noise), RunSeeds)
    assert verdict(0.99, [0.99, 0.98, 0.985, 0.99], noise=noise).verdict is Verdict.KEEP
    assert verdict(0.99, [0.99, 0.98, 0.985, 1.001], noise=noise).verdict is Verdict.INCONCLUSIVE


def test_two_confirmations_can_never_keep_without_noise() -> None:
    policy = Policy(max_confirmations=2)
    assert verdict(0.99, [0.97, 0.97], noise=Noise(), policy=policy).verdict is Verdict.INCONCLUSIVE


# ---- properties ------------------------------------------------------------------------------------------------

metrics = st.one_of(
    st.floats(0.9, 1.1), st.sampled_from([0.99, 1.0, 1.01, math.nan, math.inf]), st.floats(allow_nan=True)
)
noises = st.builds(
    Noise,
    sigma=st.sampled_from([0.0, 1e-6, 0.002, 0.01, 0.3]),
    df=st.sampled_from([0, 1, 2, 7, 300, 1000]),
    paired_sigma=st.sampled_from([None, 0.0, 0.001, 0.02]),
    paired_df=st.sampled_from([0, 1, 3, 50]),
)


@given(
    st.lists(metrics, min_size=8, max_size=8),
    st.lists(metrics, min_size=8, max_size=8),
    noises,
    st.integers(1, 6),
    st.integers(-2, 2),
    st.sampled_from(["min", "max"]),
)
def test_it_always_ends_and_never_keeps_a_gain_on_fewer_than_two_confirmations(
    candidate: list[float], champion: list[float], noise: Noise, most: int, lines: int, direction: str
) -> None:
    policy = Policy(max_confirmations=most, direction="min" if direction == "min" else "max")
    judged, count = follow(candidate.__getitem__, champion.__getitem__, noise=noise, policy=policy, lines_delta=lines)
    assert count <= most + 1
    if judged.verdict in (Verdict.KEEP, Verdict.SUSPECT):
        assert judged.n >= 2
        assert lines < 0 or judged.delta != 0
    if judged.low is not None and judged.delta is not None and judged.high is not None:
        assert judged.low <= judged.delta <= judged.high
    assert judged.reason


@given(
    st.lists(st.floats(0.5, 1.5), min_size=8, max_size=8), st.lists(st.floats(0.5, 1.5), min_size=8, max_size=8), noises
)
def test_the_other_direction_is_a_mirror(candidate: list[float], champion: list[float], noise: Noise) -> None:
    low, count = follow(candidate.__getitem__, champion.__getitem__, noise=noise)
    high, mirrored = follow(
        lambda seed: -candidate[seed], lambda seed: -champion[seed], noise=noise, policy=Policy(direction="max")
    )
    assert count == mirrored
    assert low.verdict is high.verdict
    assert low.reason == high.reason
    assert low.probability_better == high.probability_better
    for ours, theirs in ((low.delta, high.delta), (low.low, high.high), (low.shrunken, high.shrunken)):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours == -theirs


# ---- noise -----------------------------------------------------------------------------------------------------


def test_noise_is_pooled_within_groups_so_that_their_means_may_differ() -> None:
    noise = measure_noise([[1.0, 3.0]], [[101.0, 103.0], [51.0, 53.0]], [[0.5, 1.5], [7.5, 8.5]])
    assert noise.sigma == pytest.approx(math.sqrt(2))
    assert noise.df == 3
    assert noise.paired_sigma == pytest.approx(math.sqrt(0.5))
    assert noise.paired_df == 2


def test_noise_of_fewer_than_two_runs_is_unknown() -> None:
    for groups in ([], [[1.0]], [[1.0, math.nan]], [[math.inf, 1.0]]):
        noise = measure_noise(groups)
        assert (noise.sigma, noise.df, noise.low, noise.high) == (0.0, 0, 0.0, math.inf)


def test_differences_of_the_same_bits_are_no_measure_of_paired_noise() -> None:
    noise = measure_noise([[1.0, 2.0]], [], [[0.0, 0.0, 0.0], [0.1, 0.3]])
    assert noise.paired_df == 1
    assert noise.paired_sigma == pytest.approx(math.sqrt(0.02))


def test_a_loud_group_of_confirmations_stays_out_of_the_pool_but_the_champions_own_runs_never_do() -> None:
    quiet = [[1.0, 1.01, 0.99], [2.0, 2.01, 1.99], [3.0, 3.01, 2.99]]
    loud = [5.0, 6.0]
    assert measure_noise(quiet, [loud]).sigma == pytest.approx(0.01)
    assert measure_noise([*quiet, loud]).sigma > 0.1


@pytest.mark.parametrize(("n", "low", "high"), [(2, 0.45, 31.9), (5, 0.60, 2.87), (8, 0.66, 2.04), (20, 0.76, 1.46)])
def test_the_interval_of_sigma_is_the_known_one(n: int, low: float, high: float) -> None:
    assert sigma_interval(1.0, n - 1) == pytest.approx((low, high), abs=0.05 if n == 2 else 0.005)


@pytest.mark.parametrize(
    ("df", "t90", "t95", "t975", "chi025", "chi975"),
    [
        (1, 3.0777, 6.3138, 12.7062, 0.000982, 5.0239),
        (2, 1.8856, 2.9200, 4.3027, 0.050636, 7.3778),
        (3, 1.6377, 2.3534, 3.1824, 0.215795, 9.3484),
        (7, 1.4149, 1.8946, 2.3646, 1.689869, 16.0128),
        (10, 1.3722, 1.8125, 2.2281, 3.246973, 20.4832),
        (30, 1.3104, 1.6973, 2.0423, 16.790772, 46.9792),
        (100, 1.2901, 1.6602, 1.9840, 74.221927, 129.5612),
    ],
)
def test_quantiles_agree_with_the_tables(
    df: int, t90: float, t95: float, t975: float, chi025: float, chi975: float
) -> None:
    assert [t_quantile(p, df) for p in (0.9, 0.95, 0.975)] == pytest.approx([t90, t95, t975], abs=1e-4)
    assert t_quantile(0.025, df) == pytest.approx(-t975, abs=1e-4)
    assert [chi2_quantile(p, df) for p in (0.025, 0.975)] == pytest.approx([chi025, chi975], rel=1e-3)


def test_quantiles_go_on_smoothly_where_the_approximation_takes_over() -> None:
    assert t_quantile(0.975, 301) == pytest.approx(t_quantile(0.975, 300), abs=1e-4)
    assert chi2_quantile(0.975, 301) - chi2_quantile(0.975, 300) == pytest.approx(1.08, abs=0.05)


# ---- effects ---------------------------------------------------------------------------------------------------


def test_a_noisy_effect_shrinks_more_than_a_precise_one() -> None:
    assert shrunken(-0.01, 0.01, 0.01) == pytest.approx(-0.005)
    assert shrunken(-0.01, 0.001, 0.01) == pytest.approx(-0.0099, abs=1e-4)
    assert shrunken(-0.01, 0.0, 0.01) == -0.01
    assert shrunken(-0.01, 0.01, math.inf) == -0.01
    assert shrunken(-0.01, 0.01, 0.0) == 0.0


def test_the_spread_of_effects_starts_at_sigma_and_learns() -> None:
    assert effect_spread([], 0.01) == pytest.approx(0.01)
    assert effect_spread([(0.05, 0.005)] * 50, 0.01) == pytest.approx(0.05, rel=0.05)
    assert effect_spread([(0.001, 0.01)] * 50, 0.01) == pytest.approx(0.0025)


def test_probability_better_knows_the_direction_and_the_edges() -> None:
    assert probability_better(0.0, 0.01, 0.01) == 0.5
    assert probability_better(-0.01, 0.01, math.inf) == pytest.approx(0.841, abs=1e-3)
    assert probability_better(-0.01, 0.01, math.inf, "max") == pytest.approx(0.159, abs=1e-3)
    assert probability_better(-0.01, 0.0, 0.01) == 1.0
    assert probability_better(0.01, 0.0, 0.01) == 0.0
    assert probability_better(-0.01, 0.01, 0.0) == 0.5


def test_an_interval_is_students() -> None:
    assert interval(1.0, 0.5, 2) == pytest.approx((1 - 0.5 * 4.3027, 1 + 0.5 * 4.3027), abs=1e-4)


@pytest.mark.parametrize(
    ("effect", "sigma", "needed"),
    [(0.001, 0.0004, 4), (0.001, 0.0007, 10), (0.001, 0.001, 21), (-0.001, 0.002, 81), (0.0005, 0.0007, 40)],
)
def test_runs_needed_are_those_of_the_notes(effect: float, sigma: float, needed: int) -> None:
    assert runs_needed(effect, sigma) == needed


def test_no_number_of_runs_shows_no_effect_and_one_shows_it_without_noise() -> None:
    assert runs_needed(0.0, 0.01) is None
    assert runs_needed(1e-300, 0.01) is None
    assert runs_needed(0.01, 0.0) == 1
    assert runs_needed(0.0, 0.0) is None


def test_a_past_keep_falls_within_the_noise_when_sigma_grows() -> None:
    assert not within_noise(-0.03, KNOWN, 4, 4)
    assert within_noise(-0.03, replace(KNOWN, sigma=0.04), 4, 4)
    assert within_noise(-0.005, KNOWN, 4, 4)
    assert not within_noise(-0.005, PAIRED, 4, 4, paired=True)
    assert within_noise(-9.0, Noise(), 4, 4)


def test_drift_is_a_shift_between_earlier_and_later_runs_of_the_champion() -> None:
    rng = random.Random(3)
    steady = [(float(t), 1 + rng.gauss(0, 0.01)) for t in range(12)]
    moved = [(t, value + (0.04 if t >= 6 else 0.0)) for t, value in steady]
    calm, drifted = drift(steady, KNOWN), drift(list(reversed(moved)), KNOWN)
    assert calm is not None
    assert drifted is not None
    assert not calm.drifting
    assert drifted.drifting
    assert drifted.shift == pytest.approx(calm.shift + 0.04)
    assert calm.low < calm.centre < calm.high
    assert calm.centre == pytest.approx(fmean(value for _, value in steady[:6]))


def test_a_shift_of_nothing_has_no_sign_and_every_shift_its_metric() -> None:
    nothing = Drift(2.0, 1.0, 3.0, -0.04, -1.3, 1.3, drifting=False)
    assert drift_text(nothing, 4, "val_bpb").endswith("scores 0.0 val_bpb (99.7 % -1.3 to +1.3, 4 runs)")
    assert "scores +0.5 val_bpb (99.7 %" in drift_text(replace(nothing, shift=0.5), 4, "val_bpb")


def test_drift_needs_six_finite_runs_and_a_noise() -> None:
    steady = [(float(t), 1.0) for t in range(5)]
    assert drift([*steady, (5.0, math.nan)], KNOWN) is None
    assert drift([*steady, (5.0, 1.1)], Noise()) is None
    same_bits = drift([*steady, (5.0, 1.0)], Noise(0.0, 2, 0.0, 0.0))
    assert same_bits is not None
    assert not same_bits.drifting


def test_the_first_seeds_of_a_new_champion_are_no_drift_of_the_machine() -> None:
    """Of a real lab, on a machine that gives the same bits again."""
    values = (2.3204, 2.3368, 2.3394)
    assert drift(list(enumerate(values)), Noise(0.0045, 24)) is None


def test_labs_that_stand_still_are_seldom_told_of_a_drift() -> None:
    rng, told = random.Random(1), 0
    for _ in range(100):
        own: list[list[float]] = []
        for runs in (3, 3, 4, 8, 12):
            own.append([])
            for _ in range(runs):
                own[-1].append(rng.gauss(0.0, 1.0))
                found = drift([*enumerate(own[-1])], calm_noise(own))
                told += bool(found and found.drifting)
    assert told <= 6


def test_a_gain_is_never_shown_without_its_interval() -> None:
    assert gain_text(-0.0036, -0.006, -0.0012, 3) == "Δ -0.0036 (95 % -0.0060 to -0.0012, n=3)"
    assert gain_text(-0.0036, -0.02, 0.0128, 4) == "Δ -0.004 (95 % -0.020 to +0.013, n=4), 0 is inside"
    assert gain_text(0.01, None, None, 0) == "Δ +0.01 (noise not measured, screening run only)"
    assert gain_text(-3e-12, -4e-12, -2e-12, 2) == "Δ -3e-12 (95 % -4e-12 to -2e-12, n=2)"
    assert gain_text(-0.5, -0.5, -0.5, 4) == "Δ -0.500000 (95 % -0.500000 to -0.500000, n=4)"


# ---- the A/A session, short form -------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", ["independent", "paired sd = sigma/3", "mixed pairing", "heavy tails"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_session_of_patches_that_change_nothing_keeps_at_most_a_tenth(regime: str, fresh: bool) -> None:
    tally = simulate(regime, sessions=3, fresh=fresh)
    assert tally.proposed[0] == 300
    assert tally.kept_share <= 0.10
    assert tally.kept[3] / tally.proposed[3] > 0.75
