"""A prepared directory, read back: the manifest and the memory-mapped rows.

manifest.json   what this is: corpus, sizes, hashes      train/rows.bin   rows of T + 1 tokens
tokenizer.json  the BPE                                  val/rows.bin     (the trainer's sandbox has
token_bytes.npy bytes of text per token                  audit/rows.bin    neither of these two)
holdout.json    the source files of val and audit, for the sandbox to mask
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared directory and its manifest; opening it reads nothing else."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Prepared:
        """Raises DataError when there is no manifest, it is no JSON, or of another schema."""
        path = Path(path)
        try:
            manifest = json.loads((path / "manifest.json").read_text())
        except FileNotFoundError:
            raise DataError(f"no prepared data in {path}", "run: python -m nanochat.prepare") from None
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {path / 'manifest.json'}: {error}", "delete it and prepare again") from error
        if manifest.get("schema") != SCHEMA:
            raise DataError(
                f"{path} was prepared with schema {manifest.get('schema')}, this version reads {SCHEMA}",
                "prepare the data again",
            )
        return cls(path, manifest)

    @property
    def vocab(self) -> int:
        return int(self.manifest["vocab"])

    @property
    def sequence(self) -> int:
        return int(self.manifest["sequence"])

    def rows(self, split: str) -> NDArray[Any]:
        """The rows (n, T + 1) of a split, memory-mapped and read-only."""
        info, file = self.manifest["splits"][split], self.path / split / "rows.bin"
        shape = (int(info["rows"]), self.sequence + 1)
        try:
            return np.memmap(file, dtype=self.manifest["dtype"], mode="r", shape=shape)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot map {file}: {error}", "delete the prepared directory and prepare again") from error

    def token_bytes(self) -> NDArray[np.int32]:
        """Bytes of text per token id, (V,)."""
        return np.load(self.path / "token_bytes.npy", allow_pickle=False)  # type: ignore[no-any-return]

    def broken_files(self, *names: str) -> list[str]:
        """The files (all in the manifest when none is named) whose hash is not the manifest's."""
        files = self.manifest["files"]
        return [name for name in (names or files) if sha256_of(self.path / name) != files[name]["sha256"]]


def sha256_of(path: Path) -> str:
    """Hex digest of a file, or "missing"."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"
