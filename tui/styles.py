"""Style sheets that are parsed once.

Textual 8.2.8 remembers what it has parsed of 64 sources, and we have more: every new kind of widget then makes it parse
all of them again, a tenth of a second each time. And whenever a screen comes up for the first time it parses everything
afresh, as if the theme had changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = App[Any]
else:
    Base = object

SOURCES = 1024
SWITCH_SECONDS = 0.01
"""how long a new screen is held back, so that its first frame is whole; Textual takes five times as long"""


class SteadyStylesheet(Stylesheet):
    """Parses a source again only when the variables have changed."""

    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Nothing is replaced before everything has been parsed, so that a mistake breaks nothing."""
        self.parse()


class SteadyStyles(Base):
    """For an App: `class Cockpit(SteadyStyles, App[None])`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.stylesheet = SteadyStylesheet(variables=self.stylesheet._variables)

    def _get_screen(self, screen: Any) -> Any:
        """A screen that comes up for the first time has just been styled: it need not be styled again."""
        new = not getattr(screen, "is_running", True)
        if new and not self.styles.has_rule("color"):
            self.stylesheet.apply(self)  # widgets take their colours from the app, and remember what they found
        found: tuple[Screen[Any], Any] = super()._get_screen(screen)
        if new:
            found[0]._css_update_count = self._css_update_count
        return found

    def delay_update(self, delay: float = SWITCH_SECONDS) -> None:
        super().delay_update(min(delay, SWITCH_SECONDS))
