"""The strip of the tour: one step at a time over the keys. It takes no key but Enter and Esc, which never decide."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.actions import key_of
from tui.tour import STEPS, step_words


class Tour(Static):
    """Hidden until `begin`."""

    DEFAULT_CSS = """
    Tour { display: none; height: auto; padding: 0 1; background: $boost; border-top: solid $primary; }
    Tour.-on { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.step: int | None = None
        """None: not on the screen"""

    @property
    def is_on(self) -> bool:
        return self.step is not None

    def begin(self) -> None:
        self._go(0)

    def next(self) -> None:
        """The next step; after the last one it is over."""
        step = (self.step or 0) + 1
        self._go(step if step < len(STEPS) else None)

    def leave(self) -> None:
        self._go(None)

    def _go(self, step: int | None) -> None:
        self.step = step
        self.set_class(step is not None, "-on")
        if step is None:
            return
        last = step + 1 == len(STEPS)
        keys = [(key_of("open"), "ends it" if last else "next")]
        keys += [] if last else [(key_of("back"), "leaves the tour")]
        hints = Content("   ").join([Content.assemble((key, "bold $text-accent"), f" {does}") for key, does in keys])
        count = (f"Tour {step + 1} of {len(STEPS)}  ", "bold $text-accent")
        self.update(Content.assemble(count, step_words(step), "\n", hints))
