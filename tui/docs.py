"""Keeps the README true: `python -m tui.docs` rewrites its generated parts, `--check` fails when they are stale.

`--screenshot LAB` draws the Review screen of a real lab, by the app itself, into docs/review.svg.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tui.actions import markdown

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SCREENSHOT = ROOT / "docs" / "review.svg"
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Textual names a font on somebody's server; the reader's own monospace font does"""
KEYS = re.compile(r"(<!-- keys: make docs -->\n).*?(<!-- /keys -->)", re.DOTALL)


def fresh(text: str) -> str:
    """The README with its generated parts made anew."""
    return KEYS.sub(lambda found: f"{found[1]}{markdown().rstrip()}\n{found[2]}", text)


async def screenshot(lab: Path, *, columns: int = 140, rows: int = 40, seconds: float = 4.0) -> None:
    """Save the screen of a lab as it is now; it is only read."""
    from core.lab import find
    from tui.app import AutoresearchApp

    app = AutoresearchApp(find(lab), read_only=True)
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause(seconds)
        SCREENSHOT.parent.mkdir(exist_ok=True)
        picture = FONT.sub("", app.export_screenshot(title="autoresearch-tui"))
        SCREENSHOT.write_text(picture, encoding="utf-8")


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--screenshot"]:
        asyncio.run(screenshot(Path(arguments[1])))
        return 0
    text = README.read_text(encoding="utf-8")
    new = fresh(text)
    if "--check" in arguments:
        return 0 if new == text else 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
