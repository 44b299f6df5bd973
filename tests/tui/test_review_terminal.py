"""The screen in a real terminal: what it writes, and how it ends when the terminal goes away."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.sample_lab import build
from tests.tui.byte_counter import Pty

PROGRAM = """
import os, sys
from pathlib import Path
from core.lab import Lab
from tui.app import open_screen
farewell = open_screen(Lab(Path(sys.argv[1])))
Path(sys.argv[1], "farewell").write_text(farewell)
"""
OPEN = [sys.executable, "-c", PROGRAM]
ROOT = Path(__file__).parents[2]


def opened(folder: Path, state: str, size: tuple[int, int] = (80, 24)) -> Pty:
    """A screen on a lab whose engine is not there, painted and quiet."""
    build(folder / "lab", state).close()
    screen = Pty([*OPEN, str(folder / "lab")], size, env={"PYTHONPATH": str(ROOT)})
    for _ in range(40):
        screen.settle(quiet=1.0)
        if "engine is not running" in screen.text or "DOWN" in screen.text:
            break
    return screen


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_the_screen_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with opened(tmp_path, "waiting") as screen:
        screen.process.send_signal(number)
        screen.settle(quiet=0.5)
        screen.process.wait(60)
        assert b"\x1b[?1049l" in screen.written  # the terminal is given back as it was


@pytest.mark.slow
def test_a_terminal_that_goes_away_leaves_no_process_behind(tmp_path: Path) -> None:
    screen = opened(tmp_path, "waiting")
    screen.close(patience=30)  # kills it then, and that would be -9
    assert screen.process.returncode != -signal.SIGKILL


@pytest.mark.slow
def test_a_gallery_whose_terminal_goes_away_without_a_word_ends_too() -> None:
    deaf = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n"  # as under nohup
    gallery = Pty(
        [sys.executable, "-c", f"{deaf}from tui.gallery import main; main([])"], env={"PYTHONPATH": str(ROOT)}
    )
    gallery.settle(quiet=1.0)
    assert "1/" in gallery.text
    gallery.close(patience=20)  # kills it then, and that would be -9
    assert gallery.process.returncode != -signal.SIGKILL


@pytest.mark.slow
def test_q_leaves_and_an_idle_screen_writes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, "worse") as screen:
        assert screen.idle(2.5) == 0
        screen.send("q")
        screen.settle(quiet=0.5)
        screen.process.wait(60)
    assert "Come back: autoresearch-tui" in (tmp_path / "lab" / "farewell").read_text()


@pytest.mark.slow
def test_hostile_text_reaches_no_terminal(tmp_path: Path) -> None:
    with opened(tmp_path, "hostile", (120, 36)) as screen:
        written = screen.written
        for keys in ("2", "4", "0", "h", "l", "v"):
            screen.count(keys)
            written += screen.written
    for wrong in (b"\x1b]52", b"\x1bc", "\x9b".encode(), "\u202e".encode(), "\u200b".encode()):
        assert wrong not in written


@pytest.mark.slow
def test_what_others_write_to_stderr_goes_to_a_file(tmp_path: Path) -> None:
    from tui.app import guarded_stderr

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 2)
        with guarded_stderr(tmp_path / "tui.log"):
            os.write(2, b"a native library warns\n")
            assert sys.__stderr__ is not None
            sys.__stderr__.write("the screen\n")
            sys.__stderr__.flush()
        os.write(2, b"after\n")
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 1000) == b"the screen\nafter\n"
    os.close(read)
    assert (tmp_path / "tui.log").read_bytes() == b"a native library warns\n"
