"""What a run is made and measured with, as hashes: results compare only where all of it is the same.

    harness     the frozen code around the training script     tokenizer   of the prepared data
    evaluator   the frozen code that takes the score            data        its manifest: every file's hash is in there
    profile     sizes, budget, environment of the trainer       python, torch, …   versions
    metric      and its direction, where they are not the usual

The device and its driver are in the device class beside it. Nothing is imported to find any of this, and files are
hashed again only when they have been touched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from core.config import Config

EVALUATOR = ("evaluate.py", "model_server.py", "scoring.py", "witness.py", "integrity.py")
NOT_FROZEN = ("train.py", "sample.py", "prepare.py")
"""of the package nanochat: the code under research, and what takes no part in a run"""
PACKAGES = ("torch", "numpy", "triton", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "tokenizers")
WORDS = {"harness": "the harness", "evaluator": "the evaluator", "data": "the data", "tokenizer": "the tokenizer",
         "profile": "the profile", "metric": "the metric"}  # fmt: skip
FROZEN = ("harness", "evaluator")
USUAL_METRIC = "val_bpb min"
"""left out, so that it is no part of a manifest that has always been about it"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts by name: hashes of files, versions of packages."""

    parts: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return _digest(json.dumps(dict(self.parts), sort_keys=True).encode())

    def since(self, before: Mapping[str, str]) -> str:
        """What is not as it was, in words; empty for nothing."""
        names = [name for name in {**before, **self.parts} if self.parts.get(name) != before.get(name)]
        return ", ".join(self._change(name, before.get(name, "none")) for name in names)

    def _change(self, name: str, was: str) -> str:
        return WORDS.get(name) or f"{name} {was} → {self.parts.get(name, 'none')}"


@dataclass(slots=True)
class Frozen:
    """Files that no patch can reach, hashed again only when they were touched."""

    harness: tuple[Path, ...]
    evaluator: tuple[Path, ...]
    commands: str = ""
    _known: dict[Path, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def parts(self) -> dict[str, str]:
        """The hash of each half."""
        lists = {"harness": self.harness, "evaluator": self.evaluator}
        return {
            name: _digest("\n".join([self.commands, *(f"{p.name} {self.of(p)}" for p in paths)]).encode())
            for name, paths in lists.items()
        }

    def files(self) -> dict[str, str]:
        """Path -> hash of every file."""
        return {str(path): self.of(path) for path in (*self.harness, *self.evaluator)}

    def of(self, path: Path) -> str:
        """The hash of one file; `missing` where it cannot be read."""
        try:
            there = path.stat()
            stamp = (there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
            if self._known.get(path, ((), ""))[0] != stamp:
                self._known[path] = (stamp, _digest(path.read_bytes()))
        except OSError:
            return "missing"
        return self._known[path][1]


def frozen(config: Config, lab: Path) -> Frozen:
    """The frozen code of a target: the installed package, or the files that a target's own commands name; `lab` is what
    they may call `{lab}`.
    """
    target = config.target
    commands = json.dumps([[Path(part).name if part.startswith("/") else part for part in command] for command in (
        target.train, target.evaluate
    )])  # fmt: skip
    train, evaluate = _named(target.train, lab), _named(target.evaluate, lab)
    if not target.source or "nanochat.evaluate" in target.evaluate:
        package = _package("nanochat")
        evaluator = [package / name for name in EVALUATOR]
        train += sorted(p for p in package.glob("*.py") if p.name not in NOT_FROZEN and p not in evaluator)
        train.append(_package("data") / "prepared.py")
        if "nanochat.evaluate" in target.evaluate:
            evaluate = evaluator
    return Frozen(tuple(train), tuple(evaluate), commands)


def read(code: Frozen, config: Config, *, data: str, profile: Mapping[str, Any]) -> Manifest:
    """The manifest of a run that started now; `data`: the prepared directory, `profile`: as it was described."""
    trained = {"profile": dict(profile), "sizes": config.target.sizes, "environment": config.runs.environment}
    parts = {
        **code.parts(),
        **_prepared(Path(data) if data else None),
        "profile": _digest(json.dumps(trained, sort_keys=True, default=str).encode()),
        "python": ".".join(platform.python_version_tuple()[:2]),
        **versions(),
    }
    if (metric := f"{config.target.metric} {config.target.direction}") != USUAL_METRIC:
        parts["metric"] = metric
    return Manifest(parts)


def versions() -> dict[str, str]:
    """The installed packages that results depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _prepared(folder: Path | None) -> dict[str, str]:
    """Hashes of the prepared data, as its own manifest has them."""
    if folder is None:
        return {}
    try:
        body = (folder / "manifest.json").read_bytes()
        files = json.loads(body)["files"]
        tokenizer = str(files["tokenizer.json"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):  # a target's own data: its directory is all that is known
        return {"data": folder.name}
    return {"tokenizer": tokenizer, "data": _digest(body)}


def _named(command: Iterable[str], lab: Path) -> list[Path]:
    parts = [part.replace("{lab}", str(lab)) for part in command]
    return [Path(part) for part in parts if part.startswith("/") and Path(part).is_file()]


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
