"""Several curves of one run at once: one large, the others small below it, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.widget import Widget

from core.models import Series
from core.text import one_line
from tui.widgets.chart import REPAINT_SECONDS, Chart

USUAL = ("loss", "lr", "grad_norm", "tokens_per_s", "mfu")
"""the curves that come first, in this order"""
MOST_SMALL = 8
"""small charts at once"""
LEAST_WIDTH, LEAST_HEIGHT = 25, 7
"""cells of a small chart, below which nobody can read it"""
MOST_HEIGHT = 12
LARGE_HEIGHT = 10
"""rows that the large one keeps"""
SMALL_PACE = 4
"""a small chart is repainted once while the large one is so often"""


class Curve(NamedTuple):
    """What one chart shows."""

    series: Series
    champion: Series | None
    end: float | None
    """training seconds the run will take, where known"""


def nothing(name: str) -> Curve:
    """A curve without a point."""
    return Curve(Series(name, (), (), ()), None, None)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The usual curves first; the count of tokens, a straight line, last."""
    place = {name: index for index, name in enumerate(USUAL)} | {"tokens": len(USUAL) + 1}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(USUAL)), name)))


class Arrangement(NamedTuple):
    """Where the small charts stand."""

    columns: int
    rows: int
    height: int
    """of each row"""

    @property
    def places(self) -> int:
        return self.columns * self.rows


def arrange(width: int, height: int, others: int) -> Arrangement:
    """Room for so many small charts, in even rows, while the large one keeps its own."""
    others = min(others, MOST_SMALL)
    across = max(width // LEAST_WIDTH, 1)
    rows = min(-(-others // across), max(height - LARGE_HEIGHT, 0) // LEAST_HEIGHT)
    if rows <= 0:
        return Arrangement(0, 0, 0)
    columns = min(across, -(-others // rows))
    return Arrangement(columns, rows, min(max(LEAST_HEIGHT, 2 * height // 5 // rows), MOST_HEIGHT))


class ChartGrid(Widget):
    """Holds which curve is the large one; all charts have one scale, smoothing and axis."""

    DEFAULT_CSS = """
    ChartGrid { height: 1fr; layout: vertical; }
    ChartGrid #small { layout: grid; grid-gutter: 0 1; display: none; }
    """

    class Chosen(Message):
        """Another curve is the large one."""

    def __init__(self, *, symbols: str = "braille", slow: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._symbols, self._slow = symbols, slow
        self.large = ""
        """the name of the large curve"""
        self.alone = False
        """only the large one is shown"""
        self.names: tuple[str, ...] = ()
        """every curve of the run"""
        self._find: Callable[[str], Curve] = nothing
        self._over = False
        self._title = ""
        self._arranged: Arrangement | None = None

    def compose(self) -> ComposeResult:
        yield Chart(symbols=self._symbols, slow=self._slow, id="large")
        with Container(id="small"):
            for index in range(MOST_SMALL):
                chart = Chart(symbols=self._symbols, compact=True, id=f"small-{index}")
                chart.repaint_seconds = SMALL_PACE * REPAINT_SECONDS * (2 if self._slow else 1)
                yield chart

    # ---- what a screen calls -----------------------------------------------------------------------------------

    def show(self, names: Sequence[str], find: Callable[[str], Curve], *, title: str = "", over: bool = False) -> None:
        """The newest state of a run's curves; those that are in sight are asked for with `find`. `title` stands before
        the name of the large one; `over`: the run has ended.
        """
        self.names, self._find, self._title, self._over = tuple(names), find, title, over
        if self.large not in self.names and names:
            self.large = names[0]
        self._fill()

    def count_in_seconds(self, timed: bool) -> None:
        """What budgets are in, for all charts."""
        for chart in (self.chart, *self._small):
            chart.count_in_seconds(timed)

    def choose(self, step: int) -> None:
        """The next (1) or the previous (-1) curve becomes the large one."""
        if self.names:
            self._enlarge(self.names[(self.names.index(self.large) + step) % len(self.names)])

    def show_alone(self, alone: bool) -> None:
        """Only the large one, or the others too."""
        if alone != self.alone:
            self.alone = alone
            self._fill()

    def toggle_log(self) -> None:
        self.chart.toggle_log()
        self._follow()

    def toggle_whole(self) -> None:
        self.chart.toggle_whole()
        self._follow()

    def smooth(self, delta: int) -> None:
        self.chart.smooth(delta)
        self._follow()

    def next_axis(self) -> None:
        self.chart.next_axis()
        self._follow()

    def reset(self) -> None:
        self.chart.reset()
        self._follow()

    @property
    def chart(self) -> Chart:
        """The large one."""
        return self.query_one("#large", Chart)

    @property
    def small_names(self) -> list[str]:
        """The curves in the small charts."""
        others = [name for name in self.names if name != self.large]
        return others[: self._arranged.places if self._arranged else 0]

    @property
    def hidden(self) -> int:
        """Curves there is no room for."""
        return max(len(self.names) - 1 - len(self.small_names), 0)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _enlarge(self, name: str) -> None:
        if name != self.large:
            self.large = name
            self._fill()
            self.post_message(self.Chosen())

    def _follow(self) -> None:
        for chart in self._small:
            chart.look_like(self.chart)

    @property
    def _small(self) -> list[Chart]:
        return list(self.query("#small Chart").results(Chart))

    def _fill(self) -> None:
        """Every curve into its chart."""
        if not self.is_mounted:
            return
        self._arrange()
        name = self.large or "loss"
        large = self._find(name) if self.names else nothing(name)
        title = f"{self._title} {one_line(name, 40)}".strip()
        self.chart.show(large.series, large.champion, title=title, end=large.end, over=self._over)
        for chart, name in zip(self._small, self.small_names, strict=False):
            curve = self._find(name)
            chart.show(curve.series, curve.champion, title=name, end=curve.end, over=self._over)

    def _arrange(self) -> None:
        width, height = self.size
        if not width:
            return
        others = max(len(self.names) - 1, 0)
        arranged = Arrangement(0, 0, 0) if self.alone else arrange(width, height, others)
        small = self.query_one("#small")
        if arranged != self._arranged:
            self._arranged = arranged
            small.display = arranged.places > 0
            small.styles.grid_size_columns = max(arranged.columns, 1)
            small.styles.grid_size_rows = max(arranged.rows, 1)
            small.styles.height = arranged.rows * arranged.height
        for index, chart in enumerate(self._small):
            chart.display = index < len(self.small_names)

    def on_mount(self) -> None:
        self._fill()

    def on_resize(self) -> None:
        self._fill()

    def on_click(self, event: events.Click) -> None:
        for chart, name in zip(self._small, self.small_names, strict=False):
            if chart.region.contains(event.screen_x, event.screen_y):
                self._enlarge(name)
                return
