"""What stands on the terminal while the screen is being made: the lab, what waits in it, and what is being done."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import StoreError
from core.lab import Lab
from core.store.reader import Reader
from core.text import one_line

RAISED, LOWERED = "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H", "\x1b[?1049l\x1b[?25h"
"""the terminal's second picture, empty and without a cursor; its first one again"""


@contextmanager
def curtain(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Importing and drawing a screen takes half a second, starting an engine longer: nobody looks at nothing meanwhile.

    The block is given a function that says what is being done. The screen that comes up in it draws over all this;
    where the block fails, the terminal is as it was. No garbage is collected until the screen stands (`TidyAtRest`):
    hardly anything is any, and to look for it takes a tenth of that time.
    """
    gc.disable()
    width = shutil.get_terminal_size().columns

    def say(words: str) -> None:
        sys.stderr.write(f"\x1b[3;1H\x1b[K {one_line(words, max(width - 2, 8))}")
        sys.stderr.flush()

    sys.stderr.write(f"{RAISED} {one_line(f'{lab.name}   {_waiting(lab)}', max(width - 2, 8))}")
    say("opening …")
    try:
        yield say
    except BaseException:
        sys.stderr.write(LOWERED)
        sys.stderr.flush()
        raise
    finally:
        gc.enable()


def _waiting(lab: Lab) -> str:
    """How many proposals want a review, where that can be said."""
    if not lab.database.exists():
        return ""
    try:
        reader = Reader(lab.database)
        count = len(reader.queue())
        reader.close()
    except StoreError:
        return ""  # the screen says what is wrong with the record, and what to do
    return f"{count} waiting for a review" if count else ""
