"""Somebody else proposes while the model cannot be asked, so that the device stays busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from core.errors import ResearcherError
from core.models import Proposal
from core.researchers.base import Researcher, Say, Situation, Unavailable

LOOK_AGAIN = 120.0
"""seconds until the first is asked again where it did not say how long it will be away"""


class FallbackResearcher:
    """Asks the first; where that fails, the second for a while, and says so. A human's words wait for the first."""

    def __init__(
        self,
        first: Researcher,
        second: Researcher,
        *,
        journal: Callable[..., object] = lambda kind, **body: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.first = first
        self.second = second
        self.journal = journal
        """appends an event"""
        self.clock = clock
        self.name = first.name
        self._away_until = 0.0
        self._why: Unavailable | None = None

    @property
    def instead(self) -> str:
        """Who proposes now and why, in words; empty while the first does."""
        return "" if self._why is None else f"the {self.second.name} researcher proposes meanwhile: {self._why.message}"

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        """The first's proposal; or, while it is away, the second's.

        Raises:
            Unavailable: the first is away and the second cannot stand in for it here.
            ResearcherError: the one that was asked failed.
        """
        if self._why is None or self.clock() >= self._away_until:
            try:
                proposal = await self.first.propose(situation, say)
            except ResearcherError as error:
                if situation.revision is not None and not isinstance(error, Unavailable):
                    raise  # about this note: it goes back to the human
                if self._why is None or self._why.message != error.message:
                    self.journal("researcher_away", error=error.message, hint=error.hint, instead=self.second.name)
                away = error if isinstance(error, Unavailable) else Unavailable(error.message, hint=error.hint)
                self._why = away
                self._away_until = self.clock() + (LOOK_AGAIN if away.wait is None else away.wait)
            else:
                if self._why is not None:
                    self.journal("researcher_back")
                self._why = None
                return proposal
        away = self._why
        if situation.revision is not None:  # written for the first: another would not follow the same thought
            raise Unavailable(away.message, hint=away.hint, wait=self._left(), state=away.state, others=True) from away
        say(f"{away.message}: the {self.second.name} researcher proposes meanwhile")
        proposal = await self.second.propose(situation, lambda words: say(f"instead of {self.first.name}: {words}"))
        if proposal is None:
            words = f"{away.message}; the {self.second.name} researcher has nothing to propose"
            raise Unavailable(words, hint=away.hint, wait=self._left(), state=away.state) from away
        note = f"Proposed in place of {self.first.name}: {away.message}."
        return replace(proposal, rationale=f"{proposal.rationale}\n\n{note}")

    def _left(self) -> float:
        return max(1.0, self._away_until - self.clock())
