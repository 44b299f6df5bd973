"""A small target, and a lab in which the offline researcher's proposals meet outcomes that a test chooses."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from core.models import Experiment, Proposal, State, Verdict
from core.researchers.base import Revision, Situation
from core.researchers.offline import OfflineResearcher

SMALL = '''\
"""A target with a few constants."""

SEED = 1337
MATRIX_LR = 0.04  # Muon
WEIGHT_DECAY = 0.2
BETAS = (0.8, 0.95)  # AdamW
WARMDOWN = 0.5    # share at the end in which the rates fall
LAYERS = 4
EVAL_TOKENS = 65_536


def train():
    return SEED, MATRIX_LR, WEIGHT_DECAY, BETAS, WARMDOWN, LAYERS, EVAL_TOKENS
'''


def experiment(number: int, state: State = State.PROPOSED, **known: Any) -> Experiment:
    """A row with empty values wherever the test says nothing."""
    empty: dict[str, Any] = {"str": "", "int": 0, "float": 0.0}
    blank = {field.name: empty.get(str(field.type)) for field in fields(Experiment)}
    return Experiment(**{**blank, "id": number, "state": state, **known})


def code_of(files: Mapping[str, str]) -> str:
    """Stands in for the syntax hash, which would be most of the time these tests take."""
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


@dataclass
class OfflineLab:
    """Files, a history, and the researcher that sees both."""

    files: dict[str, str] = field(default_factory=lambda: {"train.py": SMALL})
    history: list[Experiment] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    seed: int = 0
    direction: str = "min"
    sigma: float | None = 0.003
    said: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """more of the situation: reviews, messages"""

    def tried(self, changed: Mapping[str, str]) -> int | None:
        return self.seen.get(code_of({**self.files, **changed}))

    def situation(self, revision: Revision | None = None) -> Situation:
        return Situation(
            champion=code_of(self.files),
            files=dict(self.files),
            program="",
            metric="val_bpb",
            direction=self.direction,
            history=tuple(self.history),
            sigma=self.sigma,
            seed=self.seed,
            tried=self.tried,
            revision=revision,
            **self.extra,
        )

    def asks(self, revision: Revision | None = None) -> Proposal | None:
        """One question, its answer not recorded."""
        return asyncio.run(OfflineResearcher().propose(self.situation(revision), self.said.append))

    def proposes(self) -> Proposal | None:
        """One question; the answer becomes an experiment that waits for a review."""
        proposal = self.asks()
        if proposal is not None:
            number = len(self.history) + 1
            assert self.tried(proposal.files) is None, f"{proposal.title} was tried before"
            self.seen[code_of({**self.files, **proposal.files})] = number
            texts: dict[str, Any] = {"title": proposal.title, "author": proposal.author, "key": proposal.key}
            self.history.append(experiment(number, parent_commit=code_of(self.files), **texts))
            self.proposals.append(proposal)
        return proposal

    def ends(self, verdict: Verdict = Verdict.DISCARD, delta: float | None = 0.004) -> None:
        """The newest experiment was judged; a kept one becomes the champion."""
        delta = None if verdict in (Verdict.CRASHED, Verdict.VOID) else delta
        self.history[-1] = replace(self.history[-1], state=State.JUDGED, verdict=verdict, delta=delta)
        if verdict is Verdict.KEEP:
            self.files.update(self.proposals[-1].files)

    def vetoes(self) -> None:
        self.history[-1] = replace(self.history[-1], state=State.VETOED)

    def runs(self, outcome: Callable[[Proposal], tuple[Verdict, float | None]], most: int = 400) -> None:
        """Until the researcher has run dry, every proposal meets an outcome at once."""
        for _ in range(most):
            proposal = self.proposes()
            if proposal is None:
                return
            self.ends(*outcome(proposal))
        raise AssertionError(f"not dry after {most} proposals")


def noise(proposal: Proposal) -> tuple[Verdict, float | None]:
    """Nothing ever helps."""
    return Verdict.DISCARD, 0.002
