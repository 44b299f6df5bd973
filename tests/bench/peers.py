"""What others take: the start of harlequin and of posting, a tick of textual-plot's live curve.

Beside `python -m tests.bench.cockpit`.

    python -m tests.bench.peers [--size 120x36] [--times 5] [--venv DIR]

They are installed into environments of their own, in the temporary directory or in DIR, and never into ours.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.watched import Watched, middle

STARTS = {"harlequin": "Run Query", "posting": "Send"}
"""terminal apps, and words of their first full picture"""
PEERS = (*STARTS, "textual-plot")
CURVE = """
import math
from textual.app import App
from textual_plot import HiResMode, PlotWidget
class Curve(App):
    BINDINGS = [("t", "tick", "tick")]
    count = 200
    def compose(self):
        yield PlotWidget()
    def on_mount(self):
        self.action_tick()
    def action_tick(self):
        self.count += 1
        plot = self.query_one(PlotWidget)
        plot.clear()
        xs = list(range(self.count))
        plot.plot(x=xs, y=[3 + 6 * math.exp(-x / 40) for x in xs], hires_mode=HiResMode.BRAILLE)
        plot.set_xlimits(0, 400)
        plot.set_ylimits(2, 10)
Curve().run()
"""


def installed(peer: str, folder: Path) -> str:
    """Its version, in an environment of its own: two of them may want two versions of Textual. Empty: not here."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", peer], check=False)
    asked = subprocess.run(
        [python, "-c", f"from importlib.metadata import version; print(version({peer!r}))"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip()


def start_of(command: list[str], words: str, size: tuple[int, int], times: int, home: str) -> str:
    """From the command to these words on the screen."""
    wall, spent = [], []
    for _ in range(times):
        with Watched(command, size, env={"HOME": home, "PYTHONPATH": ""}) as terminal:
            try:
                terminal.until(lambda: terminal.shows(words), seconds=60)
            except TimeoutError:
                return "did not come up within a minute"
            wall.append(1e3 * (terminal.stamp - terminal.began))
            spent.append(1e3 * terminal.processor())
    return f"{middle(wall):.0f} ms; processor {middle(spent):.0f} ms"


def tick_of(command: list[str], size: tuple[int, int], times: int) -> str:
    """Bytes of one more point in a live curve."""
    with Watched(command, size, env={"PYTHONPATH": ""}) as terminal:
        while not terminal.rest(2.0):
            pass
        terminal.rest(2.0)
        counts = []
        for _ in range(times):
            terminal.send("t")
            counts.append(terminal.rest(1.0))
    return f"{middle(counts):,.0f} B"


def main() -> None:
    parser = argparse.ArgumentParser(description="Two other terminal apps, measured as ours is.")
    parser.add_argument("--size", default="120x36", help="of the terminal, in cells")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "autoresearch-bench-peers")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    print(f"at {columns}x{rows}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| peer | measured |\n|---|---|")
    for peer in PEERS:
        version, programs = installed(peer, options.venv / peer), options.venv / peer / "bin"
        if not version:
            print(f"| {peer} | could not be installed here |")
        elif peer in STARTS:
            with tempfile.TemporaryDirectory() as home:
                measured = start_of([str(programs / peer)], STARTS[peer], (columns, rows), options.times, home)
            print(f"| {peer} {version}, command to full picture | {measured} |")
        else:
            measured = tick_of([str(programs / "python"), "-c", CURVE], (columns, rows), options.times)
            print(f"| textual-plot {version}, a tick of a live curve | {measured} |")


if __name__ == "__main__":
    main()
