"""The screen's own signs in ASCII, for terminals and fonts that lack them; a researcher's words stay as they are."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

SIGNS = {
    **dict.fromkeys("─━═╌┄▔▁", "-"),
    **dict.fromkeys("│┃║▏▎▍▌▐▕▊▋▉┆┊", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝", "+"),
    **dict.fromkeys("█▀▄▂▃▅▆▇■", "#"),
    **dict.fromkeys("░▒▓", "."),
    **{"▶": ">", "◀": "<", "▸": ">", "▾": "v", "→": ">", "←": "<", "↑": "^", "↓": "v", "●": "*", "○": "o", "◌": "."},
    **{"✓": "+", "✗": "x", "·": "-", "…": "~", "–": "-", "—": "-", "×": "x", "Δ": "d", "σ": "s", "±": "+", "°": "'"},
    **{"⟨": "<", "⟩": ">", "›": ">", "‹": "<", "↳": ">", "∞": "!", "∅": "0"},
    **{"▹": ">", "↺": "@", "≈": "?", "▴": "^", "▼": "v"},
    **{"\u2424": "$", "\u2400": "?", "\ufffd": "?"},
    **{chr(0x2400 + code): "?" for code in range(0x20)},
}  # fmt: skip
"""each takes one cell, as what stands for it does"""
TABLE = str.maketrans(SIGNS)


class Ascii(LineFilter):
    """Turns the screen's own signs into ASCII on their way to the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.control or segment.text.isascii() else Segment(to_ascii(segment.text), segment.style)
            for segment in segments
        ]


def to_ascii(text: str) -> str:
    """The text with every sign of the table in ASCII; braille becomes `*`."""
    return "".join("*" if "\u2800" < char <= "\u28ff" else char for char in text.translate(TABLE))
