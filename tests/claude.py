"""A lab for Claude to be asked in: the toy target, a real record, and a researcher that talks to a scripted API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import config, patches
from core.lab import Lab
from core.models import Decision, Experiment, Proposal, Purpose, Review, RunState, State, Verdict, Via
from core.researchers.base import Revision, Situation
from core.researchers.claude import ClaudeResearcher
from core.secrets import Secret
from core.store import Writer
from tests.toy import TRAIN, toy_lab

KEY = "sk-ant-test-0123456789abcdef"
BASE = "a" * 40


@dataclass
class ClaudeLab:
    """One record and what the engine would do with it."""

    lab: Lab
    store: Writer
    files: dict[str, str] = field(default_factory=lambda: {"train.py": TRAIN})
    said: list[str] = field(default_factory=list)
    source: str = ""
    """a user's own repository; empty: the built-in target"""

    def researcher(self, url: str, *, secret: str = KEY, **settings: Any) -> ClaudeResearcher:
        """Claude at this endpoint, with no pauses between tries."""
        made = config.Researcher(**{"model": "claude-scripted", "base_url": url, **settings})
        key = Secret(secret, "ANTHROPIC_API_KEY") if secret else None
        whole = config.Config(researcher=made, target=config.Target(source=self.source))
        return ClaudeResearcher(self.lab, whole, self.store, key, pauses=(0.0, 0.0))

    def situation(self, *, revision: Revision | None = None) -> Situation:
        """What the engine would tell a researcher now."""
        reviews: dict[int, list[Review]] = {}
        for review in self.store.reviews():
            reviews.setdefault(review.experiment_id, []).append(review)

        def tried(changed: Mapping[str, str]) -> int | None:
            return self.store.tried(patches.syntax_sha256({**self.files, **changed}))

        return Situation(
            champion=BASE,
            files=self.files,
            program="Lower val_bpb. Short code wins.",
            metric="val_bpb",
            direction="min",
            history=self.store.experiments(),
            reviews=reviews,
            messages=self.store.messages(unanswered=True),
            revision=revision,
            sigma=0.005,
            tried=tried,
        )

    def add(
        self,
        edits: Sequence[tuple[str, str]],
        *,
        title: str = "",
        hypothesis: str = "it helps",
        state: State = State.PROPOSED,
        verdict: Verdict | None = None,
        delta: float | None = None,
        reason: str = "",
        author: str = "claude",
        category: str = "optimizer",
        key: str = '{"source":"claude"}',
    ) -> Experiment:
        """An experiment of the past, with its patch; a veto gets its review."""
        text = self.files["train.py"]
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        patch = patches.diff(self.files, {"train.py": text})
        title = title or " and ".join(f"{old} → {new}" for old, new in edits)
        proposal = Proposal(title, hypothesis, "because", category, {"train.py": text}, author, "-0.01", key)
        with self.store.transaction():
            number = self.store.add_experiment(proposal, parent_commit=BASE, state=State.PROPOSED)
            self.store.add_patch(patch.sha256, patch.text, added=patch.added, removed=patch.removed)
            self.store.add_patch_version(number, patch.sha256, "proposed")
            if state is State.VETOED:
                self.store.add_review(
                    number, Decision.VETO, reason=reason, patch_sha256=patch.sha256, approved_sha256=None,
                    actor="anna", via=Via.TUI,
                )  # fmt: skip
            self.store.update_experiment(
                number,
                state=State.JUDGED if verdict else state,
                verdict=verdict,
                verdict_reason=reason if verdict else "",
                delta=delta,
                judged_at=float(number) if verdict else None,
                decided_at=float(number),
                syntax_sha256=patches.syntax_sha256({**self.files, "train.py": text}),
            )
        found = self.store.experiment(number)
        assert found is not None
        return found

    def run(
        self,
        experiment: int | None,
        *,
        state: RunState = RunState.FINISHED,
        metric: float | None = 2.0,
        log: str = "",
        purpose: Purpose = Purpose.BASELINE,
    ) -> int:
        """A run that has ended, with a curve of twenty points."""
        number = self.store.add_run(
            experiment_id=experiment,
            purpose=Purpose.CANDIDATE if experiment and purpose is Purpose.BASELINE else purpose,
            commit_sha=BASE if experiment is None else "b" * 40,
            seed=0,
            device="cpu",
            device_class="cpu/toy",
        )
        slow = 0.0 if experiment is None else 0.1
        self.store.add_points(number, [("loss", s, s * 0.1, 2 + slow + 3 * 0.8**s) for s in range(20)])
        self.store.update_run(
            number, state=state, metric=metric if state is RunState.FINISHED else None, ended_at=1.0, error=log[-60:]
        )
        directory = self.lab.run_directory(number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "stdout.log").write_text(log)
        return number


def claude_lab(root: Path) -> ClaudeLab:
    """A lab whose record is still empty."""
    lab = toy_lab(root)
    store = Writer(lab.database)
    store.set("devices", [{"name": "cpu", "class": "cpu/toy"}])
    store.set("noise", {"cpu/toy": {"sigma": 0.005, "df": 2, "low": 0.003, "high": 0.03}})
    return ClaudeLab(lab, store)
