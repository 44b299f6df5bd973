"""Calling somebody: what is worth it, when it may be done, and that nobody else's words become escape sequences."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import State, Verdict
from core.store.rows import Summary
from tui.attention import Alert, Attention, Call, Caller, Calls, alerts, arguments, call, is_quiet, sequence
from tui.snapshot import Snapshot

BLANK: dict[str, Any] = {f.name: "" if f.type == "str" else None for f in fields(Summary)}
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b\\ \x9d \u202e;9;4;1;100{body} -rf `id` $(id)\n"


def summary(number: int, state: State, verdict: Verdict | None = None, title: str = "wider") -> Summary:
    return Summary(**BLANK | {"id": number, "state": state, "verdict": verdict, "title": title})


def lab(*summaries: Summary, seq: int = 5, **changes: Any) -> Snapshot:
    """A look at a lab; every experiment was touched by the last event."""
    queue = tuple(s for s in summaries if s.state is State.PROPOSED)
    return Snapshot(
        seq=seq, history=summaries, queue=queue, touched={s.id: seq for s in summaries if s.id}, **changes
    )  # fmt: skip


BEFORE = lab(summary(7, State.RUNNING), seq=4)


def kinds(now: Snapshot, before: Snapshot = BEFORE) -> list[str]:
    return [alert.kind for alert in alerts(before, now)]


def test_a_device_that_is_set_aside_is_worth_a_call_once() -> None:
    aside = {"cuda:2": "cuda:2 gets no more runs: the champion's own run 7 broke off there (the GPU is lost)"}
    (alert,) = alerts(BEFORE, lab(aside=aside))
    assert alert == Alert("aside", aside["cuda:2"])
    assert kinds(lab(aside=aside, seq=6), lab(aside=aside)) == []


def test_a_review_that_starts_waiting_is_worth_a_call_and_the_next_in_the_queue_is_not() -> None:
    one = lab(summary(7, State.RUNNING), summary(8, State.PROPOSED))
    two = lab(summary(7, State.RUNNING), summary(8, State.PROPOSED), summary(9, State.PROPOSED), seq=6)
    assert kinds(one) == ["waits"]
    assert kinds(two, one) == []


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.KEEP, ["keep"]),
        (Verdict.CRASHED, ["crashed"]),
        (Verdict.SUSPECT, ["suspect"]),
        (Verdict.DISCARD, []),
        (Verdict.INCONCLUSIVE, []),
        (Verdict.VOID, []),
    ],
)
def test_a_verdict_is_worth_a_call_where_something_can_be_done(verdict: Verdict, expected: list[str]) -> None:
    now = lab(summary(7, State.JUDGED, verdict))
    assert kinds(now) == expected
    assert kinds(replace(now, seq=6), now) == []  # once


def test_a_pause_by_the_engine_is_worth_a_call_and_one_by_a_person_is_not() -> None:
    assert kinds(lab(paused="disk full", paused_by="engine")) == ["paused"]
    assert kinds(lab(paused="paused by you", paused_by="human")) == []


def test_what_was_there_when_the_screen_opened_is_old() -> None:
    assert kinds(lab(summary(8, State.PROPOSED)), Snapshot()) == []


# ---- when ----------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


WAITS = Alert("waits", "#8 waits for your review: wider", 8)
KEPT = Alert("keep", "#7 kept: wider", 7)
NOW = lab(summary(8, State.PROPOSED))


def test_what_happens_together_is_said_together_and_once() -> None:
    clock = Clock()
    attention = Attention(clock=clock)
    attention.happened([WAITS])
    assert attention.due(NOW) == []
    clock.time += 2
    attention.happened([KEPT])
    clock.time += 2
    said = attention.due(NOW)
    assert said == [WAITS, KEPT]
    assert attention.due(NOW) == []
    both = call("lab", said)
    assert both.title == "autoresearch lab: 1 waiting, 1 kept"
    assert both.body == "#7 kept: wider · #8 waits for your review: wider"


def test_nobody_is_called_who_has_just_pressed_a_key() -> None:
    clock = Clock()
    attention = Attention(clock=clock)
    attention.key_pressed()
    clock.time += 10
    attention.happened([WAITS])
    clock.time += 5
    assert attention.due(NOW) == []
    clock.time += 6  # gone for 21 s
    assert attention.due(NOW) == [WAITS]


def test_a_key_says_that_it_was_seen() -> None:
    clock = Clock()
    attention = Attention(clock=clock)
    attention.happened([WAITS])
    clock.time += 1
    attention.key_pressed()
    clock.time += 60
    assert attention.due(NOW) == []


def test_a_review_that_somebody_else_decided_meanwhile_is_not_called_for() -> None:
    clock = Clock()
    attention = Attention(clock=clock)
    attention.happened([WAITS])
    clock.time += 5
    assert attention.due(lab(summary(8, State.APPROVED))) == []


def test_a_storm_of_news_is_a_call_each_half_minute() -> None:
    clock, calls = Clock(), 0
    attention = Attention(clock=clock)
    for _ in range(120):
        attention.happened([KEPT])
        clock.time += 1
        calls += bool(attention.due(NOW))
    assert calls == 4


def test_quiet_hours_keep_what_happened_for_the_morning() -> None:
    clock, night = Clock(), [datetime(2026, 1, 1, 23, 30)]
    attention = Attention("22:00-07:00", clock, lambda: night[0])
    attention.happened([WAITS, KEPT])
    clock.time += 100
    assert attention.due(NOW) == []
    night[0] = datetime(2026, 1, 2, 7, 0)
    assert attention.due(NOW) == [WAITS, KEPT]


@pytest.mark.parametrize(
    ("hours", "at", "quiet"),
    [
        ("22:00-07:00", "21:59", False),
        ("22:00-07:00", "22:00", True),
        ("22:00-07:00", "03:00", True),
        ("22:00-07:00", "07:00", False),
        ("12:00-13:30", "13:29", True),
        ("12:00-13:30", "13:30", False),
        ("", "03:00", False),
    ],
)
def test_quiet_hours_may_go_over_midnight(hours: str, at: str, quiet: bool) -> None:
    assert is_quiet(hours, datetime.fromisoformat(f"2026-01-01T{at}")) is quiet


# ---- how -----------------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[str], re.Match[str] | None]] = {
    "osc9": lambda text: re.fullmatch(r"\x1b\]9;[^\x00-\x1f\x7f-\x9f;]*\x07", text),
    "osc777": lambda text: re.fullmatch(r"\x1b\]777;notify;[^\x00-\x1f\x7f-\x9f;]*;[^\x00-\x1f\x7f-\x9f;]*\x07", text),
}


@pytest.mark.parametrize("kind", ["osc9", "osc777"])
@given(title=st.text(max_size=400), body=st.text(max_size=400))
def test_no_words_can_end_the_sequence_or_begin_another(kind: str, title: str, body: str) -> None:
    for words in (Call(title, body), Call(HOSTILE + title, body + HOSTILE)):
        written = sequence(kind, words, {})
        assert FORMS[kind](written), repr(written)
        assert "\u202e" not in written
        assert len(written) < 450
        inside = sequence(kind, words, {"TMUX": "/tmp/tmux"})
        assert inside == f"\x1bPtmux;\x1b{written}\x1b\\"


def test_a_hostile_title_of_a_proposal_begins_with_our_words() -> None:
    now = lab(summary(8, State.PROPOSED, title=HOSTILE), summary(7, State.JUDGED, Verdict.KEEP, title="--help"))
    for alert in alerts(BEFORE, now):
        assert alert.words.startswith("#")
    said = call("--lab", alerts(BEFORE, now))
    assert said.title.startswith("autoresearch ")
    assert said.body.startswith("#")


def test_the_command_gets_its_words_as_arguments_and_once() -> None:
    template = ("notify-send", "-a", "lab {title}", "{body}", "{other}")
    assert arguments(template, Call("a {body}", "b {title} $(id)")) == [
        "notify-send", "-a", "lab a {body}", "b {title} $(id)", "{other}",
    ]  # fmt: skip


def test_the_command_runs_by_itself_without_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "said"
    program = "import sys, os; open(sys.argv[1] + '.t', 'w').write(repr((sys.argv[2:], os.getsid(0) == os.getpid()))); "
    program += "os.rename(sys.argv[1] + '.t', sys.argv[1])"
    written: list[str] = []
    caller = Caller(Calls(command=(sys.executable, "-c", program, str(out), "{title}", "{body}")), written.append, {})
    assert caller.call(Call("it's; `id`", HOSTILE)) == ""
    deadline = time.monotonic() + 60
    while not out.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    said = out.read_text()
    assert said.startswith('(["it\'s; `id`", ')
    assert said.endswith(", True)")
    assert "\\x1b" not in said
    assert written == []


def test_a_command_that_is_not_there_is_said_and_nothing_ends() -> None:
    caller = Caller(Calls(bell=True, command=("/no/such/program",)), str, {})
    assert "cannot be started: /no/such/program: No such file" in caller.call(Call("a", "b"))
