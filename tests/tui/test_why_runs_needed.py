"""What the Why pane says: what an open result would still cost, and of findings the worst."""

from __future__ import annotations

from typing import Any

import pytest

from core.guards import Finding, Kind, Level
from core.models import Experiment, Purpose, Run, RunState, State, Verdict
from tests.tui.test_actions import BLANK
from tui.detail import Detail
from tui.snapshot import LabNote, Snapshot
from tui.widgets.why import still_needed, why

RUN = Run(
    1, 1, Purpose.RETEST, "c", 0, 1, "cpu", "cpu", RunState.FINISHED, "done", 1.0, 2.0, "", None, None, "", 0.0, 100.0,
    160.0,
)  # fmt: skip
LAB = Snapshot()
OPEN = {
    "id": 12, "state": State.JUDGED, "verdict": Verdict.INCONCLUSIVE, "delta": -0.004, "delta_low": -0.010,
    "delta_high": 0.002, "confirmations": 4, "metric": 2.0, "created_at": 0.0,
}  # fmt: skip


def said(lab: Snapshot = LAB, **changes: Any) -> str:
    return still_needed(Experiment(**{**BLANK, **OPEN, **changes}), lab, (RUN,))


def test_an_inconclusive_gain_says_how_many_runs_would_tell() -> None:
    assert said() == "to tell a gain of 0.004 from noise takes about 11 more seeds (22 runs, about 22 minutes)"
    detail = Detail(Experiment(**{**BLANK, **OPEN}), runs=(RUN,))
    assert said() in why(detail, LAB).plain


def test_a_gain_only_the_screening_run_has_seen_says_so_too() -> None:
    assert "more seeds" in said(verdict=Verdict.SUSPECT, confirmations=0)


def test_hopelessly_small_is_said_plainly() -> None:
    assert said(delta=-0.000001) == "to tell a gain of 1e-06 from noise takes thousands of runs"


@pytest.mark.parametrize(
    "changes",
    [
        {"delta": 0.004},  # a loss
        {"verdict": Verdict.KEEP},
        {"verdict": Verdict.DISCARD, "confirmations": 2},
        {"delta_low": None},
        {"delta": None},
        {"verdict": None, "state": State.RUNNING, "confirmations": None},
    ],
)
def test_where_nothing_is_open_nothing_is_said(changes: dict[str, Any]) -> None:
    assert said(**changes) == ""


def test_of_a_higher_metric_more_is_a_gain() -> None:
    lab = Snapshot(lab=LabNote(direction="max"))
    assert said(lab, delta=0.004, delta_low=-0.002, delta_high=0.010)
    assert said(lab) == ""


def test_of_thousands_of_findings_the_worst_are_listed_and_the_others_counted() -> None:
    found = [
        Finding(Kind.SEED, "train.py", 0, line, "seed", "names a seed", Level.DANGER if line < 3 else Level.CAUTION)
        for line in range(2_500)
    ]
    words = why(Detail(Experiment(**{**BLANK, **OPEN}), findings=tuple(found)), LAB).plain
    assert words.count("names a seed") == 100
    assert words.count("danger train.py") == 3
    assert "and 2,400 more, none of them worse" in words
    few = why(Detail(Experiment(**{**BLANK, **OPEN}), findings=tuple(found[:100])), LAB).plain
    assert few.count("names a seed") == 100
    assert "more" not in few.split("Look at")[1].split("Facts")[0]
