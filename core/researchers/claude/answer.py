"""One answer of the model, put together from the events of its stream.

The SDK's own helper parses the whole of a tool's input again at every piece of it, which is quadratic, and breaks off
the stream at the first piece that is not JSON. Here pieces are collected and read once, at the end.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from core.researchers.claude.budget import Usage
from core.researchers.claude.words import sendable

SIZE_LIMIT = 1_000_000
"""characters of an answer that are still read"""
PIECES = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}
"""kind of delta -> the field that carries the piece"""


class TooLong(Exception):
    """The answer goes on and on."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool the model wants to use."""

    id: str
    name: str
    input: dict[str, Any]
    problem: str = ""
    """why the input could not be read; empty when it could"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    content: list[dict[str, Any]]
    """the blocks as they must be sent back, unchanged: a thinking block is bound to what comes before it"""
    calls: tuple[Call, ...]
    stop: str
    """why the model stopped: tool_use, end_turn, max_tokens, refusal, …"""
    refusal: str
    """category and explanation of a refusal"""
    usage: Usage


@dataclass(slots=True)
class Block:
    """A block of content on its way."""

    start: dict[str, Any]
    pieces: list[str] = field(default_factory=list)
    signature: str = ""

    @property
    def kind(self) -> str:
        return str(self.start.get("type", ""))


@dataclass(slots=True)
class Incoming:
    """The events so far."""

    blocks: dict[int, Block] = field(default_factory=dict)
    size: int = 0
    stop: str = ""
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)
    begun: bool = False
    ended: bool = False

    def take(self, event: Any) -> None:
        """Take the next event in.

        Raises:
            TooLong: more has come than an answer can be.
        """
        match event.type:
            case "message_start":
                self.begun = True
                self._count(event.message.usage)
            case "content_block_start":
                self.blocks[event.index] = Block(event.content_block.to_dict())
            case "content_block_delta":
                self._piece(self.blocks.setdefault(event.index, Block({})), event.delta)
            case "message_delta":
                self.stop = str(event.delta.stop_reason or "")
                details = event.delta.stop_details
                if details is not None:
                    self.refusal = ": ".join(str(w) for w in (details.category, details.explanation) if w)
                self._count(event.usage)
            case "message_stop":
                self.ended = True

    def _piece(self, block: Block, delta: Any) -> None:
        if delta.type == "signature_delta":
            block.signature = str(delta.signature)
        elif name := PIECES.get(delta.type):
            piece = str(getattr(delta, name, "") or "")
            block.pieces.append(piece)
            self.size += len(piece)
            if self.size > SIZE_LIMIT:
                raise TooLong(f"more than {SIZE_LIMIT:,} characters")

    def _count(self, usage: Any) -> None:
        """Counts are totals so far; what an event leaves out stays as it was."""

        def known(name: str, now: int) -> int:
            value = getattr(usage, name, None)
            return value if isinstance(value, int) else now

        self.usage = Usage(
            known("input_tokens", self.usage.input),
            known("output_tokens", self.usage.output),
            known("cache_read_input_tokens", self.usage.cache_read),
            known("cache_creation_input_tokens", self.usage.cache_write),
        )

    def broken_off(self) -> Usage:
        """What a stream that never ended has used: the output is estimated, for its count comes last."""
        output = max(self.usage.output, self.size // 4)
        return Usage(self.usage.input, output, self.usage.cache_read, self.usage.cache_write)

    def answer(self) -> Answer:
        """The whole answer."""
        content, calls = [], []
        for _, block in sorted(self.blocks.items()):
            text = "".join(block.pieces)
            match block.kind:
                case "tool_use":
                    call = read_call(block.start, text)
                    calls.append(call)
                    content.append({**block.start, "input": call.input})
                case "thinking":
                    whole = {"thinking": sendable(str(block.start.get("thinking", "")) + text)}
                    signature = block.signature or block.start.get("signature", "")
                    content.append({**block.start, **whole, "signature": signature})
                case "text":
                    if text := sendable(str(block.start.get("text", "")) + text):
                        content.append({"type": "text", "text": text})
                case "":
                    pass  # a delta without a beginning: nothing to send back
                case _:
                    content.append(block.start)
        return Answer(content, tuple(calls), self.stop, self.refusal, self.usage)


def read_call(start: dict[str, Any], text: str) -> Call:
    """A tool call; its input may have come with the start, in pieces, or not be JSON at all."""
    name, call_id = str(start.get("name", "")), str(start.get("id", ""))
    if not text.strip():
        given = start.get("input")
        return Call(call_id, name, given if isinstance(given, dict) else {})
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        return Call(call_id, name, {}, f"The input is not valid JSON ({str(error)[:200]}).")
    if not isinstance(value, dict):
        return Call(call_id, name, {}, "The input must be a JSON object.")
    if re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):  # it cannot be stored, nor sent back
        return Call(call_id, name, {}, "The input holds half a character (a lone surrogate).")
    return Call(call_id, name, value)


def spoken(partial: str, name: str) -> str:
    """The text of one value in JSON that is still being written; empty before it begins."""
    match = re.search(rf'"{name}"\s*:\s*"', partial)
    if match is None:
        return ""
    body = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL).match(partial, match.end())
    raw = body.group() if body else ""
    for text in (raw, re.sub(r"\\u[0-9a-fA-F]{0,3}$", "", raw)):
        try:
            return str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            continue
    return ""
