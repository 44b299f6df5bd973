"""The documents are true: the keys table is generated, every command and every named file exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tui import docs
from tui.cli import commands

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", [docs.README, docs.EVERY_KEY], ids=lambda path: path.name)
def test_a_table_of_keys_is_the_registry(path: Path) -> None:
    assert path.read_text() == docs.fresh()[path], "make docs"


def test_every_command_is_in_the_readme() -> None:
    text = docs.README.read_text()
    names = commands.list_commands(click.Context(commands))
    missing = [name for name in names if name != "open" and not re.search(rf"\b{name}\b", text)]
    assert not missing


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"`((?:core|tui|nanochat|data|tests|docs)/[\w./-]*\w)`", text))
    named |= set(re.findall(r"\]\(([\w./-]+)\)", text))
    assert named
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing
