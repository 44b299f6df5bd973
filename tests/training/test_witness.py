"""Who is shown what: the scorer every row once, the witness each at most once, and never how one goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nanochat import witness as witnesses
from nanochat.scoring import score
from nanochat.witness import Probe, line_up, spread_cuts, watch

T, VOCAB, FILLER = 64, 400, 500


class Model:
    """Stands for a model server: notes what it is shown; the loss is a function of the tokens up to each position."""

    def __init__(self, batch: int, leak: float = 0.0, rows: int = 1, block: int = 0) -> None:
        self.shape, self.leak, self.rows, self.block = (batch, T), leak, rows, block
        self.shown: list[NDArray[Any]] = []

    def losses(self, tokens: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        """A leak takes some nats off in one of so many rows where it sees that the next token is the target.

        With blocks it never sees over the end of one.
        """
        self.shown.append(tokens.copy())
        seen = np.pad(tokens[:, 1:] == targets[:, :-1], ((0, 0), (0, 1)))
        if self.block:
            seen[:, self.block - 1 :: self.block] = False
        leaks = tokens[:, :1] % self.rows == 0
        result: NDArray[np.float64] = 3.0 + np.sin(tokens.cumsum(1)) - self.leak * (seen & leaks)
        return result

    def tolerable(self, mean: float, peak: float) -> bool:
        return mean <= 5e-3 and peak <= 0.5  # as in half precision


def split(count: int) -> NDArray[Any]:
    """Rows that differ from each other in every place, and from fillers."""
    return (np.arange(count)[:, None] * 7 + np.arange(T + 1) ** 2) % VOCAB


def fillers() -> NDArray[Any]:
    return np.full((5, T + 1), FILLER)


def watched(rows: NDArray[Any], audit: bool = False, seed: int = 0, **model: Any) -> tuple[Probe, Model, Model]:
    generator = np.random.default_rng(seed)
    scorer, witness = Model(16, **model), Model(16, **model)
    losses = score(scorer, rows, generator)  # type: ignore[arg-type]
    return watch(witness, rows, losses, fillers(), generator, audit), scorer, witness  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 16, 128, 137])
@pytest.mark.parametrize("audit", [False, True])
def test_an_honest_model_agrees_to_the_bit(count: int, audit: bool) -> None:
    probe, _, _ = watched(split(count), audit)
    assert probe == Probe(True, 0.0, 0.0, 0.0, 0.0)


def test_each_row_is_shown_once_to_each() -> None:
    rows = split(137)
    _, scorer, witness = watched(rows)
    for model in (scorer, witness):
        firsts = np.concatenate([tokens[:, 0] for tokens in model.shown])
        assert sorted(firsts) == sorted(rows[:, 0])
    scores = np.concatenate(scorer.shown)
    assert not (scores == FILLER).any()
    kept = (np.concatenate(witness.shown) != FILLER).sum(axis=1)
    assert (kept == T).sum() == 137 // witnesses.UNCHANGED
    assert len(set(kept)) >= T - 1  # the cuts are everywhere


def test_what_follows_a_cut_is_nothing_of_the_split() -> None:
    _, _, witness = watched(split(128), audit=True)
    for tokens in np.concatenate(witness.shown):
        kept = int((tokens != FILLER).sum())
        assert (tokens[:kept] != FILLER).all()


@pytest.mark.parametrize("audit", [False, True])
def test_a_whisper_is_heard_in_half_precision_too(audit: bool) -> None:
    probe, _, _ = watched(split(128), audit, leak=0.02)
    assert not probe.ok
    assert probe.edge == pytest.approx(0.02, abs=0.006)


@pytest.mark.parametrize("block", [16, 32])
def test_a_leak_inside_blocks_shows_however_few_the_rows(block: int) -> None:
    assert not any(watched(split(10), audit=True, seed=seed, leak=1.0, block=block)[0].ok for seed in range(100))


def test_of_a_large_split_enough_is_shown_to_see_a_leak_in_one_row_of_a_hundred() -> None:
    generator = np.random.default_rng(0)
    shown = np.concatenate(line_up(2048, 2048, 16, generator))
    assert len(shown) == len(set(shown)) == witnesses.WATCHED
    leaking = set(range(0, 2048, 100))
    runs = [leaking & set(np.concatenate(line_up(2048, 2048, 16, generator)).tolist()) for _ in range(300)]
    assert sum(bool(run) for run in runs) >= 0.93 * len(runs)


def test_a_row_keeps_its_place_in_the_batch_and_changes_its_company() -> None:
    groups = line_up(128, T, 16, np.random.default_rng(0))
    assert all((group % 16 == np.arange(16)).all() for group in groups)
    assert any(len(set(group // 16)) > 4 for group in groups)


def test_cuts_leave_something_to_compare_and_something_to_change() -> None:
    for count in (2, 3, 40, 500):
        cuts = spread_cuts(count, T, np.random.default_rng(count))
        changed = cuts[cuts < T]
        assert set(changed) <= set(range(1, T))
        assert len(changed) >= count // 2
