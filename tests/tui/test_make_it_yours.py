"""A screen of one's own: keys, symbols, themes, NO_COLOR, calls, the tour."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from core.models import State, Verdict
from core.requests import Approve
from tests.sample_lab import STATES
from tests.tui.cockpit import Human, cockpit
from tui.attention import Calls
from tui.legible import ENOUGH, WORDS, legible
from tui.look import Look
from tui.render.ascii import SIGNS, to_ascii
from tui.tour import STEPS, Memory, step_words
from tui.widgets.progress_plot import ProgressPlot
from tui.widgets.tour import Tour

SMALL = (80, 24)

# ---- keys ----------------------------------------------------------------------------------------------------------


async def test_a_key_map_changes_the_keys_the_footer_the_help_and_every_sentence(tmp_path: Path) -> None:
    keymap = {"approve": "f5", "undo": "Z", "palette": "semicolon", "pane_why": "w", "override": "O"}
    async with cockpit(tmp_path, look=Look(keymap=keymap)) as human:
        assert "f5 approve" in human.screen
        assert "w Why" in human.screen
        await human.press("a", "2")
        assert human.asked == []
        assert human.review.panes.current == "diff"
        await human.press("f5")
        await human.until(lambda: human.asked)
        assert isinstance(human.asked[0], Approve)
        await human.is_told("Z takes it back")
        await human.press("semicolon")
        await human.until(lambda: human.app.screen is not human.review)
        assert "f5         approve" in human.screen


async def test_an_action_without_a_key_can_be_given_one(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "worse", look=Look(keymap={"override": "O"})) as human:
        await human.press("O")
        await human.until(lambda: human.app.screen is not human.review, "the question for a verdict")


async def test_without_a_key_map_another_screen_s_keys_are_forgotten(tmp_path: Path) -> None:
    async with cockpit(tmp_path / "one", look=Look(keymap={"approve": "f5"})) as human:
        assert "f5 approve" in human.screen
    async with cockpit(tmp_path / "two") as human:
        assert "a approve" in human.screen


# ---- symbols and colours -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "measuring", "crashed", "preparing", "better"])
async def test_in_ascii_every_sign_of_the_screen_is_ascii(tmp_path: Path, state: str) -> None:
    async with cockpit(tmp_path, state, size=(140, 36), look=Look(symbols="ascii")) as human:
        for key in ("3", "4", "0", "question_mark"):
            await human.press(key)
            assert [char for char in human.screen if not char.isascii()] == []


def test_every_sign_keeps_its_width() -> None:
    assert all(len(sign) == 1 for sign in SIGNS.values())
    assert to_ascii("⣿ é 中 ✓") == "* é 中 +"


def contrast(style: Style | None) -> float:
    def luminance(color: Color) -> float:
        parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in color.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    if style is None or style.color is None or style.bgcolor is None:
        return 21.0
    pair = sorted(luminance(Color.from_rich_color(color)) for color in (style.color, style.bgcolor))
    return (pair[1] + 0.05) / (pair[0] + 0.05)


def faint(human: Human, floor: float) -> list[str]:
    """Words on the screen that hardly stand out from what lies behind them."""
    return [
        f"{segment.text.strip()} ({contrast(segment.style):.1f})"
        for strip in human.app.screen._compositor.render_strips()
        for segment in strip
        if any(char.isalnum() for char in segment.text) and contrast(segment.style) < floor
    ]


@pytest.mark.parametrize("theme", ["textual-light", "solarized-light", "textual-dark", "nord"])
@pytest.mark.parametrize("state", ["waiting", "crashed", "better"])
async def test_words_can_be_read_in_dark_and_light_themes(tmp_path: Path, theme: str, state: str) -> None:
    async with cockpit(tmp_path, state, size=SMALL, look=Look(theme=theme)) as human:
        assert human.app.theme == theme
        dim = {"approve", "edit", "revise", "veto", "defer", "undo", "hunk", "pause", "stop"}  # keys that cannot act
        unread = [words for words in faint(human, 3.0) if not dim & set(words.split())]
        assert unread == []


@pytest.mark.parametrize("name", sorted(BUILTIN_THEMES))
def test_coloured_words_stand_out_in_every_theme_of_textual(name: str) -> None:
    theme = BUILTIN_THEMES[name]
    variables = legible({**theme.to_color_system().generate(), **theme.variables}, no_color=False)
    if theme.ansi:
        assert variables["error-muted"] == "ansi_default"
        return
    for word in WORDS:
        for behind in ("background", "surface", "panel"):
            colours = Color.parse(variables[word]), Color.parse(variables[behind])
            assert contrast(Style(color=colours[0].rich_color, bgcolor=colours[1].rich_color)) >= ENOUGH, word


@pytest.mark.parametrize("theme", ["textual-dark", "ansi-dark"])
@pytest.mark.parametrize("state", sorted(STATES))
async def test_without_colour_every_state_says_itself_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, theme: str
) -> None:
    words = {
        "waiting": "WAITS FOR YOU", "stale": "✗ The patch cannot run", "crashed": "✗ #1 CRASHED",
        "hostile": "✗ The patch cannot",
        "diverged": "✗ #1 DIVERGED", "timeout": "✗ #1 TIMED OUT", "killed": "! #1 VOID", "better": "✓ #1 KEPT, better",
        "worse": "DISCARDED, worse", "noise": "INCONCLUSIVE, within the noise", "empty": "nothing was proposed yet",
        "preparing": "▶ Preparing the data", "preparation_failed": "✗ The data could not be", "thinking": "thinking",
        "measuring": "▶ Nothing to review yet", "compiling": "▶ #1 is running",
    }  # fmt: skip
    monkeypatch.setenv("NO_COLOR", "1")
    async with cockpit(tmp_path, state, size=SMALL, look=Look(theme=theme)) as human:
        await human.sees(words[state])
        assert human.app.no_color
        for strip in human.app.screen._compositor.render_strips():
            for segment in strip:
                style = segment.style
                for colour in (style.color, style.bgcolor) if style else ():
                    shade = None if colour is None or colour.is_default else colour.get_truecolor()
                    assert shade is None or shade.red == shade.green == shade.blue, segment
                assert style is None or theme == "textual-dark" or style.color is None or style.color.is_default


# ---- calls ---------------------------------------------------------------------------------------------------------


async def test_a_kept_run_rings_and_writes_once_the_keys_are_still(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "waiting", look=Look(calls=Calls(bell=True, desktop="osc777"))) as human:
        written: list[str] = []
        human.app.caller.write = written.append
        await human.press("j")
        human.lab.judges(5, Verdict.KEEP, delta=-0.01)
        await human.until(lambda: human.review.lab.by_id[5].state is State.JUDGED)
        await human.until(lambda: human.app.attention.pending)
        human.clock.moves(10)
        human.app.call_if_due()
        assert written == []
        human.clock.moves(20)
        human.app.call_if_due()
        assert len(written) == 1
        assert written[0].startswith("\x07\x1b]777;notify;autoresearch lab;#5 kept: ")
        human.app.call_if_due()
        assert len(written) == 1


async def test_a_command_that_cannot_start_is_a_toast(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "waiting", look=Look(calls=Calls(command=("/no/such",)))) as human:
        human.lab.judges(5, Verdict.CRASHED, delta=None)
        await human.until(lambda: human.app.attention.pending)
        human.clock.moves(60)
        human.app.call_if_due()
        await human.is_told("cannot be started: /no/such")


async def test_a_screen_that_only_looks_starts_no_command_of_the_lab(tmp_path: Path) -> None:
    calls = Calls(command=(sys.executable, "-c", "pass"))
    async with cockpit(tmp_path, read_only=True, look=Look(calls=calls)) as human:
        assert human.app.caller.calls.off


# ---- the tour ------------------------------------------------------------------------------------------------------


def memory(folder: Path) -> Memory:
    return Memory({"XDG_STATE_HOME": str(folder / "state")})


async def test_the_tour_has_five_steps_at_the_first_opening_ever(tmp_path: Path) -> None:
    async with cockpit(tmp_path / "one", size=SMALL, tour=memory(tmp_path)) as human:
        for step in range(1, len(STEPS) + 1):
            await human.sees(f"Tour {step} of 5")
            assert "a approve" in human.screen  # the keys stay
            await human.press("enter")
        assert "Tour" not in human.screen
        assert human.asked == []
    async with cockpit(tmp_path / "two", size=SMALL, tour=memory(tmp_path)) as human:
        assert "Tour" not in human.screen
        await human.press("colon", *"tour", "enter")
        await human.sees("Tour 1 of 5")


async def test_esc_leaves_the_tour_and_every_other_key_works_meanwhile(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=SMALL, tour=memory(tmp_path)) as human:
        await human.sees("Tour 1 of 5")
        await human.press("2")
        assert human.review.panes.current == "why"
        await human.press("0", "enter")  # in the list Enter opens
        await human.sees("Tour 1 of 5")
        await human.press("1", "escape")
        assert not human.review.query_one(Tour).is_on
        await human.press("a")
        await human.until(lambda: human.asked)


async def test_whoever_may_only_look_is_shown_no_tour(tmp_path: Path) -> None:
    async with cockpit(tmp_path, read_only=True, tour=memory(tmp_path)) as human:
        assert "Tour" not in human.screen
    assert not memory(tmp_path).file.exists()


def test_a_tour_that_cannot_be_remembered_does_not_come(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    assert not memory(tmp_path).first_time()
    assert Memory({"XDG_STATE_HOME": str(tmp_path / "x")}).first_time()
    assert not Memory({"XDG_STATE_HOME": str(tmp_path / "x")}).first_time()


def test_every_step_names_keys_and_fits_three_rows() -> None:
    for step in range(len(STEPS)):
        words = step_words(step)
        assert "{" not in words
        assert len(words) < 230


async def test_the_plots_of_other_screens_have_the_symbols_too(tmp_path: Path) -> None:
    async with cockpit(tmp_path, look=Look(symbols="ascii")) as human:
        await human.press("5")
        await human.until(lambda: human.app.current_mode == "experiments")
        assert human.app.places.experiments.query_one(ProgressPlot).symbols == "ascii"
        await human.press("6")
        await human.until(lambda: human.app.current_mode == "compare")
        assert human.app.places.compare.overlay.symbols == "ascii"
