"""The garbage collector, kept out of the way of keys.

A full collection looks at everything a program holds: 60 ms with ten thousand experiments, in the middle of whatever
key happens to set it off. Here it runs once a minute, when no key has been pressed for a moment. The small collections,
of what is young, go on as they are.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import App

if TYPE_CHECKING:
    Base = App[Any]
else:
    Base = object

EVERY_SECONDS = 60.0
NEVER = 1_000_000
"""middle collections until a full one comes by itself: days"""
REST_SECONDS = 1.0
"""without a key, until somebody is taken to be reading"""
START_SECONDS = 1.0
"""until the first pictures are surely there: they are made without the collector (`curtain`)"""


class TidyAtRest(Base):
    """For an App: `class Cockpit(TidyAtRest, App[None])`. Only in a terminal: a test's process is not the app's own."""

    _pressed = 0.0

    def on_mount(self) -> None:
        if not self.is_headless:
            gc.set_threshold(*gc.get_threshold()[:2], NEVER)
            self.set_interval(EVERY_SECONDS, self.tidy)
            self.set_timer(START_SECONDS, self.begin)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._pressed = time.monotonic()
        await super().on_event(event)

    def begin(self) -> None:
        """The screen stands: what it is made of stays, and is never looked through; what comes from now on is."""
        gc.freeze()
        gc.enable()

    def tidy(self) -> None:
        """Collect, unless somebody is at the keys: then the next time will do."""
        if time.monotonic() - self._pressed >= REST_SECONDS:
            gc.collect()
