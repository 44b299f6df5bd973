"""How the Experiments screen bears ten thousand experiments: opening, keys, bytes, in the real app.

    python -m tests.bench.experiments_table [--size 120x36] [N]

Milliseconds are CPU time of the app's process between a key and the painted frame; bytes are what a terminal gets.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from core.lab import Lab
from tests.research_lab import research
from tests.tui.byte_counter import Pty
from tui.app import AutoresearchApp
from tui.screens.experiments import Experiments

Row = tuple[str, str]


def spread(values: list[float], unit: str) -> str:
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):,.1f}, p95 {ordered[int(0.95 * (len(ordered) - 1))]:,.1f} {unit}"


async def milliseconds(lab: Lab, size: tuple[int, int]) -> list[Row]:
    app = AutoresearchApp(lab)
    async with app.run_test(size=size) as pilot:
        while len(app.client.snapshot.history) < 200:
            await pilot.pause(0.05)
        await pilot.pause(1.0)
        table: list[Row] = []
        wall, cpu = time.monotonic(), time.process_time()
        await pilot.press("5")
        while not (isinstance(app.screen, Experiments) and app.screen.table.rows):
            await pilot.pause(0)
        await pilot.pause()
        table.append(("opens (rows on the screen)", f"{1e3 * (time.process_time() - cpu):.0f} ms CPU"))
        screen = app.screen
        while not screen.survey.steps:
            await pilot.pause(0.01)
        table.append(("plot and lineage there", f"{1e3 * (time.monotonic() - wall):.0f} ms wall"))
        await pilot.pause(0.5)
        for what, key in (("cursor down", "j"), ("page down", "pagedown"), ("to the end, to the top", "G g"),
                          ("sorted by the next column", "s"), ("filtered", "f"), ("marked", "space")):  # fmt: skip
            spent = []
            for _ in range(12):
                for one in key.split():
                    started = time.process_time()
                    await pilot.press(one)
                    spent.append(1e3 * (time.process_time() - started))
            table.append((what, spread(spent, "ms CPU")))
            await pilot.pause(0.3)
        return table


def bytes_of(lab: Lab, size: tuple[int, int]) -> list[Row]:
    with Pty([sys.executable, "-m", "tui", str(lab.root), "--read-only"], size) as terminal:
        terminal.settle(within=30, quiet=2.0)
        table = [("opens", f"{terminal.count('5', quiet=2.0):,} B")]
        for what, key in (("cursor down", "j"), ("page down", "pagedown"), ("sorted", "s"), ("filtered", "f")):
            counts = [float(terminal.count(key, quiet=0.8)) for _ in range(6)]
            table.append((what, spread(counts, "B")))
        terminal.idle(2.0)
        table.append(("idle, 5 s", f"{terminal.idle(5.0):,} B"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="The Experiments screen on a large lab.")
    parser.add_argument("experiments", nargs="?", type=int, default=10_000)
    parser.add_argument("--size", default="120x36", help="of the terminal, in cells")
    options = parser.parse_args()
    columns, lines = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        made = research(Path(folder) / "lab", options.experiments, commits=False, points=0)
        made.close()
        rows = asyncio.run(milliseconds(made.lab, (columns, lines)))
        rows += bytes_of(made.lab, (columns, lines))
    print(f"{options.experiments:,} experiments at {columns}x{lines}\n")
    print("| what | measured |\n|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
