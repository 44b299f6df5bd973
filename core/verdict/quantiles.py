"""Student's t and chi-square, so that the engine needs no scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: int) -> float:
    """Student's t: bisection on the distribution function (Abramowitz and Stegun 26.7.3), a series above 300 df."""
    if p < 0.5:
        return -t_quantile(1 - p, df)
    if df > 300:
        z = _NORMAL.inv_cdf(p)
        return z + (z**3 + z) / (4 * df)
    return math.tan(_invert(lambda angle: _t_cdf(angle, df), p, math.pi / 2)) * math.sqrt(df)


def _t_cdf(angle: float, df: int) -> float:
    """Distribution function of t at sqrt(df) * tan(angle)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = df % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(df // 2):
        total += term
        term *= cosine**2 * (2 * k + 1 + odd) / (2 * k + 2 + odd)
    return 0.5 + ((angle + sine * total) / math.pi if odd else sine * total / 2)


@lru_cache(maxsize=4096)
def chi2_quantile(p: float, df: int) -> float:
    """Chi-square: bisection on the distribution function (26.4.4), Wilson and Hilferty's approximation above 300 df."""
    if df > 300:
        return df * (1 - 2 / (9 * df) + _NORMAL.inv_cdf(p) * math.sqrt(2 / (9 * df))) ** 3
    return _invert(lambda x: _chi2_cdf(x, df), p, df + 40 * math.sqrt(df) + 40)


def _chi2_cdf(x: float, df: int) -> float:
    half, odd = x / 2, df % 2
    tail = math.erfc(math.sqrt(half)) if odd else 0.0
    term = math.exp(-half) * (math.sqrt(half) / math.gamma(1.5) if odd else 1.0)
    for k in range(1, df // 2 + 1):
        tail += term
        term *= half / (k + odd / 2)
    return 1 - tail


def _invert(cdf: Callable[[float], float], p: float, high: float) -> float:
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle) < p else (low, middle)
    return (low + high) / 2
