"""One nasty corpus through every screen and every command in a real terminal: not one control byte of it gets there.

The lab's record has it in every text, its logs in every way, and its directory in its name. The short form is in
`make test`, the long one in `make soak`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from core import verify
from core.lab import Lab
from core.models import Decision, Proposal, Purpose, State, Verdict
from core.requests import Approve, Tell
from core.researchers.base import Say, Situation
from tests.e2e.terminal import KEYS, Terminal
from tests.hostile import EVIL, LINES, MARK, METRICS, PIECES, log_bytes, poison, smuggled
from tests.sample_lab import SampleLab, build
from tests.sample_target import TITLES
from tests.toy import engine_at_work, toy_lab, until
from tui import actions
from tui.cli import commands, run
from tui.exhibits import exhibits
from tui.screens.places import BESIDE_REVIEW

NAME = "lab \x1b]0;x\x07 [/] \u202e \x9b31m"
"""a directory may have any name"""
READS = {
    "status": ([], ["--json"]),
    "list": ([], ["--json"], ["--tsv"]),
    "show": (["1"], ["5"], ["6", "--json"], [EVIL.replace("\x00", "")]),
    "report": (["--out", "{out}"],),
    "verify": ([],),
    "doctor": ([], ["--json"]),
    "review": (["--plain"],),
    "replay": (["--speed", "100000"],),
}
"""commands that show what is in the record, each way of asking; the two last take words and keys"""
ASKS = {"approve", "revise", "veto", "undo", "override", "autonomy", "pause", "resume", "stop", "run", "audit", "init"}
"""commands that change something: what they say is about their own arguments"""
SHORT_METRICS = "\n".join(line for line in METRICS if len(line) < 10_000).encode()
DRAWN = "q detach"
"""stands at the end of the footer"""
LEAVES = {"detach"}
"""keys after which there is no screen to look at"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in the middle of its work, written as an engine would, and then everything in it made hostile."""
    made = build(tmp_path_factory.mktemp("hostile") / NAME, "hostile")
    tell_more(made)
    made.close()
    touched = poison(made.lab.database)
    assert {"experiments.title", "reviews.reason", "runs.error", "runs.detail", "settings.value", "points.name",
            "messages.body", "usage.model", "events.body", "experiments.verdict_reason"} <= touched  # fmt: skip
    for log in made.lab.runs.glob("*/stdout.log"):
        log.write_bytes(log_bytes())
    for path in (made.lab.program, made.lab.log):
        with path.open("a") as file:
            file.write(LINES)
    yield made.lab
    run(["stop", str(made.lab.root)])  # `review` brings up an engine; the lab is paused, so that it only waits


def tell_more(lab: SampleLab) -> None:
    """Something in every table."""
    for verdict, delta in ((Verdict.KEEP, -0.0093), (Verdict.DISCARD, 0.0061), (Verdict.SUSPECT, -0.4)):
        lab.tells(verdict, delta, TITLES[1], "a reason of more than one word")
    vetoed = lab.proposes(TITLES[2])
    lab.decides(vetoed, Decision.VETO, reason="no, and this is why")
    running = lab.proposes(TITLES[3])
    lab.decides(running, Decision.APPROVE)
    lab.trains(lab.starts(running, purpose=Purpose.CANDIDATE), 0.5)
    lab.feels()
    lab.proposes(TITLES[4])
    lab.writer.add_message("try something else", actor="a human", kind="message")
    lab.writer.add_usage(
        model="a model", input=10, output=20, cache_read=0, cache_write=0, seconds=1.0, cost=0.1, experiment_id=running
    )


def opened(lab: Lab, columns: int = 120, rows: int = 36, **environment: str) -> Terminal:
    command = [sys.executable, "-m", "tui", "open", "--read-only", str(lab.root)]
    return Terminal(command, columns=columns, rows=rows, env={"TEXTUAL_ANIMATIONS": "none", **environment})


