"""Drafts: what was begun and not sent outlives the screen, whatever lies in its folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tui.personal import KEEP_SECONDS, Drafts, state_folder, who


def test_a_draft_is_there_for_the_next_screen(tmp_path: Path) -> None:
    Drafts(tmp_path / "d").keep("veto-3", "too slow")
    Drafts(tmp_path / "d").keep("edit-3-abc", {"train.py": "x = 1\n"})
    again = Drafts(tmp_path / "d")
    assert again.words("veto-3") == "too slow"
    assert again.files("edit-3-abc") == {"train.py": "x = 1\n"}
    assert again.words("veto-4") == ""
    assert again.files("edit-4-abc") is None


def test_what_was_sent_or_emptied_is_gone(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep("message", "look at the betas")
    drafts.keep("idea", "more heads")
    drafts.drop("message")
    drafts.keep("idea", "")
    assert list(tmp_path.iterdir()) == []
    assert drafts.words("message") == drafts.words("idea") == ""


def test_only_its_owner_reads_a_draft(tmp_path: Path) -> None:
    Drafts(tmp_path / "d").keep("message", "secret")
    assert stat.S_IMODE((tmp_path / "d" / "message.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700


@pytest.mark.parametrize("found", [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"train.py": 7}', b"[" * 100_000])
def test_a_damaged_draft_is_no_draft(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "x.json").write_bytes(found)
    drafts = Drafts(tmp_path)
    assert drafts.words("x") == ""
    assert drafts.files("x") is None


def test_a_folder_that_cannot_be_written_keeps_drafts_as_long_as_the_screen(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    drafts = Drafts(tmp_path / "file" / "below")
    drafts.keep("message", "hello")
    drafts.sweep()
    assert drafts.words("message") == "hello"
    drafts.drop("message")
    assert drafts.words("message") == ""


def test_labs_of_one_name_do_not_share_drafts(tmp_path: Path) -> None:
    home = {"XDG_STATE_HOME": str(tmp_path / "state")}
    Drafts.of_lab(tmp_path / "a" / "lab", home).keep("veto-1", "of a")
    assert Drafts.of_lab(tmp_path / "b" / "lab", home).words("veto-1") == ""
    assert Drafts.of_lab(tmp_path / "a" / "lab", home).words("veto-1") == "of a"
    assert state_folder(home).is_relative_to(tmp_path)


def test_what_nobody_came_back_to_is_swept(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep("old", "x")
    drafts.keep("new", "y")
    before = (tmp_path / "old.json").stat().st_mtime - KEEP_SECONDS - 1
    os.utime(tmp_path / "old.json", (before, before))
    drafts.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


def test_who_decides_is_named_where_several_share_a_login() -> None:
    assert who({"AUTORESEARCH_USER": " anna "}) == "anna"
    assert who({}) == who({"AUTORESEARCH_USER": ""}) != ""
