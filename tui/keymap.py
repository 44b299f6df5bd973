"""A user's keys, checked: `[screen.keymap]` of autoresearch.toml gives actions of the registry other keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from core.errors import ConfigError
from tui.actions import ACTIONS, BY_ID, COMPARE, EXPERIMENTS, KEY_NAMES, MOVING, ON_LIVE, PLACES, Action

NAMED = {
    "up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "backspace",
    "enter", "escape", "tab", "shift+tab", "space", *(f"f{number}" for number in range(1, 13)),
}  # fmt: skip
"""keys with a name that every terminal sends"""
ARROWS = {"up", "down", "left", "right", "home", "end"}
"""keys that are sent with shift and ctrl too"""
SAME_BYTE = {"h": "Backspace", "i": "Tab", "j": "Enter", "m": "Enter"}
TAKEN = {"c": "says how to leave", "q": "leaves the screen", "z": "suspends the program"}
NEVER_DECIDE = ("enter", "escape")
SPELLED = {shown: name for name, shown in KEY_NAMES.items()} | {"-": "minus", "+": "plus", "@": "at", "\\": "backslash"}


def checked(keymap: Mapping[str, str], file: Path) -> dict[str, str]:
    """The key map in Textual's names.

    Raises:
        ConfigError: an action that does not exist, a key that no terminal sends, or two actions on one key; all of
            what is wrong at once.
    """
    wrong: list[str] = []
    found: dict[str, str] = {}
    for action_id, keys in keymap.items():
        if action_id not in BY_ID:
            wrong.append(f"screen.keymap: there is no action {action_id!r}{_near(action_id)}")
            continue
        names = [named(key) for key in keys.split(",") if key.strip()]
        refused = [reason for key in names if (reason := _refused(key, BY_ID[action_id]))]
        wrong += [f"screen.keymap.{action_id}: {reason}" for reason in refused]
        if not names:
            kept = BY_ID[action_id].keys or "it in the palette"
            wrong.append(f"screen.keymap.{action_id}: a key is missing; leave the line out to keep {kept}")
        found[action_id] = ",".join(names)
    if not wrong:
        everywhere = tuple(action for action in ACTIONS if action.id in (*MOVING, *PLACES))
        screens = (ACTIONS, (*everywhere, *EXPERIMENTS), (*everywhere, *COMPARE), ON_LIVE)
        said = dict.fromkeys(words for actions in screens for words in clashes(found, actions))
        wrong += [f"screen.keymap: {words}" for words in said]
    if wrong:
        raise ConfigError(f"{file}: {'; '.join(wrong)}", hint="fix the key and open the lab again; nothing was changed")
    return found


def named(key: str) -> str:
    """Textual's name of a key, however it was written: `/` and `slash` are the same, and so are `Esc` and `escape`."""
    key = key.strip()
    if key in SPELLED:
        return SPELLED[key]
    if len(key) == 1 and not key.isalnum():
        return unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return key if len(key) == 1 else key.lower().replace("ctrl-", "ctrl+").replace("shift-", "shift+")


def _refused(key: str, action: Action) -> str:
    """Why an action cannot have this key; empty when it can."""
    start, _, last = key.rpartition("+")
    control, shift = "ctrl" in start.split("+"), "shift" in start.split("+")
    reason = ""
    if key.startswith(("alt", "meta", "super", "hyper", "option")) and (start or "-" in key):
        reason = "terminals send alt as Esc and a letter, which cannot be told from Esc: choose another key"
    elif key in NEVER_DECIDE and (action.group == "decide" or action.decides):
        reason = f"{KEY_NAMES[key]} never decides: choose another key"
    elif control and shift:
        reason = f"terminals do not send {key}: choose a key without one of the two"
    elif control and last in SAME_BYTE:
        reason = f"terminals send {key} as {SAME_BYTE[last]}: choose another key"
    elif control and last in TAKEN:
        reason = f"{key} {TAKEN[last]}: choose another key"
    elif shift and len(last) == 1:
        reason = f"write {last.upper()!r} instead of {key!r}"
    elif key not in NAMED and not _sent_with(start, last) and not _printable(key):
        near = get_close_matches(key, [*NAMED, *KEY_NAMES], n=1)
        reason = f"{key!r} is no key{f'; did you mean {near[0]!r}?' if near else ''}"
    return reason


def _sent_with(start: str, last: str) -> bool:
    """Whether terminals send this key with this modifier."""
    letter = len(last) == 1 and last.isascii() and last.isalpha()
    return (start in ("ctrl", "shift") and last in ARROWS) or (start == "ctrl" and letter)


def _printable(key: str) -> bool:
    if len(key) == 1:
        return key.isprintable()
    if key in SPELLED.values():
        return True
    try:
        return len(unicodedata.lookup(key.replace("_", " "))) == 1
    except KeyError:
        try:  # the one name with a hyphen that keyboards have: HYPHEN-MINUS
            return len(unicodedata.lookup(key.replace("_", "-"))) == 1
        except KeyError:
            return False


def clashes(keymap: Mapping[str, str], actions: Iterable[Action] = ACTIONS) -> list[str]:
    """Every key that would do two things, in words."""
    by_key: dict[str, list[Action]] = {}
    for action in actions:
        for key in keymap.get(action.id, action.keys).split(","):
            if key:
                by_key.setdefault(key, []).append(action)
    return [
        f"{KEY_NAMES.get(key, key)!r} would be both {' and '.join(action.id for action in sharing)}: "
        f"give {next((a.id for a in sharing if a.id not in keymap), sharing[-1].id)} another key"
        for key, sharing in by_key.items()
        if len(sharing) > 1 and any(action.id in keymap for action in sharing)
    ]


def _near(action_id: str) -> str:
    near = get_close_matches(action_id, BY_ID, n=3, cutoff=0.5)
    labels = [action.id for action in BY_ID.values() if action_id.lower() in f"{action.label} {action.help}".lower()]
    near = list(dict.fromkeys([*near, *labels]))[:3]
    return f"; near it: {', '.join(near)}" if near else "; `python -m tui.actions --ids` lists them"
