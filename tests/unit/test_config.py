"""autoresearch.toml: what is wrong is said with file, key and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import load, render
from core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[review]\nundo_second = 3", "unknown key 'review.undo_second'; did you mean 'undo_seconds'"),
        ("[revew]\n", "unknown key 'revew'; did you mean 'review'"),
        ("[judging]\nz = 'high'", "judging.z = 'high'"),
        ("[judging]\nz = -1", "judging.z = -1: input should be greater than 0"),
        ("[target]\ndirection = 'up'", "target.direction = 'up'"),
        ("[target]\neditable = []", "target.editable"),
        ("[review]\nautonomy = 'god'", "review.autonomy = 'god'"),
        ("[runs]\nwall_clock_factor = inf", "runs.wall_clock_factor"),
        ("[runs\n", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "autoresearch.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert words in error.value.message
    assert str(path) in error.value.message


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "autoresearch.toml")
    assert "autoresearch-tui init" in error.value.hint


def test_the_file_of_a_new_lab_is_valid_and_keeps_its_words(tmp_path: Path) -> None:
    path = tmp_path / "autoresearch.toml"
    path.write_text(render("gpu-8g", '/data/"odd" name'))
    config = load(path)
    assert (config.target.profile, config.target.corpus) == ("gpu-8g", '/data/"odd" name')


def test_every_commented_default_of_the_template_is_the_real_default(tmp_path: Path) -> None:
    path = tmp_path / "autoresearch.toml"
    path.write_text(render("cpu", "stdlib"))
    plain = load(path)
    path.write_text(
        "\n".join(line.removeprefix("# ") if " = " in line else line for line in path.read_text().splitlines())
    )
    assert load(path) == plain
