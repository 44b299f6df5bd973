"""What a measured difference says: its interval, what to expect of it, and the text the screen shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

from core.verdict.quantiles import t_quantile

_NORMAL = NormalDist()


def effect_spread(effects: Sequence[tuple[float, float]], sigma: float) -> float:
    """`tau`: how large true effects are, from (delta, standard error) of past confirmations; at first, like sigma."""
    prior = 2  # effects' worth of the assumption
    moment = math.fsum(delta**2 - se**2 for delta, se in effects)
    return max(sigma / 4, math.sqrt(max(0.0, (prior * sigma**2 + moment) / (prior + len(effects)))))


def shrunken(delta: float, se: float, tau: float) -> float:
    """What to expect of delta when true effects spread by `tau` around none."""
    if se == 0 or tau == 0:
        return delta if se == 0 else 0.0
    ratio = se / tau
    return delta / (1 + ratio * ratio)


def probability_better(delta: float, se: float, tau: float, direction: Literal["min", "max"] = "min") -> float:
    """Probability that the true effect is a gain, with the same prior as `shrunken`."""
    gain = -delta if direction == "min" else delta
    if gain == 0 or (tau == 0 and se > 0):
        return 0.5
    if se == 0:
        return float(gain > 0)
    return _NORMAL.cdf(gain / math.hypot(se, se * (se / tau)))


def interval(delta: float, se: float, df: int, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of a difference."""
    half = t_quantile((1 + level) / 2, df) * se
    return delta - half, delta + half


def gain_text(delta: float, low: float | None, high: float | None, n: int) -> str:
    """Delta as the screen shows it: always with its interval, in as many digits as the interval allows."""
    runs = f"n={n}" if n else "screening run only"
    if low is None or high is None:
        return f"Δ {delta:+.3g} (noise not measured, {runs})"
    half = (high - low) / 2
    digits = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 6
    style = f"+.{digits}f" if digits < 10 else "+.3g"
    text = f"Δ {delta:{style}} (95 % {low:{style}} to {high:{style}}, {runs})"
    return f"{text}, 0 is inside" if low <= 0 <= high else text
