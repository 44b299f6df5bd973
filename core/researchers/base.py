"""What a researcher is told, what it answers. Stateless: all it knows is rebuilt from the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import ResearcherError
from core.models import Experiment, Message, Proposal, Review


@dataclass(frozen=True, slots=True)
class Revision:
    """An experiment that a human sent back: the next proposal is its new version."""

    experiment: Experiment
    patch: str
    note: str


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a researcher is told before one proposal."""

    champion: str
    """the commit to build on"""
    files: Mapping[str, str]
    """the editable files at the champion: path -> content"""
    program: str
    """program.md: the human's brief"""
    metric: str
    direction: str
    history: Sequence[Experiment]
    """every experiment so far, oldest first, whatever became of it"""
    reviews: Mapping[int, Sequence[Review]] = field(default_factory=dict)
    """experiment id -> its reviews, with the human's reasons"""
    messages: Sequence[Message] = ()
    """words of the human that no proposal has answered yet"""
    revision: Revision | None = None
    sigma: float | None = None
    """measured noise of the metric"""
    seed: int = 0
    tried: Callable[[Mapping[str, str]], int | None] = lambda files: None
    """the id of the experiment that already had this very code (comments aside), None if new"""


Say = Callable[[str], None]
"""tells the screen what the researcher is doing right now, in a few words"""


class Pause(str):
    """What is said while nothing happens for so many seconds, so that the screen can count them down."""

    __slots__ = ("seconds",)
    seconds: float

    def __new__(cls, words: str, seconds: float) -> Pause:
        said = super().__new__(cls, words)
        said.seconds = seconds
        return said


class Unavailable(ResearcherError):
    """The researcher cannot be asked now (no key, a cap, an outage); the same question stands and is asked later."""

    def __init__(
        self, message: str, *, hint: str = "", wait: float | None = None, state: str = "error", others: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.wait = wait
        """seconds until asking again makes sense, where that is known"""
        self.state = state
        """`error`, or `waiting` where nothing is wrong"""
        self.others = others
        """only this question has to wait: another one can be answered now"""


class Researcher(Protocol):
    """Who proposes. One call, one proposal."""

    name: str

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        """The next experiment, or None when it has run dry.

        Raises:
            ResearcherError: it failed; the engine tries again later.
        """
        ...
