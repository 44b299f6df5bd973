"""Keeps the README true: `python -m tui.docs` rewrites its generated parts, `--check` fails when they are stale.

`--screenshot LAB [SCREEN …]` draws screens of a real lab, by the app itself, into docs/SCREEN.svg.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tui.actions import markdown

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PICTURES = ROOT / "docs"
SHOWN = ("review", "experiments", "compare", "live")
"""screens that the README shows"""
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Textual names a font on somebody's server; the reader's own monospace font does"""
KEYS = re.compile(r"(<!-- keys: make docs -->\n).*?(<!-- /keys -->)", re.DOTALL)


def fresh(text: str) -> str:
    """The README with its generated parts made anew."""
    return KEYS.sub(lambda found: f"{found[1]}{markdown().rstrip()}\n{found[2]}", text)


async def screenshot(
    lab: Path, places: Sequence[str], *, columns: int = 140, rows: int = 40, seconds: float = 4.0
) -> None:
    """Save screens of a lab as they are now; it is only read."""
    from core.lab import find
    from core.models import Verdict
    from tui.app import AutoresearchApp
    from tui.screens.places import Go

    app = AutoresearchApp(find(lab), read_only=True)
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause(seconds)
        kept = [row.id for row in app.client.snapshot.history if row.verdict is Verdict.KEEP]
        PICTURES.mkdir(exist_ok=True)
        for place in places:
            app.post_message(Go(place, tuple(kept[:3]) if place == "compare" else ()))
            await pilot.pause(seconds)
            picture = FONT.sub("", app.export_screenshot(title="autoresearch-tui"))
            (PICTURES / f"{place}.svg").write_text(picture, encoding="utf-8")


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--screenshot"]:
        asyncio.run(screenshot(Path(arguments[1]), arguments[2:] or SHOWN))
        return 0
    text = README.read_text(encoding="utf-8")
    new = fresh(text)
    if "--check" in arguments:
        return 0 if new == text else 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
