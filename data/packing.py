"""Documents of tokens to rows of `width` = T + 1 tokens: every row starts with BOS, every token is used once.

A document that is longer than a row is cut into pieces, each behind a BOS of its own. Whole rows come
first; the remainders are packed best fit, and where none fits a gap, one is cut to fill it. So nothing is
cropped (upstream's loader drops about a third) and only the last row is padded, with BOS, which is no text
and is never scored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer]


def pack(documents: Sequence[Tokens], width: int, bos: int, seed: int = 0) -> NDArray[np.uint32]:
    """Rows (n, width) of uint32 in a shuffled but reproducible order; documents hold no BOS themselves."""
    body = width - 1
    whole: list[Tokens] = []
    rest: dict[int, list[Tokens]] = defaultdict(list)  # length -> remainders of that length
    for tokens in documents:
        full = len(tokens) // body
        if full:
            whole.append(tokens[: full * body].reshape(full, body))
        if len(tokens) % body:
            rest[len(tokens) % body].append(tokens[full * body :])
    parts: list[NDArray[np.uint32]] = []
    if whole:
        rows = np.full((sum(len(w) for w in whole), width), bos, dtype=np.uint32)
        np.concatenate(whole, out=rows[:, 1:], casting="same_kind")
        parts.append(rows)
    if rest:
        parts.append(_fill_rows(rest, width, bos))
    if not parts:
        return np.empty((0, width), dtype=np.uint32)
    rows = np.concatenate(parts)
    return rows[np.random.default_rng(seed).permutation(len(rows))]


def _fill_rows(rest: dict[int, list[Tokens]], width: int, bos: int) -> NDArray[np.uint32]:
    """Packs remainders (all shorter than a row) best fit; the lengths in stock are the bits of one integer."""
    stock = 0
    for length in rest:
        stock |= 1 << length
    total = sum(len(pieces) * (length + 1) for length, pieces in rest.items())
    rows = np.full((total // (width // 2) + 2, width), bos, dtype=np.uint32)
    row, at = 0, 0

    def take(length: int) -> Tokens:
        nonlocal stock
        piece = rest[length].pop()
        if not rest[length]:
            stock &= ~(1 << length)
        return piece

    while stock:
        room = width - at - 1  # a BOS, then this many tokens
        fits = (stock & ((1 << (room + 1)) - 1)).bit_length() - 1 if room > 0 else 0
        if room > 0:
            if fits > 0:
                piece = take(fits)
            else:
                shortest = (stock & -stock).bit_length() - 1
                piece = take(shortest)
                tail = piece[room:]
                piece = piece[:room]
                rest[len(tail)].append(tail)
                stock |= 1 << len(tail)
            rows[row, at + 1 : at + 1 + len(piece)] = piece
            at += 1 + len(piece)
        if width - at < 2:  # no room for a BOS and a token: what is left keeps the BOS it was filled with
            row, at = row + 1, 0
            if row == len(rows):
                rows = np.concatenate([rows, np.full_like(rows, bos)])
    return rows[: row + (at > 0)]
