"""Commands that read: they need no engine, except the audit, and change nothing."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from core import report
from core.engine.start import answers, start_detached
from core.errors import LabError
from core.lab import find
from core.requests import (
    Audit,
)
from core.runs import phases
from core.store import Reader
from core.text import ago, clean, duration, number, one_line, signed
from tui.commands.frame import (
    EXIT_NOT_AS_WANTED,
    existing,
    id_argument,
    json_option,
    lab_argument,
    narrate,
    needs_terminal,
    print_data,
    record,
    send,
)
from tui.personal import who


@click.command()
@lab_argument
@json_option
@click.option("--gain", type=float, help="How many runs it takes to tell a gain of this size from noise; 2σ without.")
def status(lab: Path, as_json: bool, gain: float | None) -> None:
    """Engine, autonomy, champion, running, waiting, noise, devices."""
    found = find(lab)
    engine = answers(found)
    if not found.database.exists():
        print_data({"lab": str(found.root), "engine": {"running": engine}}, as_json, ["not started yet: no record"])
        return
    body = report.status(found, Reader(found.database), engine=engine, gain=gain)
    champion, used = body["champion"], body["usage"]
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
    if (last := body["last_run"]) and last["ended_at"] and (took := phases.words(last["detail"].get("seconds") or {})):
        lines.append(f"last run    run {last['id']} {last['words']['state']}: {took}")
    if (planned := body["plan"]) is not None:
        sigma = f"σ {number(planned['sigma'], 5)} ({planned['df']} df)"
        lines.append(f"noise       {sigma}: {planned['words']}")
    if body["drift"]:
        lines.append(f"drift       {'DRIFTING: ' if body['drift']['drifting'] else ''}{body['drift']['words']}")
    if body["manifest"].get("words"):
        lines.append(f"measured    {ago(time.time() - body['manifest']['at'])}: {body['manifest']['words']}")
    lines += [
        f"waiting     {len(body['waiting'])} for a review" + "".join(f" #{i}" for i in body["waiting"][:8]),
        "verdicts    " + (", ".join(f"{n} {verdict}" for verdict, n in body["verdicts"].items() if n) or "none yet"),
        f"spent       {used['device_hours']:.1f} device hours, {used['tokens']:,} tokens"
        + (f", {used['cost']:.2f} ({number(used['cost_per_keep'], 2)} a keep)" if used["cost"] is not None else ""),
        "devices     " + ", ".join(f"{d['name']} ({d['class']})" for d in body["devices"]),
        *[f"set aside   {words}; resume tries it again" for words in body["aside"].values()],
    ]
    print_data(body, as_json, lines)


@click.command(name="list")
@lab_argument
@json_option
@click.option("--tsv", is_flag=True, help="Upstream's columns: commit val_bpb memory_gb status description.")
def list_(lab: Path, as_json: bool, tsv: bool) -> None:
    """A row an experiment."""
    reader = record(find(lab))
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


@click.command()
@lab_argument
@id_argument
@json_option
def show(lab: Path, experiment_id: str, as_json: bool) -> None:
    """One experiment whole: texts, patch, reviews, runs."""
    reader = record(find(lab))
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
        *[
            f"review: {r['decision']} by {r['actor']} via {r['via']} "
            f"{'(taken back) ' if r['undone_at'] is not None else ''}{r['reason']}".rstrip()
            for r in body["reviews"]
        ],
        *[
            f"run {r['id']}: {r['purpose']} seed {r['seed']} {r['words']['state']} {number(r['metric'])} "
            f"{r['words']['error'] or phases.words(r['detail'].get('seconds') or {})}"
            for r in body["runs"]
        ],
    ]
    print_data(body, as_json, lines)


@click.command(name="report")
@lab_argument
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where to; LAB/report without it.")
def report_(lab: Path, out: Path | None) -> None:
    """Write the lab's report: one HTML file, the same as Markdown, progress.png."""
    from core import reporting

    written = reporting.write(find(lab), out)
    for path in (written.html, written.markdown, written.png):
        click.echo(clean(str(path)))
    narrate(written.headline)


@click.command()
@lab_argument
@click.option(
    "--speed", type=click.FloatRange(min=0.1, max=100_000), default=60.0, show_default=True,
    help="Seconds of the session in one of the show; where nothing ran it takes 3 s at most.",
)  # fmt: skip
def replay(lab: Path, speed: float) -> None:
    """Show a recorded session on the screen as it happened; the lab is only read."""
    found = find(lab)
    record(found)
    needs_terminal()
    from core.replay import playing
    from tui.app import AutoresearchApp, guarded_stderr

    with playing(found, speed=speed) as show:
        narrate(f"{duration(show.session_seconds)} of work in {duration(show.pace.seconds)}; q leaves")
        app, log = AutoresearchApp(show.lab, replay=show.progress, now=show.now), show.lab.root / "tui.log"
        with guarded_stderr(log):
            app.run()
        if app.return_code == 1:
            raise LabError("the screen ended with an error; nothing was touched", hint=log.read_text()[-500:])


@click.command()
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


@click.command()
@click.argument("lab", type=click.Path(path_type=Path), required=False)
@json_option
def doctor(lab: Path | None, as_json: bool) -> None:
    """Probe the machine (and a lab): each finding with the one line that mends it; 1 when something will fail."""
    from core import doctor as probes

    checks = probes.examine(find(lab) if lab else None)
    print_data([asdict(check) for check in checks], as_json, probes.lines(checks))
    if any(check.health == probes.Health.PROBLEM for check in checks):
        raise click.exceptions.Exit(EXIT_NOT_AS_WANTED)


@click.command()
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


COMMANDS = (status, list_, show, report_, replay, verify, doctor, audit)
