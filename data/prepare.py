"""The preparation: documents, tokenizer, token rows; resumable, and done only once for the same text.

Progress is counted in documents' characters against what the settings ask for. After an interruption the
tokenizer and every finished block of rows are kept; only the block that was under way is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import tokenizer as bpe
from data.cache import cache_root, locked, make_directory, read_json, write_json
from data.corpora import Corpus, open_corpus
from data.documents import SPLITS, Document
from data.errors import DataError, from_os_error
from data.packing import pack
from data.prepared import SCHEMA, Prepared, sha256_of
from data.twins import Twins, look_for_twins

RECIPE = 2  # how documents are chosen: what an earlier one prepared stays readable, and is not found again
BYTES_PER_TOKEN = 5  # a generous guess, only to bound how much text is looked at
SHORT_TOKEN = 3  # bytes, of a small vocabulary: where a stretch of a document ends at the earliest
SAMPLE_BYTES, SAMPLE_BYTES_PER_TOKEN = 8_000_000, 2000  # text for the tokenizer: at least, and per vocabulary entry
BATCH_BYTES = 2_000_000  # text encoded in one call
HOLDOUT_DOCUMENTS = 64  # at least so many documents in val and in audit, if the corpus has them
BLOCK_TOKENS = 8_000_000  # tokens packed, written and made durable together

Progress = Callable[[str, int, int, str], None]  # stage, done, total, note


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What a profile asks of its data. Token counts are targets: a small corpus gives fewer."""

    vocab: int
    sequence: int
    train_tokens: int
    val_tokens: int
    audit_tokens: int

    @property
    def dtype(self) -> str:
        return "uint16" if self.vocab <= 2**16 else "uint32"

    def tokens(self, split: str) -> int:
        return {"train": self.train_tokens, "val": self.val_tokens, "audit": self.audit_tokens}[split]

    def stretch(self, split: str) -> int:
        """Tokens of one document in val or audit: a stretch of many documents, rather than a few long ones whole."""
        return max(self.sequence, self.tokens(split) // HOLDOUT_DOCUMENTS)

    @property
    def need_bytes(self) -> int:
        return BYTES_PER_TOKEN * (self.train_tokens + 20 * (self.val_tokens + self.audit_tokens))


def prepare(settings: DataSettings, spec: str, cache: str | None = None, progress: Progress | None = None) -> Prepared:
    """Prepared data for a corpus spec, from the cache if it is there. Raises DataError, and nothing half-made stays."""
    report = progress or (lambda stage, done, total, note: None)
    root = cache_root(cache) / "data"
    try:
        corpus = open_corpus(spec, settings.need_bytes, cache_root(cache))
        key = _request_key(settings, corpus)
        if (ready := _find(root, key)) is not None:
            return ready
        with locked(root / "work" / f"{key}.lock"):
            if (ready := _find(root, key)) is not None:  # another preparer was faster
                return ready
            _check_space(root, settings)
            work = make_directory(root / "work" / key)
            _build(settings, corpus, work, report)
            ready = _publish(root, key, work)
        return ready
    except OSError as error:
        raise from_os_error(error, "preparing the data") from error


def _request_key(settings: DataSettings, corpus: Corpus) -> str:
    asked = json.dumps([SCHEMA, RECIPE, asdict(settings), corpus.fingerprint()], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:20]


def _find(root: Path, key: str) -> Prepared | None:
    entry = read_json(root / "index" / f"{key}.json")
    if not isinstance(entry, dict) or not (root / str(entry.get("hash")) / "manifest.json").exists():
        return None
    ready = Prepared.open(root / str(entry["hash"]))
    sizes = {name: info["bytes"] for name, info in ready.manifest["files"].items()}
    intact = all((ready.path / n).exists() and (ready.path / n).stat().st_size == s for n, s in sizes.items())
    return ready if intact else None


def _check_space(root: Path, settings: DataSettings) -> None:
    make_directory(root)
    need = sum(settings.tokens(s) for s in SPLITS) * (2 if settings.dtype == "uint16" else 4) * 11 // 10 + 8_000_000
    free = shutil.disk_usage(root).free
    if free < need:
        raise DataError(
            f"the disk is full: {root} has {free / 1e6:.0f} MB free, the data needs {need / 1e6:.0f} MB",
            "free some space, or put the cache elsewhere with --cache DIR or AUTORESEARCH_CACHE",
        )


def _build(settings: DataSettings, corpus: Corpus, work: Path, report: Progress) -> None:
    holdout = min(0.1, max(0.02, 1.5 * BYTES_PER_TOKEN * settings.val_tokens / max(corpus.size, 1)))
    stretch = SHORT_TOKEN * max(settings.stretch(split) for split in ("val", "audit"))
    twins = look_for_twins(corpus, holdout, stretch, lambda done, total, note: report("look", done, total, note))
    tokenizer_path = work / "tokenizer.json"
    if not tokenizer_path.exists():
        sample = list(_sample(corpus, twins, holdout, settings.vocab, report))
        if not sample:
            raise DataError(
                f"the corpus is empty: no text in {corpus.description}",
                "give a directory with UTF-8 text files",
            )
        report("tokenizer", 0, settings.vocab, f"{sum(map(len, sample)) / 1e6:.1f} MB of text")
        trained = bpe.train_tokenizer(iter(sample), settings.vocab)
        trained.save(str(tokenizer_path) + ".tmp", pretty=False)
        os.replace(str(tokenizer_path) + ".tmp", tokenizer_path)
    tokenizer = bpe.load_tokenizer(tokenizer_path)
    report("tokenizer", settings.vocab, settings.vocab, f"{tokenizer.get_vocab_size()} tokens and BOS")
    token_bytes = bpe.bytes_per_token(tokenizer, settings.vocab)
    with (work / "token_bytes.npy").open("wb") as file:
        np.save(file, token_bytes, allow_pickle=False)
    state = _State.load(work)
    if not state.finished:
        _encode_all(settings, corpus, twins, holdout, tokenizer, work, state, report)
    _check_enough(settings, corpus, state)
    _write_manifest(settings, corpus, work, state, token_bytes)


def _sample(corpus: Corpus, twins: Twins, holdout: float, vocab: int, report: Progress) -> Iterator[str]:
    """Train texts for the tokenizer; val and audit text must not shape the vocabulary."""
    total, limit = 0, min(max(SAMPLE_BYTES, SAMPLE_BYTES_PER_TOKEN * vocab), max(corpus.size, 1))
    for document in corpus.documents():
        if twins.split_of(document, holdout) != "train":
            continue
        yield document.text
        total += len(document.text)
        report("read", min(total, limit), limit, document.source)
        if total >= limit:
            return


@dataclass(slots=True)
class _State:
    """How far the encoding came: documents read, and per split what is safely in its file."""

    consumed: int = 0
    finished: bool = False
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    documents: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    holdout: list[str] = field(default_factory=list)  # source files of val and audit, and their twins

    @classmethod
    def load(cls, work: Path) -> _State:
        saved = read_json(work / "state.json")
        return cls(**saved) if isinstance(saved, dict) else cls()


def _encode_all(
    settings: DataSettings,
    corpus: Corpus,
    twins: Twins,
    holdout: float,
    tokenizer: Any,
    work: Path,
    state: _State,
    report: Progress,
) -> None:
    width, total = settings.sequence + 1, sum(settings.tokens(split) for split in SPLITS)
    files = {split: _open_rows(work, split, state.rows[split], width, settings.dtype) for split in SPLITS}
    wanted = {split: -(-settings.tokens(split) // settings.sequence) for split in SPLITS}  # rows
    pending: dict[str, list[NDArray[np.uint32]]] = {split: [] for split in SPLITS}
    batch: list[tuple[str, Document]] = []
    counted = dict(state.tokens)

    def enough(split: str) -> bool:
        return counted[split] >= settings.tokens(split)

    def encode_batch() -> None:
        for (split, document), ids in zip(batch, bpe.encode(tokenizer, [d.text for _, d in batch]), strict=True):
            if not len(ids) or enough(split):
                continue
            if split != "train":
                ids = ids[: settings.stretch(split)]
            pending[split].append(ids)
            counted[split] += len(ids)
            state.documents[split] += 1
            if split != "train":
                state.holdout += twins.hidden_with(document)
        batch.clear()
        done = sum(min(counted[split], settings.tokens(split)) for split in SPLITS)
        report("encode", done, total, f"{sum(counted.values()):,} tokens")

    def write_block() -> None:
        for done, split in enumerate(SPLITS):
            rows = pack(pending[split], width, bpe.bos_id(settings.vocab), seed=state.rows[split])
            rows = rows[: max(0, wanted[split] - state.rows[split])]
            files[split].write(rows.astype(settings.dtype).tobytes())
            files[split].flush()
            os.fsync(files[split].fileno())
            state.rows[split] += len(rows)
            state.tokens[split] = counted[split]
            pending[split].clear()
            report("pack", done + 1, len(SPLITS), f"{sum(state.rows.values()):,} rows")
        write_json(work / "state.json", asdict(state))

    try:
        size = 0
        for document in islice(corpus.documents(), state.consumed, None):
            state.consumed += 1
            split = twins.split_of(document, holdout)
            if enough(split):
                if all(enough(s) for s in SPLITS):
                    break
                continue
            batch.append((split, document))
            size += len(document.text)
            if size >= BATCH_BYTES:
                encode_batch()
                size = 0
                if sum(len(ids) for ids in pending["train"]) >= BLOCK_TOKENS:
                    write_block()
        encode_batch()
        state.finished = True
        write_block()
    finally:
        for file in files.values():
            file.close()


def _open_rows(work: Path, split: str, rows: int, width: int, dtype: str) -> Any:
    """The rows file, cut back to what the state says is complete, ready to append."""
    path = make_directory(work / split) / "rows.bin"
    path.touch()
    size = rows * width * np.dtype(dtype).itemsize
    os.truncate(path, min(size, path.stat().st_size))
    if path.stat().st_size < size:
        raise DataError(f"{path} is shorter than it was", f"delete {work} and prepare again")
    return path.open("ab")


def _check_enough(settings: DataSettings, corpus: Corpus, state: _State) -> None:
    for split in SPLITS:
        if state.rows[split] == 0:
            raise DataError(
                f"the corpus is too small: nothing is left for {split} "
                f"({corpus.description}: {sum(state.documents.values())} documents, "
                f"{sum(state.tokens.values()):,} tokens)",
                "give more text (a few hundred kilobytes at least), or use --corpus stdlib",
            )


def _write_manifest(
    settings: DataSettings, corpus: Corpus, work: Path, state: _State, token_bytes: NDArray[np.int32]
) -> None:
    splits = {}
    for split in SPLITS:
        shape = (state.rows[split], settings.sequence + 1)
        rows = np.memmap(work / split / "rows.bin", dtype=settings.dtype, mode="r", shape=shape)
        used = (
            np.bincount(rows.ravel(), minlength=settings.vocab) if len(rows) < 2**22 else _count(rows, settings.vocab)
        )
        used[bpe.bos_id(settings.vocab)] = 0
        splits[split] = {
            "rows": state.rows[split],
            "tokens": int(used.sum()),
            "bytes": int(used @ token_bytes.astype(np.int64)),
            "documents": state.documents[split],
        }
    write_json(work / "holdout.json", {"files": sorted(set(state.holdout))})
    names = ["tokenizer.json", "token_bytes.npy", "holdout.json", *(f"{split}/rows.bin" for split in SPLITS)]
    files = {n: {"sha256": sha256_of(work / n), "bytes": (work / n).stat().st_size} for n in names}
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "corpus": {"kind": corpus.kind, "description": corpus.description},
        "python": platform.python_version(),
        "vocab": settings.vocab,
        "bos": bpe.bos_id(settings.vocab),
        "sequence": settings.sequence,
        "dtype": settings.dtype,
        "splits": splits,
        "files": files,
    }
    manifest["hash"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    write_json(work / "manifest.json", manifest)


def _count(rows: NDArray[Any], vocab: int) -> NDArray[np.int64]:
    used = np.zeros(vocab, dtype=np.int64)
    for start in range(0, len(rows), 2**14):
        used += np.bincount(rows[start : start + 2**14].ravel(), minlength=vocab)
    return used


def _publish(root: Path, key: str, work: Path) -> Prepared:
    """Gives the finished directory its name; the same content prepared before is simply found."""
    made = Prepared.open(work)
    (work / "state.json").unlink(missing_ok=True)
    final = root / made.manifest["hash"][:20]
    with locked(root / "work" / f"{final.name}.publish.lock"):
        if final.exists() and not Prepared.open(final).broken_files():
            shutil.rmtree(work)
        else:
            if final.exists():
                shutil.rmtree(final)
            work.rename(final)
    make_directory(root / "index")
    write_json(root / "index" / f"{key}.json", {"hash": final.name})
    return Prepared.open(final)
