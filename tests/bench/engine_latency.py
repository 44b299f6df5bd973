"""How fast the engine is around a run: `python -m tests.bench.engine_latency [--runs N] [--profile NAME]`.

Prints, for the toy target on this machine: a decision durable and answered, approval to trainer spawned on an idle
device, and the time a device stands idle between two runs of an autonomous session (from exit.json to the next start).

With a profile the runs are real ones: a lab of its own works off experiments that change nothing much, with and without
the next run standing ready while the last one is evaluated, in turn. Printed are the seconds of each phase, from one
run's end to the first step of the next, and how much of the wall time was neither training nor evaluation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from core.lab import create
from core.models import Autonomy, RunState
from core.requests import Approve, ask
from core.runs import local, phases
from tests.toy import ScriptedResearcher, engine_at_work, toy_lab, until


def spread(name: str, seconds: Sequence[float], budget: str) -> str:
    ordered = sorted(1000 * s for s in seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"| {name} | {statistics.median(ordered):.0f} ms | {p95:.0f} ms | {len(ordered)} | {budget} |"


async def decisions(root: Path, runs: int) -> tuple[list[float], list[float]]:
    """Seconds from request to answer, and from request to the trainer's start, one run after the other."""
    script = [("LEVEL = 2.0", f"LEVEL = {2.1 + i / 100:.2f}") for i in range(runs)]
    answered, spawned = [], []
    lab = toy_lab(root, null_runs=1, lookahead=1)
    async with engine_at_work(lab, ScriptedResearcher(script)) as engine:
        store = engine.bench.store
        for number in range(1, runs + 1):
            await until(lambda: store.queue() and not store.live_runs() and store.runs())
            experiment = store.experiment(store.queue()[0].id)
            assert experiment is not None
            start, wall = time.monotonic(), time.time()
            await ask(lab.socket, Approve(experiment.id, experiment.patch_sha256 or ""))
            answered.append(time.monotonic() - start)
            await until(lambda n=number: len(store.runs()) > n and store.runs()[-1].pid)  # type: ignore[misc]
            phase = lab.run_directory(store.runs()[-1].id) / "phase.json"
            await until(phase.exists)
            spawned.append(json.loads(phase.read_text())["at"] - wall)
            await until(lambda n=number: sum(store.verdict_counts().values()) == n)  # type: ignore[misc]
    return answered, spawned


async def gaps(root: Path, runs: int) -> list[float]:
    """Seconds between one run's exit.json and the next one's trainer, in full autonomy."""
    script = [("LEVEL = 2.0", f"LEVEL = {2.1 + i / 100:.2f}") for i in range(runs)]
    lab = toy_lab(root, null_runs=1)
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == runs, seconds=300)
        finished = [run for run in store.runs() if run.state == RunState.FINISHED]
    idle = []
    for before, after in pairwise(finished):
        ended = json.loads((lab.run_directory(before.id) / "exit.json").read_text())["at"]
        idle.append(json.loads((lab.run_directory(after.id) / "start.json").read_text())["at"] - ended)
    return idle


