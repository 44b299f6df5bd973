"""Requests survive the socket; what is not one is refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from core.engine.server import serve
from core.errors import Refused
from core.models import Autonomy, Verdict, Via
from core.requests import (
    Approve,
    Audit,
    Defer,
    Override,
    Pause,
    Ping,
    Request,
    Resume,
    Revise,
    SetAutonomy,
    StopEngine,
    StopRun,
    Tell,
    Undo,
    Veto,
    decode,
    encode,
)

EVERY: list[Request] = [
    Ping(),
    Approve(3, "a" * 64, hunks_kept=(0, 2), hunks_seen=(), seconds=4.5, via=Via.CLI),
    Approve(3, "a" * 64, edited="diff --git a/x b/x\n", reason="ünïcode\n"),
    Revise(3, "a" * 64, "note"),
    Veto(3, "a" * 64, "reason"),
    Defer(3),
    Undo(3),
    Override(3, Verdict.KEEP, "I know better"),
    SetAutonomy(Autonomy.FULL),
    Pause("why"),
    Resume(),
    StopRun(7),
    StopEngine(runs=True),
    Tell("words", kind="idea"),
    Audit(seeds=3),
]


@pytest.mark.parametrize("request_", EVERY, ids=lambda r: type(r).__name__)
def test_a_request_comes_out_of_the_socket_as_it_went_in(request_: Request) -> None:
    assert decode(encode(request_)) == request_
    assert encode(request_).count(b"\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'"approve"',
        b'{"request": "rm"}',
        b'{"request": "approve"}',
        b'{"request": "approve", "experiment_id": "x", "patch_sha256": "a"}',
        b'{"request": "approve", "experiment_id": 1, "patch_sha256": "a", "via": "email"}',
        b'{"request": "veto", "experiment_id": 1, "patch_sha256": "a", "reason": 7}',
        b'{"request": "autonomy", "level": "god"}',
        b'{"request": "ping", "more": 1}',
        b'{"request": "approve", "experiment_id": 1, "patch_sha256": "a", "hunks_kept": "no"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(Refused):
        decode(line)


def test_a_line_that_is_open_when_the_engine_ends_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "engine.sock"

    async def ends_meanwhile() -> None:
        await serve(path, lambda request: {})
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(encode(Ping()))
        assert b"ok" in await reader.readline()

    asyncio.run(ends_meanwhile())
    assert not caplog.records


def test_a_line_taken_in_the_moment_the_engine_ends_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cancelled before its first step, and nothing of it has run that could say so."""
    path = tmp_path / "engine.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as screen:
        screen.setblocking(False)

        async def ends_at_once() -> None:
            await serve(path, lambda request: {})
            screen.connect(str(path))
            while len(asyncio.all_tasks()) == 1:  # until the loop has taken it, not until it has answered
                await asyncio.sleep(0)

        asyncio.run(ends_at_once())
        assert screen.recv(1) == b""
    assert not caplog.records
