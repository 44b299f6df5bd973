"""The commands, against a real detached engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from core.lab import Lab
from core.store import Reader
from tests.toy import toy_lab
from tui.cli import commands, run
from tui.commands.frame import EXIT_NOT_AS_WANTED, EXIT_REFUSED, EXIT_WRONG


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = toy_lab(tmp_path, undo_seconds=3600)
    yield made
    run(["stop", str(made.root)])


def wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_whole_session_by_commands(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(lab.root)
    assert run(["autonomy", root, "manual"]) == 0
    reader = Reader(lab.database)
    wait(lambda: len(reader.queue()) == 2)
    capsys.readouterr()

    assert run(["list", root, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"id", "state", "title", "author", "verdict", "metric", "delta", "commit"} == set(rows[0])
    first, second = (row["id"] for row in rows if row["state"] == "proposed")

    assert run(["approve", root, f"#{first}"]) == 0
    assert run(["approve", root, str(first)]) == EXIT_REFUSED
    assert "takes the decision back" in capsys.readouterr().err
    assert run(["undo", root, str(first)]) == 0
    assert run(["veto", root, str(second), "--reason", "too \x1b[2J wide"]) == 0
    capsys.readouterr()
    assert run(["show", root, str(second)]) == 0
    out = capsys.readouterr().out
    assert "too" in out
    assert "\x1b" not in out

    patch = lab.root / "mine.diff"
    body = reader.patch(reader.experiment(first).patch_sha256 or "") or ""  # type: ignore[union-attr]
    patch.write_text(body)
    assert run(["approve", root, str(first), "--patch", str(patch)]) == 0
    patch.write_text("nonsense")
    assert run(["approve", root, str(first), "--patch", str(patch)]) == EXIT_REFUSED

    assert run(["pause", root]) == 0
    assert reader.paused()
    assert run(["resume", root]) == 0
    assert not reader.paused()
    capsys.readouterr()
    assert run(["status", root, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["engine"]["running"] is True
    assert status["autonomy"] == "manual"
    assert run(["list", root, "--tsv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    assert run(["stop", root]) == 0
    wait(lambda: not lab.socket.exists())
    assert run(["verify", root]) == 0


def test_mistakes_have_exit_codes_and_name_the_next_step(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(lab.root)
    assert run(["status", str(lab.root / "nowhere")]) == EXIT_WRONG
    assert "autoresearch-tui init" in capsys.readouterr().err
    assert run(["list", root]) == EXIT_WRONG
    told = capsys.readouterr().err
    assert "has not been started yet" in told
    assert "init" not in told  # it is made: starting it is what is missing
    assert run(["replay", str(lab.root / "nowhere")]) == EXIT_WRONG
    assert "is not a lab" in capsys.readouterr().err  # before it asks for a terminal
    assert run(["pause", root]) == 0
    assert run(["show", root, "99"]) == EXIT_WRONG
    assert "list LAB" in capsys.readouterr().err
    assert run(["show", root, "one"]) == EXIT_WRONG
    assert run(["veto", root, "1"]) == EXIT_WRONG
    assert "--reason" in capsys.readouterr().err
    assert run(["nonsense-lab/really", "--bogus"]) == EXIT_WRONG


def test_a_profile_that_does_not_exist_makes_no_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "lab"), "--profile", "tset"]) == EXIT_WRONG
    assert "there are: test, cpu" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_a_lab_that_was_tampered_with_fails_verification(lab: Lab) -> None:
    import sqlite3

    assert run(["pause", str(lab.root)]) == 0
    assert run(["stop", str(lab.root)]) == 0
    wait(lambda: not lab.socket.exists())
    db = sqlite3.connect(lab.database)
    db.execute("UPDATE champions SET commit_sha = 'feed'")
    db.commit()
    assert run(["verify", str(lab.root)]) == EXIT_NOT_AS_WANTED


def test_every_command_of_the_issue_is_there_with_help() -> None:
    deciding = {"approve", "revise", "veto", "undo", "autonomy", "pause", "resume", "stop"}
    context = click.Context(commands)
    names = set(commands.list_commands(context))
    assert {"open", "init", "run", "status", "list", "show", "verify", *deciding} <= names
    for name in names:  # those that are imported only when they are wanted, too
        found = commands.get_command(context, name)
        assert found is not None
        assert found.help
    assert set(commands.commands) == names


def test_init_makes_a_lab_and_will_not_make_it_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "new")
    assert run(["init", path, "--profile", "cpu"]) == 0
    assert run(["init", path]) == EXIT_WRONG
    assert "already holds a lab" in capsys.readouterr().err
    assert run(["init", str(tmp_path / "other"), "--corpus", str(tmp_path / "none")]) == EXIT_WRONG


@pytest.mark.parametrize("command", [["init"], ["status"], []])
def test_a_name_that_no_file_system_takes_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert run([*command, str(tmp_path / ("x" * 300))]) == EXIT_WRONG
    assert capsys.readouterr().err.startswith("autoresearch-tui: ")
