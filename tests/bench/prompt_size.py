"""How long the prompt is, how much of the next one is cached, and how long it takes to make it.

`python -m tests.bench.prompt_size [TOKENS]`: labs of 10, 200 and 2,000 experiments on the real train.py and
program.md, a sixth of them kept. The second proposal is asked for after one more verdict. Tokens are our estimate (3
bytes each, the tools included); real ones are in the table `usage` of a lab.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from core import config, patches
from core.lab import Lab, target_source
from core.models import Decision, Proposal, Review, State, Verdict, Via
from core.researchers.base import Situation
from core.researchers.claude.desk import Desk
from core.researchers.claude.facts import read_facts
from core.researchers.claude.forms import tools
from core.researchers.claude.prompt import build
from core.researchers.claude.question import CATEGORIES, question
from core.researchers.claude.repeats import vetoed_ideas
from core.researchers.claude.shelf import shelf
from core.researchers.claude.words import estimate
from core.store import Reader, Writer
from tests.messages_api import PromptCache

LABS = (10, 200, 2_000)
REPEATS = 7
CHAMPION = "c" * 40


def fill(store: Writer, files: dict[str, str], first: int, last: int) -> None:
    """Experiments `first` to `last`, with texts of a usual length, reviews, verdicts and patches."""
    chance = random.Random(1)
    with store.transaction():
        for number in range(first, last + 1):
            text = files["train.py"].replace("MATRIX_LR = 0.04", f"MATRIX_LR = 0.{4000 + number}")
            patch = patches.diff(files, {"train.py": text}) if number <= 60 else None
            title = f"Raise the rate of the matrices to 0.{4000 + number} and warm it up over a tenth"
            proposal = Proposal(
                title, "It lowers val_bpb by 0.002.", "The curve is flat at the end. " * 20,
                CATEGORIES[number % len(CATEGORIES)], {}, "claude", "-0.002",
            )  # fmt: skip
            made = store.add_experiment(proposal, parent_commit=CHAMPION, state=State.PROPOSED)
            if patch is not None:
                store.add_patch(patch.sha256, patch.text, added=patch.added, removed=patch.removed)
                store.add_patch_version(made, patch.sha256, "proposed")
            vetoed = patch is not None and number % 9 == 0
            if vetoed and patch is not None:
                store.add_review(
                    made, Decision.VETO, reason="too close to what we had last week", patch_sha256=patch.sha256,
                    approved_sha256=None, actor="anna", via=Via.TUI,
                )  # fmt: skip
                store.update_experiment(made, state=State.VETOED, decided_at=float(number))
                continue
            kept = number % 6 == 0
            change = -abs(chance.gauss(0.003, 0.001)) if kept else chance.gauss(0.002, 0.003)
            store.update_experiment(
                made, state=State.JUDGED, verdict=Verdict.KEEP if kept else Verdict.DISCARD, delta=change,
                delta_low=change - 0.001, delta_high=change + 0.001, confirmations=3 if kept else 0,
                metric=0.95 + change, judged_at=float(number),
            )  # fmt: skip


def situation(store: Writer, files: dict[str, str], program: str) -> Situation:
    reviews: dict[int, list[Review]] = {}
    for review in store.reviews():
        reviews.setdefault(review.experiment_id, []).append(review)
    return Situation(CHAMPION, files, program, "val_bpb", "min", store.experiments(), reviews, sigma=0.0007)


def main() -> None:
    budget = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    folder = target_source()
    files = {"train.py": (folder / "train.py").read_text()}
    program = (folder / "program.md").read_text()
    known = tools(eager=True)
    sys.stderr.write(f"budget {budget:,} tokens; train.py is {estimate(files['train.py']):,} of them\n")
    print("experiments  tokens  cached on the second  ms of CPU to build (record read too)  blocks")
    for size in LABS:
        with tempfile.TemporaryDirectory() as directory:
            lab = Lab(Path(directory))
            store = Writer(lab.database)
            store.set("devices", [{"name": "cuda:0", "class": "h100"}])
            store.set("noise", {"h100": {"sigma": 0.0007, "df": 12, "low": 0.0005, "high": 0.0012}})
            fill(store, files, 1, size)
            reader, cache = Reader(lab.database), PromptCache()
            took: list[tuple[float, float]] = []
            for repeat in range(REPEATS + 1):
                if repeat == REPEATS:
                    fill(store, files, size + 1, size + 1)
                begin = time.process_time()
                now = situation(store, files, program)
                asked = question(now, 8)
                desk = Desk(lab, reader, now, shelf(config.Target()), lambda note: None)
                facts = read_facts(reader, desk, now, asked, config.Judging())
                list(vetoed_ideas(now.history, now.reviews, reader.patch))
                middle = time.process_time()
                prompt = build(now, facts, asked, tokens=budget - estimate(str(known)))
                end = time.process_time()
                took.append((end - middle, end - begin))
                if repeat in (0, REPEATS):
                    message = {"role": "user", "content": prompt.content}
                    usage = cache.usage({"tools": known, "system": prompt.system, "messages": [message]})
            share = usage["cache_read_input_tokens"] / sum(usage.values())
            tokens = prompt.tokens + estimate(str(known))
            alone, whole = (min(t[i] for t in took) * 1_000 for i in (0, 1))
            blocks = len(prompt.content)
            print(f"{size:>11,}  {tokens:>6,}  {share:>20.0%}  {alone:>18.1f} {f'({whole:.0f})':>17}  {blocks:>6}")
            reader.close()
            store.close()


if __name__ == "__main__":
    main()
