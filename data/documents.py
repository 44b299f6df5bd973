"""Documents: decode, drop copies, deal each to train, val or audit.

A document goes to a split by the hash of its own text, so the same file lands in the same split on every
machine. Copies are dropped before they are dealt: an exact copy always, and for trees of source files also
a near copy (a vendored package, a generated table) most of whose long lines were seen before. Otherwise val
would be half memorised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "val", "audit")
NEAR_COPY = 0.5  # a file is a near copy when this share of its long lines was seen before
LONG_LINE = 24  # characters, stripped; shorter lines ("return None") say nothing about origin


@dataclass(frozen=True, slots=True)
class Document:
    """One text and where it came from."""

    text: str
    source: str
    may_hold_out: bool = True  # False: the trainer needs the file it came from, so it is only ever train


def decode(path: Path) -> str | None:
    """The text of a file, or None when it is not UTF-8 text. Newlines become \\n."""
    raw = path.read_bytes()
    if b"\0" in raw:
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n")


def cut(document: Document, size: int) -> Iterator[Document]:
    """A long document as sections of about `size` characters, cut at line ends where there are any."""
    text, start, part = document.text, 0, 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            newline = text.rfind("\n", start + size // 2, end)
            end = newline + 1 if newline > 0 else end
        name = document.source if end - start == len(text) else f"{document.source}#{part}"
        yield Document(text[start:end], name, document.may_hold_out)
        start, part = end, part + 1


def unique(documents: Iterable[Document], *, near: bool) -> Iterator[Document]:
    """Drops empty documents and copies; with `near`, near copies too (holds a hash for every long line)."""
    texts: set[bytes] = set()
    lines_seen: set[int] = set()
    for document in documents:
        text = document.text.strip()
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if not text or digest in texts:
            continue
        texts.add(digest)
        if near:
            lines = {_line_hash(line) for line in long_lines(text)}
            if lines and len(lines & lines_seen) > NEAR_COPY * len(lines):
                continue
            lines_seen |= lines
        yield document


def long_lines(text: str) -> frozenset[str]:
    """The lines that tell where a text comes from, each once."""
    return frozenset(line for raw in text.split("\n") if len(line := raw.strip()) >= LONG_LINE)


def _line_hash(line: str) -> int:
    # not hash(): that is salted per process, and a collision must fall the same way on every run
    return int.from_bytes(hashlib.blake2b(line.encode(), digest_size=8).digest(), "little")


def split_of(document: Document, holdout: float) -> str:
    """train, val or audit, by the hash of the text; `holdout` is the share of each of val and audit."""
    if not document.may_hold_out:
        return "train"
    digest = hashlib.blake2b(document.text.strip().encode(), digest_size=8, person=b"split").digest()
    share = int.from_bytes(digest, "little") / 2**64
    return "val" if share < holdout else "audit" if share < 2 * holdout else "train"
