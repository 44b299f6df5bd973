"""Every widget in every state, to look at: `python -m tui.gallery [--state NAME] [--screenshot DIR]`.

`tab` and `shift+tab` flip through the states, `t` feeds the next sample to the ones that live, `r` fills a widget anew,
`q` leaves. The other keys are those of the Review screen. `--screenshot` writes an SVG a state and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Static

from core.models import Series
from core.patches import diff, parse
from core.store.reader import Gauge
from tui.cropped import CroppedUpdates
from tui.render.diff_rows import rows
from tui.widgets.chart import Chart
from tui.widgets.diff import DiffView
from tui.widgets.gauges import Gauges
from tui.widgets.log_tail import LogTail

GIB = 2**30

HOSTILE = "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x9b5m \u202eevil\u2066 [/] [bold]x[/bold] \x1bc 日本語 👩‍👩‍👧 end"

BEFORE = '''\
import math

import torch

MATRIX_LR = 0.04
WEIGHT_DECAY = 0.2
WARMDOWN = 0.5


class Attention(torch.nn.Module):
    """Causal self-attention with rotary embeddings and normalised queries and keys."""

    def forward(self, x, cos_sin, window):
        q, k, v = self.project(x)
        q, k = rotate(q, cos_sin), rotate(k, cos_sin)
        q, k = norm(q), norm(k)
        y = attend(q, k, v, window)
        return self.out(y)


def schedule(progress):
    """Learning-rate multiplier at this share of the budget."""
    if progress < 1 - WARMDOWN:
        return 1.0
    return (1 - progress) / WARMDOWN


def main():
    run = Harness.from_env()
    model = build_model(run.profile).to(run.device)
    optimizers = build_optimizers(model, MATRIX_LR, WEIGHT_DECAY)
    for batch in run.batches():
        loss = model(batch.inputs, batch.targets)
        loss.backward()
        run.log(loss=loss)
    run.finish(model)
'''
AFTER = (
    BEFORE.replace("WARMDOWN = 0.5", "WARMDOWN = 0.65\nQK_GAIN = 1.15")
    .replace("q, k = norm(q), norm(k)", "q, k = norm(q) * QK_GAIN, norm(k) * QK_GAIN")
    .replace("    return (1 - progress) / WARMDOWN", "    left = (1 - progress) / WARMDOWN\n    return left * left")
    .replace("        run.log(loss=loss)\n", "        run.log(loss=loss, lr=schedule(run.progress))\n")
)
HOSTILE_PATCH = f"""\
diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -1,3 +1,4 @@
 import math
-a = 1  # {HOSTILE}
+a = 2  # {HOSTILE.replace("evil", "good")}
+\tb = "{"wide 全角 " * 60}"
 end
