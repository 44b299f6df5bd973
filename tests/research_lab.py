"""A lab after weeks of research: real-looking results, a lineage of champions, real commits where they are wanted.

    python -m tests.research_lab DIR [N]

Effects are drawn as they are in this field: most ideas do nothing or harm, few help, ever less.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.models import Decision, Proposal, Purpose, RunState, State, Verdict, Via
from core.workspace import Workspace
from tests.sample_lab import SampleLab, unified

SIGMA = 0.002
START = 1.842
FLOOR = 1.74
"""what no idea gets below"""
IDEAS = (
    ("MATRIX_LR", "0.02", ("0.027", "0.015", "0.04", "0.035"), "A hotter Muon step for the matrices"),
    ("EMBED_LR", "0.3", ("0.21", "0.4", "0.6"), "Embeddings learn at another pace"),
    ("COOLDOWN", "0.4", ("0.55", "0.3", "0.65"), "A longer cooldown lets the loss settle"),
    ("WARMUP", "0.02", ("0.0", "0.05"), "Warm up for another share of the budget"),
    ("SOFTCAP", "15.0", ("22.0", "12.0", "30.0"), "Loosen the cap on the logits"),
    ("SHORT_WINDOW", "0.5", ("0.33", "0.25", "0.66"), "Short attention windows of a third of the context"),
    ("WEIGHT_DECAY", "0.1", ("0.05", "0.2", "0.0"), "Weight decay, scaled to the new batch"),
    ("HEAD_DIM", "64", ("32", "128"), "Fewer, wider heads"),
    ("DEPTH", "4", ("5", "3"), "One layer more, paid for by the budget"),
)
AUTHORS = ("offline/constants", "offline/notebook", "claude", "human")


def loss(step: int, steps: int, level: float, noise: random.Random) -> float:
    share = step / steps
    return level * 1.7 + 6.0 * math.exp(-14.0 * share) + 0.9 * math.exp(-3.0 * share) + noise.gauss(0, 0.03)


class Research:
    """Tells a long story to a SampleLab."""

    def __init__(self, lab: SampleLab, *, seed: int = 7, commits: bool = True, points: int = 160) -> None:
        self.lab, self.writer, self.points = lab, lab.writer, points
        self.chance = random.Random(seed)
        self.workspace = Workspace(lab.lab.repo, lab=lab.lab.name) if commits else None
        self.files = dict(lab.files)
        self.champion, self.level = lab.commit, START

    def run(self, experiment: int | None, commit: str, level: float, purpose: Purpose, seed: int) -> float:
        """A finished run; its metric."""
        metric = level + self.chance.gauss(0, SIGMA)
        run = self.writer.add_run(
            experiment_id=experiment, purpose=purpose, commit_sha=commit, seed=seed, device="cpu",
            device_class="cpu/EPYC",
        )  # fmt: skip
        steps, seconds = self.points, 280.0 + self.chance.gauss(0, 4)
        rows = []
        noise = random.Random(run)
        for step in range(steps):
            t = seconds * (step + 1) / steps
            lr = min(1.0, (step + 1) / (0.02 * steps), (steps - step) / (0.4 * steps))
            rows += [("loss", step, t, loss(step, steps, level, noise)), ("lr", step, t, lr)]
            rows.append(("grad_norm", step, t, 0.4 + noise.random() * 0.1))
        self.writer.add_points(run, rows)
        self.writer.update_run(
            run, event="run_finished", state=RunState.FINISHED, phase="done", progress=1.0, metric=metric,
            started_at=self.lab.now() - seconds, ended_at=self.lab.now(),
            detail={
                "rc": 0,
                "seconds": {"start": 2.1, "train": seconds, "evaluate": 11.4},
                "train": {
                    "steps": steps, "tokens": 16_384 * steps, "parameters": 3_145_728,
                    "peak_memory_bytes": 1_240_000_000 + int(self.chance.random() * 3e7),
                },
            },
        )  # fmt: skip
        return metric

    def measures_the_baseline(self, runs: int = 4) -> None:
        for seed in range(runs):
            self.run(None, self.champion, START, Purpose.NULL if seed else Purpose.BASELINE, seed)
        self.writer.add_champion(self.champion, experiment_id=None)
        self.writer.set("noise", {"cpu/EPYC": {"sigma": SIGMA, "df": runs - 1, "low": 0.0011, "high": 0.0075}})

    def proposes(self, number: int) -> tuple[int, str, float]:
        """An idea as a row: its id, its commit, its true effect."""
        name, was, values, title = self.chance.choice(IDEAS)
        value = self.chance.choice(values)
        before = self.files["train.py"]
        line = next(line for line in before.splitlines() if line.startswith(f"{name} ="))
        after = before.replace(line, line.replace(line.split("=")[1].split("#")[0].strip(), value, 1), 1)
        if after == before:
            after = before.replace(line, f"{line.split('=')[0]}= {was}", 1)
        after = after.replace("\n\ndef main():", f"\n\n# idea {number}\ndef main():", 1) if after == before else after
        proposal = Proposal(
            f"{title}: {name} {value}", f"{name} = {value} lowers val_bpb by about 0.004.",
            f"At this budget {name} was tuned for another depth; {value} is where a smaller model's sweep ended.",
            "optimizer", {"train.py": after}, self.chance.choice(AUTHORS), "-0.004",
        )  # fmt: skip
        body = unified("train.py", before, after)
        experiment = self.writer.add_experiment(proposal, parent_commit=self.champion, state=State.DRAFTING)
        self.lab._version(experiment, body, "proposed")
        self.writer.update_experiment(experiment, state=State.PROPOSED)
        commit = f"{experiment:040x}"
        if self.workspace is not None:
            commit = self.workspace.commit(
                experiment, self.champion, {"train.py": after}, message=title, at=1.0e9 + experiment
            )
        self.after = after
        left = max(0.0, self.level - FLOOR) / (START - FLOOR)  # what is found first is not found again
        helps = self.chance.random() < 0.02 + 0.16 * left
        effect = -left * abs(self.chance.gauss(0.008, 0.003)) if helps else abs(self.chance.gauss(0.0, 0.006))
        return experiment, commit, effect

    def goes_on(self, experiments: int) -> None:
        for number in range(experiments):
            experiment, commit, effect = self.proposes(number)
            fate = self.chance.random()
            if fate < 0.04:
                self.lab.decides(experiment, Decision.VETO, reason="this changes the evaluation, not the model")
                continue
            self.lab.decides(experiment, Decision.APPROVE, via=self.chance.choice((Via.TUI, Via.POLICY)))
            self.writer.update_experiment(experiment, commit_sha=commit, state=State.RUNNING)
            if fate < 0.08:
                run = self.lab.starts(experiment)
                self.lab.ends(run, RunState.CRASHED, error="RuntimeError: shapes (64) and (32) do not match")
                self.judged(experiment, Verdict.CRASHED, None, None, 0, "the training script ended with an error")
                continue
            metric = self.run(experiment, commit, self.level + effect, Purpose.CANDIDATE, 0)
            if metric >= self.level:
                self.judged(
                    experiment, Verdict.DISCARD, metric, metric - self.level, 0, "not better in the screening run"
                )
                continue
            values = [self.run(experiment, commit, self.level + effect, Purpose.RETEST, seed) for seed in (1, 2)]
            mean = sum(values) / 2
            delta = mean - self.level
            if delta > -1.64 * SIGMA:
                verdict = Verdict.INCONCLUSIVE if delta < 0 else Verdict.DISCARD
                self.judged(experiment, verdict, mean, delta, 2, "2 fresh seeds cannot tell the gain from noise")
                continue
            if delta < -0.02:
                self.judged(
                    experiment, Verdict.SUSPECT, mean, delta, 2, "better by more than 8σ: too good to be kept unseen"
                )
                continue
            self.judged(
                experiment, Verdict.KEEP, mean, delta, 2, "better than the champion on 2 fresh seeds, beyond the noise"
            )
            self.champion, self.files, self.level = commit, {"train.py": self.after}, self.level + 0.6 * effect
            self.writer.add_champion(commit, experiment_id=experiment)
            for seed in (3, 4):
                self.run(None, commit, self.level, Purpose.NULL, seed)

    def judged(
        self, experiment: int, verdict: Verdict, metric: float | None, delta: float | None, n: int, reason: str
    ) -> None:
        half = 2.2 * SIGMA * math.sqrt(1 / max(n, 1) + 1 / 4)
        self.writer.update_experiment(
            experiment, event="judged", state=State.JUDGED, verdict=verdict, verdict_reason=reason, metric=metric,
            delta=delta, delta_low=None if delta is None else delta - half,
            delta_high=None if delta is None else delta + half, shrunken=None if delta is None else 0.7 * delta,
            confirmations=n if delta is not None else None, judged_at=self.lab.now(),
        )  # fmt: skip


def research(
    root: Path, experiments: int = 60, *, commits: bool = True, points: int = 160, now: Callable[[], float] = time.time
) -> SampleLab:
    """A lab with so many experiments behind it, one in training and two that wait."""
    lab = SampleLab(root, now=now)
    story = Research(lab, commits=commits, points=points)
    with lab.writer.transaction():
        story.measures_the_baseline()
    for first in range(0, experiments, 500):
        with lab.writer.transaction():
            story.goes_on(min(500, experiments - first))
    with lab.writer.transaction():
        running, commit, _ = story.proposes(experiments)
        lab.decides(running, Decision.APPROVE)
        lab.writer.update_experiment(running, commit_sha=commit)
        lab.trains(lab.starts(running), 0.55, level=3.15)
        for number in (1, 2):
            story.proposes(experiments + number)
        lab.feels()
    return lab


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: python -m tests.research_lab DIR [N]")
    count = int((arguments[1:] or ["60"])[0])
    research(Path(arguments[0]), count, commits=count <= 300, points=160 if count <= 300 else 0).close()


if __name__ == "__main__":
    main(sys.argv[1:])
