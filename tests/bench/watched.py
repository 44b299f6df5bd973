"""A program in a pty, watched from outside: when its frames are complete, what they cost, what it holds."""

from __future__ import annotations

import os
import select
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.tui.byte_counter import KEYS, Pty

ROOT = Path(__file__).parents[2]
FRAMES_ASKED, FRAMES_MARKED = b"\x1b[?2026$p", "\x1b[?2026;2$y"
FRAME_ENDS = b"\x1b[?2026l"
Cells = list[tuple[object, ...]]


class Watched(Pty):
    """Answers as a terminal that knows synchronized output: a frame then says where it ends.

    The program may write byte code, as every installed one has it: compiling what was edited takes 0.1 s of a start.
    """

    def __init__(self, command: Sequence[str], size: tuple[int, int], *, env: dict[str, str] | None = None) -> None:
        self.began = time.monotonic()
        super().__init__(command, size, env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", **(env or {})})
        self._tail = b""
        self.stamp = self.began
        """when the latest bytes came"""

    def feed(self, patience: float) -> float | None:
        """Take in what is written next; when it came, or None."""
        if not select.select([self._master], [], [], max(patience, 0))[0]:
            return None
        try:
            block = os.read(self._master, 1 << 16)
        except OSError:
            return None
        stamp = self.stamp = time.monotonic()
        self.total += len(block)
        if FRAMES_ASKED in block:
            self.send(FRAMES_MARKED)
        self._stream.feed(block)
        self._tail = (self._tail + block)[-64:]
        return stamp

    def until(self, seen: Callable[[], bool], *, seconds: float = 30.0) -> tuple[float, float]:
        """Wall and processor seconds from now on until the screen is so."""
        began, spent = time.monotonic(), self.processor()
        while (left := began + seconds - time.monotonic()) > 0:
            stamp = self.feed(left)
            if stamp is not None and seen():
                return stamp - began, self.processor() - spent
        raise TimeoutError(self.text)

    def key(self, key: str, region: tuple[int, int, int, int]) -> tuple[float, float]:
        """Press a key; wall and processor milliseconds until a whole frame has changed this part of the screen."""
        before = self.cells(region)
        began, spent = time.monotonic(), self.processor()
        os.write(self._master, KEYS.get(key, key).encode())
        while (left := began + 10.0 - time.monotonic()) > 0:
            stamp = self.feed(left)
            if stamp is not None and FRAME_ENDS in self._tail and self.cells(region) != before:
                return 1e3 * (stamp - began), 1e3 * (self.processor() - spent)
        raise TimeoutError(f"{key!r} changed nothing\n{self.text}")

    def rest(self, seconds: float) -> int:
        """Let it be for a while; the bytes it wrote meanwhile."""
        before, deadline = self.total, time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.feed(left)
        return self.total - before

    def cells(self, region: tuple[int, int, int, int]) -> Cells:
        """Characters and colours of a part of the screen: left, top, right, bottom."""
        left, top, right, bottom = region
        return [tuple(self.screen.buffer[y][x] for x in range(left, right)) for y in range(top, bottom)]

    def shows(self, words: str) -> bool:
        return words in self.text

    def processor(self) -> float:
        """Seconds of processor time that all threads of the program have taken."""
        spent = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                spent += int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue  # it has ended meanwhile
        return spent / 1e9

    def memory(self) -> float:
        """Resident megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def worst(values: Sequence[float], share: float = 0.95) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[round(share * (len(values) - 1))]
