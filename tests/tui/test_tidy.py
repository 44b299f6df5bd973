"""A full garbage collection waits until nobody is at the keys."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.tui.cockpit import cockpit


async def test_it_is_put_off_while_somebody_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[None] = []
    async with cockpit(tmp_path) as human:
        monkeypatch.setattr(gc, "collect", lambda: collected.append(None))
        await human.press("j")
        human.app.tidy()
        assert not collected
        human.app._pressed -= 2.0  # two seconds later
        human.app.tidy()
        assert len(collected) == 1


async def test_a_process_that_is_not_the_screens_own_keeps_its_collector(tmp_path: Path) -> None:
    before = gc.get_threshold()
    async with cockpit(tmp_path):
        assert gc.get_threshold() == before
