"""How long the cockpit takes to open, beside a bare Textual app: CPU of the imports, and the first paint in a real pty.

    python -m tests.bench.startup [--size 120x36] [--times 7]

Imports are best of N in CPU milliseconds; the first paint is wall time from exec to the first byte and to the last byte
before the first silence, median of N, with the bytes it took. Each run is a fresh process; byte code is warm.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.sample_lab import build
from tests.tui.byte_counter import Pty

BARE = """
from textual.app import App
from textual.widgets import Footer, Static
class Bare(App):
    BINDINGS = [("q", "quit", "quit")]
    def compose(self):
        yield Static("hello")
        yield Footer()
Bare().run()
"""
SCREEN = """
import sys
from pathlib import Path
from core.lab import Lab
from tui.app import open_screen
open_screen(Lab(Path(sys.argv[1])))
"""
IMPORTS = {
    "textual.app": "import textual.app",
    "tui.app": "import tui.app",
    "tui.cli": "import tui.cli",
    "all that opening a lab imports": "import tui.cli, core.config, tui.look, tui.app",
}
QUIET = 0.8
FAST = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "PYTHONDONTWRITEBYTECODE": ""}
ROOT = Path(__file__).parents[2]


def import_ms(statement: str, times: int) -> float:
    """CPU milliseconds of one statement in a fresh interpreter, best of `times`."""
    code = f"import time\nt = time.process_time()\n{statement}\nprint(1e3 * (time.process_time() - t))"
    return min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
                             env=os.environ | FAST).stdout)
        for _ in range(times + 1)  # the first writes the byte code
    )  # fmt: skip


def first_paint(command: list[str], size: tuple[int, int], times: int) -> tuple[float, float, int]:
    """Milliseconds to the first byte and to the end of the first screen, and its bytes; medians."""
    seen = []
    for _ in range(times):
        began = time.monotonic()
        with Pty(command, size, env={"PYTHONPATH": str(ROOT), **FAST}) as terminal:
            written = terminal.settle(within=20, quiet=0.02)  # until the first byte, and what comes with it
            first = time.monotonic() - began - 0.02
            more = terminal.settle(within=20, quiet=QUIET, first=False)
            painted = time.monotonic() - began - QUIET if more else first
            seen.append((1e3 * first, 1e3 * painted, written + more))
    first_ms, painted_ms, count = (statistics.median(column) for column in zip(*seen, strict=True))
    return first_ms, painted_ms, int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to open, beside a bare Textual app.")
    parser.add_argument("--size", default="120x36", help="of the terminal, in cells")
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    print(f"at {columns}x{rows}, {options.times} times\n\n| import | CPU ms |\n|---|---|")
    for name, statement in IMPORTS.items():
        print(f"| {name} | {import_ms(statement, options.times):.0f} |")
    print("\n| first paint | first byte, ms | first screen, ms | bytes |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder, "lab"), "waiting").close()
        lab = str(Path(folder, "lab"))
        for name, command in {
            "a bare Textual app": [sys.executable, "-c", BARE],
            "the screen on a lab": [sys.executable, "-c", SCREEN, lab],
            "autoresearch-tui open --read-only": [sys.executable, "-m", "tui", "open", lab, "--read-only"],
        }.items():
            first, painted, count = first_paint(command, (columns, rows), options.times)
            print(f"| {name} | {first:.0f} | {painted:.0f} | {count:,} |")


if __name__ == "__main__":
    main()
