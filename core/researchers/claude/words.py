"""Small change of every text a model is shown: how long it is, where data begins and ends, how it is cut. Pure."""

from __future__ import annotations

import hashlib

from core.text import clean

BYTES_A_TOKEN = 3.0
"""English and Python take 3 to 4 bytes a token; rather an estimate too high"""


def estimate(text: str) -> int:
    """About how many tokens a text is. Real counts correct it as soon as there are any."""
    return int(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN) + 1


def fenced(what: str, text: str) -> str:
    """Data between marks that it cannot contain: they are made of its own hash."""
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"<data {mark} {what}>\n{text}\n</data {mark}>"


def quoted(what: str, text: str, limit: int) -> str:
    """Untrusted text as data: control characters made visible, no longer than `limit` characters."""
    return fenced(what, shortened("\n".join(clean(line) for line in text.split("\n")), limit))


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters: the beginning and the end, and how much is left out between."""
    if len(text) <= limit:
        return text
    head, tail = limit // 3, limit - limit // 3
    return f"{text[:head]}\n… ({len(text) - limit:,} characters left out) …\n{text[-tail:]}"


def sendable(text: str) -> str:
    """Text that can be sent back as it came, save for half characters, which no wire carries."""
    return text.encode("utf-8", "replace").decode()


def valid(text: str) -> str:
    """Text that can be stored: half characters and NULs are replaced."""
    return sendable(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
