"""The commands. stdout is data, stderr is narration; only `open` imports the screen.

Exit codes: 0 done · 1 not as wanted (verify found something, a run ended early) · 2 a lab, file or argument is wrong ·
3 the engine refused · 4 no engine.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from core import __version__, report
from core.engine.start import answers, start_detached
from core.errors import LabError, Refused
from core.lab import Lab, create, find
from core.models import Autonomy, Experiment, Verdict, Via
from core.requests import (
    Approve,
    Audit,
    NoEngine,
    Override,
    Pause,
    Request,
    Resume,
    Revise,
    SetAutonomy,
    StopEngine,
    Undo,
    Veto,
    ask,
)
from core.store import Reader
from core.text import clean, duration, number, one_line, signed

EXIT_NOT_AS_WANTED, EXIT_WRONG, EXIT_REFUSED, EXIT_NO_ENGINE = 1, 2, 3, 4
DEFAULT_LAB = Path("lab")


class Commands(click.Group):
    """A group whose default command is `open`: `autoresearch-tui LAB` opens LAB."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h", "--version")):
            args = ["open", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def commands() -> None:
    """A cockpit for autonomous ML research: read, approve, edit or veto each experiment.

    Without a command the lab is opened: autoresearch-tui [LAB]
    """


lab_argument = click.argument("lab", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


# ---- the screen and the engine -----------------------------------------------------------------------------------


@commands.command(name="open")
@click.argument("lab", type=click.Path(path_type=Path), required=False)
@click.option("--read-only", is_flag=True, help="Look, but decide nothing and start no engine.")
def open_(lab: Path | None, read_only: bool) -> None:
    """Open a lab's screen; makes ./lab when there is none, starts its engine when none runs."""
    path = lab or DEFAULT_LAB
    opened = Lab(Path(os.path.abspath(path)))
    if not opened.exists():
        if read_only:
            find(path)
        opened = make(path, profile="auto", corpus="stdlib")
    opened.load_config()  # a mistake in it is said here, in words, before the screen opens
    if not read_only:
        start_detached(opened)
    from tui.app import open_screen

    narrate(open_screen(opened, read_only=read_only, start_engine=lambda: start_detached(opened)))


@commands.command()
@lab_argument
@click.option("--profile", default="auto", show_default=True, help="cpu, gpu-8g, gpu-24g, h100; auto: what fits.")
@click.option("--corpus", default="stdlib", show_default=True, help="stdlib, a directory of text or of parquet shards.")
def init(lab: Path, profile: str, corpus: str) -> None:
    """Make a lab."""
    made = make(lab, profile=profile, corpus=corpus)
    narrate(f"open it: autoresearch-tui {made.root}")


@commands.command(name="run")
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


@commands.command()
@lab_argument
@click.option("--keep-run", is_flag=True, help="Leave a live run going; the next engine takes it over.")
def stop(lab: Path, keep_run: bool) -> None:
    """End the engine, after saying what that stops."""
    found = find(lab)
    if not answers(found):
        narrate("no engine runs for this lab")
        return
    for live in Reader(found.database).live_runs():
        what = f"run {live.id} ({live.purpose}{'' if live.experiment_id is None else f' of #{live.experiment_id}'})"
        end = "goes on and is taken over" if keep_run else "stops and is made again"
        narrate(f"{what}, {live.progress:.0%} done, {end} by the next engine")
    send(found, StopEngine(runs=not keep_run, actor=who()), start=False)
    narrate("the engine is ending; every decision is on disk")


# ---- reading -----------------------------------------------------------------------------------------------------


@commands.command()
@lab_argument
@json_option
def status(lab: Path, as_json: bool) -> None:
    """Engine, autonomy, champion, running, waiting, devices."""
    found = find(lab)
    engine = answers(found)
    if not found.database.exists():
        print_data({"lab": str(found.root), "engine": {"running": engine}}, as_json, ["not started yet: no record"])
        return
    body = report.status(found, Reader(found.database), engine=engine)
    champion = body["champion"]
    lines = [
        f"engine      {'running (process ' + str(body['engine'].get('pid')) + ')' if engine else 'not running'}",
        f"autonomy    {body['autonomy']}" + (f"   paused: {body['paused']}" if body["paused"] else ""),
        f"data        {body['preparation'].get('state')} {body['preparation'].get('error', '')}".rstrip(),
        f"researcher  {body['researcher'].get('kind', '–')}, {body['researcher'].get('state', '–')} "
        f"{body['researcher'].get('detail', '')}".rstrip(),
        f"champion    {champion['commit'][:10]} {number(champion['metric'])}" if champion else "champion    none yet",
    ]
    for run in body["running"]:
        of = "the champion" if run["experiment_id"] is None else f"#{run['experiment_id']}"
        lines.append(f"running     run {run['id']} of {of} on {run['device']}: {run['phase']} {run['progress']:.0%}")
    lines += [
        f"waiting     {len(body['waiting'])} for a review" + "".join(f" #{i}" for i in body["waiting"][:8]),
        "verdicts    " + ", ".join(f"{n} {verdict}" for verdict, n in body["verdicts"].items() if n),
        "devices     " + ", ".join(f"{d['name']} ({d['class']})" for d in body["devices"]),
    ]
    print_data(body, as_json, lines)


@commands.command(name="list")
@lab_argument
@json_option
@click.option("--tsv", is_flag=True, help="Upstream's columns: commit val_bpb memory_gb status description.")
def list_(lab: Path, as_json: bool, tsv: bool) -> None:
    """A row an experiment."""
    reader = Reader(find(lab).database)
    if tsv:
        for line in report.tsv(reader):
            click.echo("\t".join(clean(cell).replace("\t", " ") for cell in line))
        return
    summaries = list(reversed(reader.summaries()))
    lines = [f"{'id':>4} {'state':<10} {'verdict':<12} {'metric':>9} {'delta':>9}  {'commit':<8} {'author':<18} title"]
    lines += [
        f"{s.id:>4} {s.state:<10} {s.verdict or '–':<12} {number(s.metric):>9} {signed(s.delta):>9}  "
        f"{(s.commit_sha or '–')[:7]:<8} {one_line(s.author, 18):<18} {one_line(s.title, 60)}"
        for s in summaries
    ]
    print_data([report.row(s) for s in summaries], as_json, lines)


@commands.command()
@lab_argument
@click.argument("experiment_id", metavar="ID")
@json_option
def show(lab: Path, experiment_id: str, as_json: bool) -> None:
    """One experiment whole: texts, patch, reviews, runs."""
    reader = Reader(find(lab).database)
    experiment = existing(reader, experiment_id)
    body = report.whole(reader, experiment)
    lines = [
        f"#{experiment.id} {experiment.title}",
        f"{experiment.state}{f' · {experiment.verdict}' if experiment.verdict else ''} · by {experiment.author} · "
        f"on {experiment.parent_commit[:10]}",
        *([f"verdict: {experiment.verdict_reason}"] if experiment.verdict_reason else []),
        *([f"problem: {experiment.problem}"] if experiment.problem else []),
        "",
        f"Hypothesis: {experiment.hypothesis}",
        f"Rationale: {experiment.rationale}",
        "",
        *(body["patch"] or "no patch").splitlines(),
        "",
        *[f"review: {r['decision']} by {r['actor']} via {r['via']} {r['reason']}".rstrip() for r in body["reviews"]],
        *[
            f"run {r['id']}: {r['purpose']} seed {r['seed']} {r['state']} {number(r['metric'])} {r['error']}"
            for r in body["runs"]
        ],
    ]
    print_data(body, as_json, lines)


@commands.command(name="report")
@lab_argument
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where to; LAB/report without it.")
def report_(lab: Path, out: Path | None) -> None:
    """Write the lab's report: one HTML file, the same as Markdown, progress.png."""
    from core import reporting

    written = reporting.write(find(lab), out)
    for path in (written.html, written.markdown, written.png):
        click.echo(clean(str(path)))
    narrate(written.headline)


@commands.command()
@lab_argument
@click.option(
    "--speed", type=click.FloatRange(min=0.1, max=100_000), default=60.0, show_default=True,
    help="Seconds of the session in one of the show; where nothing ran it takes 3 s at most.",
)  # fmt: skip
def replay(lab: Path, speed: float) -> None:
    """Show a recorded session on the screen as it happened; the lab is only read."""
    from core.replay import playing
    from tui.app import AutoresearchApp, guarded_stderr

    with playing(find(lab), speed=speed) as show:
        narrate(f"{duration(show.session_seconds)} of work in {duration(show.pace.seconds)}; q leaves")
        app, log = AutoresearchApp(show.lab, read_only=True, now=show.now), show.lab.root / "tui.log"
        with guarded_stderr(log):
            app.run()
        if app.return_code == 1:
            raise LabError("the screen ended with an error; nothing was touched", hint=log.read_text()[-500:])


@commands.command()
@lab_argument
def verify(lab: Path) -> None:
    """Check the whole record: hashes, rows, refs. Changes nothing; 1 when something is wrong."""
    from core import verify as checks

    found = checks.problems(find(lab))
    for problem in found:
        click.echo(clean(problem))
    if found:
        raise click.exceptions.Exit(EXIT_NOT_AS_WANTED)
    narrate("the record is whole")


@commands.command()
@click.argument("lab", type=click.Path(path_type=Path), required=False)
@json_option
def doctor(lab: Path | None, as_json: bool) -> None:
    """Probe the machine (and a lab): each finding with the one line that mends it; 1 when something will fail."""
    from core import doctor as probes

    checks = probes.examine(find(lab) if lab else None)
    print_data([asdict(check) for check in checks], as_json, probes.lines(checks))
    if any(check.health == probes.Health.PROBLEM for check in checks):
        raise click.exceptions.Exit(EXIT_NOT_AS_WANTED)


@commands.command()
@lab_argument
@click.option("--seeds", default=4, show_default=True, type=click.IntRange(2, 64), help="Fresh seeds, two runs each.")
@json_option
def audit(lab: Path, seeds: int, as_json: bool) -> None:
    """Measure everything kept against the first baseline, on fresh seeds and the hidden split."""
    found = find(lab)
    start_detached(found)
    reader = Reader(found.database)
    if reader.setting("audit", {}).get("state") != "running":
        asked = send(found, Audit(seeds=seeds, actor=who()), start=False)
        narrate(f"{asked['keeps']} kept changes against the first baseline: {2 * len(asked['seeds'])} runs")
    narrate("Ctrl-C leaves; the audit goes on, and this command shows it again")
    done = -1
    while (body := reader.setting("audit"))["state"] == "running":
        runs = [run for run in reader.runs() if run.purpose == "audit" and run.seed in body["seeds"]]
        finished = sum(run.ended_at is not None for run in runs)
        if finished != done:
            done = finished
            narrate(f"{done} of {2 * len(body['seeds'])} runs {reader.paused()}".rstrip())
        time.sleep(0.2)
    result = body["result"]
    print_data(
        body,
        as_json,
        [
            f"{body['keeps']} kept changes, {result['n']} pairs of runs on fresh seeds ({body['device_class']})",
            f"first baseline {number(result.get('baseline'))} → champion {number(result.get('champion'))}",
            f"{result['words']}",
        ],
    )


# ---- deciding ----------------------------------------------------------------------------------------------------


@commands.command()
@lab_argument
@click.argument("experiment_id", metavar="ID")
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


@commands.command()
@lab_argument
@click.argument("experiment_id", metavar="ID")
@click.option("--note", required=True, help="What should be different.")
def revise(lab: Path, experiment_id: str, note: str) -> None:
    """Send an experiment back to its researcher with a note."""
    found, experiment = waiting(lab, experiment_id)
    send(found, Revise(experiment.id, experiment.patch_sha256 or "", note, actor=who(), via=Via.CLI), start=True)
    narrate(f"#{experiment.id} goes back to the researcher")


@commands.command()
@lab_argument
@click.argument("experiment_id", metavar="ID")
@click.option("--reason", required=True, help="Why not; the researcher learns from it.")
def veto(lab: Path, experiment_id: str, reason: str) -> None:
    """End an experiment before it runs."""
    found, experiment = waiting(lab, experiment_id)
    send(found, Veto(experiment.id, experiment.patch_sha256 or "", reason, actor=who(), via=Via.CLI), start=True)
    narrate(f"#{experiment.id} is vetoed")


@commands.command()
@lab_argument
@click.argument("experiment_id", metavar="ID")
def undo(lab: Path, experiment_id: str) -> None:
    """Take the last decision on an experiment back, until it has started."""
    found = find(lab)
    experiment = existing(Reader(found.database), experiment_id)
    answer = send(found, Undo(experiment.id, actor=who()), start=True)
    narrate(f"the decision ({answer['decision']}) on #{experiment.id} is taken back")


@commands.command()
@lab_argument
@click.argument("experiment_id", metavar="ID")
@click.argument("verdict", type=click.Choice([str(v) for v in Verdict]))
@click.option("--reason", required=True, help="Why you know better; claims leave the experiment out.")
def override(lab: Path, experiment_id: str, verdict: str, reason: str) -> None:
    """Replace a measured verdict by your own."""
    found = find(lab)
    experiment = existing(Reader(found.database), experiment_id)
    send(found, Override(experiment.id, Verdict(verdict), reason, actor=who(), via=Via.CLI), start=True)
    narrate(f"#{experiment.id} is {verdict} by your word (it was {experiment.verdict})")


@commands.command()
@lab_argument
@click.argument("level", type=click.Choice([str(a) for a in Autonomy]))
def autonomy(lab: Path, level: str) -> None:
    """Turn the autonomy dial."""
    answer = send(find(lab), SetAutonomy(Autonomy(level), actor=who()), start=True)
    narrate(f"autonomy is {level} (was {answer.get('was')})")


@commands.command()
@lab_argument
def pause(lab: Path) -> None:
    """Start no further run; the current one goes on."""
    send(find(lab), Pause(reason=f"paused by {who()}", actor=who()), start=True)
    narrate("paused after the current run; autoresearch-tui resume LAB goes on")


@commands.command()
@lab_argument
def resume(lab: Path) -> None:
    """Start runs again."""
    send(find(lab), Resume(actor=who()), start=True)
    narrate("runs start again")


# ---- plumbing ----------------------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """Run one command; errors become words on stderr and an exit code."""
    try:
        result = commands.main(args=list(arguments), prog_name="autoresearch-tui", standalone_mode=False)
    except click.exceptions.Exit as end:
        return int(end.exit_code)
    except click.ClickException as error:
        error.show()
        return EXIT_WRONG
    except click.Abort:
        return 130
    except NoEngine as error:
        return complain(error, EXIT_NO_ENGINE)
    except Refused as error:
        return complain(error, EXIT_REFUSED)
    except LabError as error:
        return complain(error, EXIT_WRONG)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `list | head` is no error
        return 0
    return result if isinstance(result, int) else 0


def complain(error: LabError, code: int) -> int:
    click.echo(clean(f"autoresearch-tui: {error.message}"), err=True)
    if error.hint:
        click.echo(clean(f"  {error.hint}"), err=True)
    return code


def narrate(words: str) -> None:
    if words:
        click.echo(clean(words), err=True)


def print_data(body: Any, as_json: bool, lines: Sequence[str]) -> None:
    if as_json:
        click.echo(json.dumps(body, ensure_ascii=True, indent=2, default=str))
        return
    for line in lines:
        click.echo(clean(line))


def make(path: Path, *, profile: str, corpus: str) -> Lab:
    """A new lab with the profile that fits the machine."""
    from core.runs import devices

    if profile == "auto":
        profile = devices.profile_for(devices.find([]))
    lab = create(path, profile=profile, corpus=corpus)
    narrate(f"made the lab {lab.root} (profile {profile}, corpus {corpus})")
    return lab


def existing(reader: Reader, experiment_id: str) -> Experiment:
    digits = experiment_id.removeprefix("#")
    experiment = reader.experiment(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 18 else None
    if experiment is None:
        raise LabError(f"there is no experiment {experiment_id!r}", hint="autoresearch-tui list LAB shows them")
    return experiment


def waiting(lab: Path, experiment_id: str) -> tuple[Lab, Experiment]:
    found = find(lab)
    return found, existing(Reader(found.database), experiment_id)


def send(lab: Lab, request: Request, *, start: bool) -> dict[str, Any]:
    """Ask the engine; `start` brings one up where none runs."""
    if start:
        start_detached(lab)
    return asyncio.run(ask(lab.socket, request))


def who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "human"
