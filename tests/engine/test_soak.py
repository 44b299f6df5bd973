"""Random SIGKILLs of engine, runner and trainer while a human decides: nothing answered is lost, `verify` is clean."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import verify
from core.engine.start import answers
from core.errors import LabError
from core.lab import Lab
from core.models import Decision
from core.requests import Approve, Veto, ask
from core.runs.runner import children
from core.store import Reader
from tests.toy import toy_lab

SCRIPT = [("LEVEL = 2.0", f"LEVEL = {2.01 + i / 1000:.3f}") for i in range(900)]


class Soak:
    """An engine that is killed again and again, and a human who keeps deciding."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.dice = random.Random(seed)
        self.answered: dict[int, Decision] = {}
        """what the engine has acknowledged"""
        self.kills: dict[str, int] = {"engine": 0, "runner": 0, "trainer": 0}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.toy", str(self.lab.root), json.dumps(SCRIPT), "100000", "manual"]
        )
        deadline = time.monotonic() + 60
        while not answers(self.lab):
            assert self.process.poll() is None, "the engine did not come up again"
            assert time.monotonic() < deadline, "the engine came up but does not answer"
            time.sleep(0.02)

    def kill_somebody(self) -> None:
        assert self.process is not None
        victim = self.dice.choice(["engine", "engine", "runner", "trainer"])
        runners = children(self.process.pid)
        trainers = [child for runner in runners for child in children(runner)]
        pids = {"engine": [self.process.pid], "runner": runners, "trainer": trainers}[victim]
        if not pids:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.dice.choice(pids), signal.SIGKILL)
            self.kills[victim] += 1
        if victim == "engine":
            self.process.wait()
            self.start()

    def decide(self) -> None:
        """Answer one waiting proposal; a refusal or a dead engine counts for nothing."""
        reader = Reader(self.lab.database)
        try:
            waiting = reader.queue()
            experiment = reader.experiment(waiting[0].id) if waiting else None
        finally:
            reader.close()
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

    def check(self) -> None:
        reader = Reader(self.lab.database)
        recorded = {review.experiment_id: review.decision for review in reader.reviews()}
        reader.close()
        for experiment_id, decision in self.answered.items():
            assert recorded.get(experiment_id) == decision, f"#{experiment_id}: an answered {decision} is lost"


def soak(lab: Lab, *, kills: int, seed: int) -> Soak:
    run = Soak(lab, seed)
    run.start()
    try:
        while sum(run.kills.values()) < kills:
            for _ in range(run.dice.randrange(3)):
                run.decide()
            time.sleep(run.dice.random() * 0.3)
            run.kill_somebody()
            run.check()
    finally:
        assert run.process is not None
        run.process.terminate()
        run.process.wait(timeout=30)
    return run


@pytest.mark.slow
def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, null_runs=1)
    soak(lab, kills=10, seed=1)
    assert verify.problems(lab) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    lab = toy_lab(tmp_path, null_runs=1)
    done = soak(lab, kills=50, seed=seed)
    assert verify.problems(lab) == []
    assert all(done.kills.values())
