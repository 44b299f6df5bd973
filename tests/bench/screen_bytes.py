"""Bytes each widget sends over SSH, from a real pty, and the time a large diff takes to open.

    python -m tests.bench.screen_bytes [--size 120x36]

Every figure comes from the gallery's full-screen widgets: a pane of the Review screen is smaller and costs less.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

from textual.app import App, ComposeResult

from core.patches import parse
from tests.tui.byte_counter import Pty
from tui.exhibits import long_patch, patch_text
from tui.render.diff_rows import rows
from tui.widgets.diff import DiffView

Row = tuple[str, str, str]
"""what, measured, budget"""


def gallery(state: str, size: tuple[int, int]) -> Pty:
    return Pty([sys.executable, "-m", "tui.gallery", "--state", state], size)


def spread(counts: list[int]) -> str:
    return f"{statistics.median(counts):,.0f} B (worst {max(counts):,})"


def bytes_of(size: tuple[int, int]) -> list[Row]:
    """The table's rows; each state runs in a process of its own."""
    table: list[Row] = []
    for state in ("chart", "gauges", "log"):
        with gallery(state, size) as terminal:
            first = terminal.settle(quiet=1.0)
            terminal.idle(1.5)
            table.append((f"{state}: first paint of the app", f"{first:,} B", "–"))
            table.append((f"{state}: idle, 3 s", f"{terminal.idle(3.0):,} B", "0"))
            ticks = [terminal.count("t", quiet=0.7) for _ in range(20)]
            table.append((f"{state}: live tick", spread(ticks), "400 B" if state == "chart" else "–"))
            if state == "chart":
                table.append(("chart: whole repaint (log scale)", f"{terminal.count('L', quiet=0.7):,} B", "–"))
    with gallery("diff-long", size) as terminal:
        terminal.settle(quiet=1.0)
        terminal.idle(1.0)
        for what, key, budget in (
            ("cursor down a line", "j", "–"),
            ("page down", "pagedown", "8,000 B"),
            ("half a page up", "\x15", "8,000 B"),
            ("next hunk", "n", "–"),
            ("hunk switched out", " ", "–"),
            ("another patch", "r", "–"),
        ):
            terminal.settle(within=1.0, quiet=0.6, first=False)  # what was seen is marked a moment later
            table.append((f"diff: {what}", spread([terminal.count(key, quiet=0.25) for _ in range(4)]), budget))
        terminal.idle(1.0)
        table.append(("diff: idle, 3 s", f"{terminal.idle(3.0):,} B", "0"))
    return table


async def opening(what: str, text: str, size: tuple[int, int]) -> list[Row]:
    """CPU milliseconds from the patch's text to the painted screen."""

    class Bare(App[None]):
        def compose(self) -> ComposeResult:
            yield DiffView()

    app = Bare()
    async with app.run_test(size=size) as pilot:
        spent: list[tuple[float, float, float]] = []
        for _ in range(5):
            started = time.process_time()
            patch = parse(text)
            drawn = rows(patch)
            made = time.process_time()
            app.query_one(DiffView).show(drawn)
            await pilot.pause()
            spent.append((time.process_time() - started, made - started, len(drawn)))
    total, making, count = min(spent)
    return [
        (f"{what} of {count:,.0f} rows opens", f"{1e3 * total:.0f} ms CPU, {1e3 * making:.0f} of it rows", "150 ms")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes on the wire and time to open a large diff.")
    parser.add_argument("--size", default="120x36", help="of the terminal, in cells")
    columns, lines = map(int, parser.parse_args().size.split("x"))
    size = (columns, lines)
    rewritten = [f"    value_{i} = compute({i}, scale={i % 7})\n" for i in range(2500)]
    rewrite = patch_text("".join(rewritten), "".join(line.replace("compute", "derive") for line in rewritten))
    table = bytes_of(size)
    table += asyncio.run(opening("diff", long_patch(5000), size))
    table += asyncio.run(opening("rewrite", rewrite, size))
    print(f"at {columns}x{lines}\n")
    print("| what | measured | budget |\n|---|---|---|")
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
