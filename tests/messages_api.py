"""A Messages API to test against: real HTTP on 127.0.0.1, real server-sent events, answers from a script.

`async with messages_api([...]) as api:` serves the replies in order, one a request; `load(path)` reads them from a TOML
file. Every request is kept. Prompt caching is counted as the API does it: a prefix that was marked before is read.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Block = Mapping[str, Any]
BYTES_A_TOKEN = 4


@dataclass(frozen=True)
class Reply:
    """One answer, good or bad."""

    content: Sequence[Block] = ()
    """content blocks; a tool_use block may carry `raw`, text that stands for its input as it is"""
    stop: str = "tool_use"
    stop_details: Mapping[str, Any] | None = None
    status: int = 200
    error: str = ""
    """with a status from 400 on: the type of the error"""
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """events after which the connection is closed"""
    cut_inside: bool = False
    """close it in the middle of an event"""
    error_after: int | None = None
    """events after which an error event comes instead"""
    body: bytes | None = None
    """sent instead of everything else"""
    piece: int = 40
    """characters a delta"""
    pause: float = 0.0
    """seconds between two events"""
    hang: bool = False
    """never answer"""
    tokens: int = 100
    """output tokens it says it took"""


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def tool(name: str, call: str = "toolu_1", **values: Any) -> Block:
    return {"type": "tool_use", "id": call, "name": name, "input": values}


def proposal(old: str, new: str, *, call: str = "toolu_p", path: str = "train.py", **more: Any) -> Block:
    """A `propose` call with one edit; other values as given or made up."""
    values = {
        "title": f"{old} → {new}",
        "hypothesis": "It lowers the loss.",
        "rationale": "Because the record speaks for it.",
        "category": "optimizer",
        "expected": "-0.01",
        "scaling": "the same at every depth",
        "edits": [{"path": path, "search": old, "replace": new}],
        **more,
    }
    return tool("propose", call, **values)


def propose(old: str, new: str, **more: Any) -> Reply:
    """A whole answer that proposes one edit."""
    return Reply([proposal(old, new, **more)])


def load(path: Path) -> list[Reply]:
    """The replies of a script, `[[reply]]` each: `propose = [OLD, NEW]` and more values, or the fields of Reply."""
    replies = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["reply"]:
        values = dict(entry)
        if "propose" in values:
            old, new = values.pop("propose")
            replies.append(propose(old, new, **values))
        else:
            replies.append(Reply(**values))
    return replies


@dataclass
class Api:
    """The server at work."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Reply] | None = None
    """makes the reply from the request where the script is at its end"""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    counted: list[dict[str, Any]] = field(default_factory=list)
    """requests to count_tokens"""
    model: dict[str, Any] | None = None
    """what it says of its model; None: 404, as a local server has it"""
    asked_for_the_model: int = 0
    counts: int | None = None
    """what count_tokens answers; None: what the text would take; negative: 404, as a local server has it"""
    cache: PromptCache = field(default_factory=lambda: PromptCache())
    gate: asyncio.Semaphore | None = None
    """where there is one, every answer waits for it"""

    @property
    def last(self) -> dict[str, Any]:
        return self.requests[-1]

    def prompt(self, number: int = -1) -> str:
        """All the text of a request's messages."""
        return "\n".join(part for message in self.requests[number]["messages"] for part in texts(message["content"]))


class PromptCache:
    """Which prefixes were marked before."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def usage(self, request: Mapping[str, Any]) -> dict[str, int]:
        """Tokens of a prompt: read from the cache, written to it, and neither; remembers what is marked."""
        parts = [(json.dumps(tool, sort_keys=True), "cache_control" in tool) for tool in request.get("tools", ())]
        blocks = [*request.get("system", ())]
        for message in request["messages"]:
            content = message["content"]
            blocks += [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts += [(json.dumps(bare(block), sort_keys=True), "cache_control" in block) for block in blocks]
        if "cache_control" in request and parts:
            parts[-1] = (parts[-1][0], True)
        prefix, size, read, marked = "", 0, 0, 0
        found: list[str] = []
        for part, mark in parts:
            prefix = str(hash((prefix, part)))
            size += len(part) // BYTES_A_TOKEN + 1
            if prefix in self.known:
                read = size
            if mark:
                marked = size
                found.append(prefix)
        self.known.update(found)
        return {
            "input_tokens": size - max(read, marked),
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": max(0, marked - read),
        }


def bare(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "cache_control"}


def texts(content: Any) -> list[str]:
    """The text in a message's content, results of tools included."""
    if isinstance(content, str):
        return [content]
    found: list[str] = []
    for block in content:
        if "text" in block:
            found.append(block["text"])
        if "content" in block:
            found += texts(block["content"])
    return found


