from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from tui.widgets.log_tail import LogTail, TailFile

HOSTILE = "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x9b5m \u202eevil [/] [bold]x[/bold] \x00\x1bc end\n"


class LogApp(App[None]):
    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path

    def compose(self) -> ComposeResult:
        yield LogTail()

    def on_mount(self) -> None:
        self.log_tail.follow(self.path)

    @property
    def log_tail(self) -> LogTail:
        return self.query_one(LogTail)

    def rows(self) -> list[str]:
        tail = self.log_tail
        return [tail.render_line(y).text.rstrip() for y in range(tail.size.height)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "stdout.log"


def shown(file: TailFile) -> list[str]:
    return [file.line(number) for number in range(file.first, file.last)]


# ---- the file ------------------------------------------------------------------------------------------------


def test_only_the_lines_that_changed_are_reported(log: Path) -> None:
    log.write_text("one\ntwo\nthr")
    file = TailFile(log)
    assert file.poll() == 0
    assert shown(file) == ["one", "two", "thr"]
    assert file.poll() is None
    with log.open("a") as out:
        out.write("ee\nfour\n")
    assert file.poll() == 2
    assert shown(file) == ["one", "two", "three", "four"]


def test_a_progress_line_shows_its_latest_state(log: Path) -> None:
    log.write_text("start\nstep 1\rstep 2\rstep 3\r")
    file = TailFile(log)
    file.poll()
    assert shown(file) == ["start", "step 3"]
    with log.open("a") as out:
        out.write("step 4\r")
    assert file.poll() == 1
    assert shown(file) == ["start", "step 4"]


def test_a_truncated_file_is_read_anew(log: Path) -> None:
    log.write_text("one\ntwo\n")
    file = TailFile(log)
    file.poll()
    log.write_text("new\n")
    assert file.poll() == 0
    assert shown(file) == ["new"]


def test_a_file_rewritten_at_greater_length_is_read_anew(log: Path) -> None:
    log.write_text("one\ntwo\n")
    file = TailFile(log)
    file.poll()
    log.write_text("another\nrun\naltogether\n")
    assert file.poll() == 0
    assert shown(file) == ["another", "run", "altogether"]


def test_a_rotated_file_is_read_anew(log: Path) -> None:
    log.write_text("one\n")
    file = TailFile(log)
    file.poll()
    os.rename(log, log.with_suffix(".1"))
    log.write_text("one\ntwo\n")
    assert file.poll() == 0
    assert shown(file) == ["one", "two"]


def test_what_cannot_be_read_says_why(log: Path, tmp_path: Path) -> None:
    file = TailFile(log)
    assert file.poll() == 0
    assert "not there yet" in file.problem
    assert file.poll() is None
    log.write_text("here\n")
    assert file.poll() == 0
    assert (file.problem, shown(file)) == ("", ["here"])
    directory = TailFile(tmp_path)
    directory.poll()
    assert directory.problem == "is not a file"


def test_memory_is_bounded_by_the_window(log: Path) -> None:
    log.write_text("".join(f"line {i}\n" for i in range(5000)))
    file = TailFile(log, window=1000)
    file.poll()
    assert shown(file)[-1] == "line 4999"
    assert file.last - file.first < 110
    with log.open("a") as out:
        for i in range(5000, 5300):
            out.write(f"line {i}\n")
            out.flush()
            file.poll()
            assert file.line(file.last - 1) == f"line {i}"
            assert file.last - file.first <= 220
    assert shown(file) == [f"line {i}" for i in range(5300 - (file.last - file.first), 5300)]
    assert file.cut > 0


async def test_what_lies_before_the_window_is_said(log: Path) -> None:
    log.write_text("x" * 10_000_000 + "\nlast\n")
    app = LogApp(log)
    async with app.run_test(size=(120, 10)):
        assert app.rows()[0].startswith("… 5.5 MiB of earlier output in ")
        assert app.rows()[1] == "last"


def test_a_line_of_ten_megabytes_costs_a_screen(log: Path) -> None:
    with log.open("w") as out:
        out.write("before\n" + "x" * 10_000_000 + "\nafter\n")
    file = TailFile(log, window=20_000_000)
    file.poll()
    assert shown(file) == ["before", "x" * 999 + "…", "after"]
    with log.open("w") as out:
        out.write("y" * 10_000_000)
    file.poll()
    assert shown(file) == ["y" * 999 + "…"]
    with log.open("w") as out:
        out.write("".join(f"step {i:06}\r" for i in range(900_000)))
    file.poll()
    assert shown(file) == ["step 899999"]


def test_finding_skips_progress_that_was_overwritten(log: Path) -> None:
    log.write_text("a\nneedle\rhidden\nb\nNeedle here\nc\n")
    file = TailFile(log)
    file.poll()
    assert file.find("needle", -1) == 3
    assert file.find("Needle", -1) == 3
    assert file.find("needle", 3) is None
    assert file.find("needle", 5, backwards=True) == 3
    assert file.find("nothing", -1) is None


# ---- the widget ----------------------------------------------------------------------------------------------


async def test_without_a_run_the_log_says_so() -> None:
    app = LogApp(None)
    async with app.run_test(size=(60, 10)):
        assert app.rows()[0] == "No run has started: there is no log yet."


async def test_a_missing_and_an_empty_log_say_so(log: Path) -> None:
    app = LogApp(log)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        assert app.rows()[0] == "stdout.log is not there yet."
        log.write_text("")
        app.log_tail.poll()
        assert app.rows()[0] == "The run has not printed anything yet."


async def test_the_newest_line_stays_in_view_until_the_reader_scrolls_up(log: Path) -> None:
    log.write_text("".join(f"line {i}\n" for i in range(100)))
    app = LogApp(log)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        assert app.rows()[-1] == "line 99"
        app.log_tail.scroll_line(-1)
        assert app.rows()[0] == "line 89"
        assert "G follows" in app.rows()[-1]
        with log.open("a") as out:
            out.write("line 100\n")
        app.log_tail.poll()
        assert app.rows()[0] == "line 89"
        app.log_tail.bottom()
        assert app.rows()[-1] == "line 100"
        with log.open("a") as out:
            out.write("line 101\n")
        app.log_tail.poll()
        assert app.rows()[-1] == "line 101"


async def test_a_progress_tick_repaints_one_row(log: Path) -> None:
    log.write_text("compiled\nstep 1\r")
    app = LogApp(log)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        tail = app.log_tail
        tail._exchange_repaint_regions()
        with log.open("a") as out:
            out.write("step 2\r")
        tail.poll()
        assert [(r.y, r.height) for r in tail._exchange_repaint_regions()] == [(1, 1)]
        tail.poll()
        assert not tail._exchange_repaint_regions()


async def test_paging_top_and_the_match_of_a_search(log: Path) -> None:
    log.write_text("".join(f"line {i}\n" for i in range(100)) + "the loss is NaN\n" + "tail\n" * 50)
    app = LogApp(log)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        tail = app.log_tail
        tail.top()
        assert app.rows()[0] == "line 0"
        tail.scroll_page(1)
        assert app.rows()[0] == "line 8"
        tail.scroll_page(-0.5)
        assert app.rows()[0] == "line 4"
        assert tail.find("nan")
        assert "the loss is NaN" in app.rows()
        assert not tail.following
        assert tail.find("line 3")
        assert any(row.startswith("line 3") for row in app.rows())
        assert not tail.find("nowhere")


@pytest.mark.parametrize("size", [(1, 1), (4, 2), (20, 3), (80, 24)])
async def test_hostile_output_is_shown_not_obeyed_at_any_size(log: Path, size: tuple[int, int]) -> None:
    log.write_bytes((HOSTILE * 20 + "日本語 é 👩‍👩‍👧 \t tab\n").encode() + b"\xff\xfe\x80 not utf-8\n" + b"z" * 100_000)
    app = LogApp(log)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.log_tail.top()
        app.log_tail.scroll_sideways(3)
        await pilot.pause()
        strips = [app.log_tail.render_line(y) for y in range(size[1])]
        assert all(strip.cell_length == size[0] for strip in strips)
        assert not any(c in strip.text for strip in strips for c in "\x1b\x9b\x07\x00\u202e\t")


async def test_a_hidden_log_reads_nothing(log: Path) -> None:
    log.write_text("one\n")
    app = LogApp(log)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        app.log_tail.display = False
        await pilot.pause()
        log.write_text("one\ntwo\n")
        app.log_tail.poll()
        assert app.log_tail._file is not None
        assert app.log_tail._file.last == 1
        app.log_tail.display = True
        await pilot.pause()
        await pilot.pause()
        assert "two" in app.rows()
