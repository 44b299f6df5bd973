"""What the devices do, with a few minutes of history: a GPU's use, memory, power, temperature and clock; a processor's
use, memory, load and cores.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from core.store.rows import Gauge
from core.text import UNKNOWN, ago, bytes_text, one_line

BUCKET_SECONDS = 5.0
"""one step of the history; older steps move only when a new one begins, so that most samples change one cell"""
HISTORY = 48
"""steps kept"""
SILENT_SECONDS = 30.0
"""a device whose newest sample is this much older than another's is called silent"""
ONE_LINE, WITH_CLOCK = 76, 90
"""columns from which a device needs a single line, and from which the clock is in it"""
FEW = 4
"""devices that are shown in detail; more of them stand closer"""
ASIDE_LONGEST = 300
"""characters of why a device is set aside"""
PAST = 12
"""cells of history where there is little room"""

JOIN = 8
"""cells: to move the cursor costs as much"""

Run = tuple[str, str]
"""text and the component class that colours it (empty for plain)"""

_LEVELS = {"braille": "", "block": "▁▂▃▄▅▆▇█", "ascii": "_.-~=+*#"}
_LEFT = (0, 0x40, 0x44, 0x46, 0x47)  # braille dots of a column filled to this height
_RIGHT = (0, 0x80, 0xA0, 0xB0, 0xB8)


