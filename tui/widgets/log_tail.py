"""The end of a growing log, followed once a second while it is on screen.

`TailFile` keeps the offsets of the lines in the last few megabytes and nothing of their text; `LogTail` reads the lines
that are on screen. Neither cares how large the file or one of its lines is, whether it is rewritten, or whether it is
there at all.
"""

from __future__ import annotations

import os
import stat
from array import array
from bisect import bisect_right
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from core.text import bytes_text, clean, log_lines
from tui.widgets.line import changed
from tui.widgets.sight import in_sight

WINDOW = 4 * 2**20
"""bytes at the end of the file that can be scrolled and searched (up to twice as many while it grows)"""
POLL_SECONDS = 1.0
_LONG_LINE = 64 * 2**10  # of a longer line only its head, or its latest progress, is read
_SEAL = 32  # bytes before the end that must not have changed since


class TailFile:
    """Line offsets of the last `window` bytes of a file. Lines keep their numbers when older ones fall out."""

    def __init__(self, path: Path, *, window: int = WINDOW) -> None:
        self.path = path
        self.window = window
        self.problem = ""
        """why there is nothing to read; empty when there is"""
        self.first = 0
        """number of the oldest line that can be read"""
        self.cut = 0
        """bytes of the file before that line"""
        self._starts: array[int] = array("q", [0])
        self._end = 0
        self._seal = b""
        self._descriptor: int | None = None
        self._identity = (0, 0)

    @property
    def last(self) -> int:
        """One more than the number of the newest line."""
        return self.first + len(self._starts) - (self._starts[-1] == self._end)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def poll(self) -> int | None:
        """Looks for news. The number of the first line that changed (0 after a rewrite), None when nothing did."""
        try:
            status = os.stat(self.path)
            if not stat.S_ISREG(status.st_mode):
                return self._fail("is not a file")
            identity = (status.st_dev, status.st_ino)
            if self._descriptor is None or identity != self._identity:
                return self._open(identity)
            if status.st_size < self._end or self._read(self._end - len(self._seal), len(self._seal)) != self._seal:
                return self._open(identity)
            return self._index(status.st_size) if status.st_size > self._end else None
        except FileNotFoundError:
            return self._fail("is not there yet")
        except OSError as error:
            return self._fail(f"cannot be read: {error.strerror or error}")

    def line(self, number: int) -> str:
        """One line, safe to show. The latest state of a progress line; the head of a line of megabytes."""
        index = number - self.first
        start = self._starts[index]
        end = self._starts[index + 1] - 1 if index + 1 < len(self._starts) else self._end
        raw = self._read(max(start, end - _LONG_LINE), min(end - start, _LONG_LINE))
        if end - start > _LONG_LINE:
            progress = raw.rstrip(b"\r").rfind(b"\r")
            raw = raw[progress + 1 :] if progress >= 0 else self._read(start, _LONG_LINE)
        shown = log_lines(raw.decode(errors="replace"))
        return shown[0].expandtabs() if shown else ""

    def find(self, text: str, after: int, *, backwards: bool = False) -> int | None:
        """The next line after (before) line `after` that shows the text; small letters match capitals too."""
        fold = text == text.lower()
        base = self._starts[0]
        raw = self._read(base, self._end - base)
        raw, wanted = (raw.lower(), text.encode().lower()) if fold else (raw, text.encode())
        number = after
        while True:
            index = number - self.first
            if backwards:
                at = raw.rfind(wanted, 0, max(self._starts[index] - base, 0)) if 0 <= index < len(self._starts) else -1
            else:
                at = raw.find(wanted, self._starts[index + 1] - base) if index + 1 < len(self._starts) else -1
            if at < 0:
                return None
            number = self.first + bisect_right(self._starts, base + at) - 1
            shown = self.line(number)  # a progress line hides what it has overwritten
            if text in (shown.lower() if fold else shown):
                return number

    def _open(self, identity: tuple[int, int]) -> int:
        self._forget()
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._identity = identity
        self._index(os.fstat(self._descriptor).st_size)
        return 0

    def _fail(self, problem: str) -> int | None:
        if problem == self.problem:
            return None
        self._forget()
        self.problem = problem
        return 0

    def _forget(self) -> None:
        self.close()
        self.problem, self.first, self.cut, self._end, self._seal = "", 0, 0, 0, b""
        self._starts = array("q", [0])

    def _index(self, size: int) -> int:
        """Takes in the bytes up to `size`; the number of the first line that changed."""
        changed = self.first + len(self._starts) - 1
        if size - self._end > self.window:  # more than the window came at once: only its end counts
            self.first, self._end = self.last, size - self.window
            self._starts = array("q", [self._end])
        while self._end < size:
            block = self._read(self._end, min(size - self._end, 2**20))
            if not block:
                break
            at = block.find(b"\n")
            while at >= 0:
                self._starts.append(self._end + at + 1)
                at = block.find(b"\n", at + 1)
            self._end += len(block)
        self._trim()
        self._seal = self._read(max(self._end - _SEAL, 0), min(self._end, _SEAL))
        return max(changed, self.first)

    def _trim(self) -> None:
        if self._end - self._starts[0] > 2 * self.window:
            keep = min(bisect_right(self._starts, self._end - self.window), len(self._starts) - 1)
            del self._starts[:keep]
            self.first += keep
        self.cut = self._starts[0]  # may lie inside a line: the widget's note stands in that line's place

    def _read(self, offset: int, count: int) -> bytes:
        if self._descriptor is None or count <= 0:
            return b""
        try:
            return os.pread(self._descriptor, count, offset)
        except OSError:  # the next poll finds out and says why
            return b""


