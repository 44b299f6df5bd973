"""A run's curve in a dozen lines that a model can read: values at shares of the budget, slope, spikes. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from core.models import Series

SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SMOOTH = 0.01
"""half the width of the window around a share that is averaged, as a share of the budget"""
TAIL = 0.2
"""share at the end over which the slope is taken"""
HUGE = 1e100
BEFORE = 15
"""points before one that say what to expect of it"""


@dataclass(frozen=True, slots=True)
class Spike:
    """A point far above those before it."""

    share: float
    height: float


def digest(mine: Series, champion: Series | None, *, finished: bool) -> str:
    """The curve beside the champion's, at equal shares of the budget."""
    times, values = _finite(mine)
    if not times:
        return f"{mine.name}: {len(mine.step)} points, none of them a finite number"
    theirs = _finite(champion) if champion is not None else ([], [])
    end = mine.t[-1] if finished or not theirs[0] else max(theirs[0][-1], mine.t[-1])
    rows = [["share of the budget", *(f"{share:.0%}" for share in SHARES)]]
    own = [_at(times, values, share, end) for share in SHARES]
    rows.append(["this run", *map(_number, own)])
    if theirs[0]:
        other = [_at(*theirs, share, theirs[0][-1]) for share in SHARES]
        rows.append(["champion", *map(_number, other)])
        rows.append(["difference", *(_difference(a, b) for a, b in zip(own, other, strict=True))])
    lines = [f"{mine.name}, {len(mine.step)} points", _table(rows)]
    slope = _slope(times, values, end)
    if slope is not None:
        beside = _slope(*theirs, theirs[0][-1]) if theirs[0] else None
        against = "" if beside is None else f" (champion {beside:+.4g})"
        lines.append(f"slope over the last {TAIL:.0%} of what there is: {slope:+.4g} per 10% of the budget{against}")
    lines.append(_trouble(mine, times, values, end, finished=finished))
    return "\n".join(lines)


def _trouble(mine: Series, times: Sequence[float], values: Sequence[float], end: float, *, finished: bool) -> str:
    bad = len(mine.value) - len(values)
    found = spikes(times, values, end)
    words = [f"{len(found)} spikes" if found else "no spikes"]
    if found:
        worst = max(found, key=lambda spike: spike.height)
        words[0] += f", the highest by {worst.height:.3g} at {worst.share:.0%}"
    if bad:
        first = next(t for t, v in zip(mine.t, mine.value, strict=True) if not _usable(v))
        words.append(f"{bad} values are not finite, the first at {first / end if end else 0:.0%}: it diverged")
    elif len(values) > BEFORE and values[-1] > 1.5 * abs(min(values)) + 1e-9:
        words.append("it ends far above its lowest value: it diverged or came close to it")
    if not finished and end and mine.t[-1] < 0.98 * end:
        words.append(f"it ends at {mine.t[-1] / end:.0%} of the budget")
    return "; ".join(words)


def spikes(times: Sequence[float], values: Sequence[float], end: float) -> list[Spike]:
    """Points that stand out above the ones before them by far more than those differ among each other."""
    found: list[Spike] = []
    step = max(1, len(values) // 2_000)  # a long run is looked at in two thousand places
    times, values = times[::step], values[::step]
    for at in range(BEFORE, len(values)):
        before = values[at - BEFORE : at]
        middle = statistics.median(before)
        spread = statistics.median([abs(value - middle) for value in before])
        height = values[at] - middle
        if height > max(8 * spread, 0.05 * abs(middle)) and not (found and times[at - 1] / end == found[-1].share):
            found.append(Spike(times[at] / end if end else 0.0, height))
    return found


def _finite(series: Series) -> tuple[list[float], list[float]]:
    pairs = [(t, v) for t, v in zip(series.t, series.value, strict=True) if _usable(v)]
    return [t for t, _ in pairs], [v for _, v in pairs]


def _usable(value: float) -> bool:
    """Finite, and not so large that sums of it are not."""
    return abs(value) < HUGE


def _at(times: Sequence[float], values: Sequence[float], share: float, end: float) -> float | None:
    """The mean around a share of the budget; None where the curve has not come so far."""
    t = share * end
    if not times or t > times[-1] + SMOOTH * end:
        return None
    low, high = bisect_left(times, t - SMOOTH * end), bisect_right(times, t + SMOOTH * end)
    if low == high:  # between two points: the one before
        low = max(0, low - 1)
        high = low + 1
    return statistics.fmean(values[low:high])


def _slope(times: Sequence[float], values: Sequence[float], end: float) -> float | None:
    """Change per tenth of the budget, from a straight line through the end of the curve."""
    low = bisect_left(times, times[-1] - TAIL * end)
    if len(times) - low < 3 or times[low] == times[-1]:
        return None
    return statistics.linear_regression(times[low:], values[low:]).slope * end / 10


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _difference(mine: float | None, theirs: float | None) -> str:
    return "–" if mine is None or theirs is None else f"{mine - theirs:+.3g}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(row, widths, strict=True)] for row in rows)
    )