class Gauges(Widget):
    """A few lines a device. What the device does not say is `–`. Repaints the part of a line that changed."""

    DEFAULT_CSS = """
    Gauges { height: auto; }
    Gauges > .gauges--name { text-style: bold; }
    Gauges > .gauges--bar { color: $success; }
    Gauges > .gauges--hot { color: $error; text-style: bold; }
    Gauges > .gauges--quiet { color: $text-muted; &:ansi { text-style: dim; } }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"gauges--name", "gauges--bar", "gauges--hot", "gauges--quiet"}
    ALLOW_SELECT = False

    def __init__(
        self,
        *,
        symbols: str = "braille",
        detailed: bool = False,
        empty_text: str = "No device has reported yet.",
        id: str | None = None,  # noqa: A002 (Textual's word)
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.symbols = symbols
        """`braille`, `block` or `ascii`"""
        self.detailed = detailed
        """a bar for the memory and every core of a processor, where there are few devices"""
        self.empty_text = empty_text
        self._aside: Mapping[str, str] = {}
        self._latest: dict[str, Gauge] = {}
        self._history: dict[str, deque[tuple[int, float]]] = defaultdict(lambda: deque(maxlen=HISTORY))
        self._age = ""
        """how long ago the newest sample was taken, where that is not now"""
        self._lines: list[list[Run]] = []
        self._fitted = 0  # width that they were drawn for

    def show(
        self, gauges: Sequence[Gauge], *, now: float | None = None, aside: Mapping[str, str] | None = None
    ) -> None:
        """Takes in samples, oldest first, of any devices; those it has seen already change nothing. `now`: devices are
        asked while something runs, so the newest sample may be an old one, and then says so. `aside`: devices that get
        no more runs, and why.
        """
        self._aside = aside or {}
        for sample in gauges:
            known = self._latest.get(sample.device)
            if known is not None and sample.at <= known.at:
                continue
            gauge = finite(sample)
            self._latest[gauge.device] = gauge
            if gauge.utilization is not None:
                self._remember(self._history[gauge.device], gauge.at, gauge.utilization)
        newest = max((gauge.at for gauge in self._latest.values()), default=0.0)
        age = 0.0 if now is None else now - newest
        self._age = ago(60 * max(1, age // 60)) if age > SILENT_SECONDS else ""
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
        lines = [
            [(line, "gauges--hot")]
            for words in self._aside.values()
            for line in wrap(one_line(words, ASIDE_LONGEST), max(width, 20), subsequent_indent="  ")
        ]
        if not self._latest:
            return [*lines, [(self.empty_text, "gauges--quiet")]]
        newest = max(gauge.at for gauge in self._latest.values())
        detailed = self.detailed and len(self._latest) <= FEW
        cells = max(min(width - 32, HISTORY // 2), 0) if detailed else PAST
        # GPUs first, as they are the busy ones; the processor after them
        for device in sorted(self._latest, key=lambda name: (name == "cpu", name)):
            gauge = self._latest[device]
            past = self._sparkline(device, cells) if newest - gauge.at <= SILENT_SECONDS else None
            past = self._age if past is not None and self._age else past
            draw = detailed_lines if detailed else device_lines
            lines += draw(gauge, past, width, self.symbols)
        return lines

    def _sparkline(self, device: str, cells: int) -> str:
        steps = dict(self._history[device])
        last = max(steps, default=0)
        # two steps share a braille cell: begin on an even one, or every new step would shift them all
        values = [steps.get(bucket) for bucket in range(last // 2 * 2 - 2 * (cells - 1), last + 1)]
        return sparkline(values, self.symbols)


def finite(gauge: Gauge) -> Gauge:
    """The sample with every number that is not one left unknown."""

    def known(value: float | None) -> float | None:
        return value if value is not None and isfinite(value) else None

    return replace(
        gauge,
        utilization=known(gauge.utilization),
        memory_used=known(gauge.memory_used),
        memory_total=known(gauge.memory_total),
        power=known(gauge.power),
        temperature=known(gauge.temperature),
        clock=known(gauge.clock),
        load=known(gauge.load),
        cores=gauge.cores if gauge.cores.isascii() and gauge.cores.isdigit() else "",
    )


def device_lines(gauge: Gauge, past: str | None, width: int, symbols: str) -> list[list[Run]]:
    """One device in one line, or in two where the terminal is narrow. What changes most stands first.

    `past` is its history; None: it has been silent.
    """
    head, share = _head(gauge), _memory(gauge)
    memory: Run = (f"  {share} {'RAM' if _is_cpu(gauge) else 'VRAM'}", _quiet(share))
    history: Run = _history(past)
    if width >= ONE_LINE:
        clocked = width >= WITH_CLOCK
        sensors = _sensors(gauge, clock=clocked)
        # room for the word `hot`, so that columns stay in line
        pad: Run = (" " * max((29 if clocked else 19) - sum(len(text) for text, _ in sensors), 0), "")
        room = min(width - (81 if clocked else 71), 20)
        return [
            [
                *head,
                *sensors,
                pad,
                (f"{memory[0]:<22}", memory[1]),
                *bar(gauge.utilization, room, symbols),
                history,
            ]
        ]
    room = max(min(width - 14 - len(history[0]) - 2, 20), 0)
    clocked = width >= 8 + 25 + len(memory[0])
    return [
        [*head, *bar(gauge.utilization, room, symbols), history],
        [(" " * 8, ""), *_sensors(gauge, clock=clocked), memory],
    ]


def detailed_lines(gauge: Gauge, past: str | None, width: int, symbols: str) -> list[list[Run]]:
    """One device with a bar for its memory; a processor with its load and each core, a GPU with what it draws."""
    room = max(min(width - 20, 12), 0)
    used, total = gauge.memory_used, gauge.memory_total
    percent = 100 * used / total if used is not None and total else None
    share = _memory(gauge)
    lines: list[list[Run]] = [
        [*_head(gauge), *bar(gauge.utilization, room, symbols), _history(past)],
        [(_row("memory", percent), ""), *bar(percent, room, symbols), (f"  {share}", _quiet(share))],
    ]
    if not _is_cpu(gauge):
        return [*lines, [("  sensors", ""), *_sensors(gauge, clock=True)]]
    of = f" on {len(gauge.cores)} core{'s' if len(gauge.cores) > 1 else ''}" if gauge.cores else ""
    load = UNKNOWN if gauge.load is None else f"{gauge.load:.1f}"
    lines.append([(f"  load  {load:>6}{of}", _quiet(load))])
    if gauge.cores:
        lines.append([("  cores   ", ""), (cores_text(gauge.cores, max(width - 10, 0), symbols), "gauges--bar")])
    return lines


def cores_text(cores: str, room: int, symbols: str) -> str:
    """A bar for each core; two to a cell where they are many, digits where there are no bars."""
    if len(cores) > room:
        return sparkline([10.0 * int(digit) for digit in cores], symbols)[:room]
    return cores if symbols == "ascii" else "".join(_LEVELS["block"][int(digit) * 8 // 10] for digit in cores)


def _is_cpu(gauge: Gauge) -> bool:
    return gauge.device == "cpu"


def _quiet(words: str) -> str:
    return "gauges--quiet" if words == UNKNOWN else ""


def _row(name: str, percent: float | None) -> str:
    return f"  {name:<6}{UNKNOWN if percent is None else f'{percent:.0f}':>4} %"


def _head(gauge: Gauge) -> list[Run]:
    percent = UNKNOWN if gauge.utilization is None else f"{gauge.utilization:.0f}"
    return [(f"{one_line(gauge.device, 8):<8}", "gauges--name"), (f" {percent:>3} %", "")]


def _history(past: str | None) -> Run:
    return ("  silent", "gauges--quiet") if past is None else (f"  {past}", "gauges--bar")


def _memory(gauge: Gauge) -> str:
    """`44.1/79.6 GiB`."""
    used, total = bytes_text(gauge.memory_used), bytes_text(gauge.memory_total)
    if UNKNOWN not in (used, total) and used.split()[-1] == total.split()[-1]:
        used = used.split()[0]
    return UNKNOWN if used == total == UNKNOWN else f"{used}/{total}"


def _sensors(gauge: Gauge, *, clock: bool) -> list[Run]:
    """What a GPU draws, how hot and how fast it is; of a processor, which has no such sensors here, the load."""
    if _is_cpu(gauge):
        load = UNKNOWN if gauge.load is None else f"{gauge.load:.1f}"
        return [(f"  load {load:>5}", _quiet(load)), (f"{f' of {len(gauge.cores)}' if gauge.cores else '':<7}", "")]
    hot = gauge.temperature is not None and gauge.temperature >= 90
    watts = UNKNOWN if gauge.power is None else f"{gauge.power:.0f}"
    degrees = UNKNOWN if gauge.temperature is None else f"{gauge.temperature:.0f}"
    megahertz = UNKNOWN if gauge.clock is None else f"{gauge.clock:.0f}"
    sensors: list[Run] = [(f"  {watts:>3} W", _quiet(watts))]
    sensors += [(f"  {degrees:>3} °C{' hot' if hot else ''}", "gauges--hot" if hot else _quiet(degrees))]
    return [*sensors, (f"  {megahertz:>4} MHz", _quiet(megahertz))] if clock else sensors


def bar(percent: float | None, cells: int, symbols: str) -> list[Run]:
    """`percent` of `cells` filled."""
    if cells < 4:
        return []
    if percent is None:  # an empty bar would say that it idles
        return [(" " * (cells + 2), "")]
    full, empty = "█░" if symbols != "ascii" else "#."
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
