"""What the devices do: use, memory, power and temperature, a line or two a device, with a few minutes of history."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from math import isfinite
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from core.store.reader import Gauge
from core.text import UNKNOWN, bytes_text, one_line

BUCKET_SECONDS = 5.0
"""one step of the history; older steps move only when a new one begins, so that most samples change one cell"""
HISTORY = 48
"""steps kept"""
SILENT_SECONDS = 30.0
"""a device whose newest sample is this much older than another's is called silent"""
ONE_LINE = 76
"""columns from which a device needs a single line"""

JOIN = 8
"""cells: to move the cursor costs as much"""

Run = tuple[str, str]
"""text and the component class that colours it (empty for plain)"""

_LEVELS = {"braille": "", "block": "▁▂▃▄▅▆▇█", "ascii": "_.-~=+*#"}
_LEFT = (0, 0x40, 0x44, 0x46, 0x47)  # braille dots of a column filled to this height
_RIGHT = (0, 0x80, 0xA0, 0xB0, 0xB8)


class Gauges(Widget):
    """One or two lines a device. What the device does not say is `–`. Repaints the part of a line that changed."""

    DEFAULT_CSS = """
    Gauges { height: auto; }
    Gauges > .gauges--name { text-style: bold; }
    Gauges > .gauges--bar { color: $success; }
    Gauges > .gauges--hot { color: $error; text-style: bold; }
    Gauges > .gauges--quiet { color: $text-muted; &:ansi { text-style: dim; } }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"gauges--name", "gauges--bar", "gauges--hot", "gauges--quiet"}
    ALLOW_SELECT = False

    def __init__(self, *, symbols: str = "braille", id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.symbols = symbols
        """`braille`, `block` or `ascii`"""
        self._latest: dict[str, Gauge] = {}
        self._history: dict[str, deque[tuple[int, float]]] = defaultdict(lambda: deque(maxlen=HISTORY))
        self._lines: list[list[Run]] = []
        self._fitted = 0  # width that they were drawn for

    def show(self, gauges: Sequence[Gauge]) -> None:
        """Takes in samples, oldest first, of any devices; those it has seen already change nothing."""
        for sample in gauges:
            known = self._latest.get(sample.device)
            if known is not None and sample.at <= known.at:
                continue
            gauge = finite(sample)
            self._latest[gauge.device] = gauge
            if gauge.utilization is not None:
                self._remember(self._history[gauge.device], gauge.at, gauge.utilization)
        self._update()

    def clear(self) -> None:
        """Forgets every device."""
        self._latest.clear()
        self._history.clear()
        self._update()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._draw(width))

    def render_line(self, y: int) -> Strip:
        if self._fitted != self.size.width:
            self._fitted, self._lines = self.size.width, self._draw(self.size.width)
        style = self.rich_style
        line = self._lines[y] if y < len(self._lines) else []
        segments = [Segment(text, self._style(component, style)) for text, component in line]
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def _style(self, component: str, plain: Style) -> Style:
        return self.get_component_rich_style(component) if component else plain

    @staticmethod
    def _remember(history: deque[tuple[int, float]], at: float, utilization: float) -> None:
        bucket = int(at // BUCKET_SECONDS)
        if history and history[-1][0] == bucket:
            history[-1] = (bucket, max(history[-1][1], utilization))
        else:
            history.append((bucket, utilization))

    def _update(self) -> None:
        if not self.size.width:
            return  # the first paint draws them
        lines = self._draw(self.size.width)
        if len(lines) != len(self._lines) or self._fitted != self.size.width:
            self._fitted, self._lines = self.size.width, lines
            self.refresh(layout=True)
            return
        changed = [
            Region(first, y, last - first + 1, 1)
            for y, (old, new) in enumerate(zip(self._lines, lines, strict=True))
            for first, last in _changed(_cells(old), _cells(new))
        ]
        self._lines = lines
        if changed:
            self.refresh(*changed)

    def _draw(self, width: int) -> list[list[Run]]:
        if not self._latest:
            return [[("No device has reported yet.", "gauges--quiet")]]
        newest = max(gauge.at for gauge in self._latest.values())
        lines = []
        # GPUs first, as they are the busy ones; the processor after them
        for device in sorted(self._latest, key=lambda name: (name == "cpu", name)):
            gauge = self._latest[device]
            silent, blocks = newest - gauge.at > SILENT_SECONDS, self.symbols != "ascii"
            lines += device_lines(gauge, self._sparkline(device), width, silent=silent, blocks=blocks)
        return lines

    def _sparkline(self, device: str) -> str:
        steps = dict(self._history[device])
        last = max(steps, default=0)
        # two steps share a braille cell: begin on an even one, or every new step would shift them all
        values = [steps.get(bucket) for bucket in range(last // 2 * 2 - 22, last + 1)]
        return sparkline(values, self.symbols)


def finite(gauge: Gauge) -> Gauge:
    """The sample with every number that is not one left unknown."""

    def known(value: float | None) -> float | None:
        return value if value is not None and isfinite(value) else None

    return Gauge(
        device=gauge.device,
        at=gauge.at,
        utilization=known(gauge.utilization),
        memory_used=known(gauge.memory_used),
        memory_total=known(gauge.memory_total),
        power=known(gauge.power),
        temperature=known(gauge.temperature),
    )


def device_lines(gauge: Gauge, history: str, width: int, *, silent: bool, blocks: bool) -> list[list[Run]]:
    """One device in one line, or in two where the terminal is narrow. What changes most stands first."""
    quiet = "gauges--quiet"
    name = one_line(gauge.device, 8)
    used, total = bytes_text(gauge.memory_used), bytes_text(gauge.memory_total)
    if UNKNOWN not in (used, total) and used.split()[-1] == total.split()[-1]:
        used = used.split()[0]
    hot = "gauges--hot" if gauge.temperature is not None and gauge.temperature >= 90 else ""
    degrees = UNKNOWN if gauge.temperature is None else f"{gauge.temperature:.0f}"
    watts = UNKNOWN if gauge.power is None else f"{gauge.power:.0f}"
    percent = UNKNOWN if gauge.utilization is None else f"{gauge.utilization:.0f}"
    head: list[Run] = [(f"{name:<8}", "gauges--name"), (f" {percent:>3} %", "")]
    # a processor has no sensor for power here, and its memory is the machine's
    share = UNKNOWN if used == total == UNKNOWN else f"{used}/{total}"
    memory: Run = (f"  {share} {'RAM' if gauge.device == 'cpu' else 'VRAM'}", "" if share != UNKNOWN else quiet)
    sensors: list[Run] = [(f"  {watts:>3} W", "" if watts != UNKNOWN else quiet)]
    sensors += [(f"  {degrees:>3} °C{' hot' if hot else ''}", hot or ("" if degrees != UNKNOWN else quiet))]
    past: list[Run] = [("  silent", quiet)] if silent else [(f"  {history}", "gauges--bar")]
    if width >= ONE_LINE:
        room = min(width - 71, 20)
        warning: Run = (" " * (4 if not hot else 0), "")  # room for the word, so that columns stay in line
        return [
            [
                *head,
                *sensors,
                warning,
                (f"{memory[0]:<22}", memory[1]),
                *bar(gauge.utilization, room, blocks=blocks),
                *past,
            ]
        ]
    room = max(min(width - 14 - len(past[0][0]) - 2, 20), 0)
    return [[*head, *bar(gauge.utilization, room, blocks=blocks), *past], [(" " * 8, ""), *sensors, memory]]


def bar(percent: float | None, cells: int, *, blocks: bool) -> list[Run]:
    """`percent` of `cells` filled."""
    if cells < 4:
        return []
    if percent is None:  # an empty bar would say that it idles
        return [(" " * (cells + 2), "")]
    full, empty = "█░" if blocks else "#."
    filled = round(min(max(percent, 0.0), 100.0) / 100 * cells)
    return [("  " + full * filled, "gauges--bar"), (empty * (cells - filled), "gauges--quiet")]


def sparkline(values: Sequence[float | None], symbols: str) -> str:
    """Percentages as a row of small bars, two to a cell in braille; None is a gap."""
    if symbols != "braille":
        levels = _LEVELS.get(symbols, _LEVELS["ascii"])
        pairs = [max((v for v in values[i : i + 2] if v is not None), default=None) for i in range(0, len(values), 2)]
        return "".join(" " if v is None else levels[min(int(min(max(v, 0.0), 100.0) / 100 * 8), 7)] for v in pairs)
    heights = [0 if v is None else min(1 + int(min(max(v, 0.0), 100.0) / 100 * 4), 4) for v in values]
    heights += [0] * (len(heights) % 2)
    cells = [_LEFT[left] | _RIGHT[right] for left, right in zip(heights[::2], heights[1::2], strict=True)]
    return "".join(chr(0x2800 + dots) if dots else " " for dots in cells)


def _cells(line: list[Run]) -> list[tuple[str, str]]:
    return [(char, component) for text, component in line for char in text]


def _changed(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """First and last cell of each run that differs; runs nearer than JOIN are one."""
    length = max(len(old), len(new))
    blank = (" ", "")
    old, new = old + [blank] * (length - len(old)), new + [blank] * (length - len(new))
    runs: list[tuple[int, int]] = []
    for x, (before, after) in enumerate(zip(old, new, strict=True)):
        if before != after:
            near = runs and x - runs[-1][1] < JOIN
            runs[-1:] = [(runs[-1][0], x)] if near else [*runs[-1:], (x, x)]
    return runs
