"""Where text comes from: this Python's own installation, a directory of text files, parquet shards, the hub.

A corpus lists its files first (cheap: names, sizes and times, enough to find an earlier preparation) and
reads them only when asked. Reading order is a hash of the path, so the first megabytes are a fair sample of
everything.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.documents import Document, cut, decode, unique
from data.errors import DataError, from_os_error

TEXT_SUFFIXES = (".py", ".rst", ".md", ".txt")
SMALLEST, LARGEST = 200, 200_000  # bytes of an installed file; larger ones are mostly generated tables
UNLIKE_TEXT, LONGEST_LINE = 0.1, 1000  # share of digits and non-ASCII; characters in a line
SECTION = 32_768  # characters: longer files of a directory are cut, so that one big file can be split at all
TRAINER_NEEDS = (
    "torch",
    "numpy",
    "tokenizers",
)  # with all they require: never held out, or masking breaks the trainer
OUR_OWN = {"core", "tui", "data", "nanochat"}
SKIPPED_DIRS = {"__pycache__", "site-packages", "dist-packages", "lib-dynload", "node_modules", "idle_test"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a corpus; `name` is its path within the corpus and decides the reading order."""

    path: Path
    name: str
    size: int
    mtime_ns: int
    may_hold_out: bool = True


@dataclass(frozen=True, slots=True)
class Corpus:
    """A description, the files, and how to read them. `documents` can be called again and again."""

    kind: str  # stdlib, text, parquet
    description: str
    files: tuple[SourceFile, ...]
    read: Callable[[SourceFile], Iterator[Document]]
    near_copies: bool = False  # drop near copies too
    in_sight: bool = False  # it lies where a trainer in its sandbox can read

    def documents(self) -> Iterator[Document]:
        """Every document once, copies dropped, in an order that depends on names and contents alone."""
        return unique((d for file in self.files for d in self.read(file)), near=self.near_copies)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def fingerprint(self) -> str:
        """Names, sizes and times of the files: changes when any file may have changed."""
        digest = hashlib.sha256(f"{self.kind} {platform.python_version()}\n".encode())
        for file in self.files:
            digest.update(f"{file.path}\0{file.size}\0{file.mtime_ns}\0{file.may_hold_out}\n".encode())
        return digest.hexdigest()


def open_corpus(spec: str, need_bytes: int, cache: Path) -> Corpus:
    """The corpus named by `stdlib`, a directory, a parquet file or directory, or `hf:REPO[/path]`.

    `need_bytes` bounds how many shards are looked at. Raises DataError when there is nothing to read.
    """
    if spec == "stdlib":
        return installed_python()
    if spec.startswith("hf:"):
        from data.hub import download

        return parquet_shards(download(spec[3:], need_bytes, cache / "hub"), spec, need_bytes)
    path = Path(spec).expanduser().resolve()
    if not path.exists():
        raise DataError(f"no such corpus: {spec}", "give `stdlib`, a directory, parquet shards, or hf:REPO[/path]")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise DataError(f"permission denied: {path}", "check who owns it, and who may read it")
    shards = sorted(path.glob("*.parquet")) if path.is_dir() else [path] if path.suffix == ".parquet" else []
    if shards:
        return parquet_shards(shards, str(path), need_bytes)
    return text_directory(path)


def installed_python() -> Corpus:
    """The running Python's standard library and installed packages: always there, a few dozen megabytes of text."""
    paths = sysconfig.get_paths()
    files = list(_installed_files(Path(paths["stdlib"]), "stdlib", lambda name: False))
    needed = _modules_of(TRAINER_NEEDS)
    for site in dict.fromkeys((paths["purelib"], paths["platlib"])):
        files += _installed_files(Path(site), "site", lambda name: _can_do_without(name, needed))
    description = f"text of Python {platform.python_version()} and its installed packages"
    return Corpus("stdlib", description, _in_hash_order(files), _read_readable_file, near_copies=True, in_sight=True)


def text_directory(path: Path) -> Corpus:
    """Every UTF-8 text file under a directory (or one file); what is not text is passed over."""
    names = [path] if path.is_file() else [Path(at) / n for at, _, ns in os.walk(path, onerror=_refuse) for n in ns]
    files = [_source(p, p.name if p == path else str(p.relative_to(path))) for p in names if p.is_file()]
    files = [f for f in files if f.size and not any(part.startswith(".") for part in f.name.split("/"))]
    if not files:
        raise DataError(f"no files in {path}", "put text files there, or use --corpus stdlib")

    def read(file: SourceFile) -> Iterator[Document]:
        for document in _read_text_file(file):
            yield from cut(document, SECTION)

    in_sight = any(path.is_relative_to(Path(root).resolve()) for root in (sys.prefix, sys.base_prefix, "/usr"))
    return Corpus("text", f"text files of {path}", _in_hash_order(files), read, near_copies=True, in_sight=in_sight)


