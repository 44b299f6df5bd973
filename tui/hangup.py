"""The end of the terminal: a screen whose window was closed or whose link was cut must not stay behind and spin.

Textual 8.2.8 goes on reading a terminal that is gone, as fast as it can.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from textual.app import App

if TYPE_CHECKING:
    Base = App[Any]
else:
    Base = object

HANG_UP = (signal.SIGHUP, signal.SIGTERM)
TERMINAL_SECONDS = 2.0
"""between two looks whether the terminal is still there: under nohup no signal says so"""
LAST_SECONDS = 2.0
"""after a hang-up the process ends, however the terminal behaves"""


class EndsWithTerminal(Base):
    """For an App: `class Cockpit(EndsWithTerminal, App[None])`."""

    def on_mount(self) -> Awaitable[None] | None:  # an App may have its own, and that may wait
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in HANG_UP:
                loop.add_signal_handler(number, self.hang_up)
            self.set_interval(TERMINAL_SECONDS, self._mind_the_terminal)
        return None

    def _mind_the_terminal(self) -> None:
        if sys.__stdin__ is not None and not os.isatty(sys.__stdin__.fileno()):
            self.hang_up()

    def hang_up(self) -> None:
        """The terminal is gone: nothing is to be saved, but the process must not stay behind."""
        timer = threading.Timer(LAST_SECONDS, os._exit, (128 + signal.SIGHUP,))
        timer.daemon = True
        timer.start()
        self.exit(return_code=128 + signal.SIGHUP)
