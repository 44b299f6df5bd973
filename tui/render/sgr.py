"""Text with styles as the bytes a terminal gets: of each style only what differs from the one before it. Pure.

Textual 8.2.8 sends every piece with its whole style and a reset behind it, 40 bytes around a word; neighbours mostly
differ in one colour. Links of a style are not sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

UNSEEN = {"1", "2", "3"}
"""attributes that blanks do not show"""
ENDS = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29", "21": "24",
        "51": "54", "52": "54", "53": "55"}  # fmt: skip
"""an attribute, and what ends it"""
ATTRIBUTES = tuple(ENDS)
"""in the order of the bits in a style"""


class Look(NamedTuple):
    """How a terminal draws what comes next, as the numbers of `ESC [ … m`."""

    attributes: frozenset[str] = frozenset()
    color: str = "39"
    background: str = "49"


PLAIN = Look()


class Frame:
    """Collects a frame, which begins and ends with the terminal's own look."""

    def __init__(self, color_system: ColorSystem) -> None:
        self._color_system = color_system
        self._look = PLAIN
        self._pieces: list[str] = []

    def move_to(self, x: int, y: int) -> None:
        """What is written next stands in this cell; the first one is 0, 0."""
        self._pieces.append(f"\x1b[{y + 1};{x + 1}H")

    def write(self, segments: Iterable[Segment]) -> None:
        for text, style, _ in segments:
            look = PLAIN if style is None else look_of(style, self._color_system)
            if text.isspace() and look.attributes <= UNSEEN and self._look.attributes <= UNSEEN:
                look = self._look._replace(background=look.background)
            if look != self._look:
                self._pieces.append(change(self._look, look))
                self._look = look
            self._pieces.append(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join([*self._pieces, change(self._look, PLAIN)])


@lru_cache(4096)
def look_of(style: Style, color_system: ColorSystem) -> Look:
    """What the style asks for, in the colours the terminal has."""
    bits = style._attributes & style._set_attributes
    color, background = style.color, style.bgcolor
    return Look(
        frozenset(code for bit, code in enumerate(ATTRIBUTES) if bits & 1 << bit),
        PLAIN.color if color is None else ";".join(color.downgrade(color_system).get_ansi_codes()),
        PLAIN.background if background is None else ";".join(background.downgrade(color_system).get_ansi_codes(False)),
    )


@lru_cache(4096)
def change(before: Look, after: Look) -> str:
    """The sequence that makes one look of the other; empty where they are the same."""
    if before == after:
        return ""
    if after == PLAIN:
        return "\x1b[0m"
    ended = {ENDS[code] for code in before.attributes - after.attributes}
    # two attributes can end with the same number
    new = {code for code in after.attributes if code not in before.attributes or ENDS[code] in ended}
    codes = [*sorted(ended), *sorted(new)]
    codes += [after.color] if after.color != before.color else []
    codes += [after.background] if after.background != before.background else []
    return f"\x1b[{';'.join(codes)}m"
