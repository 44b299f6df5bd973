"""What the screen is told while the model works: a few times a second, however fast the words come."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.researchers.base import Say
from core.researchers.claude.answer import Block, Incoming, spoken
from core.researchers.claude.budget import Usage
from core.text import clean, one_line

EVERY = 0.25
"""seconds between two updates"""
SHOWN = 4_000
"""characters of a text that are shown, its newest"""
STEP = 2_000
"""characters after which what is shown begins elsewhere: a screen repaints all of it then"""
READING = {
    "read_file": "reads a file",
    "experiments": "looks through the experiments",
    "experiment": "reads an experiment",
    "curve": "looks at a curve",
    "query": "asks the record",
    "remember": "writes into its notebook",
}


class Voice:
    """One line of what it does and the tokens so far; under it, as it arrives, the text it writes."""

    def __init__(self, say: Say, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.say = say
        self.clock = clock
        self.used = Usage()
        """of the calls that are over"""
        self._next = 0.0

    def tell(self, words: str) -> None:
        """Say something now."""
        self._next = self.clock() + EVERY
        self.say(f"{words}{self._tokens(0)}")

    def watch(self, incoming: Incoming) -> None:
        """Show how far an answer is, unless something was shown a moment ago."""
        if self.clock() < self._next or not incoming.blocks:
            return
        self._next = self.clock() + EVERY
        block = incoming.blocks[max(incoming.blocks)]
        doing, text = _doing(block)
        under = "\n" + "\n".join(clean(line) for line in newest(text).split("\n")) if text else ""
        self.say(f"{doing}{self._tokens(incoming.size // 4 + incoming.usage.prompt)}{under}")

    def _tokens(self, more: int) -> str:
        count = self.used.prompt + self.used.output + more
        return f" · {count:,} tokens" if count else ""


def newest(text: str) -> str:
    """The end of a text, from a place that stays while the text grows by `STEP` characters."""
    if len(text) <= SHOWN:
        return text
    start = -(-(len(text) - SHOWN) // STEP) * STEP
    return f"… {text[start:].split(maxsplit=1)[-1]}" if text[start:].strip() else text[start:]


def _doing(block: Block) -> tuple[str, str]:
    """What a block that is still arriving says."""
    match block.kind:
        case "tool_use" if block.start.get("name") == "propose":
            partial = "".join(block.pieces)
            for name in ("rationale", "hypothesis"):
                if text := spoken(partial, name):
                    return f"writes “{one_line(spoken(partial, 'title'), 80)}”", text
            return f"writes “{one_line(spoken(partial, 'title'), 80)}”", ""
        case "tool_use":
            return READING.get(str(block.start.get("name")), "uses a tool"), ""
        case "text":
            return "thinks aloud", "".join(block.pieces)
    return "thinks", "".join(block.pieces)
