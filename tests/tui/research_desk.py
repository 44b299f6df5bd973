"""The app on a lab with research behind it: real commits, no engine; for the screens beside Review."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.sample_lab import SampleLab
from tests.tui.cockpit import Clock, FakeEngine, Human, driven
from tui.app import AutoresearchApp


@asynccontextmanager
async def opened(lab: SampleLab, *, size: tuple[int, int] = (120, 36)) -> AsyncIterator[Human]:
    """The app, ready for keys; the calendar stands still, nothing answers on the socket."""
    clock = Clock()
    app = AutoresearchApp(lab.lab, clock=clock, now=lab.now)
    async with driven(app, size) as pilot:
        human = Human(app, pilot, lab, FakeEngine(lab), clock)
        await human.until(lambda: human.review.lab.alive is not None, "the answer that no engine runs")
        yield human


def researched(folder: Path, experiments: int = 14) -> SampleLab:
    """A lab whose calendar stands still."""
    from tests.research_lab import research

    return research(folder / "lab", experiments, points=60, now=lambda: 1_790_000_000.0)
