"""What the researcher costs: tokens, what of them the cache spared, money, and how much of each cap is used. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from core.text import UNKNOWN, clean, one_line
from tui.research import Research, Tokens, Use
from tui.snapshot import Snapshot
from tui.widgets.status_bar import gauge, percent
from tui.widgets.why import Part

SPANS = {"proposal": "this proposal", "day": "today", "lab": "the lab"}
BAR = 6


def spending(found: Research, lab: Snapshot) -> Content:
    """The pane's text."""
    parts: list[Part] = []
    if found.problem:
        parts.append((f"{clean(found.problem)}\n\n", "$text-error"))
    spent, settings = found.spending, found.settings
    if spent is None:
        return Content.assemble(*parts, "What the researcher has used is being read.")
    if not spent.lab.calls:
        offline = lab.researcher.kind == "offline"
        parts.append(
            "The offline researcher asks no model and costs nothing.\n" if offline else "Nothing is used yet.\n"
        )
        if offline:
            return Content.assemble(*parts)
    if settings is not None:
        effort = f", effort {settings.effort}" if settings.effort else ""
        parts.append(f"{one_line(settings.model, 40)}{effort}\n")
    parts += _table(spent.today, spent.lab)
    parts += [("\nCaps on tokens and money\n", "bold"), *(part for use in spent.uses for part in _cap(use))]
    parts.append(("What is read from the cache counts for no cap.\n", "$foreground-muted"))
    parts.append(("\nMoney\n", "bold"))
    if spent.lab.cost is None:
        model = one_line(settings.model, 40) if settings else "MODEL"
        parts.append(
            f'No prices are set: tokens are counted, money is not.\n→ [researcher.prices."{model}"] sets them.\n'
        )
    else:
        parts += [
            f"{spent.lab.cost:,.2f} in all, {spent.today.cost or 0.0:,.2f} today\n",
            f"{_money(spent.cost_per_experiment)} an experiment ({spent.tried:,} judged)\n",
            f"{_money(spent.cost_per_keep)} a kept change ({spent.kept:,} kept)\n",
        ]
    return Content.assemble(*parts)


def _table(today: Tokens, lab: Tokens) -> Iterable[Part]:
    yield (f"{'Tokens':<18}{'today':>11}{'the lab':>13}\n", "bold")
    for name, a, b in (
        ("calls", today.calls, lab.calls),
        ("prompt, anew", today.input, lab.input),
        ("into the cache", today.cache_write, lab.cache_write),
        ("from the cache", today.cache_read, lab.cache_read),
        ("written by it", today.output, lab.output),
    ):
        yield f"{name:<18}{a:>11,}{b:>13,}\n"
    shares = [UNKNOWN if tokens.cached is None else percent(tokens.cached) for tokens in (today, lab)]
    yield f"{'prompt from cache':<18}{shares[0]:>11}{shares[1]:>13}\n"


def _cap(use: Use) -> Iterable[Part]:
    """Tokens and money of one span against their caps."""
    name = f"{SPANS[use.span]:<14}"
    caps: list[tuple[float, float, str]] = (
        [(use.tokens, use.tokens_cap, f"{use.tokens:,} of {use.tokens_cap:,}")] if use.tokens_cap else []
    )
    if use.money_cap:
        caps.append((use.money, use.money_cap, f"{use.money:,.2f} of {use.money_cap:,.2f}"))
    if not caps:
        yield f"{name}{use.tokens:,} tokens, no cap\n"
    for used, cap, words in caps:
        full = used >= cap
        yield f"{name}"
        yield gauge(min(used / cap, 1.0), BAR)
        yield (f" {percent(used / cap)}", "bold $text-error" if full else "")
        yield f" {words}\n"
        if full:
            keys = "proposing pauses; raise it in [researcher.caps]"
            yield (f"{'':<14}used up: {keys}\n", "$text-error")


def _money(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"
