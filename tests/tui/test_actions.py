"""The registry of actions: complete, without two actions on a key, and nothing that a terminal cannot tell apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from core.models import Experiment, State
from tui.actions import ACTIONS, BY_ID, GROUPS, View, key_of, keys_of, markdown
from tui.screens.help import matching

BLANK: dict[str, Any] = {f.name: "" if f.type == "str" else None for f in fields(Experiment)}
SHOWN = Experiment(**BLANK | {"id": 12, "state": State.PROPOSED})
READY = View(shown=SHOWN, hunks=2, kept=frozenset({0, 1}), waiting=2, undo=11, run=3, can_start=True)


def test_the_keys_are_those_of_the_design() -> None:
    keys = {"approve": "a", "edit": "e", "edit_outside": "E", "revise": "r", "veto": "v", "toggle_hunk": "space"}
    keys |= {"next_hunk": "n", "previous_hunk": "p", "defer": "d", "undo": "u", "autonomy": "A", "pause": "P"}
    keys |= {"stop_run": "K", "message": "m", "idea": "i", "zoom": "z", "find": "/", "palette": ":", "help": "?"}
    keys |= {"detach": "q", "pane_diff": "1", "pane_why": "2", "pane_curves": "3", "pane_log": "4", "next_pane": "Tab"}
    assert {action: key_of(action) for action in keys} == keys


def test_no_two_actions_share_a_key() -> None:
    keys = [key for action in ACTIONS for key in action.keys.split(",") if key]
    assert len(keys) == len(set(keys))


def test_no_key_is_one_that_terminals_confuse() -> None:
    keys = {key for action in ACTIONS for key in action.keys.split(",")}
    assert not keys & {"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m"}
    assert not [key for key in keys if key.startswith("alt+")]


def test_enter_and_escape_do_not_decide() -> None:
    for action in ACTIONS:
        if {"enter", "escape"} & set(action.keys.split(",")):
            assert action.group == "screen"
            assert not action.decides


def test_every_action_belongs_to_a_group_and_can_be_done() -> None:
    from tui.screens.review import ACTS
    from tui.widgets.panes import MOVES

    for action in ACTIONS:
        assert action.group in GROUPS
        assert action.id in ACTS or action.id in MOVES or action.id.startswith("pane_"), action.id


def test_with_everything_in_order_everything_can_act() -> None:
    view = replace(READY, older=True, newer=True, curves=True, versions=2)
    disabled = {action.id: action.why_disabled(view) for action in ACTIONS if action.why_disabled(view)}
    assert set(disabled) == {"restart_engine", "override"}


@pytest.mark.parametrize(
    ("view", "action", "reason"),
    [
        (View(), "approve", "nothing is waiting"),
        (replace(READY, shown=replace(SHOWN, state=State.RUNNING)), "veto", "#12 is running"),
        (replace(READY, kept=frozenset()), "approve", "nothing would be left"),
        (replace(READY, problem="line 3 does not parse"), "approve", "line 3"),
        (replace(READY, loading=True), "revise", "still being read"),
        (replace(READY, hidden="only the list"), "defer", "only the list"),
        (replace(READY, engine="the engine is not running"), "pause", "not running"),
        (replace(READY, read_only="to look only"), "message", "to look only"),
        (replace(READY, busy="approving #11"), "approve", "wait: approving #11"),
        (replace(READY, waiting=1), "defer", "nothing else waits"),
        (replace(READY, run=None), "stop_run", "nothing is running"),
        (replace(READY, undo=None), "undo", "no decision"),
        (replace(READY, hunks=0), "edit", "no patch to edit"),
        (READY, "versions", "only one version"),
    ],
)
def test_a_disabled_action_says_why(view: View, action: str, reason: str) -> None:
    assert reason in BY_ID[action].why_disabled(view)


def test_a_patch_that_cannot_run_can_still_be_sent_back_edited_or_vetoed() -> None:
    view = replace(READY, problem="does not apply")
    assert all(not BY_ID[action].why_disabled(view) for action in ("revise", "edit", "veto", "defer"))


def test_a_key_map_changes_what_is_shown() -> None:
    assert keys_of(BY_ID["approve"], {"approve": "f5,ctrl+a"}) == ("f5", "ctrl+a")


def test_the_palette_finds_by_name_by_help_and_by_letters() -> None:
    assert matching("veto")[0].id == "veto"
    assert "revise" in [action.id for action in matching("researcher")]
    assert "stop_run" in [action.id for action in matching("sprn")]
    assert matching("") == list(ACTIONS)


def test_the_table_for_the_readme_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui.actions", "--markdown"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == markdown() + "\n"
    assert "| `space` | Switch the hunk" in done.stdout
