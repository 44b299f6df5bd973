"""What a screen showed when somebody looked at it and found it right. `UPDATE_GOLDENS=1` writes it anew."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest

GOLDENS = Path(__file__).parent / "goldens"


def is_golden(name: str, shown: str) -> None:
    """The screen is as it was looked at: a text, or an SVG with its colours."""
    golden = GOLDENS / name
    if os.environ.get("UPDATE_GOLDENS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, encoding="utf-8")
    before = golden.read_text(encoding="utf-8")
    if shown != before:
        lines = unified_diff(before.splitlines(), shown.splitlines(), name, "the screen now", lineterm="", n=0)
        pytest.fail("\n".join(line[:400] for line in lines), pytrace=False)