async def session(
    place: Path,
    profile: str,
    device: str,
    *,
    count: int,
    sizes: Mapping[str, bool | int | float | str],
    overlap: bool,
    threads: str = "",
) -> dict[str, float]:
    """Real runs of a profile in a new lab, one after the other; returns medians of seconds, and shares."""
    lab = create(place, profile=profile)
    text = lab.config_file.read_text().replace("[runs]\n", f"[runs]\noverlap = {json.dumps(overlap)}\n")
    text = text.replace("[runs]\n", f'[runs]\ndevices = ["{device}"]\n')
    if threads:
        text = text.replace("[runs]\n", f'[runs]\nenvironment = {{ OMP_NUM_THREADS = "{threads}" }}\n')
    text = text.replace("[review]\n", "[review]\nundo_seconds = 0\nallow_unsandboxed = true\n")
    text = text.replace("[judging]\n", "[judging]\nnull_runs = 1\nrerun_every = 0\nmax_confirmations = 2\n")
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in sizes.items())
    lab.config_file.write_text(text + (f"\n[target.sizes]\n{lines}" if sizes else ""))
    # a little less learning each: hardly ever better, so that nearly every run is followed by another screening
    script = [("MATRIX_LR = 0.04", f"MATRIX_LR = {0.01 - i / 1000:.3f}") for i in range(count)]
    async with engine_at_work(lab, ScriptedResearcher(script), autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: sum(store.verdict_counts().values()) == count or store.paused(), seconds=36_000)
        if reason := store.paused():
            raise SystemExit(f"the engine paused: {reason}")
        runs = [run for run in store.runs() if run.state == RunState.FINISHED]
        withdrawn = len(store.runs()) - len(runs)
    since = [local.read_since(lab.run_directory(run.id)) for run in runs]
    seconds: list[dict[str, float]] = [run.detail["seconds"] for run in runs]
    found = {f"{name}, median s": statistics.median(one[name] for one in seconds) for name in phases.NAMES}
    ended = [run.ended_at or 0.0 for run in runs]
    between = [after["training"] - before for before, after in zip(ended, since[1:], strict=False)]
    found["from one run's end to the next one's first step, median s"] = statistics.median(between)
    found["the same, longest"] = max(between)
    useful = [run.detail["train"]["train_seconds"] + one["evaluate"] for run, one in zip(runs, seconds, strict=True)]
    starts = [one["evaluate"] - run.detail["result"]["seconds"] for one, run in zip(seconds, runs, strict=True)]
    whole = ended[-1] - since[0]["starting"]
    found["wall time neither training nor evaluation"] = 1 - sum(useful) / whole
    found["the same, the evaluator's start counted as lost"] = 1 - (sum(useful) - sum(starts)) / whole
    lost = ended[-1] - ended[0] - sum(useful[1:]) + sum(starts[1:])
    found["so lost after the first run, s a run"] = lost / (len(runs) - 1)
    found["start of the evaluator, median s"] = statistics.median(starts)
    found["bits per byte, summed"] = sum(run.metric or 0.0 for run in runs)
    return found | {"runs": len(runs), "withdrawn": withdrawn}


def real(options: argparse.Namespace) -> None:
    sizes = {**json.loads(options.sizes), **({"budget": options.budget} if options.budget else {})}

    def measured(place: Path, overlap: bool) -> dict[str, float]:
        return asyncio.run(
            session(
                place,
                options.profile,
                options.device,
                count=options.runs,
                sizes=sizes,
                overlap=overlap,
                threads=options.threads,
            )
        )

    if options.lab:
        print(json.dumps(measured(options.lab, overlap=True)))
        return
    rounds: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for number in range(options.rounds):
        for overlap in rounds:
            with tempfile.TemporaryDirectory() as folder:
                rounds[overlap].append(measured(Path(folder) / "lab", overlap))
            print(f"round {number + 1}, overlap {overlap}: {json.dumps(rounds[overlap][-1])}", file=sys.stderr)
    print(f"profile {options.profile}, {options.device}, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds")
    print("| what | one after the other | the next one ready |\n|---|---|---|")
    for name in rounds[True][0]:
        off, on = (statistics.mean(one[name] for one in rounds[overlap]) for overlap in (False, True))
        print(f"| {name} | {off:.3f} | {on:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--profile", help="real runs of this profile in the place of toys")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--budget", help="another budget than the profile's: flops:4e11")
    parser.add_argument("--sizes", default="{}", help="other sizes than the profile's, as a JSON object")
    parser.add_argument("--lab", type=Path, help="one session with the next run ready, in this new lab; prints JSON")
    parser.add_argument("--threads", default="", help="CPU threads of a run (default: as the profile recommends)")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if options.profile:
        real(options)
        return
    runs = options.runs
    with tempfile.TemporaryDirectory() as folder:
        answered, spawned = asyncio.run(decisions(Path(folder) / "a", runs))
        idle = asyncio.run(gaps(Path(folder) / "b", runs))
    print("| what | median | p95 | n | budget |\n|---|---|---|---|---|")
    print(spread("decision durable and answered", answered, "–"))
    print(spread("approval to trainer spawned, idle device", spawned, "100 ms"))
    print(spread("device idle between two runs", idle, "1 s"))


if __name__ == "__main__":
    main()
