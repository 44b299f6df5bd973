"""`[screen]` of autoresearch.toml: the keys, the theme and the calls, each mistake in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import Screen, load
from core.errors import ConfigError
from tui.actions import ACTIONS, listed
from tui.keymap import checked, named
from tui.look import look

FILE = Path("lab/autoresearch.toml")


@pytest.mark.parametrize(
    ("keymap", "words"),
    [
        ({"aprove": "y"}, "there is no action 'aprove'; near it: approve"),
        ({"stop": "f9"}, "there is no action 'stop'; near it: "),
        ({"approve": "d"}, "'d' would be both approve and defer: give defer another key"),
        ({"veto": "x", "find": "x"}, "'x' would be both"),
        ({"mark": "s"}, "'s' would be both mark and sort"),
        ({"help": "M"}, "'M' would be both help and unmark: give unmark another key"),
        ({"veto": "alt+v"}, "terminals send alt as Esc"),
        ({"veto": "alt-v"}, "terminals send alt as Esc"),
        ({"veto": "ctrl+h"}, "terminals send ctrl+h as Backspace"),
        ({"veto": "ctrl+i"}, "as Tab"),
        ({"veto": "Ctrl+J"}, "as Enter"),
        ({"veto": "ctrl+m"}, "as Enter"),
        ({"veto": "ctrl+shift+v"}, "terminals do not send"),
        ({"veto": "shift+v"}, "write 'V' instead"),
        ({"veto": "ctrl+z"}, "suspends the program"),
        ({"approve": "enter"}, "Enter never decides"),
        ({"veto": "Esc"}, "Esc never decides"),
        ({"veto": "pagdown"}, "'pagdown' is no key; did you mean 'pagedown'?"),
        ({"veto": ""}, "a key is missing; leave the line out to keep v"),
    ],
)
def test_a_key_map_that_cannot_be_says_why(keymap: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        checked(keymap, FILE)
    assert words in error.value.message
    assert str(FILE) in error.value.message


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        checked({"aprove": "y", "veto": "ctrl+h", "find": "alt+f"}, FILE)
    assert error.value.message.count("screen.keymap") == 3


def test_keys_may_be_written_as_they_look_and_two_actions_may_swap() -> None:
    assert checked({"find": "?", "help": "/"}, FILE) == {"find": "question_mark", "help": "slash"}
    assert checked({"approve": "d", "defer": "a"}, FILE) == {"approve": "d", "defer": "a"}
    assert checked({"approve": "f5, ctrl+a", "override": "O"}, FILE) == {"approve": "f5,ctrl+a", "override": "O"}
    assert [named(key) for key in ("Esc", "-", "PgDn", "#", "é", "Shift+Tab")] == [
        "escape", "minus", "pagedown", "number_sign", "é", "shift+tab",
    ]  # fmt: skip
    for key in ("#", "=", "shift+left", "ctrl+right", "f12", "ß", "backspace", "!"):
        assert checked({"zoom": key}, FILE)


def test_the_registry_as_it_is_would_be_accepted_as_a_key_map() -> None:
    assert checked({action.id: action.keys for action in ACTIONS if action.keys}, FILE)
    assert 'approve = "a"' in listed()


def test_a_theme_that_does_not_exist_is_named_with_where_it_was_said() -> None:
    with pytest.raises(ConfigError, match=r"screen\.theme = 'textual-drak'.*did you mean 'textual-dark'"):
        look(Screen(theme="textual-drak"), FILE, {})
    with pytest.raises(ConfigError, match="TEXTUAL_THEME = 'nrod'"):
        look(Screen(theme="nord"), FILE, {"TEXTUAL_THEME": "nrod"})
    assert look(Screen(theme="nord"), FILE, {"TEXTUAL_THEME": "ansi-light"}).theme == "ansi-light"


def test_over_ssh_the_screen_is_slow_unless_told_otherwise() -> None:
    assert look(Screen(), FILE, {"SSH_CONNECTION": "x"}).slow
    assert not look(Screen(), FILE, {}).slow
    assert not look(Screen(slow=False), FILE, {"SSH_CONNECTION": "x"}).slow
    assert look(Screen(slow=True), FILE, {}).slow


def test_nothing_rings_until_it_is_asked_for() -> None:
    assert look(Screen(), FILE, {}).calls.off


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[screen]\nsymbols = "sixel"', "screen.symbols = 'sixel'"),
        ("[screen]\nthem = 'nord'", "unknown key 'screen.them'; did you mean 'theme'"),
        ('[screen.notify]\nquiet = "22-7"', "screen.notify.quiet = '22-7'"),
        ('[screen.notify]\nquiet = "25:00-07:00"', "screen.notify.quiet"),
        ('[screen.notify]\ncommand = "notify-send"', "screen.notify.command"),
        ('[screen.notify]\ndesktop = "yes"', "screen.notify.desktop"),
    ],
)
def test_a_mistake_in_the_section_is_named_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "autoresearch.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert words in error.value.message
