"""The evaluator against models that cheat, models that are broken, and models that are only unusual."""

from __future__ import annotations

import importlib
import json
import math
import os
import pickle
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.prepared import Prepared
from nanochat import evaluate as evaluator
from nanochat.model_server import read_checkpoint
from nanochat.profiles import Profile, describe, load_profile
from nanochat.scoring import Scorer, Void
from tests.training import zoo
from tests.training.conftest import TRAIN, Run, run_module

PROFILE = load_profile("test")
IN_CALLS = replace(PROFILE, eval_rows=2)  # this small split takes several


def candidate(directory: Path, source: str, *, checkpoint: bool = True) -> Path:
    """A directory with this train.py and a checkpoint of the model it builds, with random weights."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "train.py").write_text(source)
    if checkpoint:
        torch.manual_seed(0)
        scope: dict[str, Any] = {}
        exec(compile(zoo.TRUNK, "trunk", "exec"), scope)
        torch.save(scope["build_model"](PROFILE).state_dict(), directory / "model.pt")
    return directory


@pytest.fixture(autouse=True)
def same_rows_and_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluator draws what nobody can foresee; here a leak that it may miss by chance is missed always or never."""
    monkeypatch.setattr("nanochat.evaluate.os.urandom", bytes)


def evaluate(directory: Path, prepared: Path, *, audit: bool = False, profile: Profile = PROFILE) -> dict[str, Any]:
    try:
        return evaluator.evaluate(directory, directory, Prepared.open(prepared), profile, "cpu", "val", audit)
    except Void as error:
        return {"void": str(error), "metric": {}}


@pytest.mark.parametrize("name", zoo.HONEST)
@pytest.mark.parametrize("audit", [False, True])
def test_an_honest_model_passes_however_odd(name: str, audit: bool, tmp_path: Path, prepared: Path) -> None:
    result = evaluate(candidate(tmp_path, zoo.HONEST[name]), prepared, audit=audit)
    assert result["void"] is None
    assert 1 < result["metric"]["val_bpb"] < 20


@pytest.mark.parametrize("name", zoo.LEAKS)
@pytest.mark.parametrize("audit", [False, True])
def test_a_model_that_sees_the_future_is_void(name: str, audit: bool, tmp_path: Path, prepared: Path) -> None:
    result = evaluate(candidate(tmp_path, zoo.LEAKS[name]), prepared, audit=audit)
    assert "future" in result["void"]


@pytest.mark.parametrize("name", zoo.MOODS)
@pytest.mark.parametrize("audit", [False, True])
def test_a_leak_cannot_choose_when_to_show(name: str, audit: bool, tmp_path: Path, prepared: Path) -> None:
    assert evaluate(candidate(tmp_path, zoo.MOODS[name]), prepared, audit=audit, profile=IN_CALLS)["void"]


@pytest.mark.parametrize("name", zoo.BROKEN)
def test_a_model_that_breaks_the_contract_is_void_and_says_why(name: str, tmp_path: Path, prepared: Path) -> None:
    source, says = zoo.BROKEN[name]
    assert says in evaluate(candidate(tmp_path, source), prepared)["void"]


@pytest.mark.parametrize("name", zoo.PATCHERS)
def test_code_that_replaces_what_it_is_judged_with_is_void(name: str, tmp_path: Path, prepared: Path) -> None:
    source, says = zoo.PATCHERS[name]
    result = evaluate(candidate(tmp_path, source), prepared)
    assert says in result["void"]
    assert result["metric"] == {}


def test_a_dead_model_process_is_void_and_not_a_failure(tmp_path: Path, prepared: Path) -> None:
    source = zoo.model("import os\nos._exit(7)")
    assert "exit code 7" in evaluate(candidate(tmp_path, source), prepared)["void"]


def test_on_a_gpu_the_witness_starts_with_the_scorer_and_loads_nothing_before_its_turn(tmp_path: Path) -> None:
    """Two copies of a model might not fit, so before that only its process is there, with torch imported."""
    log = tmp_path / "log"
    source = f"open({str(log)!r}, 'a').write('loaded\\n')\n{zoo.TRUNK}"
    src = str(candidate(tmp_path / "src", source))
    sizes = {name: value for name, value in describe(PROFILE).items() if name != "env"}
    spec = {"src": src, "out": src, "profile": sizes, "device": "cuda:0", "batch": 2, "seed": 0}
    spec |= {"sequence": PROFILE.sequence, "vocab": PROFILE.vocab}
    with Scorer([], spec, True) as scorer, Scorer([], spec | {"seed": 1}, True) as witness:
        for server in (scorer, witness):
            with log.open("a") as file:
                file.write("asked\n")
            server.control.sendall(bytes(8))  # no buffer on the GPU: the logits would go through the host
            assert server._reply() == {"shared": False}
            with suppress(Void):  # where there is no GPU to load it to
                server._reply()
            server.close()
    assert log.read_text().split() == ["asked", "loaded", "asked", "loaded"]


