"""What is sent of a frame shows the same picture as Textual's own bytes, and is no more than what changes."""

from __future__ import annotations

from itertools import product

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui.cropped import WholeUpdate
from tui.render.sgr import ATTRIBUTES, Frame, Look, change

WIDTH = 40
COLOURS = [None, "#102030", "#e0e0e0", "red", "default"]
STYLES = st.builds(
    Style, color=st.sampled_from(COLOURS), bgcolor=st.sampled_from(COLOURS), bold=st.booleans(), dim=st.booleans(),
    italic=st.booleans(), underline=st.booleans(), reverse=st.booleans(), strike=st.booleans(),
)  # fmt: skip
PIECES = st.lists(st.tuples(st.text("ab ·漢", min_size=1, max_size=4), st.none() | STYLES), max_size=6)


def sent(lines: list[list[Segment]], kind: type[LayoutUpdate]) -> str:
    console = Console(color_system="truecolor", force_terminal=True)
    return kind([[Strip(line)] for line in lines], Region(0, 0, WIDTH, len(lines))).render_segments(console)


def seen(data: str, lines: int) -> list[list[tuple[object, ...]]]:
    """What a terminal shows; the colour of what is not there does not matter."""
    screen = pyte.Screen(WIDTH, lines + 1)
    pyte.Stream(screen).feed(data.replace("\n", ""))
    cells = [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(lines)]
    return [[visible(cell) for cell in line] for line in cells]


def visible(cell: pyte.screens.Char) -> tuple[object, ...]:
    drawn = (cell.bg, cell.reverse, cell.underscore, cell.strikethrough)
    blank = cell.data == " " and not any(drawn[1:])
    return (cell.data, *drawn) if blank else (cell.data, *drawn, cell.fg, cell.bold, cell.italics)


@given(st.lists(PIECES, min_size=1, max_size=3))
def test_a_terminal_shows_what_it_would_show_of_textuals_bytes(lines: list[list[tuple[str, Style | None]]]) -> None:
    segments = [[Segment(text, style) for text, style in line] for line in lines]
    ours = sent(segments, WholeUpdate)
    assert seen(ours, len(lines)) == seen(sent(segments, LayoutUpdate), len(lines))


def test_a_word_in_another_colour_costs_its_colour_twice_and_a_blank_nothing() -> None:
    plain, look = Style(color="#e0e0e0", bgcolor="#121212"), Style(color="#a0a0a0", bgcolor="#121212")
    frame = Frame(ColorSystem.TRUECOLOR)
    frame.write([Segment("one ", plain), Segment("two", look), Segment(" ", plain), Segment("three", look)])
    frame.write([Segment("four", plain)])
    assert frame.text == (
        "\x1b[38;2;224;224;224;48;2;18;18;18mone \x1b[38;2;160;160;160mtwo three\x1b[38;2;224;224;224mfour\x1b[0m"
    )


OVER = {"22": "1 2", "23": "3", "24": "4 21", "25": "5 6", "27": "7", "28": "8", "29": "9", "54": "51 52", "55": "53"}
"""what a terminal ends"""


def test_every_attribute_that_ends_leaves_the_others_as_they_are() -> None:
    marks = [frozenset(pair) for pair in product(ATTRIBUTES, repeat=2)]
    for before, after in product([frozenset[str](), *marks], repeat=2):
        on = set(before)
        for code in filter(None, change(Look(before), Look(after)).strip("\x1b[m").split(";")):
            on = set() if code == "0" else on - set(OVER[code].split()) if code in OVER else on | {code}
        assert on == after, (before, after)
