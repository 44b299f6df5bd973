"""A researcher's evening in a real terminal, with real training: every decision by its key."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import verify
from core.lab import Lab, create
from core.models import LIVE_RUNS, Decision, RunState, State, Verdict
from core.store import Reader
from tests.corpus import small_corpus
from tests.e2e.terminal import Terminal
from tui.cli import run

pytestmark = pytest.mark.slow
HOPELESS = "MATRIX_LR = 0.0001"
"""so much worse that one run settles it"""


@pytest.fixture(params=["small", pytest.param("stdlib", marks=pytest.mark.soak)])
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab that really trains, in seconds; its data is prepared first."""
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    corpus = "stdlib" if request.param == "stdlib" else str(small_corpus(tmp_path / "corpus"))
    made = create(tmp_path / "lab", profile="test", corpus=corpus)
    text = made.config_file.read_text()
    for section, lines in {
        "review": "undo_seconds = 2\nallow_unsandboxed = true",
        "judging": "null_runs = 2\nmax_confirmations = 2",
        "researcher": 'kind = "offline"',
        "runs": 'devices = ["cpu"]\nmin_free_gigabytes = 0',
        "screen": "tour = false",
    }.items():
        text, found = re.subn(rf"(?m)^\[{section}\].*$", f"[{section}]\n{lines}", text)
        assert found == 1, f"a new lab's file has no section {section}"
    made.config_file.write_text(text)
    yield made
    run(["stop", str(made.root)])


def opened(lab: Lab, *, columns: int = 120, rows: int = 36) -> Terminal:
    return Terminal([sys.executable, "-m", "tui", str(lab.root)], columns=columns, rows=rows)


def state_of(lab: Lab, run_id: int) -> RunState:
    run = Reader(lab.database).run(run_id)
    assert run is not None
    return run.state


def approved(reader: Reader, experiment_id: int) -> str:
    """The patch that a human let run."""
    experiment = reader.experiment(experiment_id)
    assert experiment is not None
    return reader.patch(experiment.patch_sha256 or "") or ""


def test_an_evening_with_every_decision(lab: Lab) -> None:
    with opened(lab) as screen:
        screen.until("#1 .*WAITS FOR YOU", seconds=300)
        screen.until("hunk 1/2")
        screen.look()
        screen.press("space")
        screen.until("1 OUT")
        screen.press("space")
        screen.until(lambda text: "1 OUT" not in text)
        screen.press("e")
        screen.until("EDIT")
        screen.press(HOPELESS, "enter")
        screen.until(HOPELESS)
        screen.press("ctrl+s")
        screen.until("a approve this version")
        screen.press("a")
        screen.until("#1 approved as edited")

        screen.until("#2 .*WAITS FOR YOU")
        screen.look()
        screen.press("v")
        screen.until("Veto #2: why")
        screen.press("enter")
        screen.until("Veto #2: why")  # Enter without a reason decides nothing
        screen.press("embeddings are not the problem", "enter")
        screen.until("#2 vetoed")

        screen.until("#3 .*WAITS FOR YOU")
        screen.until("hunk 1/1")
        screen.look()
        screen.press("a")
        screen.until("#3 approved")
        reader = Reader(lab.database)
        decisions = [(r.experiment_id, r.decision) for r in reader.reviews()]
        assert decisions == [(1, Decision.APPROVE_EDITED), (2, Decision.VETO), (3, Decision.APPROVE)]
        assert f"+{HOPELESS}" in approved(reader, 1)

        screen.press("A")
        screen.until("Which patches wait for you")
        screen.press("j", "j", "enter")
        screen.until(lambda text: "FULL" in text or "y" in text)
        if "FULL" not in screen.text():
            screen.press("y")
        screen.until("FULL")
        screen.until("discard", seconds=300)
        screen.press("q")
        assert screen.ended()
        assert screen.child.exitstatus == 0

    with opened(lab, columns=80, rows=24) as screen:
        screen.until("FULL", seconds=30)
        screen.until(lambda _: Reader(lab.database).live_runs())
        live = Reader(lab.database).live_runs()[0].id
        screen.hang_up()
        assert screen.ended()
    with opened(lab, columns=80, rows=24) as screen:
        screen.until(lambda _: state_of(lab, live) not in LIVE_RUNS)
        assert state_of(lab, live) == RunState.FINISHED
        screen.press("q")
        assert screen.ended()
    assert run(["stop", str(lab.root)]) == 0
    assert verify.problems(lab) == []
    judged = {e.id: e.verdict for e in Reader(lab.database).experiments(State.JUDGED)}
    assert judged[1] == Verdict.DISCARD


def test_a_terminal_that_is_too_small_says_so_and_q_still_works(lab: Lab) -> None:
    with opened(lab, columns=40, rows=10) as screen:
        screen.until("(?i)too small|small", seconds=60)
        screen.press("a", "v")
        screen.press("q")
        assert screen.ended()
    assert Reader(lab.database).reviews() == []