def test_the_candidate_has_neither_targets_nor_data_in_its_process(tmp_path: Path, prepared: Path) -> None:
    """Walking the stack, the heap and the environment finds no targets, no prepared directory, no result path."""
    search = """
import gc, os, sys
frame, found = sys._getframe(), []
while frame:
    names = ('targets', 'rows', 'token_bytes')
    found += [n for n, v in frame.f_locals.items() if n in names and not isinstance(v, int)]
    frame = frame.f_back
found += [n for n in os.environ if n in ('AR_DATA', 'AR_EVAL_OUT', 'AR_SPLIT')]
found += [type(o).__name__ for o in gc.get_objects() if type(o).__name__ in ('Prepared', 'Scorer')]
if found:
    raise ValueError(f'found {found}')
return self.head(h)
"""
    directory = candidate(tmp_path / "src", zoo.model(search))
    ended = run_evaluator(directory, directory, prepared, tmp_path / "eval")
    assert json.loads((tmp_path / "eval" / "result.json").read_text())["void"] is None, ended.stderr


def run_evaluator(src: Path, out: Path, data: Path, eval_out: Path, **more: str) -> Any:
    described = {"AR_SRC": str(src), "AR_OUT": str(out), "AR_DATA": str(data), "AR_EVAL_OUT": str(eval_out)}
    return run_module("nanochat.evaluate", **{**described, "AR_PROFILE": "test", "AR_DEVICE": "cpu", **more})


class Payload:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("/tmp/should-never-exist-from-a-checkpoint",))


def test_a_checkpoint_with_code_in_it_is_void_and_never_runs(tmp_path: Path, prepared: Path) -> None:
    directory = candidate(tmp_path, zoo.TRUNK)
    (directory / "model.pt").write_bytes(pickle.dumps({"weight": Payload()}))
    assert "model.pt" in evaluate(directory, prepared)["void"]
    torch.save({"weight": Payload()}, directory / "model.pt")
    assert "model.pt" in evaluate(directory, prepared)["void"]
    assert not Path("/tmp/should-never-exist-from-a-checkpoint").exists()


def test_a_checkpoint_behind_a_symbolic_link_is_void(tmp_path: Path, prepared: Path) -> None:
    directory = candidate(tmp_path, zoo.TRUNK)
    (directory / "model.pt").rename(tmp_path / "elsewhere.pt")
    (directory / "model.pt").symlink_to(tmp_path / "elsewhere.pt")
    assert "symbolic link" in evaluate(directory, prepared)["void"]


def test_a_missing_or_oversized_checkpoint_is_void(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = candidate(tmp_path, zoo.TRUNK)
    monkeypatch.setattr("nanochat.model_server.CHECKPOINT_LIMIT", 1000)
    with pytest.raises(Void, match="GiB"):
        read_checkpoint(directory / "model.pt")
    (directory / "model.pt").unlink()
    assert "missing" in evaluate(directory, prepared)["void"]


def test_weights_of_another_model_are_void(tmp_path: Path, prepared: Path) -> None:
    directory = candidate(tmp_path, zoo.TRUNK)
    torch.save({"embed.weight": torch.zeros(2, 2)}, directory / "model.pt")
    assert "not be built" in evaluate(directory, prepared)["void"]


@pytest.mark.slow
def test_changed_data_is_a_failure_and_no_verdict(tmp_path: Path, prepared: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    rows = bytearray((data / "val" / "rows.bin").read_bytes())
    rows[100] ^= 1
    (data / "val" / "rows.bin").write_bytes(rows)
    directory = candidate(tmp_path / "src", zoo.TRUNK)
    ended = run_evaluator(directory, directory, data, tmp_path / "eval")
    assert ended.returncode == 1
    assert "was changed" in ended.stderr
    assert not (tmp_path / "eval" / "result.json").exists()


def test_the_score_is_the_reference_score(trained: Run, prepared: Path, tmp_path: Path) -> None:
    """Against the plain formula in float64, over every row, on a really trained model."""
    target: Any = importlib.import_module("nanochat.train")
    ended = run_evaluator(TRAIN.parent, trained.out, prepared, tmp_path)
    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["void"] is None
    assert result["causality"]["ok"]

    ready = Prepared.open(prepared)
    model = target.build_model(PROFILE)
    model.load_state_dict(torch.load(trained.out / "model.pt", weights_only=True))
    rows = torch.from_numpy(ready.rows("val").astype("int64"))
    sizes = torch.from_numpy(ready.token_bytes())[rows[:, 1:]]
    with torch.no_grad():
        log_p = model(rows[:, :-1]).double().log_softmax(-1)
    nats = -(log_p.gather(2, rows[:, 1:, None]).squeeze(2) * (sizes > 0)).sum()
    expected = float(nats) / math.log(2) / int(sizes.sum())
    assert result["metric"]["val_bpb"] == pytest.approx(expected, rel=1e-5)
    assert result["bytes"] == int(sizes.sum())


@pytest.mark.slow
def test_the_model_process_can_be_put_under_a_sandbox(trained: Run, prepared: Path, tmp_path: Path) -> None:
    prefix = json.dumps(["env", "AR_IN_SANDBOX=1"])
    source = zoo.model("import os\nassert os.environ['AR_IN_SANDBOX'] == '1'\nreturn self.head(h)")
    directory = candidate(tmp_path / "src", source)
    ended = run_evaluator(directory, directory, prepared, tmp_path / "eval", AR_MODEL_SANDBOX=prefix)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "eval" / "result.json").read_text())["void"] is None


@pytest.mark.slow
def test_the_audit_split_has_a_metric_of_its_own(trained: Run, prepared: Path, tmp_path: Path) -> None:
    ended = run_evaluator(TRAIN.parent, trained.out, prepared, tmp_path, AR_SPLIT="audit")
    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["metric"]) == {"audit_bpb"}
    assert result["causality"]["form"] == "audit"
    assert result["void"] is None
