"""The cockpit on a large lab: the real program in a pty, 10,000 experiments, 5 million points, a run of 100 points/s.

    python -m tests.bench.cockpit [--size 120x36] [--times 7] [--keys 40] [--only start,engine,keys,bytes,diff,memory]

The lab is written once (half a minute) and kept in the temporary directory. Every figure comes with the processor time
it took: on a machine that others use too, wall time says more about them. A frame is complete when the terminal is told
so (synchronized output); a key's frame is the first complete one that changes the part of the screen it is about.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from core.lab import Lab
from core.models import Proposal, RunState, State, Verdict
from core.store import Writer
from tests.bench.big_lab import at_work, copied, kept
from tests.bench.watched import ROOT, Watched, middle, worst
from tests.sample_lab import build
from tui.exhibits import long_patch

Row = tuple[str, str, str]
"""what, measured, budget"""
Size = tuple[int, int]
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
LONG = 5000
"""lines of the long diff"""


def screen(lab: Lab, size: Size, *options: str) -> Watched:
    return Watched([sys.executable, "-m", "tui", "open", str(lab.root), "--read-only", *options], size)


@contextmanager
def at_rest(lab: Lab, size: Size) -> Iterator[Watched]:
    """The screen when everything has been read."""
    with screen(lab, size) as terminal:
        terminal.until(lambda: terminal.shows("hunk 1/"))
        terminal.rest(3.0)
        yield terminal


def milliseconds(values: list[tuple[float, float]]) -> str:
    """Wall and processor milliseconds of several tries."""
    wall, spent = [w for w, _ in values], [p for _, p in values]
    processor = f"processor {middle(spent):.0f}, {worst(spent):.0f} ms"
    return f"p50 {middle(wall):.0f}, p95 {worst(wall):.0f} ms; {processor}"


# ---- start ---------------------------------------------------------------------------------------------------------


def start(lab: Lab, size: Size, times: int, keys: int) -> list[Row]:
    """From the command to the first frame and to the first full picture, in turn with a bare Textual app.

    The first turn writes byte code and is not counted.
    """
    first: dict[str, list[tuple[float, float]]] = {"bare": [], "said": [], "ours": [], "whole": []}
    with at_work(lab):
        for _ in range(times + 1):
            with Watched([sys.executable, "-c", BARE], size) as bare:
                first["bare"].append(opened(bare, lambda: bare.shows("hello")))
            with screen(lab, size) as terminal:
                first["said"].append(opened(terminal, lambda: terminal.shows(f" {lab.name} ")))
                first["ours"].append(opened(terminal, lambda: terminal.shows("MANUAL")))
                first["whole"].append(opened(terminal, lambda: terminal.shows("hunk 1/")))
    first = {what: turns[1:] for what, turns in first.items()}
    ratio = middle([p for _, p in first["ours"]]) / middle([p for _, p in first["bare"]])
    return [
        ("first paint of a bare Textual app", milliseconds(first["bare"]), "–"),
        ("command to first words (lab, what waits)", milliseconds(first["said"]), "–"),
        ("command to first paint of the screen", f"{milliseconds(first['ours'])} ({ratio:.2f} × bare)", "400 ms"),
        ("command to the first full picture (attach)", milliseconds(first["whole"]), "1 s"),
        *((f"import {name}", f"{import_ms(statement, times):.0f} ms of processor time", "–") for name, statement in (
            ("textual.app", "import textual.app"), ("all that opening a lab imports", "import tui.cli, tui.app"),
        )),
    ]  # fmt: skip


def opened(terminal: Watched, seen: Callable[[], bool]) -> tuple[float, float]:
    """Milliseconds since the program was started."""
    if not seen():
        terminal.until(seen)
    return 1e3 * (terminal.stamp - terminal.began), 1e3 * terminal.processor()


def import_ms(statement: str, times: int) -> float:
    """Processor milliseconds of one statement in a fresh interpreter, best of `times`; the first writes byte code."""
    code = f"import time\nt = time.process_time()\n{statement}\nprint(1e3 * (time.process_time() - t))"
    command, environment = [sys.executable, "-c", code], os.environ | {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return min(
        float(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout)
        for _ in range(times + 1)
    )


def start_with_engine(_: Lab, size: Size, times: int, keys: int) -> list[Row]:
    """The same where no engine runs: it is started first, and has answered when the screen comes up."""
    spent = []
    for _turn in range(times + 1):
        with tempfile.TemporaryDirectory() as folder:
            story = build(Path(folder) / "lab", "waiting")
            story.writer.set("paused", "nothing is to run here")
            story.close()
            try:
                command = [sys.executable, "-m", "tui", "open", str(story.lab.root)]
                with Watched(command, size, env={"XDG_STATE_HOME": folder}) as terminal:
                    spent.append(opened(terminal, lambda: terminal.shows("MANUAL")))
            finally:
                subprocess.run([sys.executable, "-m", "tui", "stop", str(story.lab.root)], check=True, cwd=ROOT)
    return [("command to first paint, its engine started on the way", milliseconds(spent[1:]), "–")]


# ---- keys ----------------------------------------------------------------------------------------------------------


def key_times(lab: Lab, size: Size, times: int, keys: int) -> list[Row]:
    """Key to frame while a run trains: each key at a moment of its own between two ticks of the live curve."""
    left, whole = (0, 2, size[0] * 3 // 5, size[1] - 1), (0, 2, size[0], size[1])
    table = []
    with at_work(lab), at_rest(lab, size) as terminal:

        def pressed(
            what: str, names: Sequence[str], region: tuple[int, int, int, int], count: int, pause: float = 0.23
        ) -> None:
            spent = []
            for turn in range(count):
                spent.append(terminal.key(names[turn % len(names)], region))
                terminal.rest(pause)
            table.append((what, milliseconds(spent), "50 ms p95"))

        terminal.key("h", left)
        terminal.rest(1.0)
        pressed("Review: j, k", "jk", left, keys)
        pressed("Review: h, l (another experiment's patch is on the screen)", "hl", left, keys, 0.5)
        pressed("Review: tab", "\t", whole, keys)
        terminal.key("5", whole)
        terminal.rest(2.0)
        pressed("Experiments: j, k", "jk", left, keys)
        pressed("Experiments: page down, page up", ("pagedown", "pageup"), left, keys)
        pressed("Experiments: s (10,000 rows sorted)", "s", left, keys // 2, 0.7)
        pressed("Experiments: f (10,000 rows filtered)", "f", left, keys // 2, 0.7)
        if terminal.shows("  only "):
            terminal.key("\x1b", left)  # all of them again
            terminal.rest(1.0)
        pressed("Experiments: G, g", "Gg", left, keys)
        spent = []
        for turn in range(keys // 2):
            key, words = (("1", "hunk 1/"), ("5", "Lineage"))[turn % 2]
            terminal.rest(1.0)
            terminal.send(key)
            wall, processor = terminal.until(partial(terminal.shows, words))
            spent.append((1e3 * wall, 1e3 * processor))
        table.append(("Experiments to Review and back: 1, 5", milliseconds(spent), "50 ms p95"))
        table.append(("memory after all this", f"{terminal.memory():.0f} MB", "120 MB"))
    return table


# ---- bytes ---------------------------------------------------------------------------------------------------------


def bytes_sent(lab: Lab, size: Size, times: int, keys: int) -> list[Row]:
    """What crosses the link."""
    table = []
    with at_work(lab), at_rest(lab, size) as terminal:
        table.append(("first picture", f"{terminal.total:,} B", "–"))
        table.append(("live review, a run at 100 points/s", f"{terminal.rest(20) / 20:,.0f} B/s", "1,000 B/s"))
        terminal.key("5", (0, 2, *size))
        while terminal.rest(2.0) > 2_000:  # the plot and the lineage are still being read
            pass
        pages = [answered(terminal, "pagedown") for _ in range(6)]
        table.append(
            ("a page of the table of experiments and the details beside it", f"{middle(pages):,.0f} B", "8,000 B")
        )
        table.append(("Experiments beside a live run", f"{terminal.rest(10) / 10:,.0f} B/s", "1,000 B/s"))
    end_the_run(lab)
    with at_rest(lab, size) as terminal:
        terminal.rest(2.0)
        table.append(("idle, nothing runs, 10 s", f"{terminal.rest(10):,} B", "0 B"))
    return table


def answered(terminal: Watched, key: str) -> int:
    terminal.send(key)
    return terminal.rest(0.6)


def end_the_run(lab: Lab) -> None:
    writer = Writer(lab.database)
    for run in writer.live_runs():
        writer.update_run(run.id, event="run_finished", state=RunState.FINISHED, phase="done", ended_at=time.time())
        writer.update_experiment(run.experiment_id or 0, event="judged", state=State.JUDGED, verdict=Verdict.VOID)
    writer.close()


# ---- a long diff ---------------------------------------------------------------------------------------------------


def long_diff(lab: Lab, size: Size, times: int, keys: int) -> list[Row]:
    """Another experiment's 5,000 changed lines, from the key to the frame; and its pages."""
    body, writer = long_patch(LONG), Writer(lab.database)
    sha, parent = hashlib.sha256(body.encode()).hexdigest(), writer.champion()
    assert parent is not None
    with writer.transaction():
        proposal = Proposal("A rewrite", "", "", "", {}, "human", "")
        new = writer.add_experiment(proposal, parent_commit=parent.commit_sha, state=State.DRAFTING)
        writer.add_patch(sha, body, added=LONG, removed=LONG)
        writer.add_patch_version(new, sha, "proposed")
        writer.update_experiment(new, state=State.PROPOSED)
    writer.close()
    spent = []
    with at_rest(lab, size) as terminal:
        terminal.send("l")  # to its neighbour
        terminal.rest(2.0)
        for _ in range(times):
            terminal.send("l")
            wall, processor = terminal.until(lambda: terminal.shows("A rewrite") and terminal.shows("hunk 1/"))
            spent.append((1e3 * wall, 1e3 * processor))
            terminal.rest(1.0)
            pages = [answered(terminal, "pagedown") for _ in range(3)]
            terminal.send("h")
            terminal.until(lambda: not terminal.shows("A rewrite"))
            terminal.rest(1.0)
    return [
        (f"a diff of {LONG:,} lines opens", milliseconds(spent), "150 ms"),
        ("a page of it", f"{middle(pages):,.0f} B", "8,000 B"),
    ]


