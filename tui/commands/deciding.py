"""Commands that decide or steer; they bring an engine up where none runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from core.engine.start import start_detached
from core.lab import find
from core.models import Autonomy, Verdict, Via
from core.requests import (
    Approve,
    Override,
    Pause,
    Resume,
    Revise,
    SetAutonomy,
    Undo,
    Veto,
)
from core.store import Reader
from tui.commands.frame import (
    existing,
    id_argument,
    lab_argument,
    narrate,
    send,
    waiting,
)
from tui.personal import who


@click.command()
@lab_argument
@id_argument
@click.option(
    "--patch", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A unified diff to run instead."
)
def approve(lab: Path, experiment_id: str, patch: Path | None) -> None:
    """Let an experiment run, as proposed or with your own patch against its parent commit."""
    found, experiment = waiting(lab, experiment_id)
    edited = patch.read_text(encoding="utf-8") if patch else None
    answer = send(
        found,
        Approve(experiment.id, experiment.patch_sha256 or "", edited=edited, actor=who(), via=Via.CLI),
        start=True,
    )
    narrate(f"#{experiment.id}: {answer['decision']}; autoresearch-tui undo {lab} {experiment.id} takes it back")


@click.command()
@lab_argument
@id_argument
@click.option("--note", required=True, help="What should be different.")
def revise(lab: Path, experiment_id: str, note: str) -> None:
    """Send an experiment back to its researcher with a note."""
    found, experiment = waiting(lab, experiment_id)
    send(found, Revise(experiment.id, experiment.patch_sha256 or "", note, actor=who(), via=Via.CLI), start=True)
    narrate(f"#{experiment.id} goes back to the researcher")


@click.command()
@lab_argument
@id_argument
@click.option("--reason", required=True, help="Why not; the researcher learns from it.")
def veto(lab: Path, experiment_id: str, reason: str) -> None:
    """End an experiment before it runs."""
    found, experiment = waiting(lab, experiment_id)
    send(found, Veto(experiment.id, experiment.patch_sha256 or "", reason, actor=who(), via=Via.CLI), start=True)
    narrate(f"#{experiment.id} is vetoed")


@click.command()
@lab_argument
@id_argument
def undo(lab: Path, experiment_id: str) -> None:
    """Take the last decision on an experiment back, until it has started."""
    found = find(lab)
    experiment = existing(Reader(found.database), experiment_id)
    answer = send(found, Undo(experiment.id, actor=who()), start=True)
    narrate(f"the decision ({answer['decision']}) on #{experiment.id} is taken back")


@click.command()
@lab_argument
@id_argument
@click.argument("verdict", type=click.Choice([str(v) for v in Verdict]))
@click.option("--reason", required=True, help="Why you know better; claims leave the experiment out.")
def override(lab: Path, experiment_id: str, verdict: str, reason: str) -> None:
    """Replace a measured verdict by your own."""
    found = find(lab)
    experiment = existing(Reader(found.database), experiment_id)
    send(found, Override(experiment.id, Verdict(verdict), reason, actor=who(), via=Via.CLI), start=True)
    narrate(f"#{experiment.id} is {verdict} by your word (it was {experiment.verdict})")


@click.command()
@lab_argument
@click.argument("level", type=click.Choice([str(a) for a in Autonomy]))
def autonomy(lab: Path, level: str) -> None:
    """Turn the autonomy dial."""
    answer = send(find(lab), SetAutonomy(Autonomy(level), actor=who()), start=True)
    narrate(f"autonomy is {level} (was {answer.get('was')})")


@click.command()
@lab_argument
def pause(lab: Path) -> None:
    """Start no further run; the current one goes on."""
    send(find(lab), Pause(reason=f"paused by {who()}", actor=who()), start=True)
    narrate("paused after the current run; autoresearch-tui resume LAB goes on")


@click.command()
@lab_argument
def resume(lab: Path) -> None:
    """Start runs again."""
    send(find(lab), Resume(actor=who()), start=True)
    narrate("runs start again")


@click.command()
@lab_argument
@click.option("--plain", is_flag=True, help="Plain text and words: for screen readers, dumb terminals and pipes.")
def review(lab: Path, plain: bool) -> None:
    """Review the waiting proposals: on the screen, or as plain text with a word for each decision."""
    if not plain:
        from tui.commands.working import show_lab

        show_lab(find(lab), read_only=False)
        return
    from tui.commands.plain import PlainReview

    found = find(lab)
    found.load_config()
    start_detached(found)
    if code := PlainReview(found, interactive=sys.stdin.isatty()).work(iter(sys.stdin.readline, "")):
        raise click.exceptions.Exit(code)


COMMANDS = (review, approve, revise, veto, undo, override, autonomy, pause, resume)
