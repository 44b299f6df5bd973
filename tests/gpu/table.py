"""What the parts of `python -m tests.gpu` have left, as Markdown for BENCHMARKS.md. Only what was measured is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Parts = Mapping[str, Mapping[str, Any]]
"""what each part left, by its name; `data` is what it printed"""


def markdown(parts: Parts, machine: Mapping[str, Any]) -> str:
    """All tables there are figures for."""
    told = ", ".join(
        str(machine[name]) for name in ("device", "memory", "torch", "python", "date") if machine.get(name)
    )
    said = [f"{told}: `make gpu`", *_speed(parts), *_session(parts), *_tests(parts)]
    return "\n".join(said) + "\n"


def _speed(parts: Parts) -> list[str]:
    rows = []
    for name, part in parts.items():
        for found in _data(part).get("speed", ()):
            variant = " ".join([found["variant"], *name.split("-")[2:]])
            mfu = f"{found['mfu']:.1%}" if found.get("mfu") else "unknown"
            rows.append(
                f"| {found['depth']} | {variant} | {found['rows']} | {found['tokens_per_s']:,.0f} | {mfu} "
                f"| {found['ms_per_step']:,.0f} | {found['peak_memory_mb'] / 1e3:.1f} | {found['ratio_to_floor']:.2f} |"
            )
    if not rows:
        return []
    head = "| depth | variant | rows | tokens/s | MFU (dense bf16) | ms/step | peak GB | ratio |"
    return ["", head, "|---|---|---|---|---|---|---|---|", *rows]


def _session(parts: Parts) -> list[str]:
    part = parts.get("session")
    found = _data(part) if part else {}
    if part is None or not found:
        return []
    rows = [f"| {name} | {value:.3f} |" for name, value in found.items() if isinstance(value, int | float)]
    lost = found.get("so lost after the first run, s a run")
    if lost is not None:  # the share depends on the budget, the seconds do not
        rows.append(f"| of an experiment with 300 s of training these are | {lost / (300 + lost):.1%} |")
    return ["", f"| a session of {part.get('sizes', 'the profile')} | |", "|---|---|", *rows]


def _tests(parts: Parts) -> list[str]:
    rows = [f"| {name} | {part['said']} |" for name, part in parts.items() if part.get("said")]
    return ["", "| tests | |", "|---|---|", *rows] if rows else []


def _data(part: Mapping[str, Any]) -> Mapping[str, Any]:
    data = part.get("data")
    return data if isinstance(data, Mapping) else {}
