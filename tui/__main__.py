"""`autoresearch-tui`, and `python -m tui`."""

from __future__ import annotations

import sys


def main() -> None:
    """The program's entry: every error a person can act on ends here, as words and an exit code."""
    from tui.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
