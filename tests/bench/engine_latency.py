"""How fast the engine is around a run: `python -m tests.bench.engine_latency [--runs N]`.

Prints, for the toy target on this machine: a decision durable and answered, approval to trainer spawned on an idle
device, and the time a device stands idle between two runs of an autonomous session (from exit.json to the next start).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from core.models import Autonomy, RunState
from core.requests import Approve, ask
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        answered, spawned = asyncio.run(decisions(Path(folder) / "a", runs))
        idle = asyncio.run(gaps(Path(folder) / "b", runs))
    print("| what | median | p95 | n | budget |\n|---|---|---|---|---|")
    print(spread("decision durable and answered", answered, "–"))
    print(spread("approval to trainer spawned, idle device", spawned, "100 ms"))
    print(spread("device idle between two runs", idle, "1 s"))


if __name__ == "__main__":
    main()
