"""Finding tunable constants, guessing their bounds, and writing new values."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PatchError
from core.researchers.constants import Constant, domain_of, find_constants, with_values, without, written
from core.researchers.numbers import beta_text, round_nicely, write_number
from tests.unit.offline_fixtures import SMALL

TRAIN = (Path(__file__).parents[2] / "nanochat" / "train.py").read_text(encoding="utf-8")


def constants(content: str) -> dict[str, Constant]:
    return {constant.name: constant for constant in find_constants({"train.py": content})}


def test_numbers_that_the_file_uses_are_found_with_their_comments() -> None:
    found = constants(SMALL)
    assert list(found) == ["MATRIX_LR", "WEIGHT_DECAY", "BETAS[0]", "BETAS[1]", "WARMDOWN", "LAYERS"]
    assert found["MATRIX_LR"].comment == "Muon"
    assert found["BETAS[1]"].value == 0.95


def test_seeds_budgets_and_evaluation_are_not_tunable() -> None:
    content = "SEED = 1\nEVAL_ROWS = 8\nTIME_BUDGET = 300\nVOCAB_SIZE = 2048\nLOG_EVERY = 10\nADAM_EPS = 1e-10\n"
    assert not constants(content + "print(SEED, EVAL_ROWS, TIME_BUDGET, VOCAB_SIZE, LOG_EVERY, ADAM_EPS)\n")


def test_a_constant_nobody_reads_is_not_worth_a_run() -> None:
    assert not constants("DROPOUT_RATE = 0.1\n")


@pytest.mark.parametrize(
    "content",
    [
        "SCALE = 2 * 3\nprint(SCALE)\n",
        "SCALE = True\nprint(SCALE)\n",
        "SCALE = 'x'\nprint(SCALE)\n",
        "SCALE = 0.5\nSCALE = 0.6\nprint(SCALE)\n",
        "scale = 0.5\nprint(scale)\n",
        "def f():\n    SCALE = 0.5\n    return SCALE\n",
        "SCALE = 0.5  # do not change\nprint(SCALE)\n",
        "SCALE = 0.5\rOTHER = 1\nprint(SCALE)\n",
        "SCALE = 1e999\nprint(SCALE)\n",
        "SCALE = 0.5\nprint(SCALE\n",
    ],
)
def test_what_is_not_plainly_one_tunable_number_is_left_alone(content: str) -> None:
    assert not constants(content)


def test_a_change_keeps_comment_spacing_and_every_other_byte() -> None:
    content = "# Größe σ\r\nX_LR: float = 0.04   # Muon – nicht 0.04\r\nN = 65_536\r\nprint(X_LR, N)\r\n"
    found = constants(content)
    changed = with_values(content, {found["X_LR"]: 0.055, found["N"]: 131072.0})
    assert changed == content.replace("= 0.04", "= 0.055", 1).replace("65_536", "131_072")


def test_a_tuple_changes_in_one_element() -> None:
    found = constants(SMALL)
    assert "BETAS = (0.8, 0.975)  # AdamW" in with_values(SMALL, {found["BETAS[1]"]: 0.975})


def test_every_constant_of_the_built_in_target_has_bounds_it_stands_in_and_a_first_step() -> None:
    found = constants(TRAIN)
    assert {"MATRIX_LR", "WARMDOWN", "ROPE_BASE", "MLP_RATIO", "ADAM_BETA2", "FINAL_LR"} <= set(found)
    assert not {"ADAM_EPS", "MUON_DTYPE", "POLAR_EXPRESS"} & set(found)
    for constant in found.values():
        domain = domain_of(constant)
        assert domain is not None, constant.name
        here = domain.position(constant.value)
        assert constant.value == 0 or domain.low <= here <= domain.high
        for position in (here - domain.step, here + domain.step, domain.low, domain.high):
            text = written(constant, domain.value(position))
            assert isinstance(ast.literal_eval(text), int if constant.integer else float), f"{constant.name} {text}"
            assert len(text) <= 8


@pytest.mark.parametrize(
    ("line", "scale", "low", "high"),
    [
        ("MATRIX_LR = 0.04", "log", 0.0135, 0.12),
        ("ADAM_BETA2 = 0.95", "beta", 0.8, 0.9875),
        ("WARMDOWN = 0.5", "linear", 0.15, 0.85),
        ("FINAL_LR = 0.0", "linear", 0.0, 0.2),
        ("HEADS = 4", "integer", 2, 6),
        ("STEPS = 5  # at most 5", "integer", 3, 5),
        ("CHANNELS = 32", "power", 8, 128),
        ("ROPE_BASE = 10000.0", "log", 630, 160000),
        ("SHARE = 0.3  # at least 0.25", "linear", 0.25, 0.65),
    ],
)
def test_bounds_follow_from_name_value_and_comment(line: str, scale: str, low: float, high: float) -> None:
    name = line.split()[0]
    domain = domain_of(constants(f"{line}\nprint({name})\n")[name])
    assert domain is not None
    assert domain.scale == scale
    assert (domain.value(domain.low), domain.value(domain.high)) == (low, high)


def test_bounds_widen_to_hold_what_was_tried() -> None:
    domain = domain_of(constants(SMALL)["MATRIX_LR"], [1.0])
    assert domain is not None
    assert domain.value(domain.high) == 1.0


@given(st.floats(1e-9, 1e9))
def test_nice_numbers_stay_close_and_short(value: float) -> None:
    nice = round_nicely(value)
    assert abs(nice / value - 1) < 0.051
    assert len(f"{nice:.9e}".partition("e")[0].rstrip("0")) <= 4


@given(st.floats(0.5, 0.99999))
def test_decay_rates_keep_their_distance_from_one(beta: float) -> None:
    assert abs((1 - float(beta_text(beta))) / (1 - beta) - 1) < 0.06


@pytest.mark.parametrize(
    ("value", "like", "integer", "text"),
    [
        (0.055, "0.04", False, "0.055"),
        (12.0, "15.0", False, "12.0"),
        (3e-5, "1e-4", False, "3e-5"),
        (0.03, "3e-4", False, "0.03"),
        (131072.0, "65_536", True, "131_072"),
        (40000.0, "10_000.0", False, "40_000.0"),
        (0.9625, "0.95", False, "0.9625"),
    ],
)
def test_a_number_is_written_in_the_style_of_the_old_one(value: float, like: str, integer: bool, text: str) -> None:
    assert write_number(value, like, integer=integer) == text


def test_a_constant_can_be_removed_with_its_lines() -> None:
    content = 'A = 1  # one\nB = (\n    "x"  # two\n)\nC = 3\n'
    assert without(content, "B") == "A = 1  # one\nC = 3\n"
    with pytest.raises(PatchError):
        without(content, "D")
