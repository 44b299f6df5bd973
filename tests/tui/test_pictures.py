"""Pictures: screens as SVG, colours and all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.models import Verdict
from tests.sample_lab import SampleLab
from tests.tui.cockpit import Human, cockpit
from tests.tui.decided_lab import every_kind
from tests.tui.golden import is_golden
from tests.tui.research_desk import opened, researched
from tests.tui.test_make_it_yours import faint
from tui.docs import FONT
from tui.look import Look
from tui.screens.go import Go

MOMENT = 1_790_000_000.0
NUMBER = re.compile(r"terminal-\d+")
"""Rich numbers the classes of a picture by its content"""


async def picture(human: Human) -> str:
    """The screen as SVG, once it stands still."""
    before = ""
    for _ in range(50):
        await human.pilot.pause(0.25)
        now = NUMBER.sub("terminal", FONT.sub("", human.app.export_screenshot(title="")))
        if now == before:
            return now
        before = now
    raise AssertionError("the screen never stands still")


async def is_as_it_was_looked_at(human: Human, name: str, folder: Path) -> None:
    drawn = await picture(human)
    if not human.app.native_ansi_color:  # those colours are the terminal's
        assert not faint(human, 1.5), "words that nobody can see"
    (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")  # to be looked at where it is another
    is_golden(f"{name}.svg", drawn)


@pytest.mark.parametrize(
    ("name", "state", "size", "keys", "look"),
    [
        ("review", "waiting", (120, 30), (), Look()),
        ("review-light", "waiting", (120, 30), (), Look(theme="textual-light")),
        ("review-16-colours", "waiting", (120, 30), (), Look(theme="ansi-dark")),
        ("review-ascii", "waiting", (120, 30), (), Look(symbols="ascii")),
        ("review-side-by-side", "waiting", (160, 30), ("z",), Look()),
        ("review-hunk-out", "waiting", (80, 24), ("n", "space"), Look()),
        ("crashed", "crashed", (80, 24), (), Look()),
        ("kept", "better", (80, 24), ("2",), Look()),
        ("veto", "waiting", (80, 24), ("v",), Look()),
        ("edit", "waiting", (80, 24), ("e",), Look()),
        ("help", "waiting", (80, 24), ("question_mark",), Look()),
        ("live", "waiting", (120, 30), ("7",), Look()),
    ],
)
async def test_review_and_what_lies_over_it(
    tmp_path: Path, name: str, state: str, size: tuple[int, int], keys: tuple[str, ...], look: Look
) -> None:
    async with cockpit(tmp_path, state, size=size, look=look, now=lambda: MOMENT) as human:
        await human.press(*keys)
        await is_as_it_was_looked_at(human, name, tmp_path)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> SampleLab:
    return researched(tmp_path_factory.mktemp("pictures"))


@asynccontextmanager
async def at(lab: SampleLab, place: str, experiments: tuple[int, ...] = (), **options: Any) -> AsyncIterator[Human]:
    async with opened(lab, **options) as human:
        human.app.post_message(Go(place, experiments))
        await human.until(lambda: human.app.current_mode == place, place)
        yield human


async def test_the_experiments_screen(lab: SampleLab, tmp_path: Path) -> None:
    async with at(lab, "experiments", size=(120, 30)) as human:
        await human.sees("Lineage")
        await human.until(lambda: human.app.places.experiments.detail, "the details")
        await is_as_it_was_looked_at(human, "experiments", tmp_path)


async def test_the_compare_screen(lab: SampleLab, tmp_path: Path) -> None:
    kept = tuple(e.id for e in lab.writer.experiments() if e.verdict is Verdict.KEEP)[:2]
    async with at(lab, "compare", kept, size=(120, 36)) as human:
        await human.sees("hunk 1/")
        await is_as_it_was_looked_at(human, "compare", tmp_path)


async def test_the_decisions_screen(tmp_path: Path) -> None:
    async with at(every_kind(tmp_path / "lab"), "decisions", size=(120, 30)) as human:
        await human.sees("Agreement")
        await is_as_it_was_looked_at(human, "decisions", tmp_path)
