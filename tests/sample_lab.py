"""Labs to look at: the real Writer and a real repository, without an engine.

`SampleLab` tells a lab's story in its own words: `lab.baseline()`, `lab.proposes(...)`, `lab.trains(...)`.
`python -m tests.sample_lab DIR [STATE|N]` makes one to open by hand: a state by name, or N experiments for a bench.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from core import config
from core.lab import Lab
from core.models import Decision, Proposal, Purpose, Run, RunState, State, Verdict, Via
from core.store import Writer
from core.store.rows import Gauge
from tests.sample_target import LOG, QK_NORM, TITLES, TRACEBACK, TRAIN, WINDOW


class SampleLab:
    """A lab being written, as the engine would."""

    def __init__(self, root: Path, *, now: Callable[[], float] = time.time) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.lab = Lab(root)
        self.lab.config_file.write_text(config.render("cpu", "stdlib"))
        self.lab.program.write_text("Lower val_bpb.\n")
        self.lab.runs.mkdir(exist_ok=True)
        self.now = now
        self.files = {"train.py": TRAIN}
        made, self.commit = _repository()
        shutil.copytree(made.name, self.lab.repo)
        self.writer = Writer(self.lab.database)
        self.writer.db.execute("PRAGMA synchronous=OFF")  # no sample outlives a power cut
        self.writer.set("autonomy", "manual")
        self.writer.set("lab", {"profile": "cpu", "metric": "val_bpb", "direction": "min", "corpus": "stdlib"})
        self.writer.set("engine", {"pid": os.getpid(), "started": now(), "version": "0.1.0", "state": "running"})
        self.writer.set("sandbox", {"tier": "A", "detail": "bubblewrap"})
        self.writer.set("devices", [{"name": "cpu", "class": "cpu/EPYC"}])
        self.writer.set("preparation", {"state": "ready"})
        self.says("idle")

    def close(self) -> None:
        self.writer.close()

    # ---- the researcher ----------------------------------------------------------------------------------------

    def says(
        self, state: str, detail: str = "", *, kind: str = "offline", seconds: float = 0, key_missing: bool = True
    ) -> None:
        self.writer.set(
            "researcher",
            {"kind": kind, "state": state, "since": self.now() - seconds, "detail": detail, "key_missing": key_missing},
        )

    def proposes(
        self,
        title: str = TITLES[0],
        edits: tuple[tuple[str, str], ...] = QK_NORM,
        *,
        hypothesis: str = "Sharper attention lowers val_bpb by about 0.004.",
        rationale: str = "QK-norm takes the scale out of the logits; a small model then attends too evenly.",
        author: str = "offline/notebook",
        state: State = State.PROPOSED,
        problem: str = "",
        patch: str | None = None,
    ) -> int:
        after = TRAIN
        for old, new in edits:
            assert old in after, old
            after = after.replace(old, new, 1)
        body = unified("train.py", TRAIN, after) if patch is None else patch
        proposal = Proposal(title, hypothesis, rationale, "architecture", {"train.py": after}, author, "-0.004")
        with self.writer.transaction():
            experiment = self.writer.add_experiment(
                proposal, parent_commit=self.commit, state=State.DRAFTING, problem=problem
            )
            self._version(experiment, body, "proposed")
            self.writer.update_experiment(experiment, state=state)
        return experiment

    def _version(self, experiment: int, body: str, source: str) -> str:
        sha = hashlib.sha256(body.encode()).hexdigest()
        lines = body.splitlines()
        added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
        removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
        self.writer.add_patch(sha, body, added=added, removed=removed)
        self.writer.add_patch_version(experiment, sha, source)
        return sha

    # ---- the human ---------------------------------------------------------------------------------------------

    def decides(
        self, experiment: int, decision: Decision, *, reason: str = "", via: Via = Via.TUI, hold: float = 0
    ) -> None:
        row = self.writer.experiment(experiment)
        assert row is not None
        assert row.patch_sha256 is not None
        approving = decision in (Decision.APPROVE, Decision.APPROVE_EDITED)
        state = {Decision.REVISE: State.REVISING, Decision.VETO: State.VETOED}.get(decision, State.APPROVED)
        with self.writer.transaction():
            self.writer.add_review(
                experiment,
                decision,
                reason=reason,
                patch_sha256=row.patch_sha256,
                approved_sha256=row.patch_sha256 if approving else None,
                actor="human",
                via=via,
                policy="guarded: 12 lines, no risk found" if via is Via.POLICY else "",
            )
            self.writer.update_experiment(
                experiment,
                state=state,
                decided_at=self.now(),
                commit_sha=self.commit if approving else None,
                hold_until=self.now() + hold if hold else None,
            )

    # ---- runs --------------------------------------------------------------------------------------------------

    def starts(
        self,
        experiment: int | None,
        *,
        purpose: Purpose = Purpose.CANDIDATE,
        seed: int = 0,
        phase: str = "starting",
        device: str = "cpu",
    ) -> int:
        run = self.writer.add_run(
            experiment_id=experiment,
            purpose=purpose,
            commit_sha=self.commit,
            seed=seed,
            device=device,
            device_class="cpu/EPYC" if device == "cpu" else "H100",
        )
        if experiment is not None:
            self.writer.update_experiment(experiment, state=State.RUNNING)
        self.writer.update_run(run, state=RunState.RUNNING, phase=phase, started_at=self.now())
        self.writer.db.execute("UPDATE runs SET created_at = ? WHERE id = ?", (self.now(), run))
        self.lab.run_directory(run).mkdir(parents=True, exist_ok=True)
        self.log(run).write_text(f"compiling...\nmodel of 4 layers, 3,145,728 parameters, seed {seed}\n")
        return run

    def log(self, run: int) -> Path:
        return self.lab.run_directory(run) / "stdout.log"

    def trains(self, run: int, progress: float, *, seconds: float = 24.0, level: float = 3.2, steps: int = 240) -> None:
        """The curve up to a share of the budget."""
        upto = int(steps * progress)
        self.writer.add_points(run, curve(run, upto, steps, seconds, level))
        self.writer.update_run(run, phase="training", progress=progress)
        with self.log(run).open("a") as log:
            for step in range(0, upto, 10):
                log.write(LOG.format(step=step, percent=100 * step / steps, loss=level))
            log.write("\n")

    def ends(
        self, run: int, state: RunState = RunState.FINISHED, *, metric: float | None = None, error: str = ""
    ) -> None:
        self.writer.update_run(
            run,
            event="run_ended",
            state=state,
            phase="done",
            progress=1.0 if metric is not None else 0.4,
            metric=metric,
            error=error,
            ended_at=self.now(),
            detail={
                "seconds": {"queue": 0.2, "start": 1.6, "train": 24.0, "evaluate": 3.1, "judge": 0.1}
                if state is RunState.FINISHED
                else {"queue": 0.2, "start": 1.6, "train": 9.6},
                "tokens": 1_158_000,
            },
        )

    def whole_run(
        self, experiment: int | None, metric: float, *, purpose: Purpose = Purpose.CANDIDATE, seed: int = 0
    ) -> int:
        run = self.starts(experiment, purpose=purpose, seed=seed)
        self.trains(run, 1.0, level=3.2 + (metric - 1.84))
        self.ends(run, metric=metric)
        return run

    def baseline(self, *, null_runs: int = 3) -> None:
        """The unchanged code, measured: it is the champion."""
        for seed in range(null_runs):
            purpose = Purpose.NULL if seed else Purpose.BASELINE
            self.whole_run(None, 1.842 + 0.002 * (seed - 1), purpose=purpose, seed=seed)
        self.writer.add_champion(self.commit, experiment_id=None)
        self.writer.set("noise", {"cpu/EPYC": {"sigma": 0.002, "df": 2, "low": 0.001, "high": 0.0126}})

    def judges(
        self,
        experiment: int,
        verdict: Verdict,
        *,
        delta: float | None = None,
        half: float = 0.003,
        reason: str = "",
    ) -> None:
        self.writer.update_experiment(
            experiment,
            state=State.JUDGED,
            verdict=verdict,
            verdict_reason=reason,
            metric=None if delta is None else 1.842 + delta,
            delta=delta,
            delta_low=None if delta is None else delta - half,
            delta_high=None if delta is None else delta + half,
            judged_at=self.now(),
        )
        if verdict is Verdict.KEEP:
            self.writer.add_champion(self.commit, experiment_id=experiment)

    def tells(self, verdict: Verdict, delta: float | None, title: str, reason: str = "") -> int:
        """One experiment, from the proposal to its verdict."""
        experiment = self.proposes(title)
        self.decides(experiment, Decision.APPROVE)
        self.whole_run(experiment, 1.842 + (delta or 0.0))
        self.judges(experiment, verdict, delta=delta, reason=reason)
        return experiment

    def feels(self, utilization: float = 97.0) -> None:
        """A telemetry sample."""
        sample = Gauge("cpu", self.now(), utilization, 3.4e9, 16.0e9, None, None)
        self.writer.add_gauges([sample], run_id=None, keep_seconds=3600)


def curve(run: int, upto: int, steps: int, seconds: float, level: float) -> list[tuple[str, int, float, float]]:
    """Points of loss, lr, grad_norm and tokens_per_s of the first steps; the same for the same run."""
    noise = random.Random(run)
    points = []
    for step in range(upto):
        t = seconds * (step + 1) / steps
        loss = level + 6.0 * math.exp(-9.0 * step / steps) - 0.4 * step / steps + noise.gauss(0, 0.02)
        lr = min(1.0, step / (0.02 * steps), (steps - step) / (0.4 * steps))
        points += [("loss", step, t, loss), ("lr", step, t, lr), ("grad_norm", step, t, 0.4 + noise.random() * 0.1)]
        points.append(("tokens_per_s", step, t, 48_000 + noise.gauss(0, 300)))
    return points


@functools.cache
def unified(path: str, before: str, after: str) -> str:
    """A patch as git takes it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return f"diff --git a/{path} b/{path}\n{''.join(lines)}"


