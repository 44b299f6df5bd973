"""Noise, and what to do next with one experiment: run another seed, or judge.

One screening run that is not better than the champion is discarded. A better one is confirmed on fresh seeds, one at a
time, and kept when the confirmed gain clears the hurdle. The screening score never enters the estimate: it was chosen
for being good. Candidate and champion are compared in whichever way is quieter:

    unpaired   mean(candidate) - mean(champion)      se = sigma * sqrt(1/n + 1/n_champion)
    paired     mean(candidate[s] - champion[s])      se = paired_sigma / sqrt(n)

- Paired counts only while its noise, this experiment's differences pooled in, is below `sigma`. Independent runs differ
  by 1.41 sigma and the candidate alone brings 1, so a champion whose few runs happen to agree cannot fake a benefit.
- While too few differences are known to tell which is quieter, a candidate goes on if either says it is better.
- `z` is read as an error rate and turned into Student's t: three null runs are 2 degrees of freedom, not knowledge.
- Pooled noise is wrong for a loud change (a new initialisation redraws everything: paired sd 0.035, others 0.003). So a
  gain must also clear the experiment's own spread, at `OWN_ERROR` times the error rate; and a group of confirmations
  louder than 999 in 1000 stays out of the pool, where it would hide the gains of quiet changes.
- Where the noise is unknown or measures zero, `SIGN_SEEDS` or more seeds must all be better (by luck: 1 in 16).

Measured by `python -m tests.bench.aa_session` at z = 1.64 (100 sessions of 100 patches that change nothing, in each of
12 settings of noise; "session" as an engine goes on, "fresh" with a newly measured champion for every patch):

                          no-ops kept, %       kept of true gains of 1, 2, 3 sigma, %, session (greedy)
                       session     fresh
    independent noise  1.6 - 1.9   3.9 - 4.7   28 - 29 (16)   80 - 87 (43)   98 - 99 (75)
    pairing helps      0.8 - 1.1   2.1 - 2.8   68 - 96 (64)   94 - 100 (88)  99 - 100 (96)
    one in ten 5x loud 1.5 - 1.6   3.6 - 4.0   28 - 30 (13)   64 (20)        76 - 78 (25)
    heavy tails        1.2 - 1.6   2.6 - 3.8   42 - 44 (16)   86 (36)        95 - 96 (63)

A no-op takes 1.8 to 2.0 runs, the champion's included. The 95 % intervals held the truth in 96 to 99 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

from core.models import Verdict
from core.verdict.effects import effect_spread, gain_text, interval, probability_better, shrunken
from core.verdict.hidden import Hidden, Scores, hidden_gain
from core.verdict.noise import (
    DRIFT_RUNS,
    Drift,
    Noise,
    calm_noise,
    drift,
    drift_text,
    measure_noise,
    runs_needed,
    sigma_interval,
    sum_of_squares,
    usable,
    within_noise,
)
from core.verdict.planning import Plan, plan, plan_text, runs_left
from core.verdict.quantiles import t_quantile

__all__ = [
    "DRIFT_RUNS", "Drift", "Hidden", "Judged", "Measured", "Noise", "Plan", "Policy", "RunSeeds", "Scores",
    "calm_noise", "drift", "drift_text", "effect_spread", "gain_text", "hidden_gain", "interval", "measure_noise",
    "next_step", "plan", "plan_text", "probability_better", "runs_left", "runs_needed", "shrunken", "sigma_interval",
    "within_noise",
]  # fmt: skip

OWN_ERROR = 1.5
"""a null change five times as loud as the others is then kept in 7 % of cases; at 2 in 10 %, untested in 16 %"""
PAIRED_DF = 3
"""degrees of freedom before the paired noise is believed"""
SIGN_SEEDS = 4

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts as enough; the defaults are the measured ones."""

    z: float = 1.64
    """1.0 explores (12 % of nulls kept by a known sigma), 1.64 is the default, 2.33 is strict"""
    min_confirmations: int = 2
    max_confirmations: int = 4
    suspect_share: float = 0.05
    suspect_sigmas: float = 8.0
    direction: Literal["min", "max"] = "min"


@dataclass(frozen=True, slots=True)
class Measured:
    """The metric of one run; NaN where the run ended without one."""

    seed: int
    value: float


