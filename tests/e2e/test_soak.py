"""Random kills of screen, engine, runner and trainer while two people decide: nothing answered is lost.

One person sits at a screen in a real terminal, which is killed by SIGKILL or loses its line (SIGHUP); the other uses
the socket. In the end the record is whole, every answer that was given is in it, every approved experiment was judged,
git has them all, and nothing is left running. `SOAK_KILLS=50 SOAK_SEED=7` ask for another soak.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from core import verify
from core.engine.start import answers
from core.errors import LabError
from core.lab import Lab
from core.models import Decision, State
from core.requests import Approve, Resume, Veto, ask
from core.runs.runner import children
from core.store import Reader
from tests.e2e.terminal import Terminal
from tests.toy import TRAIN, toy_lab
from tests.zoo.stage import alive_with

SCRIPT = [("LEVEL = 2.0", f"LEVEL = {2.01 + i / 1000:.3f}") for i in range(900)]
SLOWER = TRAIN.replace("SECONDS = 0.0", "SECONDS = 1.0")
"""long enough to be hit"""
VICTIMS = ("engine", "runner", "trainer", "trainer", "screen")
SCREEN = """
import sys
from pathlib import Path
from core.lab import Lab
from tui.app import open_screen
print(open_screen(Lab(Path(sys.argv[1]))))
"""
"""the screen alone: `open` would bring up an engine of its own between two of ours"""
DECIDED = {"a": Decision.APPROVE, "v": Decision.VETO}


class Soak:
    """A lab at work, and what was done to it."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.dice = random.Random(seed)
        self.answered: dict[int, Decision] = {}
        """what the engine has acknowledged, on the socket or on the screen"""
        self.by_screen = 0
        self.kills: Counter[str] = Counter()
        self.engine: subprocess.Popen[bytes]
        self.screen: Terminal

    def __enter__(self) -> Self:
        self.start_engine()
        self.open_screen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is not None:
            print(f"--- the screen when it failed ---\n{self.screen.text()}\n---")
        self.screen.child.kill(signal.SIGKILL)
        self.screen.ended()  # closing waits only a moment, and a busy machine takes longer
        self.screen.child.close(force=True)
        self.engine.terminate()
        self.engine.wait(timeout=120)

    # ---- what is killed ----------------------------------------------------------------------------------------

    def start_engine(self) -> None:
        self.engine = subprocess.Popen(
            [sys.executable, "-m", "tests.toy", str(self.lab.root), json.dumps(SCRIPT), "0", "manual"]
        )
        deadline = time.monotonic() + 60
        while not answers(self.lab):
            assert self.engine.poll() is None, "the engine did not come up again"
            assert time.monotonic() < deadline, "the engine came up but does not answer"
            time.sleep(0.02)

    def open_screen(self) -> None:
        self.screen = Terminal([sys.executable, "-c", SCREEN, str(self.lab.root)], env={"TEXTUAL_ANIMATIONS": "none"})

    def kill_somebody(self) -> None:
        victim = self.dice.choice(VICTIMS)
        if victim == "screen":
            self.kill_screen()
            return
        deadline = time.monotonic() + 3
        while victim != "engine" and not self.runners() and time.monotonic() < deadline:
            self.screen.read(0.05)
        runners = self.runners()
        trainers = [pid for runner in runners for pid in descendants(runner)]
        pids = {"engine": [self.engine.pid], "runner": runners, "trainer": trainers}[victim]
        if not pids:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.dice.choice(pids), signal.SIGKILL)
            self.kills[victim] += 1
        if victim == "engine":
            self.engine.wait()
            self.start_engine()

    def kill_screen(self) -> None:
        self.screen.until("a approve|review|Review", seconds=60)  # it was drawn once
        hang_up = self.dice.random() < 0.5
        self.screen.child.kill(signal.SIGHUP if hang_up else signal.SIGKILL)
        assert self.screen.ended(seconds=30), "the screen does not end when its line is gone"
        self.screen.child.close(force=True)
        self.kills["screen, SIGHUP" if hang_up else "screen, SIGKILL"] += 1
        self.open_screen()

    def runners(self) -> list[int]:
        with self.reading() as reader:
            pids = [run.pid for run in reader.live_runs() if run.pid]
        return [pid for pid in pids if str(self.lab.root).encode() in command_line(pid)]

    # ---- the two people ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reader]:
        reader = Reader(self.lab.database)
        try:
            yield reader
        finally:
            reader.close()

    def decide_by_socket(self) -> None:
        """Answer one waiting proposal; a refusal or a dead engine counts for nothing."""
        with self.reading() as reader:
            waiting = reader.queue()
            experiment = reader.experiment(waiting[-1].id) if waiting else None
            paused = reader.paused()
        if paused:  # a run of the champion was killed too often
            with contextlib.suppress(LabError):
                asyncio.run(ask(self.lab.socket, Resume(), timeout=10))
        if experiment is None:
            return
        sha = experiment.patch_sha256 or ""
        approve = self.dice.random() < 0.6
        request = Approve(experiment.id, sha) if approve else Veto(experiment.id, sha, "no")
        try:
            asyncio.run(ask(self.lab.socket, request, timeout=10))
        except LabError:
            return
        self.answered[experiment.id] = Decision.APPROVE if approve else Decision.VETO

    def decide_by_screen(self) -> None:
        """Answer what the screen shows; only what it says was taken counts."""
        self.screen.look()
        shown = re.search(r"#(\d+)\b.*WAITS FOR YOU", self.screen.text())
        if shown is None:
            return
        number, key = int(shown.group(1)), self.dice.choice("aav")
        self.screen.press(key)
        if key == "v":
            self.screen.read_for(0.3)
            self.screen.press("no", "enter")
        word = "approved" if key == "a" else "vetoed"
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and f"#{number} {word}" not in self.screen.text():
            self.screen.read(0.1)
        if f"#{number} {word}" in self.screen.text():
            self.answered[number] = DECIDED[key]
            self.by_screen += 1
        else:
            self.screen.press("esc")

    # ---- what must hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        with self.reading() as reader:
            recorded = {review.experiment_id: review.decision for review in reader.reviews()}
        for experiment_id, decision in self.answered.items():
            assert recorded.get(experiment_id) == decision, f"#{experiment_id}: an answered {decision} is lost"

    def finish(self) -> None:
        """Nobody decides and nobody kills any more; what was approved is judged."""
        deadline = time.monotonic() + 300
        while True:
            with self.reading() as reader:
                open_ones = [e.id for e in reader.experiments() if e.state in (State.APPROVED, State.RUNNING)]
                paused = reader.paused()
            if not open_ones:
                return
            if paused:
                asyncio.run(ask(self.lab.socket, Resume(), timeout=10))
            assert time.monotonic() < deadline, f"approved, and never judged: {open_ones}"
            self.screen.read_for(0.2)


def descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *descendants(child))]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def refs(lab: Lab) -> dict[str, str]:
    """Of every experiment, its commit."""
    listed = subprocess.run(
        ["git", "-C", str(lab.repo), "for-each-ref", "--format=%(refname) %(objectname)", "refs/autoresearch"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return dict(line.rsplit(" ", 1) for line in listed.splitlines())


def soak(lab: Lab, *, kills: int, seed: int) -> Soak:
    began = time.monotonic()
    with Soak(lab, seed) as work:
        while work.kills.total() < kills:
            for _ in range(work.dice.randrange(3)):
                work.dice.choice((work.decide_by_socket, work.decide_by_screen))()
            work.screen.read_for(work.dice.random() * 0.3)
            work.kill_somebody()
            work.check()
        work.finish()
        work.check()
    with work.reading() as reader:
        experiments = reader.experiments()
    for experiment in experiments:
        if experiment.commit_sha:
            assert refs(lab)[f"refs/autoresearch/{experiment.id}"] == experiment.commit_sha
    assert verify.problems(lab) == []
    assert not alive_with(str(lab.root)), "something goes on after the engine has ended"
    fsck = subprocess.run(["git", "-C", str(lab.repo), "fsck", "--strict"], capture_output=True, text=True, check=False)
    assert fsck.returncode == 0, fsck.stderr
    print(
        f"\nseed {seed}: {dict(work.kills)}, {len(work.answered)} answers ({work.by_screen} at the screen), "
        f"{len(experiments)} experiments, {time.monotonic() - began:.0f} s"
    )
    return work


@pytest.mark.slow
def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    soak(toy_lab(tmp_path, train=SLOWER, null_runs=1), kills=10, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [int(os.environ["SOAK_SEED"])] if "SOAK_SEED" in os.environ else range(4))
def test_two_hundred_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    done = soak(toy_lab(tmp_path, train=SLOWER, null_runs=1), kills=int(os.environ.get("SOAK_KILLS", "50")), seed=seed)
    assert {victim.partition(",")[0] for victim in done.kills} == set(VICTIMS)
    assert done.by_screen
