"""The offline researcher as the engine sees it."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ResearcherError
from core.models import Message, Proposal, State, Verdict
from core.patches import diff, problems
from core.researchers.base import Researcher, Revision
from core.researchers.offline import OfflineResearcher
from tests.unit.offline_fixtures import SMALL, OfflineLab, noise

TRAIN = (Path(__file__).parents[2] / "nanochat" / "train.py").read_text(encoding="utf-8")


def built_in_lab(seed: int = 0) -> OfflineLab:
    return OfflineLab(files={"train.py": TRAIN}, seed=seed)


def test_it_is_a_researcher() -> None:
    researcher: Researcher = OfflineResearcher()
    assert researcher.name == "offline"


def test_notebook_pages_come_first_and_every_third_proposal_changes_constants() -> None:
    lab = built_in_lab()
    for _ in range(6):
        assert lab.proposes()
        lab.ends()
    sources = [proposal.author.removeprefix("offline/") for proposal in lab.proposals]
    assert sources == ["notebook", "notebook", "constants"] * 2
    assert lab.proposals[0].title.startswith("Weight decay follows a cosine")


def test_a_proposal_says_what_it_is_and_what_it_does_not_know() -> None:
    lab = built_in_lab()
    for _ in range(3):
        lab.proposes()
    page, _, constant = lab.proposals
    assert "With depth:" in page.rationale
    assert "offline notebook" in page.rationale
    assert constant.title.startswith("MATRIX_LR 0.04 → ")
    assert constant.category == "optimizer"
    assert "first probe" in constant.rationale
    assert "noise" in constant.expected
    assert lab.said


def test_a_search_that_has_outcomes_tells_them() -> None:
    lab = OfflineLab()
    lab.proposes()
    lab.ends(Verdict.DISCARD, 0.0123)
    lab.runs(noise)
    about = [p.rationale for p in lab.proposals[1:] if p.title.startswith("MATRIX_LR")]
    assert "gave +0.0123, not kept (#1)" in about[0]
    assert any("TPE sampler" in proposal.rationale for proposal in lab.proposals)


def test_the_same_history_and_seed_give_the_same_proposal() -> None:
    for length in (0, 2, 5):
        labs = [built_in_lab(seed=3), built_in_lab(seed=3)]
        for lab in labs:
            for _ in range(length):
                lab.proposes()
                lab.ends()
        assert labs[0].asks() == labs[1].asks()


def test_another_seed_searches_another_way() -> None:
    paths = []
    for seed in range(6):
        lab = OfflineLab(seed=seed)
        for _ in range(6):
            lab.proposes()
            lab.ends()
        paths.append(tuple(proposal.title for proposal in lab.proposals))
    assert len(set(paths)) > 1


def test_it_runs_dry_without_ever_repeating_itself() -> None:
    lab = OfflineLab()
    lab.runs(noise)
    assert 6 * 4 >= len(lab.history) >= 12
    assert lab.proposes() is None
    assert "run dry" in lab.said[-1]


def test_a_long_night_on_the_built_in_target_stays_clean() -> None:
    lab, dice = built_in_lab(), random.Random(0)
    for _ in range(40):
        proposal = lab.proposes()
        assert proposal is not None
        patch = diff({"train.py": lab.files["train.py"]}, proposal.files)
        assert not problems(patch, lab.files, ["train.py"])
        chance = dice.random()
        if chance < 0.1:
            lab.vetoes()
        elif chance < 0.2:
            lab.ends(Verdict.CRASHED)
        elif chance < 0.4:
            lab.ends(Verdict.KEEP, -0.01)
        else:
            lab.ends(Verdict.DISCARD, dice.gauss(0.002, 0.003))
    assert len({proposal.key for proposal in lab.proposals}) == len(lab.proposals)


def test_code_that_was_tried_by_another_researcher_is_passed_over() -> None:
    lab = built_in_lab()
    first = lab.asks()
    assert first is not None
    everything = lab.situation()
    lab.seen = {"": 0}
    lab.tried = lambda changed: 7 if dict(changed) == first.files else None  # type: ignore[method-assign]
    second = lab.asks()
    assert second is not None
    assert second.key != first.key
    assert everything.tried({"train.py": "x = 1"}) is None


def test_a_vetoed_constant_is_not_moved_to_that_side_again() -> None:
    lab = OfflineLab()
    lab.proposes()
    title = lab.proposals[0].title
    up = float(title.split(" → ")[1]) > 0.04
    lab.vetoes()
    lab.runs(noise)
    again = [p for p in lab.proposals[1:] if p.title.startswith("MATRIX_LR")]
    assert again
    assert all((float(p.title.split(" → ")[1]) > 0.04) is not up for p in again)


def sent_back(lab: OfflineLab, note: str) -> Revision:
    lab.history[-1] = replace(lab.history[-1], state=State.REVISING)
    return Revision(lab.history[-1], "", note)


def test_a_note_with_a_number_is_followed() -> None:
    lab = OfflineLab()
    lab.proposes()
    revised = lab.asks(sent_back(lab, "try 0.045"))
    assert revised is not None
    assert revised.title == "MATRIX_LR 0.04 → 0.045"
    assert revised.files["train.py"] == SMALL.replace("MATRIX_LR = 0.04 ", "MATRIX_LR = 0.045 ")
    assert "try 0.045" in revised.rationale
    assert revised.author == "offline/constants"
    assert '"set":{"MATRIX_LR":0.045}' in revised.key


def test_a_note_in_prose_is_refused_with_a_way_out() -> None:
    lab = OfflineLab()
    lab.proposes()
    with pytest.raises(ResearcherError, match="cannot follow this note") as refused:
        lab.asks(sent_back(lab, "I would rather see this as a function of depth"))
    assert "veto" in refused.value.hint


def test_a_note_on_a_structural_idea_is_refused() -> None:
    lab = built_in_lab()
    lab.proposes()
    with pytest.raises(ResearcherError, match="single number"):
        lab.asks(sent_back(lab, "smaller"))


def test_a_note_that_asks_for_what_was_tried_is_refused() -> None:
    lab = OfflineLab()
    lab.proposes()
    revision = sent_back(lab, "try 0.045")
    lab.tried = lambda changed: 99  # type: ignore[method-assign]
    with pytest.raises(ResearcherError, match="experiment 99"):
        lab.asks(revision)


def test_a_message_in_prose_is_not_passed_off_as_answered() -> None:
    lab = OfflineLab(extra={"messages": [Message(1, 0.0, "me", "message", "what about dropout?", None)]})
    proposal = lab.asks()
    assert proposal is not None
    assert "does not answer the message" in proposal.rationale


def test_files_it_cannot_read_make_it_dry_not_broken() -> None:
    for files in ({}, {"main.rs": "fn main() {}"}, {"train.py": "def broken(\n"}, {"train.py": "A = 1\rB = 2\r"}):
        assert OfflineLab(files=files).asks() is None


def test_a_history_full_of_other_peoples_keys_is_no_trouble() -> None:
    lab = OfflineLab()
    for key in (
        "",
        "{",
        "[1]",
        '{"set":1,"from":2}',
        '{"source":"notebook"}',
        '{"idea":3,"source":"notebook"}',
        "null",
    ):
        lab.proposes()
        lab.history[-1] = replace(lab.history[-1], key=key)
        lab.ends()
    assert lab.asks() is not None


def outcome_by_learning_rate(proposal: Proposal) -> tuple[Verdict, float | None]:
    """A world in which 0.02 is the best learning rate and nothing else matters."""
    import math

    name, _, rest = proposal.title.partition(" ")
    if name != "MATRIX_LR" or "," in rest:
        return Verdict.DISCARD, 0.003
    before, after = (float(part) for part in rest.split(" → "))
    delta = abs(math.log(after / 0.02)) - abs(math.log(before / 0.02))
    return (Verdict.KEEP if delta < -0.1 else Verdict.DISCARD), delta / 10


def test_the_search_finds_a_better_learning_rate() -> None:
    lab = OfflineLab()
    lab.runs(outcome_by_learning_rate)
    line = next(line for line in lab.files["train.py"].splitlines() if line.startswith("MATRIX_LR"))
    assert 0.015 < float(line.split()[2]) < 0.028


def test_proposing_writes_nothing_to_stderr_and_loads_no_torch() -> None:
    code = (
        "import sys, tests.unit.offline_fixtures as f\n"
        "lab = f.OfflineLab()\nlab.runs(f.noise)\n"
        "print(len(lab.history), 'optuna' in sys.modules, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.split()[1:] == ["True", "False"]


def test_importing_it_loads_neither_optuna_nor_numpy() -> None:
    code = "import sys, core.researchers.offline\nprint(sorted({'optuna', 'numpy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
