"""The search over constants: what it learns from the record, what it never does again, when it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from core.models import Decision, Experiment, Review, State, Verdict, Via
from core.researchers.constants import find_constants
from core.researchers.outcomes import Change, Fate, Outcome, change_of, levels, outcomes, read_key
from core.researchers.search import MISSES, Suggestion, open_slots, suggestions
from tests.unit.offline_fixtures import SMALL, experiment

CONSTANTS = find_constants({"train.py": SMALL})


def moved(
    number: int, name: str, before: float, after: float, state: State = State.JUDGED, **known: object
) -> Experiment:
    key = Change("train.py", {name: before}, {name: after}).key("constants")
    return experiment(number, state, key=key, **known)


def discarded(number: int, name: str, before: float, after: float, delta: float = 0.004) -> Experiment:
    return moved(number, name, before, after, verdict=Verdict.DISCARD, delta=delta)


def kept(number: int, name: str, before: float, after: float, delta: float = -0.01) -> Experiment:
    return moved(number, name, before, after, verdict=Verdict.KEEP, delta=delta)


def told(history: Sequence[Experiment], direction: str = "min") -> list[Outcome]:
    return outcomes(history, {}, direction, "train.py")


def suggested(history: Sequence[Experiment], source: str = SMALL, **more: float) -> list[Suggestion]:
    seed, sigma = int(more.get("seed", 0)), more.get("sigma")
    return list(suggestions(find_constants({"train.py": source}), told(history), seed=seed, sigma=sigma))


def test_a_key_says_what_changed_and_from_what() -> None:
    change = Change("train.py", {"A": 1.0}, {"A": 2.0})
    assert change.key("constants") == '{"source":"constants","file":"train.py","set":{"A":2.0},"from":{"A":1.0}}'
    assert change_of(change.key("notebook", idea="x")) == change
    assert read_key("somebody else's") == {}
    assert change_of('{"set":{"A":1},"from":{"B":1}}') is None
    assert change_of('{"set":{"A":"x"},"from":{"A":1}}') is None
    assert change_of("{broken") is None


def test_every_end_of_an_experiment_is_told_for_what_it_is() -> None:
    history = [
        kept(1, "MATRIX_LR", 0.04, 0.05),
        discarded(2, "MATRIX_LR", 0.05, 0.07),
        moved(3, "MATRIX_LR", 0.05, 0.03, verdict=Verdict.INCONCLUSIVE, delta=-0.001),
        moved(4, "MATRIX_LR", 0.05, 0.9, verdict=Verdict.CRASHED),
        moved(5, "MATRIX_LR", 0.05, 0.02, State.VETOED),
        moved(6, "MATRIX_LR", 0.05, 0.01, State.PROPOSED),
        moved(7, "MATRIX_LR", 0.05, 0.08, verdict=Verdict.SUSPECT, delta=-1.0),
        moved(8, "MATRIX_LR", 0.05, 0.09, verdict=Verdict.VOID),
        moved(9, "MATRIX_LR", 0.05, 0.10, State.INVALID),
        experiment(10, State.JUDGED, key="claude's own"),
    ]
    assert [outcome.fate for outcome in told(history)] == [
        *[Fate.SCORED] * 3, Fate.FAILED, Fate.VETOED, Fate.PENDING, *[Fate.UNKNOWN] * 3,
    ]  # fmt: skip


def test_an_outcome_of_an_edited_patch_is_not_put_down_to_the_proposed_value() -> None:
    edited = Review(1, 1, Decision.APPROVE_EDITED, "", "a", "b", None, None, None, "me", Via.TUI, "", 0.0, None)
    (outcome,) = outcomes([kept(1, "MATRIX_LR", 0.04, 0.05)], {1: [edited]}, "min", "train.py")
    assert outcome.fate is Fate.UNKNOWN
    assert not outcome.kept


def test_outcomes_on_different_champions_add_up() -> None:
    history = [kept(1, "MATRIX_LR", 0.04, 0.05, -0.010), discarded(2, "MATRIX_LR", 0.05, 0.07, 0.002)]
    assert [level for _, level in levels(told(history))] == pytest.approx([-0.010, -0.008])


def test_where_more_is_better_a_gain_counts_as_one() -> None:
    (outcome,) = told([kept(1, "MATRIX_LR", 0.04, 0.05, delta=+0.01)], direction="max")
    assert outcome.effect == -0.01


def test_first_probes_touch_each_constant_once_learning_rates_first() -> None:
    probes = [suggestion for suggestion in suggested([]) if suggestion.how == "probe"]
    names = [constant.name for suggestion in probes for constant in suggestion.values]
    assert names[0] == "MATRIX_LR"
    assert sorted(names) == sorted(constant.name for constant in CONSTANTS)


def test_the_same_history_and_seed_suggest_the_same() -> None:
    history = [discarded(n, "MATRIX_LR", 0.04, value) for n, value in enumerate((0.05, 0.03), 1)]
    once, again = suggested(history), suggested(history)
    assert [(s.how, s.values) for s in once] == [(s.how, s.values) for s in again]


def test_no_suggestion_is_near_a_value_that_was_tried() -> None:
    history = [discarded(1, "MATRIX_LR", 0.04, 0.05), moved(2, "MATRIX_LR", 0.04, 0.03, verdict=Verdict.CRASHED)]
    for suggestion in suggested(history):
        for constant, value in suggestion.values.items():
            if constant.name == "MATRIX_LR":
                assert all(abs(math.log(value / known)) > 0.1 for known in (0.04, 0.05, 0.03))


@pytest.mark.parametrize(("vetoed", "upwards"), [(0.055, True), (0.03, False)])
def test_a_vetoed_side_of_a_constant_is_left_alone(vetoed: float, upwards: bool) -> None:
    history = [moved(1, "MATRIX_LR", 0.04, vetoed, State.VETOED)]
    values = [v for s in suggested(history) for constant, v in s.values.items() if constant.name == "MATRIX_LR"]
    assert values
    assert all((value < 0.04) is upwards for value in values)


def test_a_constant_in_an_experiment_that_still_waits_is_not_touched() -> None:
    history = [moved(1, "MATRIX_LR", 0.04, 0.05, State.APPROVED)]
    assert all(constant.name != "MATRIX_LR" for s in suggested(history) for constant in s.values)


def test_a_constant_closes_after_misses_and_opens_again_with_a_keep() -> None:
    missed = [discarded(n, "MATRIX_LR", 0.04, 0.04 + n / 100) for n in range(1, MISSES + 1)]
    assert "MATRIX_LR" not in {slot.name for slot in open_slots(CONSTANTS, told(missed))}
    assert "MATRIX_LR" in {
        slot.name for slot in open_slots(CONSTANTS, told([*missed, kept(9, "MATRIX_LR", 0.04, 0.02)]))
    }


def test_follow_ups_stay_near_the_best_value() -> None:
    history = [
        discarded(1, "MATRIX_LR", 0.04, 0.06, +0.02),
        discarded(2, "WEIGHT_DECAY", 0.2, 0.3, +0.02),
        kept(3, "MATRIX_LR", 0.04, 0.03, -0.02),
        discarded(4, "LAYERS", 4, 5, +0.02),
        discarded(5, "WARMDOWN", 0.5, 0.6, +0.02),
    ]
    source = SMALL.replace("0.04", "0.03")
    samples = [s for s in suggested(history, source) if s.how == "sampler"]
    values = [value for s in samples for constant, value in s.values.items() if constant.name == "MATRIX_LR"]
    assert values
    assert all(0.03 / 1.5**2.6 < value < 0.03 * 1.5**2.6 for value in values)


def test_two_near_misses_are_tried_together_once() -> None:
    history = [
        discarded(1, "MATRIX_LR", 0.04, 0.05, -0.004),
        discarded(2, "WEIGHT_DECAY", 0.2, 0.3, -0.003),
        discarded(3, "WARMDOWN", 0.5, 0.6, -0.0005),
        discarded(4, "LAYERS", 4, 5, 0.02),
        discarded(5, "BETAS[0]", 0.8, 0.9, 0.01),
    ]
    pair = suggested(history, sigma=0.003)[0]
    assert pair.how == "pair"
    assert {constant.name: value for constant, value in pair.values.items()} == {"MATRIX_LR": 0.05, "WEIGHT_DECAY": 0.3}
    change = Change("train.py", {"MATRIX_LR": 0.04, "WEIGHT_DECAY": 0.2}, {"MATRIX_LR": 0.05, "WEIGHT_DECAY": 0.3})
    done = experiment(6, State.JUDGED, key=change.key("constants"), verdict=Verdict.DISCARD, delta=0.001)
    more = [discarded(n, "BETAS[1]", 0.95, 0.9 + n / 1000, 0.01) for n in range(7, 12)]
    assert all(suggestion.how != "pair" for suggestion in suggested([*history, done, *more], sigma=0.003))


def test_a_near_miss_on_a_side_vetoed_later_is_not_paired() -> None:
    history = [
        discarded(1, "MATRIX_LR", 0.04, 0.05, -0.004),
        discarded(2, "WEIGHT_DECAY", 0.2, 0.3, -0.003),
        moved(3, "MATRIX_LR", 0.04, 0.08, State.VETOED),
        *[discarded(n, "LAYERS", 4, 5, 0.02) for n in (4, 5)],
    ]
    assert all(suggestion.how != "pair" for suggestion in suggested(history, sigma=0.003))


def test_near_misses_inside_the_noise_are_not_paired() -> None:
    history = [
        discarded(n, constant.name, constant.value, constant.value * 1.1, -0.0005)
        for n, constant in enumerate(CONSTANTS)
    ]
    assert all(suggestion.how != "pair" for suggestion in suggested(history, sigma=0.003))
