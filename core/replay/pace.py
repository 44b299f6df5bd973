"""How fast a session is shown: scaled, with the long idle stretches cut short. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

IDLE = 3.0
"""seconds of the show that a stretch takes at most in which no run was live, at any speed"""


class Pace:
    """Maps seconds of the show to moments of the session, and never goes backwards."""

    def __init__(self, stretches: Iterable[tuple[float, float, bool]], speed: float, *, begin: float) -> None:
        self._shown, self._session = [0.0], [begin]
        for start, end, live in stretches:
            took = (end - start) / speed
            self._shown.append(self._shown[-1] + (took if live else min(took, IDLE)))
            self._session.append(end)

    @property
    def seconds(self) -> float:
        """How long the show takes."""
        return self._shown[-1]

    def moment(self, shown: float) -> float:
        """The moment of the session that is shown after so many seconds; after its end the clock just goes on."""
        if shown >= self._shown[-1]:
            return self._session[-1] + shown - self._shown[-1]
        index = bisect_right(self._shown, shown)
        left, right = self._shown[index - 1], self._shown[index]
        share = (shown - left) / (right - left) if right > left else 1.0
        return self._session[index - 1] + share * (self._session[index] - self._session[index - 1])