@dataclass(frozen=True, slots=True)
class RunSeeds:
    """Run these, then ask again."""

    candidate_seeds: tuple[int, ...]
    champion_seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict; `delta` is candidate minus champion in units of the metric, whatever the direction."""

    verdict: Verdict
    reason: str
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    """95 % interval of delta"""
    shrunken: float | None = None
    probability_better: float | None = None
    n: int = 0
    """confirmations behind delta; 0: the screening run alone"""
    n_champion: int = 0
    paired: bool = False


def next_step(
    screening: Measured | None,
    confirmations: Sequence[Measured],
    champion: Sequence[Measured],
    noise: Noise,
    policy: Policy,
    *,
    lines_delta: int,
    seeds: Sequence[int],
    tau: float | None = None,
    cleared: bool = False,
) -> RunSeeds | Judged:
    """Which seeds to run next, or the verdict.

    `champion`: runs made after it was kept (its own confirmations were good ones: chosen, not measured); what it lacks
    is asked for. `noise`: without this experiment's runs. `seeds`: to choose from, in order, those the champion has
    first. `lines_delta`: lines added less lines removed. `tau`: `effect_spread` of the past. `cleared`: a human or the
    audit found the gain to be real.
    """
    known = _by_seed(champion)
    tried = {run.seed for run in champion}
    if screening is None and not seeds:
        return Judged(Verdict.INCONCLUSIVE, "there is no seed to run it on")
    if screening is None:
        seed = next((s for s in seeds if s in known), seeds[0])
        return RunSeeds((seed,), () if known or seed in tried else (seed,))
    if not usable(screening.value):
        return Judged(Verdict.CRASHED, f"no finite metric on seed {screening.seed}")
    left = [s for s in seeds if s != screening.seed]
    if not known:
        unknown = [s for s in (screening.seed, *left) if s not in tried]
        if unknown:
            return RunSeeds((), (unknown[0],))
        return Judged(Verdict.INCONCLUSIVE, "the champion has no finite run to compare with")

    fresh = [run for run in confirmations if run.seed != screening.seed]
    for run in fresh:
        if not usable(run.value):
            return Judged(Verdict.DISCARD, f"trained on seed {screening.seed}, but no finite metric on seed {run.seed}")
    values = _by_seed(fresh)
    judge = _Judge(noise, policy, noise.sigma if tau is None else tau, lines_delta, cleared)
    screen = _compare({screening.seed: screening.value}, known, noise, policy)
    same = known.get(screening.seed) == screening.value
    if not values and (lines_delta >= 0 if same else screen.hopeless):
        reason = "exactly the champion's metric" if same else "not better than the champion"
        return judge.judged(Verdict.DISCARD, screen, f"{reason} in the screening run, seed {screening.seed}", 0)
    left = [s for s in left if s not in values and (s in known or s not in tried)]
    if values:
        judged = judge.confirmed(_compare(values, known, noise, policy), screen, more=bool(left))
        if judged:
            return judged
    if not left:
        return judge.judged(Verdict.INCONCLUSIVE, screen, "no fresh seed is left to confirm it on", 0)
    seed = next((s for s in left if s in known), left[0])
    return RunSeeds((seed,), () if seed in known else (seed,))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Candidate against champion; `gain` is positive where the candidate is better."""

    gain: float
    gains: tuple[float, ...]
    """on each seed both have"""
    champion_mean: float
    n: int
    n_champion: int
    paired: bool
    se: float
    df: int
    own_se: float
    """the share of this experiment's runs in it, from their own spread, with n - 1 degrees of freedom"""
    champion_se: float
    """the champion's share; 0 when paired, where it is in the differences"""
    pairing_unknown: bool = False
    """too few differences so far to tell whether the same-seed comparison is the quieter one"""

    @property
    def hopeless(self) -> bool:
        """Not better by the comparison that counts, nor by the paired one where that may yet turn out to count."""
        return self.gain <= 0 and not (self.pairing_unknown and fmean(self.gains) > 0)

    def hurdle(self, error: float) -> float:
        """The gain that noise alone exceeds in a share `error` of cases; infinite where there is no noise to go by."""
        if not self.df:
            return math.inf
        pooled = t_quantile(1 - error, self.df)
        own = t_quantile(1 - min(0.5, OWN_ERROR * error), self.n - 1) if self.n > 1 else 0.0
        return max(pooled * self.se, math.hypot(own * self.own_se, pooled * self.champion_se))


def _compare(
    candidate: Mapping[int, float], champion: Mapping[int, float], noise: Noise, policy: Policy
) -> _Comparison:
    sign = -1 if policy.direction == "min" else 1
    n, n_champion = len(candidate), len(champion)
    mean = fmean(champion.values())
    gains = tuple(sign * (candidate[s] - champion[s]) for s in candidate if s in champion)
    if len(gains) == n and not any(gains):  # the same bits, whatever the champion's other seeds gave
        return _Comparison(0.0, gains, mean, n, n, True, 0.0, noise.df, 0.0, 0.0)
    squares, own_df = sum_of_squares(candidate.values())
    sigma, df = _with_own(noise.sigma, noise.df, squares, own_df)
    paired_squares, paired_own_df = sum_of_squares(gains)
    paired_sigma, paired_df = _with_own(noise.paired_sigma or 0.0, noise.paired_df, paired_squares, paired_own_df)
    se, paired_se = sigma * math.sqrt(1 / n + 1 / n_champion), paired_sigma / math.sqrt(n)
    pairing_helps = len(gains) == n and df > 0 and paired_df >= PAIRED_DF and paired_sigma < sigma
    if pairing_helps and paired_se * t_quantile(0.95, paired_df) < se * t_quantile(0.95, df):
        own_se = math.sqrt(paired_squares / paired_own_df / n) if paired_own_df else 0.0
        return _Comparison(fmean(gains), gains, mean, n, n, True, paired_se, paired_df, own_se, 0.0)
    own_se = math.sqrt(squares / own_df / n) if own_df else 0.0
    gain = sign * (fmean(candidate.values()) - mean)
    unknown = len(gains) == n and df > 0 and paired_df < PAIRED_DF
    champion_se = sigma / math.sqrt(n_champion)
    return _Comparison(gain, gains, mean, n, n_champion, False, se, df, own_se, champion_se, unknown)


