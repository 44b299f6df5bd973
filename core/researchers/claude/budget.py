"""Caps and money. Pure, save for what the caller reads from the record."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from core.config import Caps, Prices
from core.researchers.base import Unavailable

LOOK_AGAIN = 3600.0
"""seconds after which a lab whose cap is used up looks again; only its configuration can change that"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the endpoint counts them."""

    input: int = 0
    """neither read from nor written to the cache"""
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def prompt(self) -> int:
        """The whole prompt, wherever it came from."""
        return self.input + self.cache_read + self.cache_write

    @property
    def counted(self) -> int:
        """What a cap counts: like the API's own rate limits, without what was read from the cache."""
        return self.input + self.output + self.cache_write

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
        )


def cost(usage: Usage, prices: Prices | None) -> float | None:
    """Money for a call; None where no prices are set."""
    if prices is None:
        return None
    return (
        usage.input * prices.input
        + usage.output * prices.output
        + usage.cache_read * prices.cache_read
        + usage.cache_write * prices.cache_write
    ) / 1e6


Spent = Callable[[float], tuple[int, float]]
"""tokens and money used since a time"""


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap that is used up."""

    words: str
    key: str
    wait: float
    """seconds until it could matter no more"""

    def error(self) -> Unavailable:
        return Unavailable(
            self.words,
            hint=f"raise researcher.caps.{self.key} in autoresearch.toml and start the engine again, or wait: "
            "what is approved goes on training, and nothing is lost",
            wait=self.wait,
            state="waiting",
        )


def midnight(now: float) -> datetime.datetime:
    """When the day of a cap began, by this machine's clock."""
    return datetime.datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)


def used_up(caps: Caps, spent: Spent, now: float) -> Cap | None:
    """The first cap of the day or of the lab that leaves nothing for another call."""
    today = midnight(now)
    tomorrow = (today + datetime.timedelta(days=1)).timestamp()
    for span, since, wait, tokens, money in (
        ("day", today.timestamp(), max(1.0, tomorrow - now), caps.tokens_per_day, caps.money_per_day),
        ("lab", 0.0, LOOK_AGAIN, caps.tokens_per_lab, caps.money_per_lab),
    ):
        if not tokens and not money:
            continue
        used, paid = spent(since)
        if tokens and used >= tokens:
            return Cap(f"the cap of {tokens:,} tokens a {span} is used up ({used:,} used)", f"tokens_per_{span}", wait)
        if money and paid >= money:
            return Cap(f"the cap of {money:,.2f} a {span} is used up ({paid:,.2f} spent)", f"money_per_{span}", wait)
    return None


def over(caps: Caps, usage: Usage, paid: float | None) -> str:
    """Why one proposal may not go on asking; empty while it may."""
    if caps.tokens_per_proposal and usage.counted >= caps.tokens_per_proposal:
        return f"it used {usage.counted:,} tokens (researcher.caps.tokens_per_proposal is {caps.tokens_per_proposal:,})"
    if caps.money_per_proposal and (paid or 0.0) >= caps.money_per_proposal:
        return f"it cost {paid:,.2f} (researcher.caps.money_per_proposal is {caps.money_per_proposal:,.2f})"
    return ""
