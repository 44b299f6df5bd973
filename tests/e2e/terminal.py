"""A real terminal for tests: the program in a pty, its bytes through a terminal emulator."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pexpect
import pyte

KEYS = {"enter": "\r", "esc": "\x1b", "tab": "\t", "space": " ", "ctrl+s": "\x13", "ctrl+d": "\x04", "down": "\x1b[B"}


class Terminal:
    """One program in one terminal of a given size."""

    def __init__(
        self, argv: Sequence[str], *, columns: int = 120, rows: int = 36, env: Mapping[str, str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        """everything the program wrote"""
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment = {**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
        self.child = pexpect.spawn(argv[0], list(argv[1:]), dimensions=(rows, columns), env=environment, timeout=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is not None:
            print(f"--- the screen when it failed ---\n{self.text()}\n---")
        self.child.close(force=True)

    def read(self, seconds: float = 0.05) -> None:
        """Take in what the program writes within a moment."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                data = self.child.read_nonblocking(1 << 16, timeout=left)
            except pexpect.TIMEOUT:
                return
            except pexpect.EOF:
                return
            self.bytes += data
            self.stream.feed(data)

    def take(self, count: int) -> None:
        """No more than so many bytes, if they are there: what a slow link lets through."""
        try:
            data = self.child.read_nonblocking(count, timeout=0)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.bytes += data
        self.stream.feed(data)

    def text(self) -> str:
        """What a person sees."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, *keys: str) -> None:
        """Type keys by name, or text."""
        for key in keys:
            self.child.send(KEYS.get(key, key))
            self.read(0.05)

    def paste(self, text: str) -> None:
        """What a terminal with bracketed paste sends."""
        self.child.send(f"\x1b[200~{text}\x1b[201~")
        self.read(0.05)

    def click(self, words: str) -> None:
        """The left button, on the first place where these words stand, once they stand still as for a person's hand."""
        before, (x, y) = (-1, -1), self.place(words)
        while before != (x, y):
            self.read_for(0.3)
            before, (x, y) = (x, y), self.place(words)
        self.child.send(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")
        self.read(0.05)

    def wheel(self, x: int, y: int, *, down: bool = True) -> None:
        """A notch of the wheel over a cell."""
        self.child.send(f"\x1b[<{65 if down else 64};{x + 1};{y + 1}M")
        self.read(0.05)

    def place(self, words: str) -> tuple[int, int]:
        """Column and row of the first place where these words stand."""
        for y, line in enumerate(self.screen.display):
            if (x := line.find(words)) >= 0:
                return x, y
        raise AssertionError(f"not on the screen: {words}\n{self.text()}")

    def resize(self, columns: int, rows: int) -> None:
        """Another window, as dragging its corner does."""
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def look(self) -> None:
        """A person reads for a moment: longer than the grace in which a new proposal takes no key."""
        self.read_for(0.8)

    def read_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(min(0.05, left))

    def until(self, what: str | Callable[[str], object], *, seconds: float = 60.0) -> str:
        """Wait until the screen matches a pattern (or a condition on its text holds); fails showing the screen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.05)
            text = self.text()
            if re.search(what, text) if isinstance(what, str) else what(text):
                return text
        raise AssertionError(f"never on the screen: {what}\n{self.text()}")

    def ended(self, *, seconds: float = 60.0) -> bool:
        """Whether the program ends within a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.05)
            if not self.child.isalive():
                return True
        return False

    def hang_up(self) -> None:
        """What a dropped link does."""
        self.child.kill(signal.SIGHUP)
