"""When a run is stopped before its end: its speed has collapsed. Pure.

A loss before three quarters of a run predicts nothing, so no run is stopped for its curve. Its speed is held against
its champion's, both as the harness counts them, and N is twice `runs.wall_clock_factor`:

    any budget           it has trained as long as the champion in all, and less than 1/N of the budget is spent
    budget in seconds    a quarter of the budget is spent, and its tokens a second are below 1/N of the champion's

A run under the first rule could not end within its wall clock any more; nothing that stalls once comes near either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

EARLY = "stopped early"
"""how the reason begins"""
SHARE = 0.25
"""of a budget in seconds that is spent before the tokens are looked at"""


@dataclass(frozen=True, slots=True)
class Pace:
    """A champion's own speed, the median of its runs."""

    seconds: float
    """of training, by the clock of the curves"""
    tokens: float | None = None
    """a second; None where the budget is not in seconds: there a larger model may well see fewer"""


def pace(runs: Sequence[tuple[float, Mapping[str, Any]]]) -> Pace | None:
    """From (last time of the curves, recorded detail) of the champion's runs; None where nothing is known."""
    seconds = [last for last, _ in runs if last > 0]
    if not seconds:
        return None
    summaries = [detail.get("train") or {} for _, detail in runs]
    timed = [one for one in summaries if str(one.get("budget", "")).startswith("seconds:")]
    counts = [(one.get("tokens"), one.get("train_seconds")) for one in timed]
    numbers = [(t, s) for t, s in counts if isinstance(t, int | float) and isinstance(s, int | float) and s > 0]
    rates = [tokens / taken for tokens, taken in numbers]
    return Pace(median(seconds), median(rates) if rates else None)


def collapsed(t: float, progress: float, tokens: float, champion: Pace, slower: float) -> str:
    """Why a run is to be stopped after `t` seconds of training, empty while it is not.

    `tokens` seen so far, 0 where it logs none; `slower`: N.
    """
    if t >= champion.seconds and 0 < progress < 1 / slower:
        return (
            f"{EARLY}: after {t:.0f} s, as long as the champion trains in all, {progress:.1%} of its budget was spent; "
            f"below {1 / slower:.1%} it could not end in time"
        )
    if champion.tokens and tokens > 0 < t and progress >= SHARE and tokens / t < champion.tokens / slower:
        return (
            f"{EARLY}: {tokens / t:,.0f} tokens a second after {progress:.0%} of its budget, the champion has "
            f"{champion.tokens:,.0f}; the limit is one {slower:g}th"
        )
    return ""
