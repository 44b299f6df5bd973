"""The way to the first picture: what is read, what is not imported, what is parsed once."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.css.parse import parse

from core.config import Config, load
from core.engine.start import start_detached
from core.errors import ConfigError, LabError
from core.lab import Lab
from tests.sample_lab import SampleLab
from tui.curtain import LOWERED, RAISED, curtain
from tui.detail import USUAL, LabSources
from tui.link import PIECE, Outlet
from tui.look import look, opened
from tui.styles import SteadyStylesheet


def config_of(folder: Path, text: str) -> Path:
    file = folder / "autoresearch.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[target]\nprofile = 'cpu'\n[screen]",
        "[screen]\ntheme = 'nord'\ntour = false",
        "[screen]\nslow = true\nsymbols = 'ascii'",
        "[screen]\nslow = false",
        "[screen.keymap]\nveto = 'f9'",
        "[screen.notify]\nbell = true\nquiet = '22:00-07:00'",
    ],
)
def test_a_section_read_the_short_way_says_what_the_checked_one_says(tmp_path: Path, text: str) -> None:
    file = config_of(tmp_path, text)
    for environment in ({}, {"SSH_CONNECTION": "x"}, {"TEXTUAL_THEME": "gruvbox"}):
        assert opened(file, environment) == look(load(file).screen, file, environment)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[screen]\nthem = 'nord'", "did you mean 'theme'"),
        ("[screen]\ntheme = 7", "screen.theme"),
        ("[screen]\ntheme = 'nrod'", "did you mean 'nord'"),
        ("[screen]\ntour = 'yes please'", "screen.tour"),
        ("screen = 3", "screen"),
        ("[screen", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_section_is_still_said_in_words(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        opened(config_of(tmp_path, text), {})
    assert words in error.value.message
    with pytest.raises(ConfigError, match="is missing"):
        opened(tmp_path / "nowhere.toml", {})


def test_a_plain_lab_opens_without_the_configurations_checker(tmp_path: Path) -> None:
    file = config_of(tmp_path, "[target]\nprofile = 'cpu'\n[screen]\ntour = false\n")
    code = (
        "import sys; from pathlib import Path; from tui.look import opened; from tui.detail import LabSources\n"
        f"file = Path({str(file)!r})\n"
        "opened(file); assert LabSources(file.parent, file, lab='lab').editable == ('train.py',)\n"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]


def test_the_files_a_patch_may_touch_are_those_of_the_configuration(tmp_path: Path) -> None:
    assert tuple(Config().target.editable) == USUAL
    file = config_of(tmp_path, "[target]\neditable = ['a.py', 'b/*.py']")
    assert LabSources(tmp_path, file, lab="lab").editable == ("a.py", "b/*.py")
    with pytest.raises(ConfigError):
        _ = LabSources(tmp_path, config_of(tmp_path, "[target]\neditable = 'train.py'"), lab="lab").editable
    with pytest.raises(ConfigError):
        _ = LabSources(tmp_path, tmp_path / "nowhere.toml", lab="lab").editable


def test_while_the_screen_is_made_the_terminal_says_which_lab_and_what_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = SampleLab(tmp_path / "l\x1b]0;x\x07ab")
    lab.proposes()
    lab.close()
    with curtain(lab.lab) as say:
        say("starting its engine")
        assert not gc.isenabled()  # nothing that is made now is garbage; the screen turns it on when it stands
    assert gc.isenabled()
    said = capsys.readouterr().err
    assert said.startswith(RAISED)
    assert "1 waiting for a review" in said
    assert "starting its engine" in said
    assert "\x1b]0" not in said
    assert LOWERED not in said  # the screen has drawn over it


def test_where_the_screen_does_not_come_up_the_terminal_is_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab.db").write_text("not a database")
    with pytest.raises(LabError), curtain(Lab(tmp_path)):
        raise LabError("no")
    assert gc.isenabled()
    assert capsys.readouterr().err.endswith(LOWERED)


def test_an_engine_that_does_not_come_up_says_why_whatever_is_done_meanwhile(tmp_path: Path) -> None:
    lab = SampleLab(tmp_path / "lab")
    lab.close()
    lab.lab.config_file.write_text("[screen")
    done: list[bool] = []
    with pytest.raises(LabError, match="not valid TOML"):
        start_detached(lab.lab, meanwhile=lambda: done.append(True))
    assert done == [True]


def test_a_style_sheet_is_parsed_once_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counting(scope: str, css: str, *rest: Any, **options: Any) -> Any:
        parsed.append(css)
        return parse(scope, css, *rest, **options)

    monkeypatch.setattr("textual.css.stylesheet.parse", counting)
    sheet = SteadyStylesheet(variables={"ink": "red"})
    for number in range(100):
        sheet.add_source(f"#w{number} {{ color: $ink; }}", read_from=("", f"w{number}"))
    sheet.parse()
    assert len(parsed) == 100
    sheet.add_source("#new { color: $ink; }", read_from=("", "new"))
    sheet.parse()
    sheet.set_variables({"ink": "red"})
    sheet.reparse()
    assert len(parsed) == 101
    sheet.set_variables({"ink": "blue"})
    sheet.reparse()
    assert len(parsed) == 202
    assert {str(rule.styles.color.hex) for rule in sheet.rules} == {"#0000FF"}


def test_what_is_given_up_does_not_go_on_being_written_and_what_follows_arrives() -> None:
    told: list[str] = []

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            outlet.given_up = 1  # somebody leaves while the first piece is on its way
            return super().write(text)

    file = Slow()
    outlet = Outlet(file, lambda: told.append("left"), lambda: told.append("gone"))
    outlet.write("x" * 5 * PIECE)
    outlet.write("goodbye")
    outlet.flush()
    assert file.getvalue() == "x" * PIECE + "goodbye"
    assert outlet.count == 2
    assert told == ["left"]


def test_a_terminal_that_takes_nothing_any_more_is_told_of_and_ends_no_thread() -> None:
    told: list[str] = []

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    outlet = Outlet(Gone(), lambda: None, lambda: told.append("gone"))
    outlet.write("a")
    assert told == ["gone"]
    assert outlet.count == 1