@asynccontextmanager
async def messages_api(
    replies: Sequence[Reply] = (), *, answer: Callable[[dict[str, Any]], Reply] | None = None
) -> AsyncIterator[Api]:
    """The server, listening on a free port."""
    api = Api(replies=list(replies), answer=answer)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await _one_request(api, reader, writer):
                    pass
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    api.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _one_request(api: Api, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request; False when the connection is over."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    if path.startswith("/v1/models/"):
        return await _model(api, writer)
    body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))))
    if path.startswith("/v1/messages/count_tokens"):
        return await _count(api, body, writer)
    api.requests.append(body)
    api.headers.append(headers)
    if api.gate is not None:
        await api.gate.acquire()
    if api.replies:
        reply = api.replies.pop(0)
    elif api.answer is not None:
        reply = api.answer(body)
    else:
        reply = Reply(status=500, error="api_error", message="the script is at its end")
    return await _send(api, reply, body, writer)


async def _count(api: Api, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
    api.counted.append(body)
    if api.counts is not None and api.counts < 0:
        return await _json(writer, 404, {"type": "error", "error": {"type": "not_found_error", "message": "no"}})
    size = api.counts if api.counts is not None else len(json.dumps(body)) // BYTES_A_TOKEN
    return await _json(writer, 200, {"input_tokens": size})


async def _model(api: Api, writer: asyncio.StreamWriter) -> bool:
    api.asked_for_the_model += 1
    if api.model is None:
        return await _json(writer, 404, {"type": "error", "error": {"type": "not_found_error", "message": "no"}})
    return await _json(writer, 200, {"id": "claude-scripted", "type": "model", **api.model})


async def _json(
    writer: asyncio.StreamWriter, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> bool:
    data = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{more}\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    return True


async def _send(api: Api, reply: Reply, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
    if reply.hang:
        await asyncio.sleep(3600)
    if reply.body is not None:
        writer.write(reply.body)
        await writer.drain()
        return False
    if reply.status >= 400:
        error = {"type": "error", "error": {"type": reply.error, "message": reply.message}, "request_id": "req_1"}
        return await _json(writer, reply.status, error, reply.headers)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for number, event in enumerate(events(reply, api.cache.usage(request))):
        if reply.error_after == number:
            failure = {"type": "error", "error": {"type": reply.error, "message": reply.message}}
            await _chunk(writer, _sse(failure))
            break
        data = _sse(event)
        if reply.cut_after == number:
            if reply.cut_inside:
                writer.write(f"{len(data):x}\r\n".encode() + data[: len(data) // 2])
                await writer.drain()
            return False
        await _chunk(writer, data)
        if reply.pause:
            await asyncio.sleep(reply.pause)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


def _sse(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def events(reply: Reply, usage: Mapping[str, int]) -> list[dict[str, Any]]:
    """The events of a whole answer, as the API sends them."""
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-scripted", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1},
    }  # fmt: skip
    made: list[dict[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for index, block in enumerate(reply.content):
        start = {key: value for key, value in block.items() if key not in ("raw", "signature")}
        kind, piece = "", ""
        match block["type"]:
            case "text":
                start, kind, piece = {**start, "text": ""}, "text_delta", block["text"]
            case "thinking":
                start, kind, piece = {**start, "thinking": "", "signature": ""}, "thinking_delta", block["thinking"]
            case "redacted_thinking":
                kind = ""
            case "tool_use":
                raw = block.get("raw")
                start, kind = {**start, "input": {}}, "input_json_delta"
                piece = json.dumps(block["input"]) if raw is None else raw
        made.append({"type": "content_block_start", "index": index, "content_block": start})
        if not kind:
            made.append({"type": "content_block_stop", "index": index})
            continue
        name = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}[kind]
        for at in range(0, len(piece), reply.piece):
            delta = {"type": kind, name: piece[at : at + reply.piece]}
            made.append({"type": "content_block_delta", "index": index, "delta": delta})
        if block["type"] == "thinking":
            delta = {"type": "signature_delta", "signature": block.get("signature", "sig")}
            made.append({"type": "content_block_delta", "index": index, "delta": delta})
        made.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": reply.stop, "stop_sequence": None, "stop_details": reply.stop_details}
    made.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": reply.tokens}})
    made.append({"type": "message_stop"})
    return made
