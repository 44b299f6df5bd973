"""Reads a run's metrics.jsonl while it grows. The file comes from untrusted code: every line may be anything."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.runs.runner import whole

READ_LIMIT = 1024 * 1024
"""bytes a call may read, so that a flood cannot hold the engine up"""
WHOLE_LIMIT = 128 * 1024 * 1024
"""bytes of one file that are read at all"""
LINE_LIMIT = 64 * 1024
NAMES_LIMIT = 32
"""different curves a run may have"""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,47}")
STEP_LIMIT = 2**53

Point = tuple[str, int, float, float]
"""name, step, training seconds, value (NaN where the script logged nothing finite)"""


@dataclass(slots=True)
class MetricsTail:
    """Where one reader stands in one growing file."""

    path: Path
    offset: int = 0
    rest: bytes = b""
    skipping: bool = False
    """inside a line that is too long"""
    bad_lines: int = 0
    names: frozenset[str] = frozenset()
    progress: float = 0.0
    """share of the budget in the last line read"""
    behind: bool = False
    """more lies there than the last call read"""

    def read(self) -> list[Point]:
        """The points of the whole lines that were added since the last call; a half line waits for its end."""
        self.behind = False
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return []
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):  # a pipe would hold the engine up
                return []
            if os.fstat(handle).st_size < self.offset:  # cut short by the script: go on from its new end
                self.offset, self.rest = os.fstat(handle).st_size, b""
            file.seek(self.offset)
            data = file.read(max(0, min(READ_LIMIT, WHOLE_LIMIT - self.offset)))
        self.offset += len(data)
        self.behind = len(data) == READ_LIMIT
        return [point for line in self._lines(data) for point in self._points(line)]

    def _lines(self, data: bytes) -> Iterator[bytes]:
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            if self.skipping:
                self.skipping = False
            elif len(line) > LINE_LIMIT:
                self.bad_lines += 1
            elif line.strip():
                yield line
        if len(self.rest) > LINE_LIMIT:
            self.bad_lines += not self.skipping
            self.rest, self.skipping = b"", True

    def _points(self, line: bytes) -> list[Point]:
        try:
            row = json.loads(line, parse_int=whole)
            step, t = row.pop("step"), row.pop("t", 0.0)
            if not (_is_number(step) and math.isfinite(step) and 0 <= step < STEP_LIMIT):
                raise ValueError("step")
            t = float(t) if _is_number(t) and math.isfinite(t) and t >= 0 else 0.0
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.bad_lines += 1
            return []
        share = row.pop("progress", None)
        if _is_number(share) and math.isfinite(share):
            self.progress = min(1.0, max(0.0, float(share)))
        points: list[Point] = []
        for name, value in row.items():
            if not (_is_number(value) or value is None) or not NAME.fullmatch(name):
                continue
            if name not in self.names:
                if len(self.names) >= NAMES_LIMIT:
                    continue
                self.names |= {name}
            points.append((name, int(step), t, _float(value)))
        return points


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.nan


METRIC_LINE = re.compile(
    r"^\s*(?:METRIC\s+)?([A-Za-z][\w./-]{0,47})\s*[=:]\s*"
    r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?)))\s*$"
)


def metric_from_log(path: Path, name: str) -> float | None:
    """The last `METRIC name=value`, `name: value` or JSON line of a training log, finite or not; for targets without an
    evaluator.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - READ_LIMIT))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    for line in reversed(re.split(r"[\r\n]+", text)):
        if name not in line:
            continue
        found = METRIC_LINE.match(line)
        if found and found[1] == name:
            return float(found[2])
        if line.lstrip().startswith("{"):
            try:
                value = json.loads(line, parse_int=whole).get(name)
            except (ValueError, AttributeError, RecursionError):
                continue
            if _is_number(value):
                return float(value)
    return None
