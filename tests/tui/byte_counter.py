"""Runs a program in a real pty and counts what it writes: the bytes that would cross an SSH link.

The bytes are also drawn into a pyte screen, so that a test can read what the reader would see.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pyte

KEYS = {
    "down": "\x1b[B",
    "up": "\x1b[A",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "pagedown": "\x1b[6~",
    "pageup": "\x1b[5~",
}
QUIET = 0.35
"""seconds without a byte after which a frame counts as finished"""


class Pty:
    """A program on a terminal of `size` (columns, rows). Every byte it writes is counted in `total`."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (120, 36), *, env: dict[str, str] | None = None):
        columns, rows = size
        self.screen = pyte.Screen(columns, rows)
        self.total = 0
        self.written = b""
        """what the latest `settle` or `count` read"""
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        self.resize(size)
        environment = os.environ | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "TEXTUAL_ANIMATIONS": "none",
        }
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment | (env or {})
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def text(self) -> str:
        """The screen as a reader sees it, a line a row."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def resize(self, size: tuple[int, int]) -> None:
        columns, rows = size
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def send(self, *keys: str) -> None:
        """Types keys: names of `KEYS`, or text as it is."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def settle(self, *, within: float = 20.0, quiet: float = QUIET, first: bool = True) -> int:
        """Reads until the program is quiet (after its first byte, unless `first` is False); the bytes it wrote."""
        deadline, got = time.monotonic() + within, b""
        while time.monotonic() < deadline:
            patience = quiet if got or not first else deadline - time.monotonic()
            if not select.select([self._master], [], [], patience)[0]:
                break
            try:
                block = os.read(self._master, 65536)
            except OSError:  # the program has gone
                break
            if not block:
                break
            got += block
            self._stream.feed(block)
        self.written = got
        self.total += len(got)
        return len(got)

    def count(self, *keys: str, quiet: float = QUIET) -> int:
        """Bytes written in answer to these keys."""
        self.send(*keys)
        return self.settle(within=5.0, quiet=quiet)

    def idle(self, seconds: float) -> int:
        """Bytes written in this long while nobody does anything."""
        deadline, before = time.monotonic() + seconds, self.total
        while (left := deadline - time.monotonic()) > 0:
            self.settle(within=left, quiet=left, first=False)
        return self.total - before

    def close(self, patience: float = 5.0) -> None:
        """Hangs up, as a dropped link would, and waits for the program to go."""
        os.close(self._master)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
