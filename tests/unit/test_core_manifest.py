"""What a run is made and measured with: which files count, what a change is called, when a file is read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.config import Config, Target
from core.manifest import Frozen, Manifest, frozen, read


def test_of_the_built_in_target_every_frozen_file_counts_and_the_script_under_research_does_not() -> None:
    code = frozen(Config(), Path("/lab"))
    names = {path.name for path in code.harness}
    assert {"harness.py", "ops.py", "record.py", "prepared.py"} <= names
    assert {path.name for path in code.evaluator} >= {"evaluate.py", "model_server.py", "scoring.py", "witness.py"}
    assert not {"train.py", "evaluate.py"} & names
    assert "missing" not in code.files().values()


def test_of_somebody_elses_target_the_files_its_commands_name_count(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text("print(1)")
    target = Target(source=str(tmp_path), evaluate=["{python}", str(script)], train=["{python}", "train.py"])
    code = frozen(Config(target=target), Path("/lab"))
    assert (code.harness, code.evaluator) == ((), (script,))
    before = code.parts()
    script.write_text("print(2)")
    after = code.parts()
    assert before["evaluator"] != after["evaluator"]
    assert before["harness"] == after["harness"]


def test_an_evaluator_that_lies_in_the_lab_counts(tmp_path: Path) -> None:
    script = tmp_path / "evaluate.py"
    script.write_text("print(1)")
    code = frozen(Config(target=Target(source="/x", evaluate=["{python}", "{lab}/evaluate.py"])), tmp_path)
    before = code.parts()
    script.write_text("print(2)")
    assert code.parts()["evaluator"] != before["evaluator"]


def test_another_metric_is_another_class_and_the_usual_one_changes_no_manifest() -> None:
    code, usual = frozen(Config(), Path("/lab")), read(frozen(Config(), Path("/lab")), Config(), data="", profile={})
    assert "metric" not in usual.parts
    other = read(code, Config(target=Target(metric="val_acc", direction="max")), data="", profile={})
    assert other.since(usual.parts) == "the metric"


def test_a_lab_that_moves_with_its_evaluator_keeps_its_manifest(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        script = tmp_path / place / "score.py"
        script.write_text("print(1)")
        config = Config(target=Target(source=str(tmp_path / place), evaluate=["{python}", str(script)]))
        found.append(read(frozen(config, Path("/lab")), config, data="", profile={}).sha256)
    assert found[0] == found[1]


def test_a_file_is_hashed_again_only_when_it_was_touched(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.py"
    path.write_text("one")
    code = Frozen((), (path,))
    first = code.of(path)
    code._known[path] = (code._known[path][0], "remembered")
    assert code.of(path) == "remembered"
    times = path.stat()
    path.write_text("two")  # as long as before, and its time set back: the inode's own clock cannot be
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert code.of(path) not in (first, "remembered")
    path.unlink()
    assert code.of(path) == "missing"


def test_what_changed_is_said_in_words() -> None:
    before = {"evaluator": "a", "torch": "2.12", "python": "3.11"}
    after = Manifest({"evaluator": "b", "torch": "2.13", "python": "3.11", "triton": "3.4"})
    assert after.since(before) == "the evaluator, torch 2.12 → 2.13, triton none → 3.4"
    assert after.since(dict(after.parts)) == ""
    assert after.sha256 == Manifest(dict(sorted(after.parts.items(), reverse=True))).sha256


@pytest.mark.parametrize("change", [{"sizes": {"depth": 2}}, {"profile": {"budget": "flops:1"}}])
def test_sizes_and_the_profile_are_part_of_it(change: dict[str, dict[str, int | float | str]]) -> None:
    plain = Config()
    other = Config(target=Target(sizes=change["sizes"])) if "sizes" in change else plain
    code = frozen(plain, Path("/lab"))
    now = read(code, plain, data="", profile={})
    then = read(code, other, data="", profile=change.get("profile", {}))
    assert then.since(now.parts) == "the profile"


def test_prepared_data_counts_by_what_its_own_manifest_says(tmp_path: Path) -> None:
    code = Frozen((), ())
    body = {"hash": "x", "files": {"tokenizer.json": {"sha256": "abc"}}}
    (tmp_path / "manifest.json").write_text(json.dumps(body))
    found = read(code, Config(), data=str(tmp_path), profile={}).parts
    assert found["tokenizer"] == "abc"
    (tmp_path / "manifest.json").write_text(json.dumps({**body, "hash": "y"}))
    assert read(code, Config(), data=str(tmp_path), profile={}).since(found) == "the data"
    (tmp_path / "manifest.json").write_text("no manifest of ours")
    assert read(code, Config(), data=str(tmp_path), profile={}).parts["data"] == tmp_path.name
