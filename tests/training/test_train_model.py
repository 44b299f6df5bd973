"""train.py itself: the shapes it keeps, what starts where, schedules, optimizers."""

from __future__ import annotations

import ast
import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from nanochat.profiles import PROFILES, ProfileError, load_profile
from nanochat.profiles import main as profiles_command
from tests.training.conftest import TRAIN

target: Any = importlib.import_module("nanochat.train")


def constants() -> dict[str, Any]:
    tree = ast.parse(TRAIN.read_text())
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.targets[0], ast.Name) and isinstance(node.value.value, int | float):
            found[node.targets[0].id] = node.value.value
    return found


class Plain:
    """What build_optimizers needs of a run."""

    @staticmethod
    def compile(function: Any) -> Any:
        return function


def test_the_constants_a_search_can_tune_are_plain_numbers_at_the_top() -> None:
    found = constants()
    assert len(found) > 25
    assert all(name.isupper() for name in found)
    lines = TRAIN.read_text().splitlines()
    for name in found:
        line = next(line for line in lines if line.startswith(f"{name} = "))
        assert "  # " in line, name


def test_it_starts_before_the_known_findings() -> None:
    found = constants()
    assert found["SHORT_WINDOW"] == 0.5
    assert found["VALUE_EMBED_DECAY"] == 0.0
    assert found["EMBED_STD"] == found["FC_INIT"] == 1.0
    assert target.decay_scale(0.25) == 0.75


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_every_depth_gives_logits_of_the_right_shape(depth: int) -> None:
    profile = load_profile({"name": "test", "depth": depth})
    model = target.build_model(profile)
    tokens = torch.randint(profile.vocab, (2, profile.sequence))
    assert model(tokens).shape == (2, profile.sequence, profile.vocab)
    assert model(tokens, tokens).item() == pytest.approx(math.log(profile.vocab), abs=0.1)
    assert model.windows[-1] == profile.sequence


def test_every_weight_gets_a_gradient_and_an_optimizer() -> None:
    profile = load_profile({"name": "test", "depth": 4})
    model = target.build_model(profile)
    muon, adamw = target.build_optimizers(model, Plain)
    owned = [id(p) for optimizer in (muon, adamw) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    tokens = torch.randint(profile.vocab, (2, profile.sequence))
    for _ in range(3):  # what starts at zero lets gradients through only after the first step
        model(tokens, tokens).backward()
        muon.step()
        adamw.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_our_adamw_is_torchs_adamw_to_the_bit() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(5, 3)) for _ in range(2))
    settings = {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1}
    mine = target.AdamW([{"params": [ours], **settings}])
    reference = torch.optim.AdamW([theirs], eps=target.ADAM_EPS, fused=True, **settings)
    for _ in range(5):
        ours.grad = torch.randn(5, 3)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
    assert torch.equal(ours, theirs)


def test_orthogonalized_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(target.orthogonalize(torch.randn(3, 16, 48)))
    assert values.min() > 0.7
    assert values.max() < 1.3


def test_schedules_depend_on_progress_alone_and_end_where_they_should() -> None:
    assert target.lr_scale(0.0) == 1.0
    assert target.lr_scale(1.0) == target.FINAL_LR
    assert target.momentum_at(0.0) == target.MOMENTUM_START
    assert target.momentum_at(1.0) == target.MOMENTUM_END
    assert all(0 <= target.lr_scale(p / 100) <= 1 for p in range(101))


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_consistent_and_prints_as_json(name: str, capsys: Any) -> None:
    profile = load_profile(name)
    assert profile.width % profile.head_dim == 0
    assert profiles_command([name, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["budget"] == profile.budget
    assert described["env"]
    assert load_profile(json.dumps(described)) == profile


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "test", "vocab": 100},
        {"name": "test", "step_tokens": 500},
        {"name": "test", "depth": 0},
        {"name": "test", "depth": "2"},
        {"name": "test", "head_dim": 31},
        {"name": "test", "budget": "seconds:nan"},
        {"name": "no such"},
        "{not json",
    ],
)
def test_an_impossible_profile_is_refused(broken: Any) -> None:
    with pytest.raises(ProfileError):
        load_profile(broken)


def test_the_same_profile_has_the_parameters_it_says(tmp_path: Path) -> None:
    model = target.build_model(load_profile("cpu"))
    assert sum(p.numel() for p in model.parameters()) == 1_835_144
