"""The hidden split: whether a gain that was confirmed on the open one is there on text that chose nothing.

The same checkpoints are scored on both splits, so the noise of the seeds is in both scores and cancels; what is left is
`shortfall`, the gain on the open split less the gain on the hidden one. A keep is *suspect* when both hold:

    less than a third of the gain is left on the hidden split    another text is another gain: a smaller one is no cheat
    shortfall > t(99 %) * sigma_gap * sqrt(1/n + 1/n_champion)                          more than chance explains

`sigma_gap` is the spread, over the seeds of one commit, of (open score - hidden score), pooled over every commit that
has both. While few are known that bound is wide, and the noise of the metric gives another one: one score less another
of the same model spreads by at most sqrt(2) sigma. The lower of the two counts.

Simulated by `tests/unit/test_hidden.py` (keeps of the real rule from 3 null runs, the first keep ever looked at, noise
of the hidden text as large as that of the seeds, a true gain there that varies by 30 %): it holds back about 2 in 100
honest keeps, and of gains of 2, 4, 6 and 10 sigma that the hidden split does not have 30, 64, 85 and 99 in 100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from core.verdict.noise import Noise, measure_noise
from core.verdict.quantiles import t_quantile

LEFT, CONFIRMED = 1 / 3, 1 / 2
"""shares of the confirmed gain: with less left it is doubted, with as much it is confirmed"""
SURE = 0.99

Scores = Mapping[int, tuple[float, float]]
"""seed -> (open, hidden) score of one commit's checkpoints"""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the hidden split says of a keep; gains are positive where the candidate is better."""

    contradicts: bool
    """the gain is not there, beyond what chance explains"""
    confirms: bool
    """at least half of it is there"""
    reason: str
    """in words without figures: whoever proposes must not learn the hidden score"""
    gain: float = math.nan
    hidden_gain: float = math.nan
    n: int = 0


def hidden_gain(
    candidate: Scores,
    champion: Scores,
    others: Sequence[Scores],
    noise: Noise,
    direction: Literal["min", "max"] = "min",
) -> Hidden:
    """Compare a confirmed gain on both splits, on the seeds both sides have; `others`: commits scored before."""
    seeds = [seed for seed in candidate if seed in champion]
    if not seeds:
        return Hidden(True, False, "the hidden split could not be compared: the champion has no score on it")
    sign = -1 if direction == "min" else 1
    gain, left = (
        sign * (fmean(candidate[s][split] for s in seeds) - fmean(champion[s][split] for s in seeds))
        for split in (0, 1)
    )  # fmt: skip
    n = len(seeds)
    on = f"{n} seed{'s' if n > 1 else ''}"
    confirms = left > 0 and left >= CONFIRMED * gain
    chance = chance_of_gap([candidate, champion, *others], noise) * math.sqrt(2 / n)
    if left < LEFT * gain and gain - left > chance:
        words = "is worse" if left < 0 else "does not have the gain"
        reason = f"the hidden split {words}, beyond chance ({on}): what it learnt may be the open split alone"
        return Hidden(True, False, reason, gain, left, n)
    if confirms:
        return Hidden(False, True, f"the hidden split agrees ({on})", gain, left, n)
    words = "has less of it, within chance" if gain > 0 else "does not speak against it"
    return Hidden(False, False, f"the hidden split {words} ({on})", gain, left, n)


def chance_of_gap(groups: Sequence[Scores], noise: Noise) -> float:
    """How far apart the two scores of one run may lie by chance, 99 % one-sided; 0 where no noise is known."""
    gaps = measure_noise([[opened - hidden for opened, hidden in group.values()] for group in groups])
    bounds = []
    if gaps.df:
        bounds.append(t_quantile(SURE, gaps.df) * gaps.sigma)
    if noise.df:
        bounds.append(t_quantile(SURE, noise.df) * math.sqrt(2) * noise.sigma)
    return min(bounds, default=0.0)
