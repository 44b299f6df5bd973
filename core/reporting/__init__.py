"""A lab as something to pass on: one HTML file, the same as Markdown, and progress.png.

`gather` reads the record into plain values, `claims` says what may be claimed, `words` puts it into sentences,
`picture` and `plot` draw, `html` and `markdown` set it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import LabError
from core.lab import Lab
from core.reporting.gather import Report, gather, record_of

__all__ = ["Report", "Written", "gather", "record_of", "write"]


@dataclass(frozen=True, slots=True)
class Written:
    """The files of one report, and its claim."""

    html: Path
    markdown: Path
    png: Path
    headline: str


def write(lab: Lab, out: Path | None = None, *, now: Callable[[], float] = time.time) -> Written:
    """Write a lab's report into a directory (`report/` in the lab where none is named). The record is only read.

    Raises:
        LabError: there is no record, or the directory cannot be written.
    """
    from core.reporting.html import page
    from core.reporting.markdown import document
    from core.reporting.picture import picture
    from core.reporting.plot import png
    from core.reporting.words import headline

    reader = record_of(lab)
    try:
        report = gather(lab, reader, now=now())
    finally:
        reader.close()
    folder = out or lab.root / "report"
    written = Written(folder / "report.html", folder / "report.md", folder / "progress.png", headline(report))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(written.png, lambda path: png(picture(report), path))
        _replace(written.html, lambda path: _text(path, page(report)))
        _replace(written.markdown, lambda path: _text(path, document(report)))
    except OSError as error:
        raise LabError(
            f"the report cannot be written to {folder}: {error.strerror or error}", hint="--out DIR names another place"
        ) from error
    return written


def _text(path: Path, body: str) -> None:
    path.write_text(body, encoding="utf-8")


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    """Write beside, then rename: a reader never finds half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        make(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