def parquet_shards(shards: list[Path], origin: str, need_bytes: int) -> Corpus:
    """Shards with a `text` column, read in order, as many as can be needed (compressed bytes are a lower bound)."""
    files: list[SourceFile] = []
    for shard in sorted(shards):
        if sum(f.size for f in files) >= need_bytes:
            break
        files.append(_source(shard, shard.name))
    return Corpus("parquet", f"parquet shards of {origin}", tuple(files), read_shard)


def read_shard(file: SourceFile) -> Iterator[Document]:
    """The `text` column of one shard, a row group at a time. Raises DataError for a truncated or foreign file."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise DataError("reading parquet needs pyarrow", "pip install autoresearch-tui[hf]") from None
    try:
        shard = parquet.ParquetFile(file.path)
        if "text" not in shard.schema_arrow.names:
            raise DataError(f"{file.path} has no column `text`", f"it has: {', '.join(shard.schema_arrow.names)}")
        for group in range(shard.num_row_groups):
            texts = shard.read_row_group(group, columns=["text"]).column("text").to_pylist()
            for row, text in enumerate(texts):
                if isinstance(text, str) and text:
                    yield Document(text, f"{file.name}#{group}.{row}")
    except (arrow.ArrowException, OSError) as error:
        raise DataError(
            f"the shard {file.path} is truncated or damaged: {str(error).splitlines()[0]}",
            "download it again, or take it out of the directory",
        ) from error


def _read_text_file(file: SourceFile) -> Iterator[Document]:
    try:
        text = decode(file.path)
    except FileNotFoundError:
        return  # removed since it was listed
    except OSError as error:
        raise from_os_error(error, "reading the corpus") from error
    if text is not None:
        yield Document(text, str(file.path), file.may_hold_out)


def _read_readable_file(file: SourceFile) -> Iterator[Document]:
    """Leaves out tables and word lists: much of an installation's bytes, and nothing to learn from."""
    for document in _read_text_file(file):
        unlike_text = sum(document.text.count(digit) for digit in "0123456789")
        unlike_text += len(document.text.encode()) - len(document.text)  # each non-ASCII character adds one or more
        longest = max(map(len, document.text.splitlines()), default=0)
        if unlike_text <= UNLIKE_TEXT * len(document.text) and longest <= LONGEST_LINE:
            yield document


def _installed_files(root: Path, label: str, may_hold_out: Callable[[str], bool]) -> Iterator[SourceFile]:
    for at, directories, names in os.walk(root):
        top = at == str(root)
        directories[:] = [
            d
            for d in directories
            if d not in SKIPPED_DIRS and not d.endswith((".dist-info", ".data")) and not (top and d in OUR_OWN)
        ]
        for name in names:
            if not name.endswith(TEXT_SUFFIXES) or name.startswith(("__editable__", "_sysconfigdata")):
                continue
            path = Path(at, name)
            inside = path.relative_to(root).as_posix()
            source = _source(path, f"{label}/{inside}", may_hold_out(inside))
            if SMALLEST <= source.size <= LARGEST:
                yield source


def _can_do_without(name: str, needed: set[str]) -> bool:
    """Whether the trainer runs without this file of site-packages: its package is not needed, or it is a test."""
    parts = name.split("/")
    return len(parts) > 1 and (parts[0] not in needed or "tests" in parts[1:-1])


def _modules_of(distributions: tuple[str, ...]) -> set[str]:
    """Top-level names of these distributions and of everything they require, as installed."""
    from importlib import metadata

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    wanted, queue = set(), [plain(name) for name in distributions]
    while queue:
        name = queue.pop()
        if name in wanted:
            continue
        wanted.add(name)
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        queue += [plain(re.split(r"[\s;<>=!~\[(]", r, maxsplit=1)[0]) for r in required if "extra ==" not in r]
    found = {top for top, owners in metadata.packages_distributions().items() if wanted & {plain(o) for o in owners}}
    return found | set(distributions) | {"nvidia", "triton", "functorch", "torchgen"}


def _source(path: Path, name: str, may_hold_out: bool = True) -> SourceFile:
    try:
        stat = path.stat()
    except OSError as error:
        raise from_os_error(error, "listing the corpus") from error
    return SourceFile(path, name, stat.st_size, stat.st_mtime_ns, may_hold_out)


def _in_hash_order(files: list[SourceFile]) -> tuple[SourceFile, ...]:
    return tuple(sorted(files, key=lambda f: hashlib.blake2b(f.name.encode(), digest_size=8).digest()))


def _refuse(error: OSError) -> None:
    raise from_os_error(error, "listing the corpus") from error
