"""The champion's lineage: every kept step with what it gained, newest first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from textual.content import Content

from core.text import clean, number, one_line
from core.verdict import gain_text
from tui.survey import Step

Part = str | Content | tuple[str, str]


def lineage(steps: Sequence[Step], *, metric: str, width: int = 40) -> Content:
    """The pane's text; `steps` are baseline first."""
    if not steps:
        return Content("No champion yet: the unchanged code is measured first.")
    kept = [step for step in steps if step.experiment is not None]
    parts: list[Part] = []
    if kept:
        doubtful = sum(step.doubtful for step in kept)
        words = f"{len(kept)} kept step{'s' if len(kept) > 1 else ''}"
        parts.append((words, "bold"))
        if doubtful:
            parts.append((f", {doubtful} of them now within noise", "$text-warning"))
        parts.append("\n")
    else:
        parts.append("Nothing was kept yet: the champion is the unchanged code.\n")
    for index, step in enumerate(reversed(steps)):
        parts += _step(step, metric, width, champion=index == 0)
    return Content.assemble(*parts)


def _step(step: Step, metric: str, width: int, *, champion: bool) -> list[Part]:
    kept = step.experiment
    level = f"{one_line(metric, 16)} {number(step.level)}"
    level += f" over {step.runs} own run{'s' if step.runs > 1 else ''}" if step.runs else ""
    crown = ", the champion" if champion else ""
    if kept is None:
        return [("─ baseline", "bold"), f"{crown}: {level}\n"]
    sign, style = ("≈", "$text-warning") if step.doubtful else ("✓", "$text-success")
    title = one_line(kept.title, max(width - len(str(kept.id)) - 5, 12))
    parts: list[Part] = [(f"{sign} ", f"bold {style}"), (f"#{kept.id} {title}", "bold"), f"\n  {level}{crown}\n"]
    if kept.delta is not None:
        gain = gain_text(kept.delta, kept.delta_low, kept.delta_high, kept.confirmations or 0)
        parts.append(fill(gain, max(width, 24), initial_indent="  ", subsequent_indent="    ") + "\n")
    if step.by_hand:
        parts.append((f"  kept by hand: {one_line(clean(kept.overridden_by or ''), 24)}\n", "$text-warning"))
    elif step.doubtful:
        parts.append(("  now within noise: today's noise would not keep it\n", "$text-warning"))
    return parts