@functools.cache
def _repository() -> tuple[tempfile.TemporaryDirectory[str], str]:
    """A git repository with one commit of the target's files, to copy, and the commit; gone when Python ends."""
    made = tempfile.TemporaryDirectory()
    who = {"NAME": "sample", "EMAIL": "sample@localhost", "DATE": "@0 +0000"}
    env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}

    def git(*arguments: str) -> str:
        command = ["git", "-C", made.name, *arguments]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main", "--template=")
    (Path(made.name) / "train.py").write_text(TRAIN)
    git("add", "-A")
    git("commit", "-q", "-m", "the unchanged target")
    return made, git("rev-parse", "HEAD")


# ---- labs in a state -----------------------------------------------------------------------------------------------


def waiting(lab: SampleLab) -> None:
    """Three proposals wait while an approved one trains."""
    lab.baseline()
    lab.tells(Verdict.DISCARD, 0.0061, TITLES[6], "worse than the champion")
    lab.tells(Verdict.KEEP, -0.0093, TITLES[1], "better, confirmed on 2 fresh seeds")
    lab.tells(Verdict.INCONCLUSIVE, -0.0004, TITLES[7], "within the noise")
    vetoed = lab.proposes(TITLES[9], WINDOW)
    lab.decides(vetoed, Decision.VETO, reason="changes the evaluation's range, not the model")
    running = lab.proposes(TITLES[3])
    lab.decides(running, Decision.APPROVE)
    run = lab.starts(running)
    lab.trains(run, 0.55, level=3.15)
    lab.feels()
    lab.proposes(TITLES[0])
    lab.proposes(TITLES[2], WINDOW, author="offline/notebook")
    lab.proposes(TITLES[8], (("COOLDOWN = 0.4\n", "COOLDOWN = 0.55\n"),), author="offline/constants")
    lab.says("idle", "2 proposals are ready")


