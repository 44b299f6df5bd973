"""A lab of ten thousand experiments and five million points, and a stand-in for its engine that keeps one run alive.

    python -m tests.bench.big_lab DIR [--experiments N] [--points N]    writes it; the same each time
    python -m tests.bench.big_lab DIR --work [--hours H] [--hurry]      answers on its socket, trains, proposes, judges

`--hurry` writes the same rows without waiting for the clock, and ends with the hours.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.engine.server import serve
from core.errors import Refused
from core.lab import Lab
from core.models import Decision, Proposal, Purpose, RunState, State, Verdict, Via
from core.patches import apply, parse
from core.requests import Ping, Request
from core.store import Reader, Writer, migrations
from core.store.rows import Gauge
from core.workspace import Workspace
from tests.research_lab import research

EXPERIMENTS, POINTS = 10_000, 5_000_000
CURVES = ("grad_norm", "loss", "lr", "mfu", "tokens_per_s")
STEPS_PER_SECOND = 20
"""of the live run: with five curves a hundred points"""
RUN_SECONDS = 300
WRITE_EVERY = 0.5
"""seconds between two commits of a live curve, as the engine has it"""
STORED_CURVES = """
INSERT INTO points (run_id, name, step, t, value)
  WITH RECURSIVE steps(step) AS (VALUES (0) UNION ALL SELECT step + 1 FROM steps WHERE step + 1 < :steps)
  SELECT r.id, n.value, s.step, (s.step + 1) * 300.0 / :steps,
         CASE n.value WHEN 'loss' THEN 3.1 + 60.0 / (10.0 + s.step) ELSE 0.4 END
           + ((r.id * 7919 + s.step * 104729) % 1000) * 4e-5
  FROM (SELECT id FROM runs WHERE state = 'finished' ORDER BY id) r
  CROSS JOIN json_each(:names) n CROSS JOIN steps s
"""


def build(root: Path, experiments: int = EXPERIMENTS, points: int = POINTS) -> Lab:
    """Write the lab; half a minute."""
    story = research(root, experiments, commits=False, points=0)
    story.close()
    db = sqlite3.connect(story.lab.database, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    _commit_the_lineage(db, story.lab, story.commit, story.files)
    (finished,) = db.execute("SELECT count(*) FROM runs WHERE state = 'finished'").fetchone()
    steps = math.ceil(points / finished / len(CURVES)) if points else 0
    if steps:
        db.execute(STORED_CURVES, {"steps": steps, "names": json.dumps(CURVES)})
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return story.lab


def _commit_the_lineage(db: sqlite3.Connection, lab: Lab, first: str, files: dict[str, str]) -> None:
    """Champions get real commits: the screen reads a patch's surroundings from git."""
    workspace, parent = Workspace(lab.repo, lab=lab.name), first
    rows = db.execute("SELECT experiment_id, commit_sha FROM champions WHERE experiment_id IS NOT NULL ORDER BY seq")
    for experiment, made_up in rows.fetchall():
        body = "SELECT body FROM patches JOIN experiments ON sha256 = patch_sha256 WHERE id = ?"
        files = apply(parse(db.execute(body, (experiment,)).fetchone()[0]), files)
        parent = workspace.commit(experiment, parent, files, message=f"experiment {experiment}", at=1e9 + experiment)
        for table, column in (
            ("champions", "commit_sha"), ("runs", "commit_sha"), ("experiments", "commit_sha"),
            ("experiments", "parent_commit"),
        ):  # fmt: skip
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (parent, made_up))


def kept(experiments: int = EXPERIMENTS, points: int = POINTS) -> Path:
    """The lab as it is written once on this machine; make a copy before anything works in it."""
    schema = hashlib.sha256(Path(migrations.__file__).read_bytes()).hexdigest()[:8]
    root = Path(tempfile.gettempdir()) / f"autoresearch-bench-{schema}-{experiments}-{points}"
    if not (root / "lab" / "engine.log").exists():
        shutil.rmtree(root, ignore_errors=True)
        print(f"writing {experiments:,} experiments and {points:,} points to {root}", file=sys.stderr)
        build(root / "lab", experiments, points).log.touch()  # last: now it is whole
    return root / "lab"


# ---- the engine's stand-in -----------------------------------------------------------------------------------------


