"""Bytes on the wire while a run trains and while somebody leafs, counted on a real pty: what a slow link carries."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from core.store import Writer
from tests.sample_lab import SampleLab, build, live
from tests.tui.byte_counter import Pty
from tests.tui.research_desk import researched

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from core.lab import Lab
from tui.app import open_screen
from tui.look import Look
open_screen(Lab(Path(sys.argv[1])), look=Look(slow=True))
"""
SECONDS = 10


def opened(lab: SampleLab) -> Pty:
    """At 120x36 over a slow link, painted and quiet; no engine answers."""
    screen = Pty([sys.executable, "-c", PROGRAM, str(lab.lab.root)], (120, 36), env={"PYTHONPATH": str(ROOT)})
    for _ in range(20):
        screen.settle(quiet=1.0)
        if "engine is not running" in screen.text or "DOWN" in screen.text:
            break
    return screen


def trains(lab: SampleLab, seconds: float) -> None:
    """The run goes on, in a thread of its own, with a line of log, four curves and telemetry twice a second."""
    lab.writer = Writer(lab.lab.database)
    live(lab, lab.writer.live_runs()[-1], seconds=seconds)
    lab.writer.close()


def test_a_run_costs_less_than_a_kilobyte_a_second_and_a_lab_without_news_nothing(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "waiting")
    lab.writer.close()
    with opened(lab) as screen:
        screen.count("7", quiet=5.0)
        assert "Phases and devices" in screen.text
        assert screen.idle(4.0) == 0
        training = threading.Thread(target=trains, args=(lab, SECONDS + 2))
        training.start()
        written = screen.idle(SECONDS)
        training.join()
        assert 0 < written <= 1000 * SECONDS
        screen.settle(quiet=5.0, first=False)  # the last samples
        assert screen.idle(4.0) == 0


def test_a_page_of_experiments_with_the_details_of_one_costs_less_than_eight_kilobytes(tmp_path: Path) -> None:
    lab = researched(tmp_path, 100)
    lab.writer.close()
    with opened(lab) as screen:
        screen.count("5", quiet=2.0)
        assert "Lineage" in screen.text
        pages = [screen.count("pagedown", quiet=1.0) for _ in range(3)]
        assert 1_000 < max(pages) <= 8_000
        assert screen.count("j", quiet=1.0) <= 2_500
