"""`python -m core.engine LAB`: the detached engine. `autoresearch-tui` starts it; people use `autoresearch-tui run`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from core.engine.engine import work
from core.errors import LabError
from core.lab import find


def main() -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        return work(find(Path(sys.argv[1])))
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
