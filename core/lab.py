"""A lab is one directory; this is its front door: where everything lies, making one, opening one."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import LabError

if TYPE_CHECKING:  # pydantic behind it is a third of a start: only who reads the configuration imports it
    from core.config import Config

CONFIG_FILE = "autoresearch.toml"


@dataclass(frozen=True, slots=True)
class Lab:
    """Where everything of one lab lies."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def config_file(self) -> Path:
        return self.root / CONFIG_FILE

    @property
    def program(self) -> Path:
        return self.root / "program.md"

    @property
    def database(self) -> Path:
        return self.root / "lab.db"

    @property
    def socket(self) -> Path:
        return self.root / "engine.sock"

    @property
    def lock(self) -> Path:
        return self.root / "engine.lock"

    @property
    def log(self) -> Path:
        return self.root / "engine.log"

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def caches(self) -> Path:
        return self.root / "caches"

    def run_directory(self, run_id: int) -> Path:
        return self.runs / f"{run_id:06d}"

    def exists(self) -> bool:
        return os.path.exists(self.config_file)  # a name that no file system takes is not there either

    def load_config(self) -> Config:
        from core.config import load

        return load(self.config_file)


def find(path: Path) -> Lab:
    """The lab in a directory that must already hold one.

    Raises:
        LabError: there is none.
    """
    lab = Lab(Path(os.path.abspath(path)))
    if not lab.exists():
        raise LabError(f"{path} is not a lab (no {CONFIG_FILE} in it)", hint=f"autoresearch-tui init {path}")
    return lab


def create(path: Path, *, profile: str, corpus: str = "stdlib", sizes: Mapping[str, int] | None = None) -> Lab:
    """Make a lab directory for the built-in target; the engine makes repository and database at its first start.

    `sizes`: single values of the profile, changed for this machine.

    Raises:
        LabError: something else is already there, or the directory cannot be written.
    """
    from core.config import render

    lab = Lab(Path(os.path.abspath(path)))
    if lab.exists():
        raise LabError(f"{path} already holds a lab", hint=f"autoresearch-tui {path} opens it")
    if corpus != "stdlib" and not corpus.startswith("hf:"):
        corpus = os.path.abspath(corpus)
        if not os.path.isdir(corpus):
            raise LabError(f"no such corpus directory: {corpus}", hint="--corpus stdlib needs nothing")
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise LabError(
                f"{path} exists and is not an empty directory", hint="choose another name; nothing was changed"
            )
        lab.root.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target_source() / "program.md", lab.program)
        lab.runs.mkdir()
        temporary = lab.config_file.with_suffix(".tmp")
        text = render(profile, corpus)
        if sizes:
            values = "".join(f"{name} = {value}\n" for name, value in sizes.items())
            text += f"\n[target.sizes]             # of the profile, changed for this machine\n{values}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(lab.config_file)  # last: from now on it is a lab
    except OSError as error:
        raise LabError(f"{path} cannot be written: {error.strerror}", hint="choose another directory") from error
    return lab


def target_source() -> Path:
    """Where the built-in target's files are installed; found without importing them."""
    spec = importlib.util.find_spec("nanochat")
    if spec is None or spec.origin is None:
        raise LabError("the built-in target (package nanochat) is not installed", hint="pip install autoresearch-tui")
    return Path(spec.origin).parent
