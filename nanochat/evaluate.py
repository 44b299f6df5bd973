"""Evaluate a run's checkpoint: `python -m nanochat.evaluate`, in a process of its own. Frozen.

    AR_SRC    directory with train.py      AR_OUT       the trainer's output, only read
    AR_DATA   prepared data with the split AR_EVAL_OUT  where result.json goes
    AR_SPLIT  val (default) or audit       AR_PROFILE, AR_DEVICE, as for the trainer
    AR_MODEL_SANDBOX  (optional) a JSON list: the command to run the model's process under

This process holds the data and takes the score; the candidate's code runs in two others (model_server.py), which get
tokens and give logits: one for the score, and one to compare it with (witness.py). A candidate that breaks the contract
gets a result that is `void`, with the reason, and exit code 0. An exit code of 1 is a failure of this program or of the
machine, with a traceback.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from data.prepared import Prepared
from nanochat.device import cpu_multiplies_bfloat16
from nanochat.profiles import Profile, describe, load_profile
from nanochat.scoring import Scorer, Void, bits_per_byte, score
from nanochat.witness import Probe, watch

REPEAT_TOLERANCE = 1e-3  # nats: rows scored a second time must score the same


def evaluate(
    src: Path,
    out: Path,
    data: Prepared,
    profile: Profile,
    device: str = "cpu",
    split: str = "val",
    audit: bool = False,
    sandbox: Sequence[str] = (),
) -> dict[str, Any]:
    """The result object. Raises Void for a candidate that broke the contract; other errors are not the candidate's."""
    began = time.perf_counter()
    batch = min(profile.eval_rows, int(data.manifest["splits"][split]["rows"]))
    described = {name: value for name, value in describe(profile).items() if name != "env"}
    spec: dict[str, Any] = {"src": str(src), "out": str(out), "profile": described, "device": device}
    spec |= {"batch": batch, "sequence": profile.sequence, "vocab": profile.vocab}
    other = spec | {"seed": 1}  # of the witness: a model that draws lots draws others there
    spec |= {"seed": 0}
    command = [*sandbox, sys.executable, "-m", "nanochat.model_server"]
    half = device != "cpu" or cpu_multiplies_bfloat16()
    with ExitStack() as servers:
        scorer = servers.enter_context(Scorer(command, spec, half))
        # on a GPU it loads nothing until it is asked, when the first is gone: two might not fit
        witness = servers.enter_context(Scorer(command, other, half))
        rows, token_bytes, size = load_split(data, split)  # while the other processes start
        parameters = scorer.wait_until_ready()
        scoring = time.perf_counter()
        generator = np.random.default_rng([int.from_bytes(os.urandom(8), "little")])
        losses = score(scorer, rows, generator)
        finish(scorer)  # it is gone before the witness hears a word, and can tell it nothing
        scored = time.perf_counter()
        witness.wait_until_ready()
        watching = time.perf_counter()
        probe = watch(witness, rows, losses, data.rows("train"), generator, audit)
        finish(witness)
    if probe.drift > REPEAT_TOLERANCE:
        raise Void("the same tokens got another score the second time: the model remembers, is random or mixes rows")
    counted = token_bytes[rows[:, 1:]] > 0  # BOS stands for no text and is not scored
    nats = float((losses * counted).sum(axis=1).sum())
    return {
        "metric": {f"{split}_bpb": bits_per_byte(nats, size)} if probe.ok else {},
        "tokens": int(counted.sum()),
        "bytes": size,
        "seconds": round(scored - scoring + time.perf_counter() - watching, 3),
        "startup_seconds": round(scoring - began + watching - scored, 3),
        "causality": {
            **{"ok": probe.ok, "worst": probe.worst, "peak": probe.peak, "edge": probe.edge},
            "form": "audit" if audit else "probe",
        },
        "void": None if probe.ok else _leak(probe),
        "parameters": parameters,
    }


def finish(server: Scorer) -> None:
    """Asks a server what became of its process, and ends it. Raises Void when it is not what it was."""
    end = server.end()
    server.close()
    if replaced := end.get("replaced"):
        raise Void(f"train.py replaced {replaced[0]}" + (f" and {len(replaced) - 1} more" if len(replaced) > 1 else ""))
    if modes := end.get("modes"):
        raise Void(f"train.py left a torch mode switched on: {modes[0]}")


def load_split(data: Prepared, split: str) -> tuple[Any, Any, int]:
    """Rows (n, T + 1), bytes per token (V,), and the bytes of text in all rows, which the manifest has pinned."""
    name = f"{split}/rows.bin"
    broken = data.broken_files(name, "token_bytes.npy")
    if broken:
        raise RuntimeError(f"the prepared data was changed: {', '.join(broken)}")
    rows, token_bytes = np.array(data.rows(split)), data.token_bytes()
    size = int(token_bytes[rows[:, 1:]].sum(dtype=np.int64))
    if size != data.manifest["splits"][split]["bytes"]:
        raise RuntimeError(f"{name} holds {size} bytes of text, the manifest says otherwise")
    return rows, token_bytes, size


def _leak(probe: Probe) -> str:
    return (
        "the model sees the future: changing later tokens changed the loss of earlier ones "
        f"(by {probe.edge:+.4f} nats right before the change on average, {probe.peak:.3f} at worst)"
    )


def write_result(path: Path, result: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(result) + "\n")
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nanochat.evaluate", description="Score a run's checkpoint.")
    parser.add_argument(
        "--audit-form", action="store_true", help="score chunk by chunk too (always for the audit split)"
    )
    options = parser.parse_args(arguments)
    try:
        src, out, prepared, eval_out = (Path(os.environ[f"AR_{name}"]) for name in ("SRC", "OUT", "DATA", "EVAL_OUT"))
        split = os.environ.get("AR_SPLIT", "val")
        if split not in ("val", "audit"):
            raise ValueError(f"AR_SPLIT must be val or audit, not {split!r}")
        profile = load_profile(os.environ.get("AR_PROFILE", "cpu"))
        device, sandbox = os.environ.get("AR_DEVICE", "cpu"), json.loads(os.environ.get("AR_MODEL_SANDBOX", "[]"))
        audit = options.audit_form or split == "audit"
        eval_out.mkdir(parents=True, exist_ok=True)
        try:
            result = evaluate(src, out, Prepared.open(prepared), profile, device, split, audit, sandbox)
        except Void as error:
            result = {"metric": {}, "tokens": 0, "bytes": 0, "seconds": 0.0, "startup_seconds": 0.0,
                      "causality": None, "void": str(error), "parameters": None}  # fmt: skip
        write_result(eval_out / "result.json", result)
    except Exception:  # the edge: anything that is not the candidate's is said with its traceback
        traceback.print_exc()
        return 1
    scores = " ".join(f"{name}={value:.6f}" for name, value in result["metric"].items())
    print(scores or f"void: {result['void']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
