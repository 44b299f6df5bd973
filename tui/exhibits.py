"""Every widget in every state, filled with sample values: what the gallery shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from textual.content import Content
from textual.widget import Widget

from core.models import Purpose, Run, RunState, Series, State
from core.patches import diff, parse
from core.store.rows import Gauge
from core.text import clean
from tui import samples as samples_of
from tui.listing import Listing
from tui.pace import Left, Stopwatch, steps
from tui.render.diff_rows import rows
from tui.render.progress import Dot, Ink, Name, Progress, Reign
from tui.widgets import overlay
from tui.widgets.chart import Chart
from tui.widgets.chart_grid import USUAL, ChartGrid, Curve
from tui.widgets.conversation import conversation
from tui.widgets.decisions_table import DecisionsTable
from tui.widgets.diff import DiffView
from tui.widgets.experiments_table import ExperimentsTable
from tui.widgets.find_field import FindField
from tui.widgets.gauges import Gauges
from tui.widgets.growing_pane import GrowingPane
from tui.widgets.log_tail import LogTail
from tui.widgets.notebook import notes
from tui.widgets.overlay import Overlay
from tui.widgets.phases import Phases
from tui.widgets.progress_plot import ProgressPlot
from tui.widgets.queue import ExperimentList
from tui.widgets.spending import spending
from tui.widgets.states import Banner, Notice, TooSmall
from tui.widgets.text_pane import TextPane
from tui.widgets.tour import Tour

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


def samples(device: str = "cuda:0", count: int = 40, **values: Any) -> list[Gauge]:
    """Telemetry of a device that is mostly busy."""
    busy = [50 + 49 * math.sin(i / 5) ** 2 for i in range(count)]
    board = Gauge(device, 0.0, None, 44.1 * GIB, 79.6 * GIB, 312.0, 61.0, 1980.0)
    return [replace(board, at=1000.0 + 3 * i, utilization=busy[i], **values) for i in range(count)]


def processor(cores: str = "97310000", count: int = 40) -> list[Gauge]:
    """Telemetry of a processor: a digit a core."""
    sampled = samples("cpu", count, memory_used=6.2 * GIB, memory_total=31.3 * GIB)
    return [replace(s, power=None, temperature=None, clock=None, load=2.4, cores=cores) for s in sampled]


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
        widget.show(rows(patch, {"train.py": BEFORE}) if patch else None)
        if kept is not None:
            widget.set_kept(kept)

    return fill


def _ask(widget: Widget) -> None:
    assert isinstance(widget, FindField)
    widget.ask("warmdown")


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


def _charts(names: Sequence[str], points: int = 300) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, ChartGrid)
        widget.show(names, lambda name: _curve(name, points), title="#42")

    return fill


def _curve(name: str, points: int) -> Curve:
    """Curves of several shapes and sizes."""
    scale = {"loss": 1.0, "lr": 0.003, "tokens_per_s": 40_000.0}.get(name, 0.1)
    live, champion = loss_curve(points, of=600), loss_curve(600, floor=3.0)
    scaled = [replace(with_values(one, lambda i, v: v * scale), name=name) for one in (live, champion)]
    return Curve(scaled[0], scaled[1], 310.0)


def _more_charts(widget: Widget, tick: int) -> None:
    assert isinstance(widget, ChartGrid)
    _charts(widget.names, 300 + tick)(widget)


def _phases(run: Run, rest: Left | None = None, **told: Any) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, Phases)
        known: dict[str, Any] = {"now": 1000.0, "watch": Stopwatch(), "trained": None} | told
        widget.show(steps(run, **known), rest)

    return fill


def a_run(state: RunState = RunState.RUNNING, phase: str = "training", **seconds: float) -> Run:
    """A run that was created at 900 s and knows the seconds of some phases."""
    ended = None if state is RunState.RUNNING else 1000.0
    return Run(
        42, 7, Purpose.CANDIDATE, "c" * 40, 0, 1, "cuda:0", "H100", state, phase, 0.4, None, "", None, None, "",
        900.0, 900.5, ended, {"seconds": seconds},
    )  # fmt: skip


def _live(widget: Widget, tick: int) -> None:
    assert isinstance(widget, Chart)
    widget.show(loss_curve(300 + tick, of=600), loss_curve(600, floor=3.0), title="loss", note="#42 over #37")


class Scratch(Protocol):
    """An app that has a directory to write samples into."""

    directory: Path


def _log(make: Callable[[Path], Path | None]) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, LogTail)
        scratch = cast("Scratch", widget.app).directory
        widget.follow(make(scratch / f"{len(list(scratch.iterdir()))}.log"))

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
    widget.show([Gauge("cuda:0", at, 97 - tick % 3, 44.1 * GIB, 79.6 * GIB, 310 + 7 * (tick % 5), 61 + tick % 2, 1980)])


def _reviews(count: int, words: str = "small and clear") -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, DecisionsTable)
        widget.show(samples_of.reviews(count, words), at=samples_of.NOW)

    return fill


def _says(content: Content) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, TextPane)
        widget.show(content)

    return fill


def _writes(words: str) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, GrowingPane)
        widget.follow(True)
        widget.show(Content(clean(words)))

    return fill


def _writes_on(widget: Widget, tick: int) -> None:
    """Fifty characters more, as a model writes in half a second."""
    text = samples_of.RATIONALE * 40
    _writes(text[: len(samples_of.RATIONALE) + 50 * tick])(widget)


def _experiments(count: int) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        known = list(reversed(samples_of.summaries()))[:count]
        if isinstance(widget, ExperimentsTable):
            widget.show(known, Listing(), marked=[known[0].id] if known else [])
        else:
            assert isinstance(widget, ExperimentList)
            waiting = [row for row in known if row.state is State.PROPOSED]
            widget.show(waiting, known, known[0].id if known else None)

    return fill


def _progress(kept: Sequence[int], *, judged: int = 40) -> Callable[[Widget], None]:
    """Experiments around a level that each kept one lowers."""

    def fill(widget: Widget) -> None:
        assert isinstance(widget, ProgressPlot)
        level, dots, reigns, names = 2.41, [], [Reign(0, 2.41)] if judged else [], []
        for number in range(1, judged + 1):
            if number in kept:
                level -= 0.012
                reigns.append(Reign(number, level))
                names.append(Name(number, level, f"#{number} Sharpen QK-norm"))
            value = level if number in kept else level + 0.02 * math.sin(7.0 * number) ** 2
            dots.append(Dot(number, value, Ink.KEPT if number in kept else Ink.TRIED))
        widget.show(Progress(dots, reigns, names, 0.01, "min", judged), metric="val_bpb", sigma=0.005)

    return fill


def _overlay(count: int) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, Overlay)
        curves = [loss_curve(300 - 20 * at, start=10.8 - at / 2, floor=2.9 + at / 20) for at in range(count)]
        widget.show([("ABCDEF"[at], overlay.Curve(curve)) for at, curve in enumerate(curves)])

    return fill


def _notice(tone: str, words: str, **more: Any) -> Callable[[Widget], None]:
    def fill(widget: Widget) -> None:
        assert isinstance(widget, Banner)
        widget.say(Notice(tone, words, ("Nothing is lost: all of it is on disk.",), "S starts it", **more))

    return fill


def exhibits() -> list[Exhibit]:
    """All of them, in the order in which they are shown."""
    lab, asked, rude = samples_of.lab(), samples_of.research(), samples_of.research(words=HOSTILE)
    nothing = Series("loss", (), (), ())
    live, champion = loss_curve(300, of=600), loss_curve(600, floor=3.0)
    gaps = with_values(loss_curve(600), lambda i, v: math.nan if 180 < i < 260 or i % 97 == 0 else v)
    diverged = with_values(
        loss_curve(400, of=600), lambda i, v: v if i < 320 else math.nan if i > 360 else v + (i - 320) ** 2
    )
    progress = "".join(f"step {i:05} (49.1%) | loss: 3.2143 | dt: 21ms | tok/sec: 1,213,000\r" for i in range(2000))
    cpu = processor()
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
        Exhibit("charts", ChartGrid, _charts(USUAL), _more_charts),
        Exhibit("charts-many", ChartGrid, _charts([*USUAL, *(f"layer.{i}/norm" for i in range(12))]), _more_charts),
        Exhibit("charts-one", ChartGrid, _charts(["loss"])),
        Exhibit("charts-none", ChartGrid, _charts([])),
        Exhibit("charts-ascii", lambda: ChartGrid(symbols="ascii"), _charts(USUAL)),
        Exhibit("charts-hostile", ChartGrid, _charts([HOSTILE, "loss"])),
        Exhibit(
            "phases",
            Phases,
            _phases(a_run(queue=0.2, start=6.1, compile=31.4), Left(95.0, "by its pace and the champion's evaluation")),
        ),
        Exhibit("phases-unknown", Phases, _phases(a_run(phase="evaluating"))),
        Exhibit("phases-at-the-gate", Phases, _phases(a_run(phase="waiting", queue=0.2, start=6.1, compile=31.4))),
        Exhibit(
            "phases-finished",
            Phases,
            _phases(
                a_run(RunState.FINISHED, "done", queue=0.2, start=6.1, compile=31.4, train=300, evaluate=21, judge=0.1)
            ),
        ),
        Exhibit("phases-crashed", Phases, _phases(a_run(RunState.CRASHED, "done", queue=0.2, start=6.1, train=12.4))),
        Exhibit("phases-judging", Phases, _phases(a_run(RunState.FINISHED, "done", train=300), judging=True)),
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
        Exhibit("reviews", DecisionsTable, _reviews(10_000)),
        Exhibit("reviews-none", DecisionsTable, _reviews(0)),
        Exhibit("reviews-hostile", DecisionsTable, _reviews(40, HOSTILE)),
        Exhibit("writing", GrowingPane, _writes(samples_of.RATIONALE), _writes_on),
        Exhibit("writing-hostile", GrowingPane, _writes(f"{HOSTILE}\n" * 90)),
        Exhibit("conversation", TextPane, _says(conversation(asked.messages, lab))),
        Exhibit("conversation-none", TextPane, _says(conversation((), lab))),
        Exhibit("conversation-hostile", TextPane, _says(conversation(rude.messages, lab))),
        Exhibit("notebook", TextPane, _says(notes(asked.notes, lab))),
        Exhibit("spending", TextPane, _says(spending(asked, lab))),
        Exhibit("spending-capped", TextPane, _says(spending(samples_of.research(capped=True), lab))),
        Exhibit(
            "gauges-detailed",
            lambda: Gauges(detailed=True),
            _gauges(*samples(), *samples("cuda:1", temperature=92.0, clock=None), *cpu),
            _more_gauges,
        ),
        Exhibit("gauges-detailed-many-cores", lambda: Gauges(detailed=True), _gauges(*processor("97310" * 40))),
        Exhibit(
            "gauges-detailed-many-devices",
            lambda: Gauges(detailed=True),
            _gauges(*(gauge for index in range(8) for gauge in samples(f"cuda:{index}"))),
        ),
        Exhibit("experiments", ExperimentsTable, _experiments(30)),
        Exhibit("experiments-none", ExperimentsTable, _experiments(0)),
        Exhibit("list", ExperimentList, _experiments(30)),
        Exhibit("list-none", ExperimentList, _experiments(0)),
        Exhibit("progress", ProgressPlot, _progress((7, 19, 31))),
        Exhibit("progress-ascii", lambda: ProgressPlot(symbols="ascii"), _progress((7, 19, 31))),
        Exhibit("progress-nothing-kept", ProgressPlot, _progress(())),
        Exhibit("progress-none", ProgressPlot, _progress((), judged=0)),
        Exhibit("compare", Overlay, _overlay(2)),
        Exhibit("compare-six", Overlay, _overlay(6)),
        Exhibit("compare-ascii", lambda: Overlay(symbols="ascii"), _overlay(3)),
        Exhibit("compare-none", Overlay, _overlay(0)),
        Exhibit("notice-bad", Banner, _notice("bad", "The engine is not running: decisions have to wait.")),
        Exhibit("notice-busy", Banner, _notice("busy", "Preparing the data: encode", progress=0.51)),
        Exhibit("notice-warn", Banner, _notice("warn", "The lab is paused: the day's cap is reached.")),
        Exhibit("notice-hostile", Banner, _notice("info", HOSTILE, block=(HOSTILE,))),
        Exhibit("too-small", TooSmall, lambda widget: cast("TooSmall", widget).say(40, 10, (60, 16))),
        Exhibit("find", lambda: FindField("words in the patch"), _ask),
        Exhibit("tour", Tour, lambda widget: cast("Tour", widget).begin()),
    ]