def quiet(screen: Terminal, *, seconds: float = 10.0) -> None:
    """Read until nothing has come for a moment."""
    began = last = time.monotonic()
    while last - began < seconds and time.monotonic() - last < 0.3:
        before = len(screen.bytes)
        screen.read(0.05)
        if len(screen.bytes) != before:
            last = time.monotonic()


def keys_of(place: str) -> list[str]:
    """What a person can press on a place, save what leaves it."""
    group = {"review": actions.ACTIONS}.get(place) or getattr(actions, f"ON_{place.upper()}")
    there = {action.id for action in group} - LEAVES - set(BESIDE_REVIEW) - {"pane_list", "back"}
    return [key for action in group if action.id in there for key in action.keys.split(",") if key]


def press(screen: Terminal, key: str) -> None:
    """A key by Textual's name, and everything that it brings to the screen."""
    control = chr(ord(key[-1]) - 96) if key.startswith("ctrl+") else ""
    typed = {name: bytes_of for name, bytes_of in MORE_KEYS.items()} | KEYS
    typed |= {name: shown for name, shown in actions.KEY_NAMES.items() if len(shown) == 1 and shown.isascii()}
    screen.press(typed.get(key) or control or key)


MORE_KEYS = {
    "escape": "\x1b", "up": "\x1b[A", "left": "\x1b[D", "right": "\x1b[C", "home": "\x1b[H", "end": "\x1b[F",
    "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "shift+tab": "\x1b[Z",
}  # fmt: skip


def go(screen: Terminal, place: str) -> None:
    """From wherever one is to a place, with nothing open over it."""
    for key in ("escape", "escape", actions.BY_ID["pane_diff"].keys):
        press(screen, key)
        quiet(screen)  # an Esc and what follows at once would be one key
    if place != "review":
        press(screen, actions.BY_ID[place].keys)
    quiet(screen)


def leave(screen: Terminal) -> None:
    go(screen, "review")
    press(screen, actions.BY_ID["detach"].keys)
    assert screen.ended(seconds=60), screen.text()


def test_the_eye_sees_every_piece_that_is_not_neutralised() -> None:
    harmless = {"marks without end", "markup", "html"}
    for name, piece in PIECES.items():
        for screen in (True, False):
            seen = smuggled(f"shown {piece} shown\r\n".encode(), screen=screen)
            assert bool(seen) == (name not in harmless), (name, seen)
    assert smuggled(b"\x9b31m in between \x9b31m")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["review", "live", "researcher", "decisions"])  # all of them in the long form
def test_every_screen_shows_it_and_passes_nothing_on(lab: Lab, place: str) -> None:
    with opened(lab) as screen:
        screen.until(DRAWN)
        go(screen, place)
        panes = [actions.BY_ID[name].keys for name in ("pane_why", "pane_curves", "pane_log", "pane_list")]
        for key in (*(panes if place == "review" else ()), "tab", "j", "z", "question_mark", "escape", "colon"):
            press(screen, key)
            quiet(screen)
        assert smuggled(screen.bytes) == []
        go(screen, place)
        screen.until(MARK)
        leave(screen)
        assert smuggled(screen.bytes) == []


@pytest.mark.soak
@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
@pytest.mark.parametrize("place", ["review", *BESIDE_REVIEW])
def test_every_key_of_every_screen_passes_nothing_on(lab: Lab, place: str, size: tuple[int, int]) -> None:
    with opened(lab, *size) as screen:
        screen.until(DRAWN)
        for key in keys_of(place):
            go(screen, place)
            press(screen, key)
            quiet(screen)
            for typed in (*PIECES["markup"], "enter") if key == "slash" else ():
                screen.child.send(KEYS.get(typed, typed))
            quiet(screen)
            assert smuggled(screen.bytes) == [], key
        assert screen.child.isalive(), screen.text()


def said(lab: Lab, command: str, arguments: list[str], *keys: str) -> Terminal:
    """A command in a terminal, until it has ended."""
    out = lab.root.parent / "out"
    given = [word.format(out=out) if word.startswith("{") else word for word in arguments]
    with Terminal([sys.executable, "-m", "tui", command, str(lab.root), *given], columns=160) as terminal:
        for key in keys:
            quiet(terminal)
            press(terminal, key)
        assert terminal.ended(seconds=90), terminal.text()
    return terminal


