"""Room on the disk: no run starts without it, one that found none is made again, and a pause for it ends by itself."""

from __future__ import annotations

import shutil

from core.engine.bench import Bench
from core.engine.starting import Starting

DISK_FULL = "of disk is free"
"""in the reason of a pause that ends by itself"""
NO_ROOM = ("[Errno 28]", "[Errno 122]", "No space left on device", "Disk quota exceeded")
"""in the last words of a program that found the disk, or its share of it, full"""
ROOM_AGAIN = 1.1
"""times the least free space, so that it does not stop and go"""


class Room:
    """What is free where the lab lies, against `runs.min_free_gigabytes`."""

    def __init__(self, bench: Bench, starting: Starting) -> None:
        self.bench = bench
        self.starting = starting

    def enough(self) -> bool:
        """Whether runs may start; where not, the lab is paused, unless it is for another reason."""
        free = shutil.disk_usage(self.bench.lab.root).free / 2**30
        least = self.bench.config.runs.min_free_gigabytes
        if free < least and not self.bench.store.paused():
            self.starting.pause(f"only {free:.1f} GB {DISK_FULL} ({least:g} are wanted): free some, and it goes on")
        return free >= least

    def was_wanted(self, error: str) -> bool:
        """A run broke off for want of disk, which says nothing of its patch: it is made again when there is room."""
        room, full = self.enough(), any(words in error for words in NO_ROOM)
        # what it wrote is gone again, or it has a share of the disk of its own: that needs somebody
        if full and room and not self.bench.store.paused():
            self.starting.pause("a run found the disk full though there is room now: see its log, then resume")
        return full or not room

    def go_on(self) -> None:
        """What the engine paused for want of room goes on by itself once there is more than just enough."""
        if DISK_FULL not in self.bench.store.paused():
            return
        least = self.bench.config.runs.min_free_gigabytes
        if shutil.disk_usage(self.bench.lab.root).free / 2**30 >= ROOM_AGAIN * least:
            with self.bench.store.transaction():
                self.bench.store.set("paused", "")
                self.bench.store.event("resumed", actor="engine", reason="there is room on the disk again")
