"""The request socket: one JSON object a line, answered after the commit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.engine.bench import log
from core.errors import LabError, Refused
from core.requests import LINE_LIMIT, Request, decode, short

Handle = Callable[[Request], dict[str, Any]]


async def serve(socket: Path, handle: Handle) -> asyncio.Server:
    """Listen on a lab's socket (0600). The engine lock is held, so a socket that is there is stale."""
    path = short(socket)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await _line(reader):
                writer.write(json.dumps(_answer(line, handle)).encode() + b"\n")
                await writer.drain()

    conversations: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # a task of our own: for one that asyncio makes of a coroutine, and that is cancelled, perhaps before its first
        # step, Python 3.11 prints a traceback over whatever the terminal shows
        conversation = asyncio.create_task(converse(reader, writer))
        conversations.add(conversation)
        conversation.add_done_callback(conversations.discard)
        conversation.add_done_callback(lambda _: writer.close())

    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(connected, path, limit=LINE_LIMIT)
    finally:
        os.umask(mask)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next request, empty at the end; a line over the limit ends the connection."""
    try:
        return await reader.readline()
    except ValueError:
        log.warning("a request over %d bytes was dropped", LINE_LIMIT)
        return b""


def _answer(line: bytes, handle: Handle) -> dict[str, Any]:
    try:
        return {"ok": True, "result": handle(decode(line))}
    except Refused as error:
        return {"ok": False, "error": error.message, "hint": error.hint}
    except LabError as error:
        log.error("a request failed: %s", error)
        return {"ok": False, "error": error.message, "hint": error.hint}
    except Exception as error:  # the edge: one bad request must not end the engine
        log.exception("a request failed")
        return {"ok": False, "error": f"the engine could not do this: {error}", "hint": "engine.log has the details"}
