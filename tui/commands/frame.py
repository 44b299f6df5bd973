"""What every command shares: arguments, output, exit codes, and how it asks the engine."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from core.engine.start import start_detached
from core.errors import LabError
from core.lab import Lab, find
from core.models import Experiment
from core.requests import Request, ask
from core.store import Reader
from core.text import clean

EXIT_NOT_AS_WANTED, EXIT_WRONG, EXIT_REFUSED, EXIT_NO_ENGINE = 1, 2, 3, 4

lab_argument = click.argument("lab", type=click.Path(path_type=Path))
id_argument = click.argument("experiment_id", metavar="ID")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def narrate(words: str) -> None:
    if words:
        click.echo(clean(words), err=True)


def print_data(body: Any, as_json: bool, lines: Sequence[str]) -> None:
    if as_json:
        click.echo(json.dumps(body, ensure_ascii=True, indent=2, default=str))
        return
    for line in lines:
        click.echo(clean(line))


def needs_terminal() -> None:
    """A screen is about to be opened.

    Raises:
        LabError: there is nothing to open it on.
    """
    instead = "autoresearch-tui status LAB and list LAB print; review LAB --plain decides with words"
    if not (os.isatty(0) and os.isatty(2)):  # it is drawn on stderr: stdout is data
        raise LabError("the screen needs a terminal, and this is none", hint=instead)
    if os.environ.get("TERM") == "dumb":
        raise LabError("the screen cannot be drawn on this terminal (TERM=dumb)", hint=instead)


def record(lab: Lab) -> Reader:
    """The record of a lab.

    Raises:
        LabError: no engine has made it yet.
    """
    if not lab.database.exists():
        raise LabError(f"{lab.root} has not been started yet: there is no record", hint=f"autoresearch-tui {lab.root}")
    return Reader(lab.database)


def existing(reader: Reader, experiment_id: str) -> Experiment:
    digits = experiment_id.removeprefix("#")
    experiment = reader.experiment(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 18 else None
    if experiment is None:
        raise LabError(f"there is no experiment {experiment_id!r}", hint="autoresearch-tui list LAB shows them")
    return experiment


def waiting(lab: Path, experiment_id: str) -> tuple[Lab, Experiment]:
    found = find(lab)
    return found, existing(record(found), experiment_id)


def send(lab: Lab, request: Request, *, start: bool) -> dict[str, Any]:
    """Ask the engine; `start` brings one up where none runs."""
    if start:
        start_detached(lab)
    return asyncio.run(ask(lab.socket, request))
