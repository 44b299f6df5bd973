"""`review --plain`, end to end: a pipe of words against a real engine that trains a toy."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from core.lab import Lab
from core.models import Decision, State, Via
from core.store import Reader
from tests.toy import toy_lab
from tui.cli import run
from tui.commands.frame import EXIT_NOT_AS_WANTED, EXIT_REFUSED, EXIT_WRONG

ROOT = Path(__file__).parents[2]


def wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two proposals wait."""
    made = toy_lab(tmp_path, undo_seconds=3600)
    assert run(["autonomy", str(made.root), "manual"]) == 0
    wait(lambda: len(Reader(made.database).queue()) == 2)
    yield made
    run(["stop", str(made.root)])


def review(lab: Lab, words: str) -> subprocess.CompletedProcess[str]:
    """A session in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "tui", "review", str(lab.root), "--plain"],
        input=words, capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip


def test_a_pipe_reads_the_proposal_whole_and_its_end_decides_nothing(lab: Lab) -> None:
    first = Reader(lab.database).queue()[0]
    done = review(lab, "\n\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"Proposal #{first.id}, 1 of 2 that wait: {first.title}"
    assert "Hypothesis:" in lines
    assert "Rationale:" in lines
    assert any(line.startswith("Findings:") for line in lines)
    assert any(line.startswith("Hunk 1 of") for line in lines)
    removed = [line for line in lines if line.startswith("- ")]
    added = [line for line in lines if line.startswith("+ ")]
    assert removed
    assert added
    assert all(line[2:7].strip().isdigit() for line in removed + added)
    assert lines[-1] == f"End of #{first.id}."
    assert Reader(lab.database).reviews() == []


def test_every_word_decides_about_what_was_printed_and_is_recorded_as_such(lab: Lab) -> None:
    reader = Reader(lab.database)
    first, second = reader.queue()
    sha = reader.experiment(first.id).patch_sha256  # type: ignore[union-attr]
    done = review(lab, "approve\nundo\nveto too wide\nquit\napprove\n")
    assert done.returncode == 0, done.stderr
    assert f"#{first.id} approved" in done.stderr
    assert f"on #{first.id} is taken back" in done.stderr
    assert f"#{first.id} vetoed" in done.stderr
    reviews = [r for r in reader.reviews() if r.experiment_id == first.id]
    assert [(r.decision, r.via, r.patch_sha256) for r in reviews] == [
        (Decision.APPROVE, Via.CLI, sha),
        (Decision.VETO, Via.CLI, sha),
    ]
    assert reviews[0].undone_at is not None
    assert reviews[0].hunks_seen is not None
    assert reviews[1].reason == "too wide"
    assert done.stdout.count(f"Proposal #{first.id},") == 2  # once more after the undo
    assert f"Proposal #{second.id}," in done.stdout
    assert not [r for r in reader.reviews() if r.experiment_id == second.id]  # quit came first

    assert review(lab, "revise make it smaller\n").returncode == 0
    assert reader.reviews()[-1].reason == "make it smaller"


def test_defer_and_next_go_on_to_another_and_decide_nothing(lab: Lab) -> None:
    reader = Reader(lab.database)
    first, second = (summary.id for summary in reader.queue())
    done = review(lab, "next\nnext\ndefer\n")
    shown = [line.split(",")[0] for line in done.stdout.splitlines() if line.startswith("Proposal ")]
    assert shown == [f"Proposal #{i}" for i in (first, second, first, second)]
    assert [summary.id for summary in reader.queue()] == [second, first]
    assert reader.reviews() == []


def test_in_a_pipe_a_mistake_ends_the_session_before_the_next_word(lab: Lab) -> None:
    for words in ("aprove\napprove\n", "veto\napprove\n", "approve it\napprove\n", "undo\napprove\n"):
        done = review(lab, words)
        assert done.returncode == EXIT_WRONG, words
        assert Reader(lab.database).reviews() == []


def test_a_version_that_changed_since_is_refused(lab: Lab) -> None:
    reader = Reader(lab.database)
    first = reader.queue()[0].id
    with subprocess.Popen(
        [sys.executable, "-m", "tui", "review", str(lab.root), "--plain"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as session:  # fmt: skip
        assert session.stdout is not None
        while not session.stdout.readline().startswith("End of"):
            pass
        assert run(["veto", str(lab.root), str(first), "--reason", "meanwhile"]) == 0
        session.communicate("approve\n", timeout=30)
    assert session.returncode == EXIT_REFUSED
    assert [r.decision for r in reader.reviews()] == [Decision.VETO]


def test_where_nothing_waits_next_waits_for_the_next_one(lab: Lab) -> None:
    reader = Reader(lab.database)
    for summary in reader.queue():
        assert run(["veto", str(lab.root), str(summary.id), "--reason", "no"]) == 0
    wait(lambda: reader.queue() or reader.setting("researcher", {}).get("state") == "dry")
    done = review(lab, "next\n")
    assert done.returncode in (0, EXIT_NOT_AS_WANTED)
    assert "Proposal #" in done.stdout or "nothing to propose" in done.stderr


def test_somebody_at_a_terminal_is_asked_again_after_a_mistake(lab: Lab) -> None:
    reader = Reader(lab.database)
    first = reader.queue()[0].id
    child = pexpect.spawn(
        sys.executable, ["-m", "tui", "review", str(lab.root), "--plain"], cwd=str(ROOT), timeout=30,
        env={"TERM": "dumb", "PATH": "/usr/bin:/bin", "HOME": str(lab.root)},
    )  # fmt: skip
    child.expect(f"#{first}> ")
    child.sendline("aprove")
    child.expect("no word of this session")
    child.expect(f"#{first}> ")
    child.sendline("?")
    child.expect("approve | veto REASON")
    child.expect(f"#{first}> ")
    child.sendline("veto")
    child.expect("needs words")
    child.sendline("veto too wide")
    child.expect(f"#{first} vetoed")
    child.sendline("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert reader.experiment(first).state is State.VETOED  # type: ignore[union-attr]
