"""Keeps the tables of keys true: `python -m tui.docs` writes them anew, `--check` fails when they are stale.

`--screenshot LAB [SCREEN …]` draws screens of a real lab, by the app itself, into docs/SCREEN.svg, or with `--into DIR`
before the names into that folder.
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
FIRST = ("decide", "lab", "screen")
"""groups of keys that the README shows"""
EVERY_KEY = ROOT / "docs" / "keys.md"
PICTURES = ROOT / "docs"
SHOWN = ("review", "experiments", "compare", "live")
"""screens that the README shows"""
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Textual names a font on somebody's server; the reader's own monospace font does"""
KEYS = re.compile(r"(<!-- keys: make docs -->\n).*?(<!-- /keys -->)", re.DOTALL)
ABOUT_KEYS = """# Every key

Made by `make docs` from `tui/actions.py`, where footer, help and palette come from too. `[screen.keymap]` of a lab's
`autoresearch.toml` gives each another key; `python -m tui.actions --ids` lists the names. `:` finds all of it by words.
"""


def fresh() -> dict[Path, str]:
    """What should stand in each generated file."""
    readme = README.read_text(encoding="utf-8")
    return {
        README: KEYS.sub(lambda found: f"{found[1]}{markdown(FIRST)}\n{found[2]}", readme),
        EVERY_KEY: f"{ABOUT_KEYS}\n{markdown()}\n",
    }


async def screenshot(
    lab: Path, places: Sequence[str], *, into: Path = PICTURES, columns: int = 140, rows: int = 40, seconds: float = 4.0
) -> None:
    """Save screens of a lab as they are now; it is only read."""
    from core.lab import find
    from core.models import Verdict
    from tui.app import AutoresearchApp
    from tui.screens.go import Go

    app = AutoresearchApp(find(lab))
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause(seconds)
        kept = [row.id for row in app.client.snapshot.history if row.verdict is Verdict.KEEP]
        into.mkdir(exist_ok=True)
        for place in places:
            app.post_message(Go(place, tuple(kept[:3]) if place == "compare" else ()))
            await pilot.pause(seconds)
            picture = FONT.sub("", app.export_screenshot(title="autoresearch-tui"))
            (into / f"{place}.svg").write_text(picture, encoding="utf-8")


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--screenshot"]:
        lab, *places = arguments[1:]
        into = PICTURES
        if places[:1] == ["--into"]:
            into, places = Path(places[1]), places[2:]
        asyncio.run(screenshot(Path(lab), places or SHOWN, into=into))
        return 0
    for path, text in fresh().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            return 1
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
