"""Keeps the README's generated parts true: `python -m tui.docs` rewrites them, `--check` fails when they are stale."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tui.actions import markdown

README = Path(__file__).resolve().parent.parent / "README.md"
KEYS = re.compile(r"(<!-- keys: make docs -->\n).*?(<!-- /keys -->)", re.DOTALL)


def fresh(text: str) -> str:
    """The README with its generated parts made anew."""
    return KEYS.sub(lambda found: f"{found[1]}{markdown().rstrip()}\n{found[2]}", text)


def main() -> int:
    text = README.read_text(encoding="utf-8")
    new = fresh(text)
    if "--check" in sys.argv[1:]:
        return 0 if new == text else 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