def _with_own(sigma: float, df: int, squares: float, own_df: int) -> tuple[float, int]:
    """Pooled noise with this experiment's own spread in it."""
    total = df + own_df
    return (math.sqrt((df * sigma**2 + squares) / total), total) if total else (0.0, 0)


@dataclass(frozen=True, slots=True)
class _Judge:
    """How the comparisons of one experiment become a verdict."""

    noise: Noise
    policy: Policy
    tau: float
    lines_delta: int
    cleared: bool

    def confirmed(self, result: _Comparison, screen: _Comparison, *, more: bool) -> Judged | None:
        """The verdict on the confirmations, or None: another seed may still tell."""
        n, shorter = result.n, self.lines_delta < 0
        seeds = f"{n} fresh seed{'s' if n > 1 else ''}"
        lines = f"{-self.lines_delta} line{'s' if self.lines_delta < -1 else ''} less"
        last = n >= self.policy.max_confirmations or not more
        if result.paired and not any(result.gains):
            if not shorter:
                return self.judged(Verdict.DISCARD, result, f"exactly the champion's metric on {seeds}", n)
            if n >= self.policy.min_confirmations:
                return self.kept(result, screen, f"a simplification: exactly the champion's metric on {seeds}, {lines}")
            return self.judged(Verdict.INCONCLUSIVE, result, "no fresh seed is left", n) if last else None
        if result.hopeless or (last and result.gain <= 0):
            return self.judged(Verdict.DISCARD, result, f"not better than the champion on {seeds}", n)
        if n >= self.policy.min_confirmations and self.clears(result):
            return self.kept(result, screen, f"better than the champion on {seeds}, beyond the noise")
        if not last:
            return None
        if shorter and n >= self.policy.min_confirmations:
            return self.kept(result, screen, f"a simplification: {seeds} cannot tell it from the champion, {lines}")
        return self.judged(Verdict.INCONCLUSIVE, result, f"{seeds} cannot tell the gain from noise", n)

    def clears(self, result: _Comparison) -> bool:
        """Whether the gain is beyond the noise."""
        if not self.noise.df or self.noise.sigma == 0:
            enough = result.n >= max(SIGN_SEEDS, self.policy.max_confirmations)
            return enough and len(result.gains) == result.n and min(result.gains) > 0
        return result.gain > result.hurdle(1 - _NORMAL.cdf(self.policy.z))

    def kept(self, result: _Comparison, screen: _Comparison, reason: str) -> Judged:
        """Keep, unless it is too good to be believed unseen."""
        doubt = self.too_good(result) or self.too_good(screen)
        if doubt and not self.cleared:
            return self.judged(Verdict.SUSPECT, result, f"{doubt}: too good to be kept unseen", result.n)
        return self.judged(Verdict.KEEP, result, reason, result.n)

    def too_good(self, result: _Comparison) -> str:
        """What is suspicious about the size of the gain; empty for nothing."""
        share = result.gain / abs(result.champion_mean) if result.champion_mean else 0.0
        if share > self.policy.suspect_share:
            return f"better than the champion by {share:.1%}"
        if self.noise.df and self.noise.sigma > 0:
            # a sigma from few runs may be far too small
            caution = t_quantile(0.975, self.noise.df) / _NORMAL.inv_cdf(0.975)
            sigmas = result.gain / (self.noise.sigma * caution)
            if sigmas > self.policy.suspect_sigmas:
                return f"better than the champion by more than {self.policy.suspect_sigmas:g}σ"
        return ""

    def judged(self, verdict: Verdict, result: _Comparison, reason: str, n: int) -> Judged:
        sign = -1 if self.policy.direction == "min" else 1
        delta = sign * result.gain
        if not result.df:
            return Judged(verdict, reason, delta, n=n, n_champion=result.n_champion, paired=result.paired)
        half = result.hurdle(0.025)
        se = half / _NORMAL.inv_cdf(0.975)
        tau = self.tau if self.tau > 0 else math.inf
        return Judged(
            verdict, reason, delta, delta - half, delta + half, shrunken(delta, se, tau),
            probability_better(delta, se, tau, self.policy.direction), n, result.n_champion, result.paired,
        )  # fmt: skip


def _by_seed(runs: Sequence[Measured]) -> dict[int, float]:
    """Usable metrics by seed; the mean where a seed was run again."""
    values: dict[int, list[float]] = {}
    for run in runs:
        if usable(run.value):
            values.setdefault(run.seed, []).append(run.value)
    return {seed: fmean(group) for seed, group in values.items()}
