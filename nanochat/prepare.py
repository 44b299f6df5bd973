"""Prepare data for a profile: `python -m nanochat.prepare --profile cpu --corpus stdlib`.

On a terminal it draws bars; otherwise every line on stdout is a JSON object: progress, then `ready` or
`error`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from data.errors import DataError
from data.prepare import DataSettings, prepare
from data.prepared import Prepared
from nanochat.profiles import PROFILES, Profile, ProfileError, load_profile

REPORT_EVERY = 0.2  # seconds
BAR = 28  # characters


def settings_of(profile: Profile) -> DataSettings:
    return DataSettings(profile.vocab, profile.sequence, profile.train_tokens, profile.eval_tokens, profile.eval_tokens)


class Reporter:
    """Progress as JSON lines, or as one bar a stage on a terminal; at most five a second, and each stage's end."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.stage = ""
        self.last = 0.0

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if stage == self.stage and done < total and now - self.last < REPORT_EVERY:
            return
        if self.terminal:
            if stage != self.stage and self.stage:
                print()
            filled = BAR * done // max(total, 1)
            note = "".join(c if c.isprintable() else "?" for c in note)[-40:]
            print(
                f"\r{stage:>10} {'━' * filled}{' ' * (BAR - filled)} {100 * done // max(total, 1):3d}% {note:40}",
                end="",
            )
            sys.stdout.flush()
        else:
            print(json.dumps({"stage": stage, "done": done, "total": total, "note": note}), flush=True)
        self.stage, self.last = stage, now


def ready_line(ready: Prepared) -> dict[str, Any]:
    splits = ready.manifest["splits"]
    return {
        "ready": str(ready.path),
        "hash": ready.manifest["hash"],
        "train_tokens": splits["train"]["tokens"],
        "val_tokens": splits["val"]["tokens"],
        "audit_tokens": splits["audit"]["tokens"],
        "documents": sum(split["documents"] for split in splits.values()),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nanochat.prepare", description="Prepare data for a profile.")
    parser.add_argument("--profile", default="cpu", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument(
        "--corpus", default="stdlib", help="stdlib, a directory, parquet shards, or hf:OWNER/REPO[/path]"
    )
    parser.add_argument("--cache", help="where prepared data is kept (default: $AUTORESEARCH_CACHE)")
    parser.add_argument("--overrides", help="a JSON object of profile fields to change")
    options = parser.parse_args(arguments)
    report = Reporter()
    try:
        overrides = json.loads(options.overrides or "{}")
        if not isinstance(overrides, dict):
            raise ProfileError("--overrides must be a JSON object")
        profile = load_profile({"name": options.profile, **overrides})
        ready = prepare(settings_of(profile), options.corpus, options.cache, report)
    except KeyboardInterrupt:
        print("\ninterrupted: what was done is kept, run it again to go on", file=sys.stderr)
        return 130
    except (DataError, ProfileError, json.JSONDecodeError) as error:
        message, hint = str(error), getattr(error, "hint", "")
        if report.terminal:
            print()
        else:
            print(json.dumps({"error": message, "hint": hint}), flush=True)
        print(f"error: {message}" + (f"\n  {hint}" if hint else ""), file=sys.stderr)
        return 1
    line = ready_line(ready)
    if report.terminal:
        print(f"\n     ready {line['train_tokens']:,} train tokens, {line['documents']:,} documents: {line['ready']}")
    else:
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