@pytest.mark.slow
@pytest.mark.parametrize("command", READS)
def test_no_command_passes_anything_on(lab: Lab, command: str) -> None:
    for arguments in READS[command]:
        keys = {"review": ["next\r", "next\r", "quit\r"], "replay": ["2", "5", "q"]}.get(command, [])
        terminal = said(lab, command, list(arguments), *keys)
        assert b"Traceback" not in terminal.bytes, terminal.text()
        assert smuggled(terminal.bytes, screen=command == "replay") == [], arguments


@pytest.mark.slow
@pytest.mark.parametrize("command", [[f"--{EVIL}"], ["list", EVIL], ["autonomy", "lab", EVIL], ["status", f"--{EVIL}"]])
def test_a_mistake_is_said_without_repeating_what_was_hidden_in_it(command: list[str]) -> None:
    words = [word.replace("\x00", "") for word in command]
    with Terminal([sys.executable, "-m", "tui", *words], columns=160) as terminal:
        assert terminal.ended(seconds=30)
    assert smuggled(terminal.bytes, screen=False) == []


def test_every_command_was_thought_of() -> None:
    assert set(commands.list_commands(click.Context(commands))) == {*READS, *ASKS, "open"}


@pytest.mark.soak
@pytest.mark.parametrize("state", [exhibit.name for exhibit in exhibits() if "hostile" in exhibit.name])
def test_every_hostile_state_of_a_widget_passes_nothing_on(state: str) -> None:
    with Terminal([sys.executable, "-m", "tui.gallery", "--state", state]) as screen:
        screen.until(lambda _: len(screen.bytes) > 2_000)
        for key in ("j", "G", "t", "z", "end"):
            press(screen, key)
            quiet(screen)
        assert smuggled(screen.bytes) == []


SCRIPT = f"""
import os, sys
from pathlib import Path
LEVEL = 2.0
out = Path(os.environ["AR_OUT"])
sys.stdout.buffer.write({log_bytes(long=2000)!r} + b"x" * 10_000_000)
(out / "metrics.jsonl").write_bytes({SHORT_METRICS!r} + b'"' * 10_000_000)
for name in ("train.json", "phase.json", "exit.json"):
    (out / name).write_text({METRICS[3]!r})
print(chr(10) + "val_bpb:", LEVEL)
"""


class HostileResearcher:
    """Proposes a patch with the corpus in its code, then an honest one in hostile words, then nothing."""

    name = EVIL

    def __init__(self) -> None:
        self.answers = [f"LEVEL = 2.5  # {EVIL}", "LEVEL = 2.5"]

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        say(f"{EVIL} \udcff")
        if not self.answers:
            return None
        files = {"train.py": situation.files["train.py"].replace("LEVEL = 2.0", self.answers.pop(0))}
        return Proposal(EVIL, LINES, f"{LINES}\ud800", EVIL, files, EVIL, EVIL, key=EVIL)


@pytest.mark.slow
async def test_what_a_script_and_a_researcher_write_goes_through_the_engine_and_stays_text(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train=SCRIPT, null_runs=1)
    async with engine_at_work(lab, HostileResearcher()) as engine:
        store = engine.bench.store
        await until(lambda: store.queue() and [run for run in store.runs() if run.metric is not None], seconds=90)
        refused, waiting = store.experiments()
        assert refused.state == State.INVALID
        engine.handle(Approve(waiting.id, waiting.patch_sha256 or "", reason=EVIL, actor=EVIL))
        engine.handle(Tell(EVIL, actor=EVIL))
        await until(lambda: store.verdict_counts()[Verdict.DISCARD], seconds=90)
    assert verify.problems(lab) == []
    with opened(lab) as screen:
        screen.until(DRAWN)
        for place in ("review", *BESIDE_REVIEW):
            go(screen, place)
        leave(screen)
    assert smuggled(screen.bytes) == []