class Work:
    """Does to the record what an engine with one device does, without training anything."""

    def __init__(self, lab: Lab) -> None:
        self.writer = Writer(lab.database)
        self.lab = lab
        self.chance = random.Random(7)
        (self.run,) = (run.id for run in self.writer.live_runs())
        self.step = 1 + max(self.writer.series(self.run, "loss").step, default=-1)
        self.begun = self.step

    def half_a_second(self, at: float) -> None:
        """What is committed in this time: points, progress, each second telemetry, at its end the run's verdict."""
        steps = range(self.step, self.step + round(STEPS_PER_SECOND * WRITE_EVERY))
        self.step = steps.stop
        noise = self.chance.gauss
        values: dict[str, Callable[[int], float]] = {
            "loss": lambda s: 3.1 + 60.0 / (10.0 + s) + noise(0, 0.02), "lr": lambda _: 0.4,
            "grad_norm": lambda _: 0.4 + noise(0, 0.03), "mfu": lambda _: 41 + noise(0, 0.3),
            "tokens_per_s": lambda _: 48_000 + noise(0, 300),
        }  # fmt: skip
        points = [(name, step, step / STEPS_PER_SECOND, values[name](step)) for step in steps for name in CURVES]
        done = (self.step - self.begun) / (STEPS_PER_SECOND * RUN_SECONDS)
        with self.writer.transaction():
            self.writer.add_points(self.run, points)
            self.writer.update_run(self.run, phase="training", progress=min(done, 1.0))
        if self.step % STEPS_PER_SECOND == 0:
            sample = Gauge("cpu", at, 95 + noise(0, 2), 3.4e9, 16.0e9, None, None)
            self.writer.add_gauges([sample], run_id=self.run, keep_seconds=3600.0)
        if done >= 1.0:
            self.next_run(at)

    def next_run(self, at: float) -> None:
        """A verdict, and the next experiment trains; what waits is left to the reviewer."""
        writer, row = self.writer, self.writer.run(self.run)
        assert row is not None
        old = writer.experiment(row.experiment_id or 0)
        assert old is not None
        assert old.patch_sha256 is not None
        with writer.transaction():
            writer.update_run(
                self.run, event="run_finished", state=RunState.FINISHED, phase="done", metric=1.9, ended_at=at
            )
            writer.update_experiment(
                old.id, event="judged", state=State.JUDGED, verdict=Verdict.DISCARD, metric=1.9, delta=0.1, judged_at=at
            )
            proposal = Proposal(old.title, old.hypothesis, old.rationale, old.category, {}, old.author, old.expected)
            new = writer.add_experiment(proposal, parent_commit=old.parent_commit, state=State.DRAFTING)
            writer.add_patch_version(new, old.patch_sha256, "proposed")
            writer.add_review(
                new, Decision.APPROVE, reason="", patch_sha256=old.patch_sha256, approved_sha256=old.patch_sha256,
                actor="policy", via=Via.POLICY,
            )  # fmt: skip
            self.run = writer.add_run(
                experiment_id=new, purpose=Purpose.CANDIDATE, commit_sha=old.parent_commit, seed=0, device="cpu",
                device_class="cpu/EPYC",
            )  # fmt: skip
            writer.update_experiment(new, state=State.RUNNING)
            writer.update_run(self.run, event="run_training", state=RunState.RUNNING, phase="training", started_at=at)
        self.step = self.begun = 0


async def work(lab: Lab, *, hours: float, hurry: bool) -> None:
    """Until the hours are over, or for ever."""

    def answer(request: Request) -> dict[str, Any]:
        if isinstance(request, Ping):
            return {"lab": str(lab.root)}
        raise Refused("this engine only pretends to work")

    server, engine = await serve(lab.socket, answer), Work(lab)
    print("at work", flush=True)
    began, count = time.time(), 0
    while not hours or count * WRITE_EVERY < hours * 3600:
        count += 1
        due = began + count * WRITE_EVERY
        engine.half_a_second(due)
        await asyncio.sleep(0 if hurry else max(due - time.time(), 0))
    server.close()


@contextmanager
def at_work(lab: Lab, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The stand-in as a process of its own, until the block ends."""
    command = [sys.executable, "-m", "tests.bench.big_lab", str(lab.root), "--work", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.terminate()
        process.wait()
        lab.socket.unlink(missing_ok=True)


def copied(source: Path, folder: Path) -> Lab:
    """A copy to work in."""
    return Lab(shutil.copytree(source, folder / source.name))


def main() -> None:
    parser = argparse.ArgumentParser(description="A large lab, and work in it.")
    parser.add_argument("lab", type=Path)
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--work", action="store_true", help="pretend to be the engine of this lab")
    parser.add_argument("--hours", type=float, default=0.0, help="of the session; 0: until it is ended")
    parser.add_argument("--hurry", action="store_true", help="without waiting for the clock")
    options = parser.parse_args()
    if options.work:
        asyncio.run(work(Lab(options.lab.absolute()), hours=options.hours, hurry=options.hurry))
    else:
        build(options.lab, options.experiments, options.points)
        reader = Reader(options.lab / "lab.db")
        print(f"{sum(reader.counts().values()):,} experiments")


if __name__ == "__main__":
    main()
