"""What it would take to see a gain: further runs at the noise of today, said before they are spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from core.verdict.noise import Noise
from core.verdict.quantiles import t_quantile

POWER = 0.8
"""how often a gain of this size is then kept"""
MOST = 10_000
"""more runs than this is the same as never"""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Plan:
    """Fresh seeds for one change, and the runs they are: the change's and, where it lacks them, the champion's."""

    seeds: int
    runs: int


def plan(effect: float, noise: Noise, n_champion: int, *, z: float = 1.64) -> Plan | None:
    """Seeds on which a gain of `effect` is kept in 80 % of cases; None: the noise is unknown, or it takes thousands.

    The champion has run on `n_champion` seeds and runs on each further one beside the change.
    """
    if not noise.df or effect == 0:
        return None
    paired = noise.paired_df >= 3 and noise.paired_sigma is not None and noise.paired_sigma < noise.sigma
    df = noise.paired_df if paired else noise.df
    error = 1 - _NORMAL.cdf(z)
    for seeds in _growing():
        if paired:
            se = (noise.paired_sigma or 0.0) / math.sqrt(seeds)
        else:
            se = noise.sigma * math.sqrt(1 / seeds + 1 / max(seeds, n_champion))
        hurdle = t_quantile(1 - error, df + seeds - 1) + _NORMAL.inv_cdf(POWER)
        if hurdle * se <= abs(effect):
            return Plan(seeds, seeds + max(0, seeds - n_champion))
    return None


def _growing() -> list[int]:
    """2, 3, 4 … and then in steps of a twentieth: nobody plans 731 runs to the run."""
    found, n = [], 2
    while n <= MOST:
        found.append(n)
        n += max(1, n // 20)
    return found


def runs_left(delta: float, low: float, high: float, n: int, *, z: float = 1.64) -> int | None:
    """Further seeds until a change measured on `n` (0: the screening run alone) is told from noise, were its true gain
    what was measured; None where that is none, or takes thousands. From its own 95 % interval, so pairing is in it.
    """
    half = (high - low) / 2
    if delta == 0 or not math.isfinite(half) or half <= 0:
        return None
    se = half / _NORMAL.inv_cdf(0.975) * math.sqrt(max(1, n))
    wanted = ((z + _NORMAL.inv_cdf(POWER)) * se / delta) ** 2
    if wanted > MOST:
        return None
    return max(1, math.ceil(wanted) - n)


def plan_text(effect: str, seeds: int, runs: int, seconds: float | None, *, more: bool = False) -> str:
    """A plan in words; `effect` is the gain as it is written elsewhere, `seconds` what one run takes."""
    count = f"{seeds}{' more' if more else ''} seed{'s' if seeds != 1 else ''}"
    words = f"to tell a gain of {effect} from noise takes about {count} ({runs} run{'s' if runs != 1 else ''}"
    return f"{words}, about {_time(seconds * runs)})" if seconds else f"{words})"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
