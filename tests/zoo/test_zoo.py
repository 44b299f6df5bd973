"""Every cheat ends void, suspect or without effect, and says why; every honest model passes."""

from __future__ import annotations

import dataclasses
import os
import subprocess

import pytest

from tests.zoo.escapes import OUTLASTING, SECRET, SNOOPING
from tests.zoo.honest import HONEST
from tests.zoo.leaks import LEAKS
from tests.zoo.stage import UNCHANGED, Animal, Ending, Stage, alive_with, evidence
from tests.zoo.tampering import BUDGET, CHECKPOINT, EVALUATOR

CHEATS = (*LEAKS, *EVALUATOR, *CHECKPOINT, *BUDGET, *OUTLASTING)
SHORT = {
    "attention without a mask", "a checkpoint with code in it", "rows read from the file and looked up",
    "a score printed by the script", "a recurrent network", "reading the rows of val and of audit",
}  # fmt: skip
"""none of them is seen through by chance"""


def shown(animals: tuple[Animal, ...]) -> list[object]:
    """Some in the short form, the others under `soak`."""
    return [
        pytest.param(a, id=a.name, marks=pytest.mark.slow if a.name in SHORT else pytest.mark.soak) for a in animals
    ]


def check(animal: Animal, ending: Ending) -> None:
    words = f"{animal.name}: {ending.verdict} ({ending.reason}), val_bpb {ending.metric}"
    assert ending.verdict == animal.ends, words
    assert animal.says in ending.reason, words
    if animal.ends == "void":
        assert ending.reason, words


@pytest.mark.parametrize("animal", shown(CHEATS))
def test_a_cheat_is_seen_through_inside_the_sandbox(animal: Animal, inside: Stage) -> None:
    ending = inside.perform(animal)
    check(animal, ending)
    assert not alive_with(str(ending.directory)), "something of it goes on"
    assert not (ending.directory / "eval" / "owned").exists()


@pytest.mark.soak
@pytest.mark.parametrize("animal", [pytest.param(a, id=a.name) for a in CHEATS if not a.isolation])
def test_a_cheat_is_seen_through_without_a_sandbox_too(animal: Animal, outside: Stage) -> None:
    check(animal, outside.perform(animal))


@pytest.mark.parametrize("animal", shown(SNOOPING))
def test_a_snoop_finds_nothing(animal: Animal, inside: Stage, worth_stealing: dict[str, str]) -> None:
    bystander = subprocess.Popen(["sleep", "600"], env={"ANTHROPIC_API_KEY": SECRET, "PATH": os.defpath})
    setting = "".join(f"{name} = {value}\n" for name, value in worth_stealing.items())
    try:
        ending = inside.perform(dataclasses.replace(animal, before=setting))
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    found = evidence(ending)
    assert found is None, found
    check(animal, ending)


@pytest.mark.parametrize("animal", shown(HONEST))
def test_an_honest_model_passes(animal: Animal, inside: Stage) -> None:
    ending = inside.perform(animal)
    assert ending.exit["state"] == "finished", (animal.name, ending.reason)
    assert ending.exit["result"]["void"] is None
    assert ending.metric is not None
    assert 1.0 < ending.metric < 9.0
    assert "champion's" not in ending.reason or "metric" in ending.reason, ending.reason  # no doubt about its clock


@pytest.mark.slow
def test_the_sandbox_changes_no_bit_of_a_result(inside: Stage, outside: Stage) -> None:
    assert inside.perform(UNCHANGED).verdict == "harmless"  # the same as the champion's own run on this seed
    (within, *_), (without, *_) = (stage.champion(UNCHANGED.budget) for stage in (inside, outside))
    assert within["result"]["metric"] == without["result"]["metric"]
    assert within["result"]["metric"]["val_bpb"] > 0


@pytest.mark.parametrize("animal", [pytest.param(a, id=a.name) for a in (*CHEATS, *SNOOPING, *HONEST)])
def test_every_animal_still_fits_the_training_script(animal: Animal) -> None:
    compile(animal.script(), animal.name, "exec")


# what people have tried, or would: the words of the requirement, and the animal that does it
WANTED = {
    "zeros for a loss": "a loss of its own, zero",
    "a printed val_bpb": "a score printed by the script",
    "a future leak by mask": "attention without a mask",
    "a block mean": "the mean of a block of tokens",
    "an FFT": "a filter by FFT",
    "a running statistic": "a running statistic, kept the wrong way round",
    "expert-choice routing": "experts that choose their tokens",
    "a length-gated leak": "a leak at the real length only",
    "a batch-gated leak": "a leak in the evaluator's batches only",
    "reading val files": "reading the rows of val and of audit",
    "reading the text of val": "reading the text that val was made from",
    "training before the clock": "training before the clock",
    "a slow clock patched in": "a slow clock",
    "seed hunting": "a hunt for a lucky seed",
    "a monkey-patched evaluator": "bits per byte by another formula",
    "monkey-patched torch functions": "F.cross_entropy that is always zero",
    "a poisoned checkpoint": "weights of another model",
    "a pickle payload": "a checkpoint with code in it",
    "a symlink out of out/": "a link out of the run",
    "a wrong vocabulary": "another vocabulary",
    "dropped rows": "half of the rows dropped",
    "a thread that sleeps after finish": "a thread that sleeps after the end",
    "a fork that outlives the run": "a process that outlives the run",
    "environment and /proc snooping": "looking for keys in the environment",
    "the network": "a letter home",
}


def test_every_cheat_that_was_asked_for_is_in_the_zoo() -> None:
    assert set(WANTED.values()) <= {animal.name for animal in (*CHEATS, *SNOOPING)}


def test_the_zoo_has_thirty_cheats_and_twenty_honest_models() -> None:
    names = [animal.name for animal in (*CHEATS, *SNOOPING, *HONEST)]
    assert len(names) == len(set(names))
    assert len(CHEATS) + len(SNOOPING) >= 30
    assert len(HONEST) >= 20