def empty(lab: SampleLab) -> None:
    lab.writer.set("preparation", {"state": "none"})


def preparing(lab: SampleLab) -> None:
    note = {"state": "running", "stage": "packing tokens", "done": 31.0, "total": 80.0, "note": "31 of 80 MB"}
    lab.writer.set("preparation", note)


def preparation_failed(lab: SampleLab) -> None:
    note = {"state": "failed", "stage": "reading", "error": "shard 3 is cut short", "hint": "remove it"}
    lab.writer.set("preparation", note)


def measuring(lab: SampleLab) -> None:
    """A new lab measures its own noise."""
    lab.whole_run(None, 1.842, purpose=Purpose.BASELINE)
    run = lab.starts(None, purpose=Purpose.NULL, seed=1)
    lab.trains(run, 0.3)
    lab.says("thinking", "reading train.py", seconds=12)


def thinking(lab: SampleLab) -> None:
    lab.baseline()
    lab.tells(Verdict.DISCARD, 0.0061, TITLES[6], "worse than the champion")
    lab.says("thinking", "fitting the search to 1 result", seconds=42)


def compiling(lab: SampleLab) -> None:
    lab.baseline()
    experiment = lab.proposes()
    lab.decides(experiment, Decision.APPROVE)
    lab.starts(experiment, phase="compiling")


