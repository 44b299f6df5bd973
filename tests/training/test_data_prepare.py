"""Preparation: what it makes, that it is made once, and what it says when it cannot."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import prepare as preparation
from data.corpora import Corpus, installed_python, open_corpus, text_directory
from data.documents import Document, split_of
from data.errors import DataError
from data.packing import pack
from data.prepare import DataSettings, prepare
from data.prepared import Prepared
from data.tokenizer import load_tokenizer
from data.twins import Twins, look_for_twins
from tests.training.conftest import environment, run_module

SMALL = DataSettings(vocab=300, sequence=32, train_tokens=20_000, val_tokens=1_000, audit_tokens=1_000)


def write_corpus(directory: Path, files: int = 40) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for index in range(files):
        lines = [
            f"file {index} line {line}: {index * line % 97} words to tell apart {index + line}" for line in range(40)
        ]
        (directory / f"{index}.txt").write_text("\n".join(lines))
    return directory


def test_a_prepared_directory_holds_what_its_manifest_says(prepared: Path) -> None:
    ready = Prepared.open(prepared)
    assert ready.broken_files() == []
    for split in ("train", "val", "audit"):
        rows, info = ready.rows(split), ready.manifest["splits"][split]
        assert (rows[:, 0] == ready.manifest["bos"]).all()
        assert int(ready.token_bytes()[rows].sum()) == info["bytes"]
        assert int((rows != ready.manifest["bos"]).sum()) == info["tokens"]


def test_the_splits_have_nothing_in_common_but_what_files_begin_with(prepared: Path, corpus: Path) -> None:
    ready, tokenizer = Prepared.open(prepared), load_tokenizer(prepared / "tokenizer.json")
    rows = {split: {tuple(row.tolist()) for row in ready.rows(split)} for split in ("train", "val", "audit")}
    files = [path.read_text() for path in corpus.rglob("*.py")]
    for row in (rows["val"] & (rows["train"] | rows["audit"])) | (rows["audit"] & rows["train"]):
        text = tokenizer.decode(row)  # the same licence, say, above two files
        assert sum(file.startswith(text) for file in files) > 1, text


def test_tokens_decode_to_the_text_of_the_corpus(prepared: Path, corpus: Path) -> None:
    ready = Prepared.open(prepared)
    tokenizer = load_tokenizer(prepared / "tokenizer.json")
    text = (corpus / "json" / "decoder.py").read_text()
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == text
    assert int(ready.token_bytes()[ids].sum()) == len(text.encode())


def test_held_out_files_are_recorded(prepared: Path, corpus: Path) -> None:
    held_out = json.loads((prepared / "holdout.json").read_text())["files"]
    assert held_out
    assert all(Path(file).is_relative_to(corpus) for file in held_out)


def test_the_second_preparation_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, cache = write_corpus(tmp_path / "corpus"), str(tmp_path / "cache")
    first = prepare(SMALL, str(corpus), cache)
    monkeypatch.setattr("data.prepare._build", lambda *_: pytest.fail("prepared again"))
    assert prepare(SMALL, str(corpus), cache) == first


def test_a_changed_file_gives_another_preparation_and_an_unchanged_text_the_same(tmp_path: Path) -> None:
    corpus, cache = write_corpus(tmp_path / "corpus"), str(tmp_path / "cache")
    first = prepare(SMALL, str(corpus), cache)
    os.utime(corpus / "0.txt", (1, 1))
    assert prepare(SMALL, str(corpus), cache).path == first.path
    (corpus / "0.txt").write_text("something else entirely\n" * 30)
    assert prepare(SMALL, str(corpus), cache).path != first.path


def test_an_interrupted_preparation_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    whole = prepare(SMALL, str(corpus), str(tmp_path / "whole"))
    monkeypatch.setattr("data.prepare.BATCH_BYTES", 4_000)
    monkeypatch.setattr("data.prepare.BLOCK_TOKENS", 3_000)
    blockwise = prepare(SMALL, str(corpus), str(tmp_path / "blockwise"))
    calls: list[int] = []

    def fails_later(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return pack(*arguments, **more)

    monkeypatch.setattr("data.prepare.pack", fails_later)
    cache = str(tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        prepare(SMALL, str(corpus), cache)
    monkeypatch.setattr("data.prepare.bpe.train_tokenizer", lambda *_: pytest.fail("the tokenizer was trained again"))
    resumed = prepare(SMALL, str(corpus), cache)
    assert resumed.manifest == blockwise.manifest
    tokens = {split: info["tokens"] for split, info in whole.manifest["splits"].items()}
    assert abs(resumed.manifest["splits"]["train"]["tokens"] - tokens["train"]) < 200  # a padded row a block


def test_a_damaged_preparation_is_made_again(tmp_path: Path) -> None:
    corpus, cache = write_corpus(tmp_path / "corpus"), str(tmp_path / "cache")
    first = prepare(SMALL, str(corpus), cache)
    with (first.path / "train" / "rows.bin").open("ab") as file:
        file.truncate(100)
    second = prepare(SMALL, str(corpus), cache)
    assert second.manifest == first.manifest
    assert second.broken_files() == []


def test_two_preparers_at_once_agree(tmp_path: Path) -> None:
    corpus, cache = write_corpus(tmp_path / "corpus"), tmp_path / "cache"
    command = [sys.executable, "-m", "nanochat.prepare", "--profile", "test", "--corpus", str(corpus)]
    command += ["--cache", str(cache), "--overrides", '{"train_tokens": 20000, "eval_tokens": 1000}']
    both = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    last = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in both]
    assert last[0]["ready"] == last[1]["ready"]
    assert Prepared.open(last[0]["ready"]).broken_files() == []


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.mkdir(), "no files"),
        (lambda path: None, "no such corpus"),
        (lambda path: (path.mkdir(), (path / "a.bin").write_bytes(b"\0\1\2" * 999)), "empty"),
        (lambda path: (path.mkdir(), (path / "a.txt").write_text("too little")), "too small"),
    ],
)
def test_a_corpus_without_text_says_so(tmp_path: Path, make: Any, says: str) -> None:
    make(tmp_path / "corpus")
    with pytest.raises(DataError, match=says) as caught:
        prepare(SMALL, str(tmp_path / "corpus"), str(tmp_path / "cache"))
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_directory_says_so(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    corpus.chmod(0)
    try:
        with pytest.raises(DataError, match="permission"):
            prepare(SMALL, str(corpus), str(tmp_path / "cache"))
    finally:
        corpus.chmod(0o755)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_corpus(tmp_path / "corpus")

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match="permission denied"):
        prepare(SMALL, str(corpus), str(tmp_path / "cache"))


def test_a_full_disk_says_so_and_the_next_attempt_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, cache = write_corpus(tmp_path / "corpus"), str(tmp_path / "cache")
    real = preparation._open_rows

    class Full(io.RawIOBase):
        def write(self, *_: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("data.prepare._open_rows", lambda *_: Full())
    with pytest.raises(DataError, match="disk is full") as caught:
        prepare(SMALL, str(corpus), cache)
    assert "--cache" in caught.value.hint
    monkeypatch.setattr("data.prepare._open_rows", real)
    assert prepare(SMALL, str(corpus), cache).broken_files() == []


def test_too_little_space_is_said_before_the_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("data.prepare.shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match="disk is full"):
        prepare(SMALL, str(corpus), str(tmp_path / "cache"))


def test_parquet_shards_are_read_and_a_truncated_one_is_named(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    shards = tmp_path / "shards"
    shards.mkdir()
    texts = [f"document {i} says {i * 7919 % 1009} and {i * 104729 % 997}, nothing else\n" * 12 for i in range(200)]
    for index in range(2):
        table = arrow.table({"text": texts[index * 100 : index * 100 + 100], "url": ["x"] * 100})
        parquet.write_table(table, shards / f"shard_{index:05d}.parquet", row_group_size=30)
    ready = prepare(SMALL, str(shards), str(tmp_path / "cache"))
    assert ready.manifest["corpus"]["kind"] == "parquet"
    whole = (shards / "shard_00001.parquet").read_bytes()
    (shards / "shard_00001.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"shard_00001\.parquet is truncated"):
        prepare(SMALL, str(shards), str(tmp_path / "cache"))


def test_a_parquet_file_without_text_names_its_columns(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"body": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column `text`") as caught:
        prepare(SMALL, str(tmp_path), str(tmp_path / "cache"))
    assert "body" in caught.value.hint


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError) as caught:
        prepare(SMALL, str(tmp_path), str(tmp_path / "cache"))
    assert "autoresearch-tui[hf]" in caught.value.hint


def test_the_command_prints_json_lines_and_ends_with_ready(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    arguments = ["--profile", "test", "--corpus", str(corpus), "--cache", str(tmp_path / "cache")]
    ended = run_module("nanochat.prepare", *arguments, "--overrides", '{"train_tokens": 20000, "eval_tokens": 1000}')
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0
    assert {line["stage"] for line in lines[:-1]} == {"read", "tokenizer", "encode", "pack"}
    assert Path(lines[-1]["ready"], "manifest.json").exists()
    assert lines[-1]["val_tokens"] > 100


def test_the_command_says_an_error_in_one_line_with_a_hint(tmp_path: Path) -> None:
    ended = run_module("nanochat.prepare", "--corpus", str(tmp_path / "nowhere"), "--cache", str(tmp_path))
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["hint"]
    assert "Traceback" not in ended.stderr
    assert "no such corpus" in ended.stderr


def test_the_default_corpus_never_holds_out_what_the_trainer_imports() -> None:
    corpus = installed_python()
    may = [file for file in corpus.files if file.may_hold_out]
    assert len(may) > 200
    loaded = {
        os.path.realpath(str(module.__file__))
        for module in list(sys.modules.values())
        if getattr(module, "__file__", None)
    }
    import_of_torch = "import torch, numpy, tokenizers, sys; print('\\n'.join(m.__file__ for m in "
    import_of_torch += "list(sys.modules.values()) if getattr(m, '__file__', None)))"
    code = [sys.executable, "-c", import_of_torch]
    listed = subprocess.run(code, env=environment(), capture_output=True, text=True, check=True).stdout.splitlines()
    needed = {os.path.realpath(name) for name in listed}
    assert loaded
    assert not needed & {os.path.realpath(file.path) for file in may}


def test_a_corpus_is_described_by_its_files_alone(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=5)
    first, second = (open_corpus(str(corpus), 10**6, tmp_path) for _ in range(2))
    assert first.fingerprint() == second.fingerprint()
    assert [d.text for d in first.documents()] == [d.text for d in second.documents()]


def test_rows_are_two_bytes_a_token_for_a_small_vocabulary(prepared: Path) -> None:
    rows = Prepared.open(prepared).rows("train")
    assert rows.dtype == np.uint16
    assert not rows.flags.writeable


# ---- twins ----------------------------------------------------------------------------------------------------------


def in_sight(corpus: Corpus, *needed: str) -> Corpus:
    """As if it were installed: a trainer may read it, and needs some of its files."""
    files = tuple(replace(f, may_hold_out=f.path.name not in needed) for f in corpus.files)
    return replace(corpus, files=files, in_sight=True)


def held_out_text(directory: Path, split: str = "val") -> Path:
    """A file of the corpus that goes to a split."""
    return next(p for p in sorted(directory.iterdir()) if split_of(Document(p.read_text(), str(p)), 0.1) == split)


def looked(corpus: Corpus) -> Twins:
    return look_for_twins(corpus, 0.1, 100_000, lambda done, total, note: None)


def test_a_twin_of_a_held_out_file_is_hidden_with_it(tmp_path: Path) -> None:
    directory = write_corpus(tmp_path / "corpus")
    original = held_out_text(directory)
    vendored = directory / "vendored.txt"
    vendored.write_text(original.read_text() + "\none line more of the copy, at its end")
    excerpt = directory / "excerpt.txt"
    excerpt.write_text("\n".join(original.read_text().splitlines()[:20]) + "\n" + "a different line of text\n" * 9)
    document = Document(original.read_text(), str(original))
    found = looked(in_sight(text_directory(directory)))
    assert set(found.hidden_with(document)) == {str(original), str(vendored), str(excerpt)}
    assert found.split_of(document, 0.1) == "val"


def test_a_twin_of_a_file_that_the_trainer_needs_is_train(tmp_path: Path) -> None:
    directory = write_corpus(tmp_path / "corpus")
    original = held_out_text(directory)
    (directory / "needed.txt").write_text("a line of its own, in front\n" + original.read_text())
    document = Document(original.read_text(), str(original))
    assert looked(in_sight(text_directory(directory))).split_of(document, 0.1) == "val"
    found = looked(in_sight(text_directory(directory), "needed.txt"))
    assert found.split_of(document, 0.1) == "train"
    assert found.split_of(Document(document.text, "elsewhere"), 0.1) == "val"


def test_a_prepared_directory_lists_the_twins_of_what_it_holds_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_corpus(tmp_path / "corpus", files=120)
    for file in sorted(directory.iterdir()):
        (directory / f"twin of {file.name}").write_text(file.read_text() + "\nand one more line behind it all")
    monkeypatch.setattr("data.prepare.open_corpus", lambda *_: in_sight(text_directory(directory)))
    first, second = (prepare(SMALL, "stdlib", str(tmp_path / cache)) for cache in ("a", "b"))
    held_out = {Path(name).name for name in json.loads((first.path / "holdout.json").read_text())["files"]}
    pairs = {name.removeprefix("twin of ") for name in held_out}
    assert held_out == {twin for name in pairs for twin in (name, f"twin of {name}")}
    assert first.manifest == second.manifest


def test_a_corpus_that_no_trainer_sees_is_not_looked_through(tmp_path: Path) -> None:
    directory = write_corpus(tmp_path / "corpus", files=3)
    assert not text_directory(directory).in_sight
    assert look_for_twins(text_directory(directory), 0.1, 100, lambda *_: pytest.fail("read")) == Twins()
    assert text_directory(Path(sys.prefix) / "bin" / "activate").in_sight
