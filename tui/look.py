"""How the screen looks and calls: `[screen]` of autoresearch.toml and the environment, checked before it opens."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ConfigError
from tui.attention import Calls
from tui.keymap import checked

if TYPE_CHECKING:  # pydantic behind it takes as long as half of Textual
    from core.config import Screen


@dataclass(frozen=True, slots=True)
class Look:
    """What the app is told; the defaults are those of a screen without a configuration."""

    theme: str = ""
    """empty: Textual's own choice"""
    symbols: str = "braille"
    slow: bool = False
    keymap: Mapping[str, str] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)
    tour: bool = True


def opened(file: Path, environment: Mapping[str, str] = os.environ) -> Look:
    """How the screen of a lab looks. A section with more than a theme and a switch is checked with the whole file,
    and the engine checks the whole file; a plain one is read here, for the checker takes a third of a start.

    Raises:
        ConfigError: the file is missing, is not TOML, or has a mistake.
    """
    try:
        section = tomllib.loads(file.read_text(encoding="utf-8")).get("screen", {})
    except (OSError, ValueError):
        section = None
    kinds = {"theme": str, "tour": bool, "keymap": dict, "notify": dict}
    plain = isinstance(section, dict) and all(type(value) is kinds.get(key) for key, value in section.items())
    if section is None or not plain or section.get("keymap") or section.get("notify"):
        from core.config import load

        return look(load(file).screen, file, environment)
    theme = _theme(section.get("theme", ""), file, environment)
    return Look(theme=theme, slow="SSH_CONNECTION" in environment, tour=section.get("tour", True))


def look(screen: Screen, file: Path, environment: Mapping[str, str] = os.environ) -> Look:
    """The configuration as the app takes it. TEXTUAL_THEME goes before the file: it belongs to this one terminal.

    Raises:
        ConfigError: an unknown theme, action or key.
    """
    return Look(
        theme=_theme(screen.theme, file, environment),
        symbols=screen.symbols,
        slow="SSH_CONNECTION" in environment if screen.slow == "auto" else bool(screen.slow),
        keymap=checked(screen.keymap, file),
        calls=Calls(
            bell=screen.notify.bell,
            desktop=screen.notify.desktop,
            command=tuple(screen.notify.command),
            quiet=screen.notify.quiet,
        ),
        tour=screen.tour,
    )


def _theme(wanted: str, file: Path, environment: Mapping[str, str]) -> str:
    source, theme = "TEXTUAL_THEME", environment.get("TEXTUAL_THEME", "")
    if not theme:
        source, theme = f"{file}: screen.theme", wanted
    if not theme:
        return ""
    from textual.theme import BUILTIN_THEMES

    names = sorted(BUILTIN_THEMES)
    if theme not in names:
        near = get_close_matches(theme, names, n=1)
        words = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise ConfigError(f"{source} = {theme!r}: there is no such theme; {words}", hint="nothing was changed")
    return theme