# ---- memory --------------------------------------------------------------------------------------------------------


def memory(lab: Lab, size: Size, times: int, keys: int) -> list[Row]:
    """An hour of streaming, as fast as it can be written."""
    with at_rest(lab, size) as terminal:
        before = terminal.memory()
        with at_work(lab, "--hours", "1", "--hurry") as engine:
            while engine.poll() is None:
                terminal.rest(0.5)
        terminal.rest(2.0)
        after = terminal.memory()
        terminal.key("5", (0, 2, *size))
        terminal.rest(3.0)
        return [
            ("memory when everything has been read", f"{before:.0f} MB", "120 MB"),
            ("memory after an hour of streaming: 360,000 points, 3,600 samples, 12 runs", f"{after:.0f} MB", "120 MB"),
            ("memory with Experiments open beside it", f"{terminal.memory():.0f} MB", "120 MB"),
        ]


PARTS = {
    "start": start,
    "engine": start_with_engine,
    "keys": key_times,
    "bytes": bytes_sent,
    "diff": long_diff,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="The budgets of the cockpit, measured on a large lab.")
    parser.add_argument("--size", default="120x36", help="of the terminal, in cells")
    parser.add_argument("--times", type=int, default=7, help="starts")
    parser.add_argument("--keys", type=int, default=40, help="presses of each key")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    source, load = kept(), [os.getloadavg()[0]]
    print(f"at {columns}x{rows}\n\n| what | measured | budget |\n|---|---|---|", flush=True)
    for part in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[part](copied(source, Path(folder)), (columns, rows), options.times, options.keys):
                print("| " + " | ".join(row) + " |", flush=True)
        load.append(os.getloadavg()[0])
    print(f"\nload {min(load):.1f} to {max(load):.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
