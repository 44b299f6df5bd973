"""What must not be imported is not: heavy libraries cost a second of start each."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "anthropic", "numpy", "optuna", "pyarrow", "matplotlib", "tokenizers", "huggingface_hub")


def imported_by(statement: str) -> set[str]:
    """Top-level modules in memory after one statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("core.engine.engine", (*HEAVY, "textual", "rich")),
        ("core.runs.runner", (*HEAVY, "textual", "rich", "pydantic", "sqlite3", "asyncio")),
        ("core.store", (*HEAVY, "textual", "rich", "sqlite_utils", "git")),
        ("tui.cli", (*HEAVY, "textual", "rich", "sqlite_utils", "git", "pydantic")),
        ("tui.app", (*HEAVY, "sqlite_utils", "git", "pydantic", "click", "diff_match_patch", "tree_sitter")),
    ],
)
def test_a_module_does_not_pull_in_what_it_does_not_need(module: str, forbidden: tuple[str, ...]) -> None:
    assert not imported_by(f"import {module}") & set(forbidden)
