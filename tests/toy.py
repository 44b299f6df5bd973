"""A toy target that really trains: a process that reads its constants, logs a curve and prints a metric in a blink.

`toy_lab` makes a lab around it; `ScriptedResearcher` proposes what a test tells it to. `python -m tests.toy LAB` is the
engine of such a lab as a process of its own, for tests that kill it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.engine.engine import Engine, locked, logging_to, make_bench
from core.errors import ResearcherError
from core.lab import Lab, find
from core.models import Autonomy, Proposal
from core.requests import SetAutonomy, StopEngine
from core.researchers.base import Researcher, Say, Situation

TRAIN = '''\
"""A toy: the loss falls towards LEVEL, with seed noise of NOISE."""
import json, os, random, sys, time

LEVEL = 2.0
NOISE = 0.005
STEPS = 20
SECONDS = 0.0
FAIL = ""

rng = random.Random(int(os.environ["AR_SEED"]))
out = os.environ["AR_OUT"]
with open(os.path.join(out, "metrics.jsonl"), "w") as log:
    for step in range(STEPS):
        loss = LEVEL + 3.0 * 0.8**step
        log.write(json.dumps({"step": step, "t": step * 0.1, "progress": (step + 1) / STEPS, "loss": loss}) + "\\n")
        log.flush()
        time.sleep(SECONDS / STEPS)
if FAIL == "crash":
    raise RuntimeError("the toy broke")
if FAIL == "diverge":
    sys.exit(3)
if FAIL == "hang":
    time.sleep(3600)
if FAIL == "flood":
    print("x" * 10_000_000)
print(f"val_bpb: {LEVEL + NOISE * rng.gauss(0, 1)}")
'''

CHECKPOINT = """\
with open(os.path.join(out, "model.pt"), "w") as file:
    json.dump({"level": LEVEL, "draw": NOISE * rng.gauss(0, 1), "hidden": HIDDEN}, file)
"""
SCORED = TRAIN.replace('FAIL = ""', 'FAIL = ""\nHIDDEN = 0.1').replace(
    'print(f"val_bpb', f'{CHECKPOINT}print(f"val_bpb'
)
"""the toy with a checkpoint, for EVALUATE: the hidden split is HIDDEN harder"""

EVALUATE = """\
import json, os
model, split = json.load(open(os.environ["AR_OUT"] + "/model.pt")), os.environ["AR_SPLIT"]
score = model["level"] + model["draw"] + (model["hidden"] if split == "audit" else 0.0)
void = "the model sees the future" if score < 0 else None
with open(os.environ["AR_EVAL_OUT"] + "/result.json", "w") as file:
    json.dump({"metric": {split + "_bpb": score}, "void": void}, file)
"""

CONFIG = """\
[target]
source = {source}
prepare = []
describe = []
{evaluator}
[review]
undo_seconds = {undo_seconds}
allow_unsandboxed = true
[researcher]
kind = "offline"
lookahead = {lookahead}
[judging]
null_runs = {null_runs}
max_confirmations = {max_confirmations}
rerun_every = {rerun_every}
[runs]
devices = ["cpu"]
min_free_gigabytes = 0
wall_clock_seconds = {wall_clock_seconds}
"""


def toy_lab(
    root: Path,
    *,
    train: str = TRAIN,
    undo_seconds: float = 0.0,
    lookahead: int = 2,
    null_runs: int = 3,
    max_confirmations: int = 4,
    wall_clock_seconds: float = 60.0,
    rerun_every: int = 0,
    evaluate: str = "",
) -> Lab:
    """A lab around the toy target; `evaluate`: a script that scores the checkpoint on both splits."""
    source = root / "source"
    source.mkdir(parents=True)
    (source / "train.py").write_text(train)
    evaluator = "evaluate = []"
    if evaluate:
        (source / "evaluate.py").write_text(evaluate)
        command = json.dumps(["{python}", str(source / "evaluate.py")])
        evaluator = (
            f'evaluate = {command}\naudit_metric = "audit_bpb"\n[sandbox]\nreadable = [{json.dumps(str(source))}]'
        )
    lab = Lab(root / "lab")
    lab.root.mkdir()
    lab.program.write_text("Lower val_bpb.\n")
    lab.config_file.write_text(
        CONFIG.format(
            source=json.dumps(str(source)),
            evaluator=evaluator,
            undo_seconds=undo_seconds,
            lookahead=lookahead,
            null_runs=null_runs,
            max_confirmations=max_confirmations,
            wall_clock_seconds=wall_clock_seconds,
            rerun_every=rerun_every,
        )
    )
    return lab


@dataclass
class ScriptedResearcher:
    """Proposes `(old, new)` replacements on train.py, one after the other, then runs dry."""

    script: Sequence[tuple[str, str]]
    name: str = "scripted"
    asked: list[Situation] = field(default_factory=list)
    fail_first: int = 0

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        self.asked.append(situation)
        if self.fail_first:
            self.fail_first -= 1
            raise ResearcherError("the line is down")
        say("choosing the next change")
        done = {experiment.key for experiment in situation.history}
        for number, (old, new) in enumerate(self.script):
            key = f"{number}"
            if situation.revision is not None:
                return self._proposal(situation, old, f"{new}  # {situation.revision.note}", key)
            if key not in done and old in situation.files["train.py"]:
                return self._proposal(situation, old, new, key)
        return None

    def _proposal(self, situation: Situation, old: str, new: str, key: str) -> Proposal:
        changed = situation.files["train.py"].replace(old, new)
        return Proposal(f"{old} → {new}", "it helps", "because", "toy", {"train.py": changed}, self.name, key=key)


@asynccontextmanager
async def engine_at_work(
    lab: Lab, researcher: Researcher, *, autonomy: Autonomy | None = None
) -> AsyncIterator[Engine]:
    """An engine working in this very process, until the block ends."""
    with locked(lab):
        bench = make_bench(lab)
        engine = Engine(bench, researcher)
        if autonomy is not None:
            engine.handle(SetAutonomy(autonomy))
        task = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            engine.handle(StopEngine(runs=True))
            await task
            bench.store.close()


async def until(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait for a condition; fails with its source when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def main() -> int:
    lab = find(Path(sys.argv[1]))
    script = [tuple(pair) for pair in json.loads(sys.argv[2])]
    with locked(lab):
        logging_to(lab.log, echo=False)
        bench = make_bench(lab)
        engine = Engine(bench, ScriptedResearcher(script), experiments=int(sys.argv[3]) or None)
        engine.handle(SetAutonomy(Autonomy(sys.argv[4])))
        return asyncio.run(engine.run())


if __name__ == "__main__":
    sys.exit(main())
