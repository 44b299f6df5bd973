"""`autoresearch-tui`, and `python -m tui`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """The program's entry: every error a person can act on ends here, as words and an exit code."""
    # pydantic would look through every installed package for plugins of its own: 60 ms of each start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # modules are no garbage, and to look for some among them takes a twentieth of a start
    from tui.cli import run

    gc.enable()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
