"""What is typed ahead: on a slow link keys come in a bunch, and each is meant for what the one before has opened.

Textual hands every key to what has the focus at that moment. The letters behind a `v` would go to the patch, before the
question of the veto stands there, and be lost. Here a key waits until the one before has done all of its work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = App[Any]
else:
    Base = object

PATIENCE_SECONDS = 2.0
"""what takes longer than this holds up no key"""


class KeysInTurn(Base):
    """For an App: `class Cockpit(KeysInTurn, App[None])`. A paste is a long key."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._typed: deque[events.Key | events.Paste] = deque()
        """what waits for its turn"""
        self._turn = 0
        """the number of the key that is at work"""
        self._impatience: asyncio.TimerHandle | None = None
        """runs while a key is at work"""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._typed.append(event)
            if self._impatience is None:
                await self._next()
        else:
            await super().on_event(event)

    async def _next(self) -> None:
        """Give the next key its turn."""
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        if not self._typed or not self._running:
            return
        event, target = self._typed.popleft(), self.focused or self.screen
        self._turn += 1
        late = asyncio.get_running_loop().call_later
        self._impatience = late(PATIENCE_SECONDS, self.call_later, self._passed, self._turn)
        await super().on_event(event)
        # behind the key, through everything that it goes through
        self._follow(self._turn, target if event.is_forwarded else self)

    def _follow(self, turn: int, pump: MessagePump) -> None:
        """Go the way of the key: each widget passes it to its parent, the last one to the app."""
        if pump is self or not pump.call_later(lambda: self._follow(turn, pump._parent or self)):
            self.call_later(self._wait_for_screen, turn)

    def _wait_for_screen(self, turn: int) -> None:
        """Wait until what the key has opened stands there with the focus, and the app has heard what it was told."""
        screen = self.screen
        if not screen.call_later(self.call_later, self._stands, turn, screen):
            self.call_later(self._passed, turn)

    async def _stands(self, turn: int, screen: Screen[Any]) -> None:
        if screen is not self.screen:
            self._wait_for_screen(turn)
        else:
            await self._passed(turn)

    async def _passed(self, turn: int) -> None:
        if turn == self._turn and self._impatience is not None:
            await self._next()
