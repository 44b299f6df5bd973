"""How much of the held-out text a trainer could read beside its own data.

Counted are the long lines of val and audit that stand in a file which the sandbox shows.

    python -m tests.bench.held_out_lines [--profile cpu] [--corpus stdlib]

Reads every file that the sandbox leaves readable, whatever its name; takes a minute.
"""

from __future__ import annotations

import argparse
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from core.runs.sandbox import places
from data.documents import LONG_LINE
from data.prepare import prepare
from data.prepared import Prepared
from data.tokenizer import load_tokenizer
from nanochat.prepare import settings_of
from nanochat.profiles import load_profile

LARGEST = 4_000_000
"""bytes of a file that is looked into: what is larger is a binary or a table"""
TWIN = 0.5
"""of the lines of a held-out stretch in one file: a copy, no boilerplate"""


def held_out_stretches(ready: Prepared) -> list[set[str]]:
    """The long lines of each row of val and audit."""
    tokenizer = load_tokenizer(ready.path / "tokenizer.json")
    bos = ready.manifest["bos"]
    rows = [row for split in ("val", "audit") for row in ready.rows(split)]
    texts = tokenizer.decode_batch([[int(token) for token in row if token != bos] for row in rows])
    stretches = ({line for raw in text.split("\n")[1:-1] if len(line := raw.strip()) >= LONG_LINE} for text in texts)
    return [lines for lines in stretches if lines]


def readable_files(ready: Prepared) -> Iterator[Path]:
    """What a trainer in its sandbox can open of Python, its packages and the system."""
    hidden = [*places.held_out(str(ready.path)), *places.needless_directories()]
    roots = places.outermost([*places.python_directories(), *places.system_directories()])
    for root in roots:
        for at, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not places.inside_any(os.path.join(at, name), hidden)]
            for name in names:
                path = Path(at, name)
                if not places.inside_any(str(path), hidden):
                    yield path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--corpus", default="stdlib")
    parser.add_argument("--prepared", help="a prepared directory, instead of the two above")
    options = parser.parse_args()
    asked = settings_of(load_profile(options.profile))
    ready = Prepared.open(options.prepared) if options.prepared else prepare(asked, options.corpus)
    stretches = held_out_stretches(ready)
    wanted = set().union(*stretches)
    found: set[str] = set()
    by_file: Counter[str] = Counter()
    twins: list[tuple[float, str]] = []
    read = 0
    for path in readable_files(ready):
        try:
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode) or not 0 < info.st_size <= LARGEST:
                continue
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        read += 1
        here = wanted & {line.strip() for line in text.split("\n")}
        if here:
            found |= here
            by_file[str(path)] = len(here)
            shares = [len(lines & here) / len(lines) for lines in stretches if len(lines) >= 4 and lines & here]
            if shares and max(shares) > TWIN:
                twins.append((max(shares), str(path)))
    print(f"{ready.path.name}: {len(stretches)} rows with {len(wanted)} different long lines; {read} readable files")
    print(f"{100 * len(found) / len(wanted):.2f} % of the lines stand in a readable file ({len(found)})")
    print(f"{len(twins)} files hold more than {TWIN:.0%} of a row's lines")
    for share, name in sorted(twins, reverse=True)[:10]:
        print(f"  {share:.0%} {name}")
    print("most lines:")
    for name, count in by_file.most_common(12):
        print(f"  {count} {name}")


if __name__ == "__main__":
    main()
