"""Commands that set something to work: open, init, run, stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click

from core import secrets
from core.engine.start import answers, start_detached
from core.errors import LabError, StoreError
from core.lab import Lab, create, find
from core.models import Autonomy
from core.requests import StopEngine
from core.store import Reader
from core.text import clean, one_line
from tui.commands.frame import EXIT_NOT_AS_WANTED, lab_argument, narrate, needs_terminal, send
from tui.personal import who

DEFAULT_LAB = Path("lab")
MEASURE_SECONDS = 600
"""the longest that measuring a GPU takes"""


@click.command(name="open")
@click.argument("lab", type=click.Path(path_type=Path), required=False)
@click.option("--read-only", is_flag=True, help="Look, but decide nothing and start no engine.")
def open_(lab: Path | None, read_only: bool) -> None:
    """Open a lab's screen; makes ./lab when there is none, asks before it makes another; starts its engine."""
    needs_terminal()
    path = lab or DEFAULT_LAB
    opened = Lab(Path(os.path.abspath(path)))
    if not opened.exists():
        if read_only:
            find(path)
        question = f"there is no lab {clean(str(path))} here; make it?"
        if path != DEFAULT_LAB and not click.confirm(question, err=True):
            narrate("nothing was made")
            raise click.exceptions.Exit(EXIT_NOT_AS_WANTED)
        opened = make(path, profile="auto", corpus="stdlib")
    show_lab(opened, read_only=read_only)


def show_lab(opened: Lab, *, read_only: bool) -> None:
    """The screen of a lab, with its engine."""
    needs_terminal()
    from tui.curtain import curtain
    from tui.look import opened as look_of

    with curtain(opened) as say:
        seen = look_of(opened.config_file)  # a mistake in it is said here, in words, before the screen opens
        keys = secrets.set_aside()  # the engine gets them; a screen that anybody may look into needs none

        def start() -> None:
            start_detached(opened, keys=keys)

        if not read_only:
            say("looking for its engine, or starting it …")
            start_detached(opened, keys=keys, meanwhile=lambda: import_module("tui.app"))  # as long as half an engine
            say("opening …")
        from tui.app import open_screen
        from tui.tour import Memory

        tour = Memory() if seen.tour and not read_only else None
        farewell = open_screen(opened, read_only=read_only, start_engine=start, look=seen, tour=tour)
    narrate(farewell)


@click.command()
@lab_argument
@click.option("--profile", default="auto", show_default=True, help="cpu, gpu-8g, gpu-24g, h100; auto: what fits.")
@click.option("--corpus", default="stdlib", show_default=True, help="stdlib, a directory of text or of parquet shards.")
def init(lab: Path, profile: str, corpus: str) -> None:
    """Make a lab."""
    made = make(lab, profile=profile, corpus=corpus, measure=True)
    narrate(f"open it: autoresearch-tui {made.root}")


@click.command(name="run")
@lab_argument
@click.option("--autonomy", type=click.Choice([str(a) for a in Autonomy]), help="Turn the dial first.")
@click.option("--experiments", type=click.IntRange(min=1), help="End with 0 after this many verdicts.")
def run_(lab: Path, autonomy: str | None, experiments: int | None) -> None:
    """Run the engine in the foreground."""
    from core.engine.engine import work

    level = Autonomy(autonomy) if autonomy else None
    code = work(find(lab), experiments=experiments, autonomy=level, echo=True)
    if code:
        raise click.exceptions.Exit(code)


@click.command()
@lab_argument
@click.option("--keep-run", is_flag=True, help="Leave a live run going; the next engine takes it over.")
def stop(lab: Path, keep_run: bool) -> None:
    """End the engine, after saying what that stops."""
    found = find(lab)
    if not answers(found, patience=30.0):  # it may be waiting for a record that another program holds
        narrate("no engine runs for this lab")
        return
    try:
        runs = Reader(found.database).live_runs()
    except StoreError:  # of an older version, whose engine is to end all the same
        runs = []
    for live in runs:
        what = f"run {live.id} ({live.purpose}{'' if live.experiment_id is None else f' of #{live.experiment_id}'})"
        end = "goes on and is taken over" if keep_run else "stops and is made again"
        narrate(f"{what}, {live.progress:.0%} done, {end} by the next engine")
    send(found, StopEngine(runs=not keep_run, actor=who()), start=False)
    narrate("the engine is ending; every decision is on disk")


def make(path: Path, *, profile: str, corpus: str, measure: bool = False) -> Lab:
    """A new lab with the profile that fits the machine; `measure`: by trying, where there is a GPU."""
    from core.runs import devices

    sizes: dict[str, int] = {}
    if profile == "auto":
        found = devices.find([])
        profile = devices.profile_for(found)
        if profile != "cpu":
            gigabytes = found[0].memory / 2**30
            profile, sizes = fitted(profile, gigabytes, measure_on=found[0].name if measure else "")
    else:
        known(profile)
    lab = create(path, profile=profile, corpus=corpus, sizes=sizes)
    changed = "".join(f", {value} {name}" for name, value in sizes.items())
    narrate(f"made the lab {lab.root} (profile {profile}{changed}, corpus {corpus})")
    return lab


def known(profile: str) -> None:
    """Raises LabError where the target has no such profile: better here than in the lab's first minute."""
    command = [sys.executable, "-m", "nanochat.profiles", profile]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if said.returncode != 0:
        problem = one_line(said.stderr, 300) or f"no profile {profile!r}"
        raise LabError(problem, hint="--profile auto takes the one that fits this machine; nothing was made")


def fitted(profile: str, gigabytes: float, *, measure_on: str = "") -> tuple[str, dict[str, int]]:
    """The target's own word on what fits a GPU: a profile and the rows of a micro-batch; else the profile as it is.

    `measure_on`: the device on which it is tried, which takes minutes; else it is estimated.
    """
    command = [sys.executable, "-m", "nanochat.profiles", "--fit", str(gigabytes)]
    if measure_on:
        command = [sys.executable, "-m", "nanochat.fitting", "--gigabytes", str(gigabytes), "--device", measure_on]
        narrate(f"measuring the largest batch on {measure_on}; this takes up to {MEASURE_SECONDS // 60} minutes")
    said = subprocess.run(command, capture_output=True, text=True, timeout=MEASURE_SECONDS + 60, check=False)
    for line in said.stderr.splitlines():
        narrate(one_line(line, 300))
    if said.returncode != 0:
        return profile, {}
    fits = json.loads(said.stdout)
    return str(fits["name"]), {"rows": int(fits["rows"])}


COMMANDS = (open_, init, run_, stop)
