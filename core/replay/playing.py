"""Plays a stage in a thread of its own, for the screen to look at: the clock, the socket, the end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import LabError, Refused
from core.lab import Lab
from core.replay.pace import Pace
from core.replay.stage import Stage
from core.requests import Ping, Request

LOOK = 0.1
"""seconds between two looks"""
START = 30.0
"""seconds a thread may take to begin"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a show has come."""

    speed: float
    moment: float
    """Unix time in the recording"""
    share: float
    """of the recording"""
    over: bool


class Show:
    """A replay that runs; `lab` is what a screen opens, `now` its clock. It begins with the first look at the clock."""

    def __init__(self, stage: Stage, *, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.stage = stage
        self.lab = stage.lab
        self.speed = speed
        self.pace = Pace(stage.recording.busy(), speed, begin=stage.recording.begin)
        self.problem: LabError | None = None
        self._clock = clock
        self._begin: float | None = None
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    @property
    def shown(self) -> float:
        """Seconds of the show that have passed."""
        return 0.0 if self._begin is None else self._clock() - self._begin

    @property
    def session_seconds(self) -> float:
        """How long the session took."""
        return self.stage.recording.end - self.stage.recording.begin

    def now(self) -> float:
        """The moment of the session that is on the screen."""
        if self._begin is None:
            self._begin = self._clock()
        return self.pace.moment(self.shown)

    def progress(self) -> Progress:
        """How far it has come: at its end it stays there, whatever the clock says."""
        recording = self.stage.recording
        moment = min(self.now(), recording.end)
        share = (moment - recording.begin) / self.session_seconds if self.session_seconds > 0 else 1.0
        return Progress(self.speed, moment, share, over=self.stage.over)

    def start(self) -> None:
        """Begin, and return when the lab can be opened."""
        self._thread.start()
        self._ready.wait(START)

    def stop(self) -> None:
        """End the thread.

        Raises:
            LabError: the show had ended with an error.
        """
        self._stop.set()
        self._thread.join()
        if self.problem is not None:
            raise self.problem

    def _run(self) -> None:
        try:
            asyncio.run(self._play())
        except LabError as error:
            self.problem = error
        except Exception as error:  # the edge of the thread: said when the screen is gone
            self.problem = LabError(f"the replay ended with an error ({type(error).__name__}: {error})")
            self.problem.__cause__ = error
        finally:
            self._ready.set()

    async def _play(self) -> None:
        from core.engine.server import serve

        server = await serve(self.lab.socket, _refuse)
        self._ready.set()
        try:
            while not self._stop.is_set():
                await asyncio.sleep(LOOK)
                if self._begin is not None and not self.stage.over:
                    self.stage.advance(self.now())
        finally:
            server.close()


def _refuse(request: Request) -> dict[str, Any]:
    """What the socket of a replay answers: it is there, and nothing can be decided."""
    if isinstance(request, Ping):
        return {}
    raise Refused("this is a replay: what you see has long been decided")


@contextmanager
def playing(source: Lab, *, speed: float) -> Iterator[Show]:
    """Show a recorded lab in a temporary one, which is gone afterwards.

    Raises:
        LabError: nothing is recorded, or there is no room for the temporary lab.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="autoresearch-replay-"))
    except OSError as error:
        raise LabError(f"no temporary directory can be made: {error.strerror}", hint="set TMPDIR") from error
    try:
        stage = Stage(source, folder / f"replay of {source.name}")
        try:
            show = Show(stage, speed=speed)
            show.start()
            try:
                yield show
            finally:
                show.stop()
        finally:
            stage.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
