"""Who proposes while the model cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from core.errors import ResearcherError
from core.models import Proposal
from core.researchers.base import Revision, Say, Situation, Unavailable
from core.researchers.claude import FallbackResearcher
from tests.unit.test_claude_texts import experiment

SITUATION = Situation("a" * 40, {}, "", "val_bpb", "min", ())
REVISED = Situation("a" * 40, {}, "", "val_bpb", "min", (), revision=Revision(experiment(1), "", "half as far"))


@dataclass
class Stub:
    """Answers in turn."""

    name: str
    answers: list[Proposal | ResearcherError | None]
    asked: int = 0

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        self.asked += 1
        say(f"{self.name} works")
        answer = self.answers.pop(0)
        if isinstance(answer, ResearcherError):
            raise answer
        return answer


@dataclass
class Scene:
    claude: Stub
    offline: Stub
    now: float = 0.0
    said: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.both = FallbackResearcher(
            self.claude, self.offline, journal=lambda kind, **body: self.journal.append(kind), clock=lambda: self.now
        )

    async def ask(self, situation: Situation = SITUATION) -> Proposal | None:
        return await self.both.propose(situation, self.said.append)


def proposal(author: str) -> Proposal:
    return Proposal("t", "h", "r", "c", {}, author)


OUT = Unavailable("overloaded", hint="wait", wait=60.0, state="waiting")


async def test_the_first_is_not_asked_again_before_its_time() -> None:
    scene = Scene(Stub("claude", [OUT, proposal("claude")]), Stub("offline", [proposal("offline")] * 2))
    first = await scene.ask()
    assert first is not None
    assert first.rationale == "r\n\nProposed in place of claude: overloaded."
    scene.now = 59.0
    assert (await scene.ask()).author == "offline"  # type: ignore[union-attr]
    assert scene.claude.asked == 1
    scene.now = 61.0
    assert (await scene.ask()).author == "claude"  # type: ignore[union-attr]
    assert scene.journal == ["researcher_away", "researcher_back"]
    assert "overloaded: the offline researcher proposes meanwhile" in scene.said


async def test_a_note_to_the_first_waits_for_it() -> None:
    scene = Scene(Stub("claude", [OUT]), Stub("offline", []))
    with pytest.raises(Unavailable, match="overloaded") as error:
        await scene.ask(REVISED)
    assert (error.value.wait, error.value.state) == (60.0, "waiting")
    assert scene.offline.asked == 0


async def test_when_both_have_nothing_it_says_both() -> None:
    scene = Scene(Stub("claude", [OUT]), Stub("offline", [None]))
    with pytest.raises(Unavailable, match="the offline researcher has nothing to propose"):
        await scene.ask()


async def test_a_model_that_refuses_does_not_leave_the_device_idle() -> None:
    scene = Scene(Stub("claude", [ResearcherError("refused")]), Stub("offline", [proposal("offline")]))
    found = await scene.ask()
    assert found is not None
    assert "in place of claude: refused" in found.rationale


async def test_a_refusal_of_a_note_goes_back_to_the_human() -> None:
    scene = Scene(Stub("claude", [ResearcherError("refused")]), Stub("offline", []))
    with pytest.raises(ResearcherError, match="refused") as error:
        await scene.ask(REVISED)
    assert not isinstance(error.value, Unavailable)
