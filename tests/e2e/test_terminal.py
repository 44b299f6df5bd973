"""What terminals and links do to a screen: other sizes, ctrl+z, pastes, the mouse, a link that crawls or breaks."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.engine.server import serve
from core.lab import Lab
from core.requests import Defer, Ping, Request, Veto
from tests.e2e.terminal import Terminal
from tests.sample_lab import SampleLab, unified, waiting
from tests.sample_target import TRAIN
from tests.tui.byte_counter import Pty

pytestmark = pytest.mark.slow

WAITS = "#6 .*WAITS FOR YOU"


class Lookout:
    """Answers on a lab's socket in the engine's place, and keeps what it was asked."""

    def __init__(self, lab: Lab) -> None:
        self.asked: list[Request] = []
        self._lab = lab
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    def _run(self) -> None:
        def answer(request: Request) -> dict[str, Any]:
            if not isinstance(request, Ping):
                self.asked.append(request)
            return {}

        self._loop.run_until_complete(serve(self._lab.socket, answer))
        self._up.set()
        self._loop.run_forever()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab with proposals that wait, one of them long, and somebody who answers for its engine."""
    made = SampleLab(tmp_path / "lab")
    waiting(made)
    made.proposes(
        "A long one", (), patch=unified("train.py", TRAIN, TRAIN + "".join(f"x{i} = {i}\n" for i in range(900)))
    )
    made.close()
    config = made.lab.config_file
    config.write_text(config.read_text().replace("[screen] ", "[screen]\ntour = false\n#"))
    return made.lab


@pytest.fixture
def engine(lab: Lab) -> Iterator[Lookout]:
    found = Lookout(lab)
    yield found
    found.close()


def opened(lab: Lab, **options: Any) -> Terminal:
    return Terminal([sys.executable, "-m", "tui", str(lab.root)], **options)


def test_another_size_is_another_picture_and_too_small_a_one_says_so(lab: Lab, engine: Lookout) -> None:
    with opened(lab) as screen:
        screen.until("1 Diff.*2 Why")
        screen.resize(80, 24)
        screen.until("1 Diff +2 Why +3 Curves")  # one pane, and tabs
        screen.resize(40, 10)
        screen.until("(?i)too small")
        screen.press("v")
        screen.resize(160, 50)
        text = screen.until("0 List.*1 Diff.*2 Why")
        assert "why?" not in text
        screen.press("q")
        assert screen.ended()
    assert engine.asked == []


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def stopped(screen: Terminal) -> bool:
    screen.read(0.05)
    return state(screen.child.pid) == "T"


def test_ctrl_z_gives_the_terminal_back_and_the_screen_comes_back_whole(lab: Lab, engine: Lookout) -> None:
    with opened(lab) as screen:
        screen.until("3/3 seen")
        screen.look()
        before, pid = screen.text(), screen.child.pid
        raw = termios.tcgetattr(screen.child.child_fd)[3]
        screen.press("\x1a")
        screen.until(lambda _: stopped(screen) and screen.bytes.endswith(b"\x1b[?1049l\x1b[?25h\x1b[?1004l"))
        assert termios.tcgetattr(screen.child.child_fd)[3] & termios.ECHO
        assert not raw & termios.ECHO
        screen.stream.feed(b"\x1b[2J\x1b[H$ something else was here")
        os.kill(pid, signal.SIGCONT)
        screen.until(lambda text: head(text) == head(before))
        assert termios.tcgetattr(screen.child.child_fd)[3] == raw

        os.kill(pid, signal.SIGSTOP)  # without a word to the screen
        screen.until(lambda _: stopped(screen))
        screen.stream.feed(b"\x1b[2J\x1b[H$ again")
        os.kill(pid, signal.SIGCONT)
        screen.until(lambda text: head(text) == head(before))
        screen.press("v")
        screen.until("Veto #6: why")
        screen.look()
        screen.press(*"once")
        assert "  once" in screen.until("once")  # each key is read once
        screen.press("esc")
        screen.until(lambda text: "why?" not in text)
        screen.press("q")
        assert screen.ended()
    assert engine.asked == []


def head(text: str) -> list[str]:
    """The diff's own columns: clocks and curves beside it may move."""
    return [line[:70] for line in text.splitlines()[2:20]]


def test_a_paste_never_decides_and_arrives_in_a_dialog_as_it_is(lab: Lab, engine: Lookout) -> None:
    with opened(lab) as screen:
        screen.until(WAITS)
        screen.until("hunk 1/")
        screen.look()
        screen.paste("a\ravvdy\r")
        screen.look()
        assert "why?" not in screen.text()
        assert engine.asked == []
        screen.press("v")
        screen.until("Veto #6: why")
        screen.look()
        screen.paste("not the problem:\nsee \x07a v q")
        screen.until("see .*a v q")
        assert engine.asked == []
        screen.press("enter")
        screen.until(lambda _: engine.asked)
        (veto,) = engine.asked
        assert isinstance(veto, Veto)
        assert veto.reason.startswith("not the problem:\nsee ")
        screen.press("q")
        assert screen.ended()


def test_the_mouse_reaches_panes_keys_and_the_wheel_and_no_click_on_the_patch_decides(
    lab: Lab, engine: Lookout
) -> None:
    with opened(lab) as screen:
        screen.until("hunk 1/")
        screen.look()
        screen.click("2 Why")
        screen.until("▌2 Why")
        screen.click("QK_SCALE = 1.2")
        screen.until("▸.*QK_SCALE = 1.2")
        screen.click("? help")
        screen.until("Decide about the patch on the screen")
        screen.press("esc")
        screen.until(lambda text: "Decide about" not in text)
        screen.press("l", "l", "l")
        screen.until("A long one")
        screen.until("x0 = 0")
        for _ in range(20):
            screen.wheel(30, 20)
        screen.until(lambda text: "x0 = 0" not in text)
        screen.click("q detach")
        assert screen.ended()
    assert engine.asked == []