class LogTail(Widget, can_focus=True):
    """Follows a file's end until the reader scrolls up; `bottom` follows again. Repaints only lines that changed."""

    DEFAULT_CSS = """
    LogTail { height: 1fr; }
    LogTail > .log-tail--match { text-style: reverse; }
    LogTail > .log-tail--note { color: $text-muted; text-style: italic; &:ansi { text-style: dim; } }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log-tail--match", "log-tail--note"}
    ALLOW_SELECT = False

    def __init__(
        self,
        *,
        poll_seconds: float = POLL_SECONDS,
        id: str | None = None,  # noqa: A002 (Textual's word)
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.poll_seconds = poll_seconds
        self.following = True
        """the newest line stays in view"""
        self._file: TailFile | None = None
        self._first = 0  # number of the line in the first row
        self._left = 0
        self._fitted = -1  # height that the first row was chosen for
        self._match: tuple[int, str] | None = None
        self._drawn: dict[int, Strip] = {}
        self._timer: Timer | None = None

    # ---- what a screen calls -----------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        """The file that is shown."""
        return self._file.path if self._file else None

    def follow(self, path: Path | None) -> None:
        """Shows this file's end from now on; None empties the widget. The same path again changes nothing."""
        if path == self.path:
            return
        if self._file:
            self._file.close()
        self._file = TailFile(path) if path else None
        if self._file:
            self._file.poll()
        self.following, self._left, self._match = True, 0, None
        self._first = self._clamped(self._file.last if self._file else 0)
        self.refresh()

    def poll(self) -> None:
        """Reads what is new and repaints what it changed; nothing while nobody can see it."""
        if self._file is None or not in_sight(self):
            return
        shown_before = self._note()
        from_line = self._file.poll()
        if from_line is None:
            return
        self._first = self._clamped(self._file.last if self.following else self._first)
        if from_line == 0 or self._note() != shown_before:
            self.refresh()
        elif regions := self._changed_cells():
            self.refresh(*regions)

    def scroll_line(self, delta: int) -> None:
        self._go(self._first + delta)

    def scroll_page(self, delta: float) -> None:
        """By pages of what is visible: -0.5 is half a page up."""
        self._go(self._first + round(delta * max(self._rows - 1, 1)))

    def scroll_sideways(self, delta: int) -> None:
        self._left = max(self._left + delta, 0)
        self.refresh()

    def top(self) -> None:
        self._go(0)

    def bottom(self) -> None:
        """To the newest line, and follows it."""
        self._go(self._file.last if self._file else 0)

    def stay(self) -> None:
        """Follows the end no longer: what is in view stays."""
        if self.following:
            self.following = False
            self.refresh()

    def find(self, text: str, backwards: bool = False) -> bool:
        """Goes to the next line with this text, around the end; False when there is none."""
        if self._file is None or not text:
            return False
        start = self._match[0] if self._match else self._first - (0 if backwards else 1)
        found = self._file.find(text, start, backwards=backwards)
        if found is None:
            edge = self._file.last if backwards else self._file.first - 1
            found = self._file.find(text, edge, backwards=backwards)
        self._match = None if found is None else (found, text)
        if found is not None:
            self.following = False
            if not self._first <= found < self._first + self._rows:
                self._first = self._clamped(found - self._rows // 2)
        self.refresh()
        return found is not None

    def _changed_cells(self) -> list[Region]:
        """Where the rows differ from what is on the screen: lines of a training log are much alike."""
        regions = []
        for y in range(self.size.height):
            drawn = self._drawn.get(y)
            cells = changed(drawn, self._row(y)) if drawn is not None else (0, self.size.width)
            if cells is not None:
                regions.append(Region(cells[0], y, cells[1] - cells[0], 1))
        return regions

    # ---- moving ------------------------------------------------------------------------------------------------

    def _go(self, first: int) -> None:
        was = (self._first, self.following)
        self._match = None
        self.following = self._file is None or first + self.size.height >= self._file.last
        self._first = self._clamped(first)
        if was != (self._first, self.following):
            self.refresh()

    def _clamped(self, first: int) -> int:
        if self._file is None:
            return 0
        return max(min(first, self._file.last - self.size.height), self._file.first)

    @property
    def _rows(self) -> int:
        """rows for lines: the last one says so when the end is not followed"""
        return self.size.height - (not self.following)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_line(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_line(3)

    # ---- Textual -----------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._timer = self.set_interval(self.poll_seconds, self.poll)

    def on_unmount(self) -> None:
        if self._file:
            self._file.close()

    def on_show(self) -> None:
        self.call_after_refresh(self.poll)

    def on_resize(self) -> None:
        self._fit()
        self.call_after_refresh(self.poll)

    def _fit(self) -> None:
        if self._fitted != self.size.height:
            self._fitted = self.size.height
            self._first = self._clamped(self._file.last if self._file and self.following else self._first)

    def render_line(self, y: int) -> Strip:
        self._fit()  # the first paint of a new size comes before on_resize
        self._drawn[y] = self._row(y)
        return self._drawn[y]

    def _row(self, y: int) -> Strip:
        width, style = self.size.width, self.rich_style
        file, note = self._file, self._note()
        if note:
            return self._words(note if y == 0 else "")
        assert file is not None
        if not self.following and y == self.size.height - 1:
            more = file.last - self._first - y
            return self._words(f"▼ line {self._first + 1:,}, more below · G follows the end" if more > 0 else "")
        number = self._first + y
        if number >= file.last:
            return Strip.blank(width, style)
        if file.cut and number == file.first < file.last - 1:
            return self._words(f"… {bytes_text(file.cut)} of earlier output in {clean(str(file.path))}")
        text = file.line(number)
        segments = [Segment(text, style)]
        if self._match and self._match[0] == number:
            wanted = self._match[1]
            at = (text.lower() if wanted == wanted.lower() else text).find(wanted)
            end = at + len(wanted)
            found = style + self.get_component_rich_style("log-tail--match", partial=True)
            if at >= 0:
                segments = [Segment(text[:at], style), Segment(text[at:end], found), Segment(text[end:], style)]
        return Strip(segments).crop_extend(self._left, self._left + width, style)

    def _note(self) -> str:
        """What stands in the place of lines; empty when there are lines."""
        if self._file is None:
            return "No run has started: there is no log yet."
        if self._file.problem:
            return f"{clean(self._file.path.name)} {self._file.problem}."
        return "" if self._file.last > self._file.first else "The run has not printed anything yet."

    def _words(self, text: str) -> Strip:
        style = self.rich_style
        note = style + self.get_component_rich_style("log-tail--note", partial=True)
        return Strip([Segment(text, note)]).crop_extend(0, self.size.width, style)
