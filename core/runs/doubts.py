"""Reasons to doubt a finished run: what its own summary and the runner's clocks say against the champion's runs. Pure.

A summary is written by the process that ran the candidate's code, so it convicts the careless; processor time and wall
clock are the runner's own, and no script can set them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from core.runs import phases

COUNTED = {"flops": "flops", "tokens": "tokens", "seconds": "train_seconds"}
OVER_BUDGET = 1.05
"""a run ends at the first step that finds its budget spent"""
OUTSIDE = 0.05
"""share of the budget that may be spent beside the counted loop"""
CPU_TIMES, CPU_SECONDS = 1.5, 2.0
"""processor time under a budget in FLOPs: the same work takes about the same, whatever else the machine does"""
GATE_SECONDS = 2.0
"""processor time of a run that stands ready and waits"""
IDLE_TIMES, IDLE_SECONDS = 1.5, 30.0
"""wall clock outside a budget in seconds: start-up, compilation, saving"""


def doubts(ended: Mapping[str, Any], champion: Sequence[Mapping[str, Any]], *, seed: int) -> list[str]:
    """What does not fit, in words for the screen; `ended` and `champion` are runs' `exit.json` or recorded detail."""
    summary, others = _summary(ended), [_summary(run) for run in champion if _summary(run)]
    if not others:
        return []
    if not summary:
        return ["the harness left no summary of the run"]
    kind = str(others[0].get("budget")).partition(":")[0]
    found = []
    if summary.get("seed") != seed:
        found.append(f"it trained with seed {summary.get('seed')!r}, not {seed}")
    found += _worked_at_the_gate(ended)
    found += [
        f"its {name} is {summary.get(name)!r}, the champion's {others[0].get(name)!r}"
        for name in ("budget", "data", "profile")
        if summary.get(name) != others[0].get(name)
    ]
    if counted := COUNTED.get(kind):
        spent, usual = _number(summary, counted), median(_number(other, counted) for other in others)
        if spent > OVER_BUDGET * usual:
            times = f"{spent / usual:.2g} times the champion's" if usual else f"{spent:g}, the champion none, of"
            found.append(f"it spent {times} {counted.replace('_', ' ')}")
    if kind == "flops":
        outside, usual = _number(summary, "flops_outside"), median(_number(other, "flops_outside") for other in others)
        budget = median(_number(other, "flops") for other in others)
        if outside > usual + OUTSIDE * budget:
            share = f"{outside / budget:.0%} of the budget" if budget else f"{outside:.2g} FLOPs"
            found.append(f"{share} was computed beside the counted loop")
        found += _longer("processor time", _cpu(ended), [_cpu(run) for run in champion], CPU_TIMES, CPU_SECONDS)
    if kind == "seconds":
        found += _longer("time outside training", _idle(ended), [_idle(r) for r in champion], IDLE_TIMES, IDLE_SECONDS)
    return found


def same_on_every_seed(values: Sequence[float]) -> bool:
    """Several seeds and one result, to the bit: the seed has no effect, so repeating it confirms nothing."""
    return len(values) > 1 and len(set(values)) == 1


def _longer(what: str, took: float, others: Sequence[float], times: float, seconds: float) -> list[str]:
    known = [other for other in others if other > 0]
    if not known or took <= times * median(known) + seconds:
        return []
    return [f"it took {took / median(known):.1f} times the champion's {what}: is there work that is not counted?"]


def _summary(run: Mapping[str, Any]) -> Mapping[str, Any]:
    summary = run.get("train")
    return summary if isinstance(summary, Mapping) else {}


def _cpu(run: Mapping[str, Any]) -> float:
    return _number((run.get("usage") or {}).get("train") or {}, "cpu_seconds")


def _idle(run: Mapping[str, Any]) -> float:
    return phases.trainer(run.get("seconds") or {}) - _number(_summary(run), "train_seconds")


def _worked_at_the_gate(run: Mapping[str, Any]) -> list[str]:
    """A trainer that waits for its turn has nothing to do."""
    worked = _number(run.get("gate") or {}, "cpu_seconds")
    return [f"it computed for {worked:.0f} s while it waited for its turn"] if worked > GATE_SECONDS else []


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
