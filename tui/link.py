"""The way to the terminal. However slow it is, at most a few frames wait on it: what changes meanwhile is painted as
one, keys go on being answered, and leaving does not wait for a picture nobody will see.
"""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.screen import Screen

    Base = App[Any]
else:
    Base = object

PATIENCE_SECONDS = 0.05
"""a frame that has not left after this holds back those after it"""
PIECE = 1024
"""characters after which a write can be given up"""
FRAME_ENDS = "\x1b[?2026l"


class Outlet:
    """What Textual's output thread writes to: in pieces, and it knows how much has left."""

    def __init__(self, file: IO[str], left: Callable[[], None], gone: Callable[[], None]) -> None:
        self._file, self._left, self._gone = file, left, gone
        self.count = 0
        """writes that are done with"""
        self.given_up = 0
        """writes up to this number need not arrive"""

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()

    def write(self, text: str) -> None:
        number = self.count + 1
        try:
            for start in range(0, len(text), PIECE):
                if number <= self.given_up:
                    break
                self._file.write(text[start : start + PIECE])
                self._file.flush()
        except OSError:  # no terminal any more; were this thread to end, the app would wait for it for ever
            self._gone()
        self.count = number

    def flush(self) -> None:
        self._left()


class PatientDriver(LinuxDriver):
    """Textual's driver for Linux and macOS over an `Outlet`; it starts again only where it has stopped before."""

    def __init__(self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: Any = None) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        assert self._file is not None
        self.outlet = Outlet(self._file, partial(self._tell, "link_is_free"), partial(self._tell, "link_is_gone"))
        self._file = self.outlet  # type: ignore[assignment]
        self._given = 0
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Something is still on its way."""
        return self.outlet.count < self._given

    def write(self, data: str) -> None:
        self._given += 1
        super().write(data)

    def _tell(self, what: str) -> None:
        """From the output thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(getattr(self._app, what))

    def stop_application_mode(self) -> None:
        """A picture that is still on its way is given up: the terminal's own is about to come back."""
        if self.busy:
            self.outlet.given_up = self._given
            with suppress(termios.error):
                termios.tcflush(self.outlet.fileno(), termios.TCOFLUSH)
            self.write(FRAME_ENDS)
        super().stop_application_mode()

    def _sigtstp_application(self, *arguments: Any) -> None:
        self._stopped = self._auto_restart
        super()._sigtstp_application(*arguments)

    def _sigcont_application(self, *arguments: Any) -> None:
        """After `kill -STOP` nothing was taken down: a second start would read every key twice."""
        if self._stopped:
            self._stopped = False
            super()._sigcont_application(*arguments)
        elif self._auto_restart:
            self.send_message(Driver.SignalResume())


class PatientLink(Base):
    """For an App: `class Cockpit(PatientLink, App[None])`. Frames wait while the one before has not left."""

    _held = False
    _missed = False
    """a layout was drawn while frames were held: only a whole repaint shows it"""

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        return PatientDriver if found is LinuxDriver else found

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self._held:
            self._missed = self._missed or renderable is not None
            return
        super()._display(screen, renderable)
        if isinstance(self._driver, PatientDriver):
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._hold)

    def _hold(self) -> None:
        if not self._held and isinstance(self._driver, PatientDriver) and self._driver.busy and not self._exit:
            self._held = True
            self._begin_batch()

    def link_is_free(self) -> None:
        """Everything has left: paint what has changed since."""
        if not self._held or not isinstance(self._driver, PatientDriver) or self._driver.busy:
            return
        self._held = False
        self._end_batch()
        if self._missed:
            self._missed = False
            self.screen.refresh()
        self.screen.call_later(self.screen._compositor_refresh)
        self.screen.check_idle()

    def link_is_gone(self) -> None:
        """The terminal takes nothing any more; the app decides what that means."""

    def paint_again(self, _: object = None) -> None:
        """Something else has used the terminal meanwhile; for `app_resume_signal`."""
        self.screen.refresh(layout=True)
