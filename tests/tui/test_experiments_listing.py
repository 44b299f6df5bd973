"""What is listed, in which order, and what the whole of a lab says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.models import Purpose, State, Verdict
from core.store.reader import Reader
from core.store.rows import Found, Summary
from tests.tui.research_desk import researched
from tui.listing import Column, Listing, Outcome, authors_of, listed, next_of, outcome, outcomes_of
from tui.survey import survey


def row(number: int, verdict: Verdict | None = None, metric: float | None = None, **more: Any) -> Summary:
    state = State.JUDGED if verdict else more.pop("state", State.PROPOSED)
    values: dict[str, Any] = {
        "title": f"idea {number}", "author": "claude", "category": "", "delta": None, "delta_low": None,
        "delta_high": None, "commit_sha": None, "hold_until": None, "deferred_at": None, "created_at": 0.0,
    }  # fmt: skip
    return Summary(id=number, state=state, verdict=verdict, metric=metric, **values | more)


HISTORY = (
    row(5),
    row(4, Verdict.CRASHED),
    row(3, Verdict.DISCARD, 1.85, delta=0.01, title="Zebra"),
    row(2, Verdict.KEEP, 1.81, delta=-0.02, author="human"),
    row(1, Verdict.KEEP, 1.83, delta=-0.01, title="apple"),
)


def ids(wishes: Listing, **more: Any) -> list[int]:
    return [one.id for one in listed(HISTORY, wishes, **more)]


@pytest.mark.parametrize(
    ("column", "order", "other_way"),
    [
        (Column.NUMBER, [5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
        (Column.METRIC, [2, 1, 3, 5, 4], [3, 1, 2, 5, 4]),
        (Column.DELTA, [2, 1, 3, 5, 4], [3, 1, 2, 5, 4]),
        (Column.OUTCOME, [2, 1, 5, 3, 4], [4, 3, 5, 2, 1]),
        (Column.TITLE, [1, 2, 4, 5, 3], [3, 5, 4, 2, 1]),
        (Column.AUTHOR, [5, 4, 3, 1, 2], [2, 5, 4, 3, 1]),
    ],
)
def test_sorted_by_a_column_what_is_unknown_comes_last(column: Column, order: list[int], other_way: list[int]) -> None:
    assert ids(Listing(column)) == order
    assert ids(Listing(column, reverse=True)) == other_way


def test_the_best_metric_is_the_highest_where_the_direction_says_so() -> None:
    assert ids(Listing(Column.METRIC), direction="max") == [3, 1, 2, 5, 4]


def test_sorted_by_size_needs_the_sizes() -> None:
    assert ids(Listing(Column.SIZE), sizes={1: (9, 9), 3: (1, 0)}) == [3, 1, 5, 4, 2]


def test_filters_leave_rows_out() -> None:
    assert ids(Listing(outcome=Outcome.KEPT)) == [2, 1]
    assert ids(Listing(outcome=Outcome.KEPT), doubtful={1}) == [2, 1]
    assert ids(Listing(outcome=Outcome.DOUBTFUL), doubtful={1}) == [1]
    assert ids(Listing(author="human")) == [2]
    assert ids(Listing(found={3: Found(3, True, False, False)})) == [3]
    assert ids(Listing(found={})) == []


def test_what_can_be_chosen_is_what_occurs() -> None:
    assert outcomes_of(HISTORY) == [Outcome.KEPT, Outcome.WAITS, Outcome.DISCARD, Outcome.CRASHED]
    assert authors_of(HISTORY) == ["claude", "human"]
    assert [next_of(None, "ab"), next_of("a", "ab"), next_of("b", "ab"), next_of("gone", "ab")] == [
        "a",
        "b",
        None,
        None,
    ]


@pytest.mark.parametrize("state", [state for state in State if state is not State.JUDGED])
def test_every_state_has_a_word(state: State) -> None:
    assert outcome(row(1, state=state))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_word(verdict: Verdict) -> None:
    assert outcome(row(1, verdict))


# ---- read from a record --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    lab = researched(tmp_path_factory.mktemp("lab"))
    lab.close()
    return Reader(lab.lab.database)


def test_a_search_looks_into_titles_reasons_and_patches(reader: Reader) -> None:
    kept = next(e for e in reader.experiments() if e.verdict is Verdict.KEEP)
    assert kept.id in {one.id for one in reader.search(kept.title.upper()) if one.title}
    assert all(one.texts for one in reader.search("smaller model's sweep"))
    in_patches = reader.search("DIFF --git")
    assert len(in_patches) == len(reader.experiments())
    assert all(one.patch and not one.title for one in in_patches)
    assert [one.id for one in in_patches] == sorted((one.id for one in in_patches), reverse=True)


def test_a_number_finds_its_experiment(reader: Reader) -> None:
    for words in ("3", "#3", " #3 "):
        assert 3 in {one.id for one in reader.search(words) if one.title}
    assert reader.search("#9999") == []


def test_wildcards_and_quotes_in_a_search_are_letters(reader: Reader) -> None:
    assert reader.search("%") == []
    assert reader.search("'; DROP TABLE experiments; --") == []
    assert [one.id for one in reader.search("_LR", limit=1)] == [max(one.id for one in reader.search("_LR"))]


def test_the_lineage_has_a_level_for_every_champion(reader: Reader, tmp_path: Path) -> None:
    found = survey(reader, tmp_path / "none.toml")
    assert len(found.steps) == len(reader.champions())
    assert found.steps[0].experiment is None
    assert found.steps[0].runs == 4
    assert all(step.level is not None for step in found.steps)
    at = found.steps[0].height
    assert at == found.steps[0].level
    for step in found.steps[1:]:
        assert at is not None
        assert step.experiment is not None
        assert step.height == pytest.approx(at + (step.experiment.delta or 0.0))
        at = step.height
    assert found.band > 1.9 * found.sigma > 0
    assert all(found.sizes[e.id] == (1, 1) for e in reader.experiments())


def test_a_keep_that_more_noise_would_not_keep_is_doubtful(tmp_path: Path) -> None:
    lab = researched(tmp_path)
    try:
        before = survey(lab.writer, tmp_path / "none.toml")
        kept = [step.experiment.id for step in before.steps if step.experiment]
        assert kept
        assert before.doubtful == frozenset()
        champion = lab.writer.champion()
        assert champion is not None
        for seed, metric in enumerate((1.70, 1.95, 1.72, 1.93), 20):  # the machine has become loud
            run = lab.writer.add_run(
                experiment_id=None, purpose=Purpose.NULL, commit_sha=champion.commit_sha, seed=seed, device="cpu",
                device_class="cpu/EPYC",
            )  # fmt: skip
            lab.ends(run, metric=metric)
        assert survey(lab.writer, tmp_path / "none.toml").doubtful == frozenset(kept)
        lab.writer.update_experiment(kept[0], overridden_by="ada")
        assert kept[0] not in survey(lab.writer, tmp_path / "none.toml").doubtful
    finally:
        lab.close()