def crashed(lab: SampleLab) -> None:
    lab.baseline()
    experiment = lab.proposes()
    lab.decides(experiment, Decision.APPROVE)
    run = lab.starts(experiment)
    lab.trains(run, 0.05)
    with lab.log(run).open("a") as log:
        log.write(TRACEBACK)
    lab.ends(run, RunState.CRASHED, error=TRACEBACK.splitlines()[-1])
    lab.judges(experiment, Verdict.CRASHED, reason="the training script ended with an error")


def ended(state: RunState, verdict: Verdict, error: str) -> Callable[[SampleLab], None]:
    def story(lab: SampleLab) -> None:
        lab.baseline()
        experiment = lab.proposes()
        lab.decides(experiment, Decision.APPROVE)
        run = lab.starts(experiment)
        lab.trains(run, 0.4)
        lab.ends(run, state, error=error)
        lab.judges(experiment, verdict, reason=error)

    return story


def judged(verdict: Verdict, delta: float, reason: str) -> Callable[[SampleLab], None]:
    def story(lab: SampleLab) -> None:
        lab.baseline()
        lab.tells(verdict, delta, TITLES[0], reason)

    return story


def stale(lab: SampleLab) -> None:
    """A waiting patch that no longer applies."""
    lab.baseline()
    lab.proposes(problem="the champion has changed and this no longer fits: train.py line 44 reads otherwise now")
    lab.writer.add_champion("f" * 40, experiment_id=None)


def hostile(lab: SampleLab) -> None:
    """Texts that try to be more than text."""
    lab.baseline()
    bad = "[/] [b]bold[/b] [@click=app.quit]x[/] \x1b]52;c;aGk=\x07 \x1bc \x9b6n \u202eesrever\u202c a\u200bb"
    rude = f"    return WEIGHT_DECAY * (1 - progress)  # {bad}\n".replace("\n", "") + "\n"
    edits = (("    return WEIGHT_DECAY * (1 - progress)\n", rude),)
    lab.proposes(bad, edits, hypothesis=bad, rationale=f"{bad}\n" * 3, author=bad, problem=bad)
    lab.says("thinking", bad, kind=bad)
    run = lab.starts(None, purpose=Purpose.NULL)
    lab.trains(run, 0.2)
    with lab.log(run).open("a") as log:
        log.write(f"{bad}\n")
    lab.writer.set("paused", bad)