def test_what_is_typed_ahead_is_meant_for_what_the_key_before_opens(lab: Lab, engine: Lookout) -> None:
    """In one piece, as after a pause of the link."""
    with opened(lab) as screen:
        screen.until("hunk 1/")
        screen.look()
        screen.child.send("/decay\r")
        screen.until("next match")
        screen.press("esc")
        screen.until(lambda text: "next match" not in text)
        screen.child.send("5/adv\r")
        screen.until("“adv” is nowhere")
        screen.press("esc", "esc")
        screen.until("hunk 1/")
        screen.child.send(":take the last")
        screen.until("take the last +│(?s:.)*undo: there is no decision")
        screen.press("esc")
        screen.look()
        assert engine.asked == []
        screen.child.send("vtoo small a gain, and dull\r")
        screen.until(lambda _: engine.asked)
        (asked,) = engine.asked
        assert isinstance(asked, Veto)
        assert asked.reason == "too small a gain, and dull"


def test_a_link_that_stands_still_holds_up_no_key_and_gets_the_last_picture_not_all_of_them(
    lab: Lab, engine: Lookout
) -> None:
    with opened(lab) as screen:
        screen.until("hunk 1/")
        screen.press("l", "l", "l")
        screen.until("x0 = 0")
        screen.look()
        screen.child.send("\x1b[6~" * 20)  # twenty pages, and nobody reads what is drawn
        time.sleep(0.5)
        for key in "jkjkjk":
            screen.child.send(key)
            time.sleep(0.1)
        screen.child.send("d")
        deadline = time.monotonic() + 60
        while not engine.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        assert isinstance(engine.asked[0], Defer)
        before = len(screen.bytes)
        began = time.monotonic()
        while time.monotonic() - began < 4:  # two kilobytes a second
            screen.take(200)
            time.sleep(0.1)
        screen.look()
        assert len(screen.bytes) - before < 60_000  # twenty pages alone are 130,000
        screen.child.send("\x1b[5~" * 20)
        time.sleep(0.3)
        screen.child.send("q")
        deadline = time.monotonic() + 30
        while screen.child.isalive() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not screen.child.isalive()  # and nobody had to read the rest


def test_a_terminal_that_is_gone_without_a_word_ends_the_screen(lab: Lab, engine: Lookout) -> None:
    terminal = Pty([sys.executable, "-m", "tui", str(lab.root)])  # no controlling terminal: nobody sends SIGHUP
    while "hunk 1/" not in terminal.text:
        assert terminal.settle(quiet=0.2)
    os.close(terminal._master)
    assert terminal.process.wait(60) in (0, 128 + signal.SIGHUP)
    assert "Traceback" not in (lab.root / "tui.log").read_text()


@pytest.mark.parametrize(("kind", "words"), [("dumb", "TERM=dumb"), ("pipe", "needs a terminal")])
def test_where_no_screen_can_be_drawn_it_says_what_can_be_done_instead(tmp_path: Path, kind: str, words: str) -> None:
    command = [sys.executable, "-m", "tui", str(tmp_path / "lab")]
    if kind == "pipe":
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        code, said = done.returncode, done.stderr
    else:
        with Terminal(command, env={"TERM": "dumb"}) as screen:
            assert screen.ended()
            code, said = screen.child.exitstatus, screen.text().replace("\n", " ")
    assert code == 2
    assert words in said
    assert "review LAB --plain" in said
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("words", [["statsu"], ["statsu", "lab"]])
def test_a_mistyped_command_is_named_and_makes_no_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "tui", *words]
    with Terminal(command) as screen:
        assert screen.ended()
        assert screen.child.exitstatus == 2
        assert "there is no command statsu; did you mean status?" in screen.text()
    piped = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert piped.returncode == 2
    assert "did you mean status?" in piped.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 2)])
def test_a_lab_that_was_named_is_made_after_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frobnicate").mkdir()
    (tmp_path / "frobnicate" / "thesis.tex").touch()  # whoever says yes goes on to be told of that
    with Terminal([sys.executable, "-m", "tui", "frobnicate"]) as screen:
        screen.until("there is no lab frobnicate here; make it.*y/N")
        screen.press(answer, "enter")
        assert screen.ended()
        assert screen.child.exitstatus == code
        assert ("nothing was made" in screen.text()) == (code == 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["frobnicate", "thesis.tex"]


@pytest.mark.parametrize("words", [[], ["lab"]])
def test_the_usual_lab_is_made_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "thesis.tex").touch()  # so that it ends before an engine starts
    with Terminal([sys.executable, "-m", "tui", *words]) as screen:
        assert screen.ended()
        assert screen.child.exitstatus == 2
        assert "y/N" not in screen.text()
        assert "lab" in screen.text()


def test_no_color_sends_greys_alone(lab: Lab, engine: Lookout) -> None:
    with opened(lab, env={"NO_COLOR": "1"}) as screen:
        screen.until("hunk 1/")
        screen.look()
        screen.press("q")
        assert screen.ended()
        colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", screen.bytes)
        assert colours
        assert [colour for colour in colours if len(set(colour)) > 1] == []
        rest = re.sub(rb"[34]8;2;\d+;\d+;\d+", b"", screen.bytes)
        assert re.findall(rb"\x1b\[(?:\d*;)*(?:[349]|10)[1-6](?:;\d*)*m", rest) == []
