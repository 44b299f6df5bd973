"""Probes that no logit depends on a later token, with a witness that never sees how a row goes on.
Frozen.

One model server (the scorer) gets every row as it is, once. Another one (the witness), in a process that shares nothing
with the first, gets rows whose tokens from a random cut on are replaced. Before the cut both must have the same loss.
Whoever answers both must know the rest of the row, or not use it: there is nothing to remember that would help, for
nobody sees a row twice, and what replaces the rest comes from the training split, so that no other row gives it away.
The scorer is dead before the witness gets its first row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanochat.scoring import Losses, Scorer

SMALL = 2**17  # tokens in a split of which the witness sees every row: it costs as much as the score
WATCHED = (
    320  # rows, at least, of a larger one: a leak in 1 % of rows, of calls or of positions is seen in 95 % of runs
)
NEAR = 64  # positions before the cut over which the mean change counts
CHUNK = 32  # positions between the cuts of the audit form
AUDIT_ROWS = 32  # rows of that form
UNCHANGED = 32  # one row in so many is shown to the witness as it is


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of a causality probe: changes of loss (nats) before a changed token, from the score to the witness."""

    ok: bool
    worst: float  # the largest mean near one cut
    peak: float  # the largest at a single position
    edge: float  # the mean right before a cut, over all cuts: what the score gains from the token that comes next
    drift: float  # the mean over rows that were not changed


@dataclass(slots=True)
class Changes:
    """Gathers, for each cut, by how much the losses before it changed."""

    worst: float = 0.0
    peak: float = 0.0
    edges: list[float] = field(default_factory=list)

    def add(self, change: NDArray[np.float64]) -> None:
        """Nats at consecutive positions, of which the last stands right before the cut."""
        size = np.abs(change)
        self.worst = max(self.worst, float(size[-NEAR:].sum()) / NEAR)
        self.peak = max(self.peak, float(size.max()))
        self.edges.append(float(change[-1]))


def watch(
    witness: Scorer,
    rows: NDArray[Any],
    scored: Losses,
    fillers: NDArray[Any],
    generator: np.random.Generator,
    audit: bool = False,
) -> Probe:
    """Shows rows (n, T + 1) to the witness and compares its losses with the score's (n, T).

    Each row has one cut, and the cuts are spread over the length. In the audit form some rows have a cut every CHUNK
    positions, shown from the first to the last, so that no position is seen with more of its future than that. Each of
    these rows begins its count elsewhere: a leak inside blocks does not show where all cuts fall between two blocks.
    """
    batch, T = witness.shape[0], rows.shape[1] - 1
    groups = line_up(len(rows), T, batch, generator)
    growing = groups[: max(1, min(AUDIT_ROWS // batch, len(groups) // 2))] if audit else []
    found, drift = Changes(), np.zeros(0)
    for group in growing:
        starts, ends = np.zeros(len(group), np.intp), generator.integers(1, min(CHUNK, T) + 1, len(group))
        while (starts < T).any():
            losses = witness.losses(change_after(rows[group], ends, fillers, generator), rows[group, 1:])
            for change, start, end in zip(losses - scored[group], starts, ends, strict=True):
                if start < end:
                    found.add(change[start:end])
            starts, ends = ends, np.minimum(ends + CHUNK, T)
    groups = groups[len(growing) :]
    cuts = spread_cuts(sum(map(len, groups)), T, generator)
    for group in groups:
        here, cuts = cuts[: len(group)], cuts[len(group) :]
        losses = witness.losses(change_after(rows[group], here, fillers, generator), rows[group, 1:])
        changes = losses - scored[group]
        drift = np.append(drift, changes[here == T].mean(axis=1))
        for change, cut in zip(changes[here < T], here[here < T], strict=True):
            found.add(change[:cut])
    edge = float(np.mean(found.edges)) if found.edges else 0.0
    ok = witness.tolerable(max(found.worst, abs(edge)), found.peak)
    return Probe(ok, found.worst, found.peak, edge, abs(float(drift.mean())) if len(drift) else 0.0)


def line_up(count: int, T: int, batch: int, generator: np.random.Generator) -> list[NDArray[np.intp]]:
    """The rows for the witness, by index, in batches of the score's shape.

    A row keeps its place in the batch, for kernels may treat places differently, but not its company or its time.
    """
    whole = count // batch * batch
    mixed = generator.permuted(np.arange(whole).reshape(-1, batch), axis=0)
    shown = len(mixed) if count * T <= SMALL else -(-WATCHED // batch)
    rest = np.arange(whole, count)
    return [*mixed[:shown], *([rest] if len(rest) else [])]


def spread_cuts(count: int, T: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """A cut from 1 to T - 1 for each of so many rows, one in each of so many equal stretches; T for a few of them.

    A row with its cut at T is not changed at all.
    """
    even = 1 + ((np.arange(count) + generator.random(count)) / max(1, count) * (T - 1)).astype(np.intp)
    cuts = generator.permutation(even)
    unchanged = min(max(2, count // UNCHANGED), count // 2)
    cuts[generator.permutation(count)[:unchanged]] = T
    return cuts


def change_after(
    rows: NDArray[Any], cuts: NDArray[np.intp], fillers: NDArray[Any], generator: np.random.Generator
) -> NDArray[Any]:
    """Tokens (B, T) of rows (B, T + 1), from position cuts[row] on replaced by a stretch of a row of `fillers`."""
    T = rows.shape[1] - 1
    others = np.asarray(fillers[generator.integers(len(fillers), size=len(rows))])[:, :T]
    elsewhere = np.roll(others, int(generator.integers(T)), axis=1)
    return np.where(np.arange(T) < cuts[:, None], rows[:, :-1], elsewhere)
