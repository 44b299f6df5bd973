"""Noise, and what to do next with one experiment: run another seed, or judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import Literal

from core.models import Verdict

_NORMAL = NormalDist()


@lru_cache(maxsize=1024)
def chi2_quantile(p: float, df: int) -> float:
    if df > 300:
        return df * (1 - 2 / (9 * df) + _NORMAL.inv_cdf(p) * math.sqrt(2 / (9 * df))) ** 3
    return _invert(lambda x: _chi2_cdf(x, df), p, 0.0, df + 40 * math.sqrt(df) + 40)


def _chi2_cdf(x: float, df: int) -> float:
    half = x / 2
    if df % 2 == 0:
        term, tail, first = math.exp(-half), 0.0, 1
        for k in range(first, df // 2 + 1):
            tail += term
            term *= half / k
        return 1 - tail
    tail = math.erfc(math.sqrt(half))
    term = math.exp(-half) * math.sqrt(half) / math.gamma(1.5)
    for k in range(1, (df - 1) // 2 + 1):
        tail += term
        term *= half / (k + 0.5)
    return 1 - tail


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: int) -> float:
    if df > 300:
        z = _NORMAL.inv_cdf(p)
        return z + (z**3 + z) / (4 * df)
    if p < 0.5:
        return -t_quantile(1 - p, df)
    angle = _invert(lambda a: _t_cdf_of_angle(a, df), p, 0.0, math.pi / 2)
    return math.tan(angle) * math.sqrt(df)


def _t_cdf_of_angle(angle: float, df: int) -> float:
    s, c = math.sin(angle), math.cos(angle)
    if df % 2 == 0:
        term, total = 1.0, 0.0
        for k in range(df // 2):
            total += term
            term *= c * c * (2 * k + 1) / (2 * k + 2)
        return 0.5 + s * total / 2
    term, total = c, 0.0
    for k in range((df - 1) // 2):
        total += term
        term *= c * c * (2 * k + 2) / (2 * k + 3)
    return 0.5 + (angle + s * total) / math.pi


def _invert(cdf, p, low, high):
    for _ in range(80):
        middle = (low + high) / 2
        if cdf(middle) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


if __name__ == "__main__":
    for df in (1, 2, 3, 4, 10, 30, 300, 301):
        print(
            df,
            [round(t_quantile(p, df), 4) for p in (0.9, 0.95, 0.975)],
            [round(chi2_quantile(p, df), 5) for p in (0.025, 0.975)],
        )
