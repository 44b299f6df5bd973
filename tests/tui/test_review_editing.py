"""Editing: in place and outside, checked before it can be approved, never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets import TextArea

from core.patches import apply, parse
from core.requests import Approve, Veto
from tests.sample_target import TRAIN
from tests.tui.cockpit import Human, cockpit
from tui.personal import Drafts
from tui.screens.edit import EditScreen


async def edits(human: Human, old: str, new: str) -> None:
    """Change the text in the editor."""
    editor = human.app.screen.query_one(TextArea)
    assert old in editor.text
    editor.text = editor.text.replace(old, new)
    await human.pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_an_edited_patch_is_checked_then_approved_with_its_own_key(tmp_path: Path, size: tuple[int, int]) -> None:
    async with cockpit(tmp_path, size=size) as human:
        await human.press("e")
        await human.sees("EDIT  train.py of #6")
        await edits(human, "QK_SCALE = 1.2", "QK_SCALE = 1.15")
        await human.press("ctrl+s")
        await human.sees("a approve this version")
        assert human.asked == []
        await human.press("a")
        await human.is_told("#6 approved as edited")
        [request] = human.asked
        assert isinstance(request, Approve)
        assert request.edited is not None
        assert request.hunks_kept is None
        after = apply(parse(request.edited), {"train.py": TRAIN})["train.py"]
        assert "QK_SCALE = 1.15" in after
        assert "k, v, self.window" in after


async def test_the_cursor_stands_at_the_hunk(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("n", "e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        editor = human.app.screen.query_one(TextArea)
        row, _ = editor.cursor_location
        assert "QK_SCALE" in editor.document.get_line(row)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_line_stands_a_third_down_from_the_first_frame_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with cockpit(tmp_path, size=size) as human:
        display, frames = human.app._display, set()

        def seen(screen: Screen[Any], picture: Any) -> None:
            if isinstance(screen, EditScreen):
                frames.add(screen.query_one(TextArea).scroll_offset.y)
            display(screen, picture)

        monkeypatch.setattr(human.app, "_display", seen)
        await human.press("n", "e")
        await human.until(lambda: frames and not human.app._batch_count)
        await human.press("x")
        editor = human.app.screen.query_one(TextArea)
        [top] = frames
        row = editor.wrapped_document.location_to_offset(editor.cursor_location).y - top
        assert editor.size.height // 4 <= row <= editor.size.height // 2


async def test_an_edit_that_does_not_parse_says_the_line_and_cannot_be_approved(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        await human.press("e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        await edits(human, "def decay(progress):", "def decay(progress:")
        await human.press("ctrl+s")
        await human.sees("train.py is not valid Python, line 72")
        await human.press("escape")
        assert human.asked == []


async def test_letters_typed_into_the_editor_decide_nothing(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        await human.types("a v d u q K")
        assert human.asked == []
        assert isinstance(human.app.screen, EditScreen)


async def test_an_edit_that_was_left_is_there_again(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        await edits(human, "QK_SCALE = 1.2", "QK_SCALE = 1.3")
        await human.press("escape")
        await human.is_told("the edit of #6 is kept")
        await human.press("e")
        await human.sees("QK_SCALE = 1.3")


async def test_an_edit_that_undoes_the_patch_is_not_a_patch(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        human.app.screen.query_one(TextArea).text = TRAIN
        await human.press("ctrl+s")
        await human.sees("nothing is left of the patch")
        await human.press("a")
        assert human.asked == []


async def test_going_back_from_the_checked_version_goes_on_editing(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        await human.press("e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        await edits(human, "QK_SCALE = 1.2", "QK_SCALE = 1.3")
        await human.press("ctrl+s")
        await human.sees("a approve this version")
        await human.press("enter", "escape")
        await human.sees("Ctrl+S check")
        assert human.asked == []


async def test_the_own_editor_gets_a_copy_and_its_result_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.outside.edit", lambda app, name, text, line: text.replace("1.2", "1.25"))
    async with cockpit(tmp_path) as human:
        await human.press("E")
        await human.sees("a approve this version")
        await human.press("a")
        await human.until(lambda: human.asked)
        [request] = human.asked
        assert isinstance(request, Approve)
        assert "+QK_SCALE = 1.25" in (request.edited or "")


async def test_an_editor_that_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "/no/such/editor")
    async with cockpit(tmp_path) as human:
        await human.press("E")
        await human.is_told("e edits here")
        assert human.asked == []


async def test_an_edit_outlives_the_screen_that_was_left_in_the_midst_of_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    async with cockpit(tmp_path / "first", drafts=Drafts(kept)) as human:
        await human.press("e")
        await human.until(lambda: isinstance(human.app.screen, EditScreen))
        await edits(human, "QK_SCALE = 1.2", "QK_SCALE = 1.3")
        await human.until(
            lambda: any(kept.glob("edit-6-*.json")), "the draft on disk"
        )  # no key says so: the link is gone
    async with cockpit(tmp_path / "second", drafts=Drafts(kept)) as human:
        await human.press("e")
        await human.sees("QK_SCALE = 1.3")
        await human.press("ctrl+s")
        await human.sees("a approve this version")
        await human.press("a")
        await human.is_told("#6 approved as edited")
        await human.press("u")
        await human.is_told("#6: the decision is taken back")
        await human.press("e")
        await human.sees("QK_SCALE = 1.3")  # and the edit is there again


async def test_the_words_of_a_veto_outlive_the_screen(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    async with cockpit(tmp_path / "first", drafts=Drafts(kept)) as human:
        await human.press("v")
        await human.types("too much at")
        await human.until(lambda: any(kept.glob("veto-6.json")), "the draft on disk")
    async with cockpit(tmp_path / "second", drafts=Drafts(kept)) as human:
        await human.press("v")
        await human.sees("too much at")
        await human.types(" once")
        await human.press("enter")
        await human.until(lambda: human.asked)
        [veto] = human.asked
        assert isinstance(veto, Veto)
        assert veto.reason == "too much at once"
        await human.is_told("#6 vetoed")
    assert not any(kept.glob("veto-*"))


async def test_a_refused_veto_keeps_its_words(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        human.engine.refuses = "the patch has changed"
        await human.press("v")
        await human.types("too slow")
        await human.press("enter")
        await human.is_told("refused: the patch has changed")
        await human.press("v")
        await human.sees("too slow")
