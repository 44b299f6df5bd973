"""A small corpus of real text for tests that prepare data and train."""

from __future__ import annotations

import sysconfig
from pathlib import Path

PACKAGES = ("asyncio", "email", "json", "logging", "unittest", "xml", "concurrent", "http")


def small_corpus(directory: Path) -> Path:
    """Fills a directory with 2.6 MB: a few packages of the standard library, as files of their own."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    for source in (source for package in PACKAGES for source in sorted((stdlib / package).rglob("*.py"))):
        target = directory / source.relative_to(stdlib)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    return directory