STATES: dict[str, Callable[[SampleLab], None]] = {
    "waiting": waiting,
    "empty": empty,
    "preparing": preparing,
    "preparation_failed": preparation_failed,
    "measuring": measuring,
    "thinking": thinking,
    "compiling": compiling,
    "crashed": crashed,
    "diverged": ended(RunState.DIVERGED, Verdict.CRASHED, "the loss was NaN from step 96 on"),
    "timeout": ended(RunState.TIMEOUT, Verdict.CRASHED, "longer than 4 times the champion's 27 s"),
    "killed": ended(RunState.KILLED, Verdict.VOID, "stopped by you"),
    "better": judged(Verdict.KEEP, -0.0093, "better, confirmed on 2 fresh seeds"),
    "worse": judged(Verdict.DISCARD, 0.0061, "worse than the champion"),
    "noise": judged(Verdict.INCONCLUSIVE, -0.0004, "within the noise after 4 confirmations"),
    "stale": stale,
    "hostile": hostile,
}


def build(root: Path, state: str = "waiting", *, now: Callable[[], float] = time.time) -> SampleLab:
    """A lab in one of the states."""
    lab = SampleLab(root, now=now)
    STATES[state](lab)
    return lab


def big(root: Path, experiments: int = 10_000, *, points: int = 0, patch_lines: int = 0) -> SampleLab:
    """A lab after a long time: most experiments judged, a few waiting, one training; `points` of curves in all."""
    lab = SampleLab(root)
    noise = random.Random(1)
    with lab.writer.transaction():
        lab.baseline()
    steps = max(points // max(experiments, 1) // 4, 0)
    for first in range(0, experiments, 1000):
        with lab.writer.transaction():
            for number in range(first, min(first + 1000, experiments)):
                verdict = noise.choices((Verdict.DISCARD, Verdict.KEEP, Verdict.CRASHED), (90, 6, 4))[0]
                experiment = lab.proposes(f"{TITLES[number % 10]} ({number})", WINDOW)
                lab.decides(experiment, Decision.APPROVE, via=noise.choice((Via.TUI, Via.POLICY)))
                run = lab.writer.add_run(
                    experiment_id=experiment, purpose=Purpose.CANDIDATE, commit_sha=f"{number:040x}", seed=number % 5,
                    device="cpu", device_class="cpu/EPYC",
                )  # fmt: skip
                lab.writer.add_points(run, curve(run, steps, steps, 24.0, 3.2))
                delta = noise.gauss(-0.008 if verdict is Verdict.KEEP else 0.004, 0.002)
                lab.ends(run, RunState.CRASHED if verdict is Verdict.CRASHED else RunState.FINISHED, metric=None)
                lab.judges(experiment, verdict, delta=None if verdict is Verdict.CRASHED else delta)
    with lab.writer.transaction():
        running = lab.proposes(TITLES[3])
        lab.decides(running, Decision.APPROVE)
        lab.trains(lab.starts(running), 0.5)
        for title in TITLES[:3]:
            lab.proposes(title, _long(patch_lines) if patch_lines else QK_NORM)
    lab.feels()
    return lab


def _long(lines: int) -> tuple[tuple[str, str], ...]:
    """An edit that adds this many lines."""
    body = "".join(f"    weight_{i} = schedule({i} / {lines}) * MATRIX_LR  # row {i}\n" for i in range(lines))
    return (("def main():\n", f"def table():\n{body}\n\ndef main():\n"),)


def live(lab: SampleLab, run: Run, *, seconds: float, steps: int = 240) -> None:
    """Let a run go on for a while, as an engine does: points, progress and telemetry twice a second."""
    begin, first = time.monotonic(), int(steps * run.progress)
    while (gone := time.monotonic() - begin) < seconds:
        step = min(first + int(5 * gone) + 1, steps)
        lab.writer.add_points(run.id, curve(run.id, step, steps, 24.0, 3.15)[-20:])
        lab.writer.update_run(run.id, progress=step / steps)
        lab.feels(90 + 10 * math.sin(gone))
        with lab.log(run.id).open("a") as log:
            log.write(LOG.format(step=step, percent=100 * step / steps, loss=3.1))
        time.sleep(0.5)


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        sys.exit(f"usage: python -m tests.sample_lab DIR [{'|'.join(STATES)}|N]")
    root, what = Path(arguments[0]), (arguments[1:] or ["waiting"])[0]
    lab = big(root, int(what)) if what.isdigit() else build(root, what)
    lab.close()


if __name__ == "__main__":
    main(sys.argv[1:])
