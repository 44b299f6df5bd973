"""The noise of the metric: measured, and what follows from it for planning, past keeps and the machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean

from core.verdict.effects import interval
from core.verdict.quantiles import chi2_quantile, t_quantile

LOUD = 0.999
"""share of equally loud groups that stay in the pool"""
DRIFT_RUNS = 6
"""re-runs of a champion before a drift is looked for: three early, three late"""
DRIFT_SURE = 0.997
"""how sure a drift is. It is looked for after every re-run of every champion: simulated over eight champions, 25 labs
in 1,000 that stand still are told of one (128 at 0.99 and from two re-runs on). Of jumps by 3 sigma between six re-runs
and six later ones 92 in 100 are told."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one run, and of one same-seed difference, on one device class; `df` 0: not measured."""

    sigma: float = 0.0
    df: int = 0
    low: float = 0.0
    high: float = math.inf
    """95 % interval of sigma"""
    paired_sigma: float | None = None
    paired_df: int = 0


def measure_noise(
    null_groups: Sequence[Sequence[float]],
    confirm_groups: Sequence[Sequence[float]] = (),
    paired_diffs: Sequence[Sequence[float]] = (),
) -> Noise:
    """Pooled within-group variance. A group is the runs of one commit on one device class, each with its own seed.

    `null_groups`: champions' runs; `confirm_groups`: experiments' confirmations; `paired_diffs`: for each experiment,
    candidate minus champion on each shared seed (all zero, the same bits, tells nothing). No run may be in two groups.
    """
    sigma, df = _pooled(null_groups, confirm_groups)
    paired_sigma, paired_df = _pooled((), [group for group in paired_diffs if any(group)])
    low, high = sigma_interval(sigma, df)
    return Noise(sigma, df, low, high, paired_sigma if paired_df else None, paired_df)


def sigma_interval(sigma: float, df: int, level: float = 0.95) -> tuple[float, float]:
    """Chi-square interval of a standard deviation."""
    if df == 0:
        return 0.0, math.inf
    tail = (1 - level) / 2
    return sigma * math.sqrt(df / chi2_quantile(1 - tail, df)), sigma * math.sqrt(df / chi2_quantile(tail, df))


def _pooled(trusted: Iterable[Sequence[float]], others: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation and its df, without the loudest of `others` as long as 4 df tell against them."""
    quiet = [sum_of_squares(group) for group in trusted]
    rest = sorted((one for one in map(sum_of_squares, others) if one[1]), key=lambda one: one[0] / one[1])
    while True:
        squares, df = math.fsum(s for s, _ in quiet + rest), sum(k for _, k in quiet + rest)
        if not rest:
            break
        loudest, k = rest[-1]
        if df - k < 4 or loudest * (df - k) <= chi2_quantile(LOUD, k) * (squares - loudest):
            break
        rest.pop()
    return (math.sqrt(squares / df), df) if df else (0.0, 0)


def usable(value: float) -> bool:
    """Whether this can be a metric: finite, and small enough to be squared."""
    return abs(value) < 1e100


def sum_of_squares(values: Iterable[float]) -> tuple[float, int]:
    """Sum of squares about the mean, and its degrees of freedom."""
    counted = [value for value in values if usable(value)]
    if len(counted) < 2:
        return 0.0, 0
    mean = fmean(counted)
    return math.fsum((value - mean) ** 2 for value in counted), len(counted) - 1


def runs_needed(effect: float, sigma: float, *, alpha: float = 0.01, power: float = 0.8) -> int | None:
    """Runs of each of two commits to see `effect` (one-sided); None: millions. Paired: paired_sigma / sqrt(2)."""
    z = _NORMAL.inv_cdf(1 - alpha) + _NORMAL.inv_cdf(power)
    if z * sigma >= 1000 * abs(effect):
        return None
    return max(1, math.ceil(2 * (z * sigma / effect) ** 2))


def within_noise(delta: float, noise: Noise, n: int, n_champion: int, *, paired: bool = False, z: float = 1.64) -> bool:
    """Whether a past gain would not be kept by today's noise; true where the noise is unknown."""
    use_pairs = paired and noise.paired_sigma is not None
    df = noise.paired_df if use_pairs else noise.df
    if not df or not n or not n_champion:
        return True
    se = (noise.paired_sigma or 0.0) / math.sqrt(n) if use_pairs else noise.sigma * math.sqrt(1 / n + 1 / n_champion)
    return abs(delta) <= t_quantile(_NORMAL.cdf(z), df) * se


def calm_noise(series: Iterable[Sequence[float]], groups: Iterable[Sequence[float]] = ()) -> Noise:
    """The noise that a drift hardly touches: from neighbours in time, and from groups that ran close together.

    `series`: re-runs of one commit each, oldest first. So many squared steps are worth two thirds as many df.
    """
    squares, df = 0.0, 0.0
    for values in series:
        steps = [after - before for before, after in pairwise(v for v in values if usable(v))]
        squares += math.fsum(step**2 for step in steps) / 3  # half a squared step is a variance, two thirds of it count
        df += 2 / 3 * len(steps)
    for group in groups:
        more, counted = sum_of_squares(group)
        squares, df = squares + more, df + counted
    sigma = math.sqrt(squares / df) if df >= 1 else 0.0
    return Noise(sigma, int(df), *sigma_interval(sigma, int(df)))


@dataclass(frozen=True, slots=True)
class Drift:
    """Whether the machine still gives what it gave: re-runs of one commit, later half against earlier half."""

    centre: float
    low: float
    high: float
    """where 95 % of single re-runs should fall"""
    shift: float
    shift_low: float
    shift_high: float
    """interval of the shift that is DRIFT_SURE"""
    drifting: bool


def drift(runs: Sequence[tuple[float, float]], noise: Noise) -> Drift | None:
    """From (time, metric) of one commit on one device class; None before DRIFT_RUNS finite runs or without a noise.

    `noise`: `calm_noise`, for the pooled one has the drift in it.
    """
    values = [value for _, value in sorted(runs) if usable(value)]
    if len(values) < DRIFT_RUNS or not noise.df:
        return None
    earlier, later = values[: len(values) // 2], values[len(values) // 2 :]
    centre, shift = fmean(earlier), fmean(later) - fmean(earlier)
    low, high = interval(centre, noise.sigma * math.sqrt(1 + 1 / len(earlier)), noise.df)
    shift_low, shift_high = interval(
        shift, noise.sigma * math.sqrt(1 / len(earlier) + 1 / len(later)), noise.df, DRIFT_SURE
    )
    return Drift(centre, low, high, shift, shift_low, shift_high, not shift_low <= 0 <= shift_high)


def drift_text(found: Drift, runs: int, metric: str = "") -> str:
    """The drift of so many re-runs in words, and what follows from it; `metric`: what they were scored by."""
    half = (found.shift_high - found.shift_low) / 2
    digits = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 6
    style = f"+.{min(digits, 9)}f"
    shift, low, high = (
        format(value, style) if float(format(value, style)) else format(0.0, style[1:])
        for value in (found.shift, found.shift_low, found.shift_high)
    )
    sure = f"{shift} {metric}".rstrip() + f" ({100 * DRIFT_SURE:g} % {low} to {high}, {runs} runs)"
    if not found.drifting:
        return f"the champion's re-runs agree: the later half scores {sure}"
    return (
        f"the champion's re-runs drift: the later half scores {sure}. Something here has changed (clock, driver, heat, "
        "other load): verdicts across it lean one way. Find it, or start a fresh comparison: autoresearch-tui audit LAB"
    )