"""


def patch_text(before: str = BEFORE, after: str = AFTER) -> str:
    """A patch of the sample training script."""
    return diff({"train.py": before}, {"train.py": after}).text


def long_patch(count: int) -> str:
    """A patch of about so many rows, nine to a hunk."""
    before = [f"    value_{i} = compute({i}, scale={i % 7})" for i in range(count * 14 // 9)]
    after = [line.replace("scale=3", "scale=3.5") if i % 14 == 3 else line for i, line in enumerate(before)]
    return patch_text("\n".join(before) + "\n", "\n".join(after) + "\n")


def loss_curve(points: int, *, start: float = 10.8, floor: float = 2.9, seconds: float = 300.0, of: int = 0) -> Series:
    """A loss that falls as losses do, with a little deterministic noise; `of` points would fill the seconds."""
    steps = range(points)
    t = tuple(seconds * i / max((of or points) - 1, 1) for i in steps)
    noise = [0.06 * math.sin(i * 12.9898) * math.cos(i * 78.233) for i in steps]
    value = tuple(
        floor + (start - floor) * math.exp(-x / 28) + 0.4 * math.exp(-x / 140) + n
        for x, n in zip(t, noise, strict=True)
    )
    return Series("loss", tuple(steps), t, value)


def with_values(series: Series, change: Callable[[int, float], float]) -> Series:
    return Series(series.name, series.step, series.t, tuple(change(i, v) for i, v in enumerate(series.value)))


def samples(device: str = "cuda:0", count: int = 40, **values: float | None) -> list[Gauge]:
    """Telemetry of a device that is mostly busy."""
    base: dict[str, float | None] = {
        "memory_used": 44.1 * GIB,
        "memory_total": 79.6 * GIB,
        "power": 312.0,
        "temperature": 61.0,
    }
    base |= values
    busy = [50 + 49 * math.sin(i / 5) ** 2 for i in range(count)]
    return [Gauge(device=device, at=1000.0 + 3 * i, utilization=busy[i], **base) for i in range(count)]


@dataclass(frozen=True)
class Exhibit:
    """One widget in one state."""

    name: str
    make: Callable[[], Widget]
    fill: Callable[[Widget], None]
    tick: Callable[[Widget, int], None] | None = None


def _diff(text: str, *, kept: frozenset[int] | None = None) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, DiffView)
        patch = parse(text) if text else None
        widget.show(rows(patch, {"train.py": BEFORE}) if patch else [], hunks=len(patch.hunks) if patch else 0)
        if kept is not None:
            widget.set_kept(kept)

    return fill


def _chart(
    live: Series,
    champion: Series | None = None,
    *,
    log: bool = False,
    title: str = "loss",
    unit: str = "",
    note: str = "",
) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, Chart)
        widget.show(live, champion, title=title, unit=unit, note=note)
        if log:
            widget.toggle_log()

    return fill


def _live(widget: Widget, tick: int) -> None:
    assert isinstance(widget, Chart)
    widget.show(loss_curve(300 + tick, of=600), loss_curve(600, floor=3.0), note="#42 over #37")


def _log(make: Callable[[Path], Path | None]) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, LogTail)
        assert isinstance(widget.app, Gallery)
        widget.follow(make(widget.app.directory / f"{len(list(widget.app.directory.iterdir()))}.log"))

    return fill


def _written(text: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(text.encode(errors="surrogateescape"))
        return path

    return make


def _more_log(widget: Widget, tick: int) -> None:
    assert isinstance(widget, LogTail)
    assert widget.path is not None
    with widget.path.open("a") as out:
        out.write(f"step {2000 + tick:05} (49.1%) | loss: 3.21{tick % 10}43 | dt: 21ms | tok/sec: 1,213,000\r")
    widget.poll()


def _gauges(*gauges: Gauge) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, Gauges)
        widget.show(gauges)

    return fill


def _more_gauges(widget: Widget, tick: int) -> None:
    assert isinstance(widget, Gauges)
    at = 1120.0 + 2 * tick
    widget.show([Gauge("cuda:0", at, 97 - tick % 3, 44.1 * GIB, 79.6 * GIB, 310 + 7 * (tick % 5), 61 + tick % 2)])


def exhibits() -> list[Exhibit]:
    """All of them, in the order in which they are shown."""
    nothing = Series("loss", (), (), ())
    live, champion = loss_curve(300, of=600), loss_curve(600, floor=3.0)
    gaps = with_values(loss_curve(600), lambda i, v: math.nan if 180 < i < 260 or i % 97 == 0 else v)
    diverged = with_values(
        loss_curve(400, of=600), lambda i, v: v if i < 320 else math.nan if i > 360 else v + (i - 320) ** 2
    )
    progress = "".join(f"step {i:05} (49.1%) | loss: 3.2143 | dt: 21ms | tok/sec: 1,213,000\r" for i in range(2000))
    cpu = samples("cpu", power=None, temperature=None, memory_used=6.2 * GIB, memory_total=31.3 * GIB)
    return [
        Exhibit("diff", DiffView, _diff(patch_text())),
        Exhibit("diff-hunk-out", DiffView, _diff(patch_text(), kept=frozenset({0, 2, 3}))),
        Exhibit("diff-long", DiffView, _diff(long_patch(5000))),
        Exhibit("diff-hostile", DiffView, _diff(HOSTILE_PATCH)),
        Exhibit("diff-empty", DiffView, _diff("")),
        Exhibit("chart", Chart, _chart(live, champion, note="#42 over #37"), _live),
        Exhibit("chart-log", Chart, _chart(live, champion, note="#42 over #37", log=True), _live),
        Exhibit("chart-alone", Chart, _chart(loss_curve(600), unit="nats")),
        Exhibit("chart-gaps", Chart, _chart(gaps, champion)),
        Exhibit("chart-diverged", Chart, _chart(diverged, champion, note="diverged at 180 s")),
        Exhibit("chart-first-point", Chart, _chart(loss_curve(1, of=600), champion)),
        Exhibit("chart-empty", Chart, _chart(nothing, champion, note="compiling")),
        Exhibit("chart-block", lambda: Chart(symbols="block"), _chart(live, champion)),
        Exhibit("chart-ascii", lambda: Chart(symbols="ascii"), _chart(live, champion)),
        Exhibit("chart-hostile", Chart, _chart(live, champion, title=HOSTILE, unit=HOSTILE, note=HOSTILE)),
        Exhibit("log", LogTail, _log(_written("compiled in 21.3 s\n" * 60 + progress)), _more_log),
        Exhibit("log-none", LogTail, _log(lambda path: None)),
        Exhibit("log-missing", LogTail, _log(lambda path: path)),
        Exhibit("log-empty", LogTail, _log(_written(""))),
        Exhibit("log-hostile", LogTail, _log(_written(f"{HOSTILE}\n" * 5 + "x" * 10_000_000 + "\nlast\n"))),
        Exhibit("gauges", Gauges, _gauges(*samples(), *samples("cuda:1", temperature=92.0), *cpu), _more_gauges),
        Exhibit("gauges-cpu", Gauges, _gauges(*cpu)),
        Exhibit("gauges-ascii", lambda: Gauges(symbols="ascii"), _gauges(*samples(), *cpu)),
        Exhibit("gauges-unknown", Gauges, _gauges(Gauge("cuda:0", 1.0, None, None, None, None, None))),
        Exhibit("gauges-silent", Gauges, _gauges(*samples("cuda:0", 2), *samples("cuda:1"))),
        Exhibit("gauges-none", Gauges, _gauges()),
    ]


class Gallery(CroppedUpdates, App[None]):
    """One exhibit at a time, its name above it."""

    CSS = """
    #name { height: 1; background: $panel; }
    #exhibit { height: 1fr; }
    #exhibit Chart { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "flip(1)", "Next", priority=True),
        Binding("shift+tab", "flip(-1)", "Previous", priority=True),
        ("t", "tick", "Next sample"),
        ("r", "refill", "Show it anew"),
        ("q", "quit", "Leave"),
        ("j,down", "on('scroll_line', 1)", "Down"),
        ("k,up", "on('scroll_line', -1)", "Up"),
        ("ctrl+d", "on('scroll_page', 0.5)", "Half a page down"),
        ("ctrl+u", "on('scroll_page', -0.5)", "Half a page up"),
        ("pagedown", "on('scroll_page', 1)", "Page down"),
        ("pageup", "on('scroll_page', -1)", "Page up"),
        ("left", "on('scroll_sideways', -16)", "Left"),
        ("right", "on('scroll_sideways', 16)", "Right"),
        ("g", "on('top')", "Top"),
        ("G", "on('bottom')", "Bottom"),
        ("n", "on('next_hunk')", "Next hunk"),
        ("p", "on('previous_hunk')", "Previous hunk"),
        ("space", "on('toggle_hunk')", "Hunk in or out"),
        ("slash", "on('find', 'loss')", "Find 'loss'"),
        ("L", "on('toggle_log')", "Log scale"),
        ("left_square_bracket", "on('smooth', -1)", "Less smooth"),
        ("right_square_bracket", "on('smooth', 1)", "Smoother"),
        ("x", "on('next_axis')", "x axis"),
        ("0", "on('reset')", "Reset"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, directory: Path, first: str = "") -> None:
        super().__init__()
        self.directory = directory
        self.exhibits = exhibits()
        self.index = next((i for i, exhibit in enumerate(self.exhibits) if exhibit.name == first), 0)
        self.ticks = 0

    def compose(self) -> ComposeResult:
        yield Static(id="name", markup=False)
        yield Container(id="exhibit")

    async def on_mount(self) -> None:
        self.animation_level = "none"
        await self.hang()

    async def hang(self) -> None:
        """Puts the current exhibit up."""
        exhibit, frame = self.exhibits[self.index], self.query_one("#exhibit")
        self.query_one("#name", Static).update(f" {self.index + 1}/{len(self.exhibits)} {exhibit.name}")
        await frame.remove_children()
        widget = exhibit.make()
        await frame.mount(widget)
        exhibit.fill(widget)
        if widget.focusable:
            widget.focus()

    async def action_flip(self, delta: int) -> None:
        self.index = (self.index + delta) % len(self.exhibits)
        await self.hang()

    def action_refill(self) -> None:
        self.exhibits[self.index].fill(self.query_one("#exhibit").children[0])

    def action_tick(self) -> None:
        self.ticks += 1
        tick = self.exhibits[self.index].tick
        if tick is not None:
            tick(self.query_one("#exhibit").children[0], self.ticks)

    def action_on(self, method: str, *arguments: object) -> None:
        act = getattr(self.query_one("#exhibit").children[0], method, None)
        if callable(act):
            act(*arguments)


async def photograph(directory: Path, size: tuple[int, int]) -> list[Path]:
    """An SVG of every exhibit."""
    pictures = []
    with tempfile.TemporaryDirectory() as scratch:
        app = Gallery(Path(scratch))
        async with app.run_test(size=size) as pilot:
            for exhibit in app.exhibits:
                await pilot.pause()
                pictures.append(directory / f"{exhibit.name}.svg")
                pictures[-1].write_text(app.export_screenshot(title=exhibit.name, simplify=True))
                await app.action_flip(1)
    return pictures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tui.gallery", description="Every widget in every state.")
    parser.add_argument(
        "--state", default="", choices=["", *(e.name for e in exhibits())], help="the one to begin with"
    )
    parser.add_argument("--screenshot", type=Path, metavar="DIR", help="write an SVG of each and end")
    parser.add_argument("--size", default="120x36", help="of the screenshots, in cells")
    options = parser.parse_args(arguments)
    if options.screenshot:
        options.screenshot.mkdir(parents=True, exist_ok=True)
        columns, rows_ = map(int, options.size.split("x"))
        for picture in asyncio.run(photograph(options.screenshot, (columns, rows_))):
            print(picture)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        Gallery(Path(scratch), options.state).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
