"""The app on a sample lab with a fake engine: tests say what a person does and read what the screen says.

async with cockpit(tmp_path, "waiting", size=(80, 24)) as human:
    await human.press("a")
    assert human.asked == [Approve(...)]
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from core.models import Decision, State
from core.replay import Progress
from core.requests import (
    Approve,
    Defer,
    Pause,
    Ping,
    Request,
    Resume,
    Revise,
    SetAutonomy,
    Tell,
    Undo,
    Veto,
    decode,
    short,
)
from tests.sample_lab import SampleLab, build
from tests.sample_target import TRAIN
from tui.app import AutoresearchApp
from tui.look import Look
from tui.personal import Drafts
from tui.screens.review import Review
from tui.tour import Memory

PATIENCE = 30.0
"""seconds until a test gives up waiting for something to show"""


@dataclass
class FakeEngine:
    """Answers on the lab's socket, remembers what was asked, and writes what the engine would write."""

    lab: SampleLab
    asked: list[Request] = field(default_factory=list)
    refuses: str = ""
    """the next request is refused with these words"""
    gate: asyncio.Event | None = None
    """answers wait for it"""
    server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_unix_server(self._answer, short(self.lab.lab.socket))

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None
            self.lab.lab.socket.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = decode(await reader.readline())
        if not isinstance(request, Ping):
            self.asked.append(request)
            if self.gate is not None:
                await self.gate.wait()
        answer: dict[str, Any]
        if self.refuses and not isinstance(request, Ping):
            answer = {"ok": False, "error": self.refuses, "hint": "read it again"}
            self.refuses = ""
        else:
            answer = {"ok": True, "result": self._do(request)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    def _do(self, request: Request) -> dict[str, Any]:
        lab, store = self.lab, self.lab.writer
        match request:
            case Ping():
                return {"pid": os.getpid()}
            case Approve():
                whole = request.edited is None and request.hunks_kept is None
                decision = Decision.APPROVE if whole else Decision.APPROVE_EDITED
                lab.decides(request.experiment_id, decision, hold=5.0)
                return {"hold_until": lab.now() + 5.0}
            case Veto():
                lab.decides(request.experiment_id, Decision.VETO, reason=request.reason)
            case Revise():
                lab.decides(request.experiment_id, Decision.REVISE, reason=request.note)
            case Defer():
                store.update_experiment(request.experiment_id, event="deferred", deferred_at=lab.now())
            case Undo():
                store.update_experiment(request.experiment_id, state=State.PROPOSED, hold_until=None)
            case SetAutonomy():
                store.set("autonomy", request.level)
            case Pause():
                store.set("paused", request.reason)
            case Resume():
                store.set("paused", "")
            case Tell():
                store.add_message(request.body, actor=request.actor, kind=request.kind)
            case _:
                pass
        return {}


class Files:
    """The parent's files without git."""

    editable = ("train.py",)

    def files(self, commit: str, paths: object) -> dict[str, str]:
        return {"train.py": TRAIN}


@dataclass
class Clock:
    """Monotonic time that moves when a test says so."""

    time: float = 1000.0

    def __call__(self) -> float:
        return self.time

    def moves(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Human:
    """Somebody at the keyboard."""

    app: AutoresearchApp
    pilot: Pilot[str]
    lab: SampleLab
    engine: FakeEngine
    clock: Clock

    @property
    def review(self) -> Review:
        return self.app.review

    @property
    def asked(self) -> list[Request]:
        return self.engine.asked

    @property
    def screen(self) -> str:
        """What the terminal shows, row by row."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())

    @property
    def toasts(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def types(self, text: str) -> None:
        await self.press(*["space" if char == " " else char for char in text])

    async def until(self, true: Callable[[], object], what: str = "") -> None:
        """Wait for something to become true."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while not true():
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"waited in vain for {what or 'it'}; the screen shows:\n{self.screen}")
            await self.pilot.pause(0.02)

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.screen, repr(text))

    async def is_told(self, text: str) -> None:
        await self.until(lambda: any(text in toast for toast in self.toasts), f"the toast {text!r}")

    async def ready(self) -> None:
        """What is on the desk has been read and may be decided."""
        await self.until(lambda: self.review.lab.at, "a snapshot")
        await self.until(lambda: self.review.desk.shown is None or self.review.shown is not None, "the patch")
        await self.until(lambda: self.review.lab.alive is not None, "the engine's answer")
        self.clock.moves(1.0)
        await self.pilot.pause()


@asynccontextmanager
async def driven(app: AutoresearchApp, size: tuple[int, int]) -> AsyncIterator[Pilot[str]]:
    """The app under a pilot, left as `q` leaves it: a pilot alone takes the screens away under what still reads."""
    async with app.run_test(size=size) as pilot:
        try:
            yield pilot
        finally:
            app.workers.cancel_all()


@asynccontextmanager
async def cockpit(
    folder: Path,
    state: str | Callable[[SampleLab], None] = "waiting",
    *,
    size: tuple[int, int] = (120, 36),
    engine: bool = True,
    start_engine: Callable[[], None] | None = None,
    read_only: bool = False,
    replay: Callable[[], Progress] | None = None,
    look: Look | None = None,
    tour: Memory | None = None,
    drafts: Drafts | None = None,
    now: Callable[[], float] | None = None,
    today: Callable[[], datetime] = datetime.now,
) -> AsyncIterator[Human]:
    """The app, ready for keys; the calendar stands still, unless a test brings its own."""
    moment = time.time()
    now = now or (lambda: moment)
    if isinstance(state, str):
        lab = build(folder / "lab", state, now=now)
    else:
        lab = SampleLab(folder / "lab", now=now)
        state(lab)
    fake = FakeEngine(lab)
    if engine:
        await fake.start()
    clock = Clock()
    app = AutoresearchApp(
        lab.lab,
        clock=clock,
        now=now,
        sources=Files(),
        start_engine=start_engine,
        read_only=read_only,
        replay=replay,
        look=look,
        tour=tour,
        drafts=drafts,
        today=today,
    )
    try:
        async with driven(app, size) as pilot:
            human = Human(app, pilot, lab, fake, clock)
            await human.ready()
            yield human
    finally:
        await fake.stop()
        lab.close()
