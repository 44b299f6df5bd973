"""How the code under research is started: commands and environments of the trainer and the evaluator.

The environment is an allow-list: nothing of the engine's own (keys, tokens, proxies) reaches code that a model wrote.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.config import Config
from core.lab import Lab
from core.runs import caches, gate
from core.runs.local import Child
from core.runs.sandbox import Sandbox, Tier
from core.runs.sandbox.places import data_for, held_out

INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH")
BUILT_IN = "nanochat.evaluate"


def fill(config: Config, lab: Lab, argv: Sequence[str]) -> list[str]:
    """A command with its placeholders filled in."""
    values = {
        "python": sys.executable,
        "profile": config.target.profile,
        "corpus": config.target.corpus,
        "lab": str(lab.root),
    }
    return [_filled(part, values) for part in argv]


def _filled(part: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        part = part.replace("{" + name + "}", value)
    return part


def profile_argument(config: Config) -> str:
    """What AR_PROFILE says: the profile's name, or a JSON object where single sizes are changed."""
    sizes = config.target.sizes
    return json.dumps({"name": config.target.profile, **sizes}) if sizes else config.target.profile


def waits_at_gate(config: Config) -> bool:
    """Whether the training code knows of the gate: the built-in harness does."""
    return config.target.waits_at_gate or not config.target.source


def children(
    config: Config,
    lab: Lab,
    directory: Path,
    *,
    device: str,
    seed: int,
    split: str,
    data: str,
    profile: Mapping[str, Any],
    seconds: float,
    sandbox: Sandbox,
    gated: bool = False,
    checkpoint: Path | None = None,
) -> tuple[Child, Child | None]:
    """The trainer and the evaluator of one run in `directory`, each in a sandbox of its own.

    `gated`: the trainer waits at the run's gate (core/runs/gate.py) before its clock starts. `checkpoint`: the `out/`
    that the evaluator reads, where it is another run's.
    """
    common = {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **{str(k): str(v) for k, v in dict(profile.get("env") or {}).items()},
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AR_OUT": str(checkpoint or directory / "out"),
        "AR_DATA": data,
        "AR_PROFILE": profile_argument(config),
        "AR_DEVICE": device,
        "AR_SEED": str(seed),
        **config.runs.environment,
    }
    trainer = Child(
        fill(config, lab, config.target.train),
        cwd=str(directory / "src"),
        env={**common, "HOME": str(directory / "out"), **({"AR_GATE": str(gate.word(directory))} if gated else {})},
        seconds=seconds,
    )
    source, hidden, readable = str(directory / "src"), held_out(data), config.sandbox.readable
    trainer = sandbox.wrap(
        trainer,
        readable=[source, *data_for(data, "train"), *readable, *([str(gate.word(directory).parent)] if gated else [])],
        writable=[str(directory / "out")],
        hidden=hidden,
        device=device,
        compiled=str(caches.own(directory)),
    )
    if not config.target.evaluate:
        return trainer, None
    measured, written = str(directory / "eval"), [source, common["AR_OUT"], *readable]
    evaluator = Child(
        fill(config, lab, config.target.evaluate),
        cwd=measured,
        env={**common, "HOME": measured, "AR_SRC": source, "AR_EVAL_OUT": measured, "AR_SPLIT": split},
        seconds=config.runs.evaluate_seconds,
    )
    if BUILT_IN not in config.target.evaluate:  # somebody's own: it may well import the candidate's code
        readable = [*written, *data_for(data, split)]
        return trainer, sandbox.wrap(evaluator, readable=readable, writable=[measured], hidden=hidden, device=device)
    # the built-in one holds the data and the score, and runs the candidate's code in a process of its own, which
    # sees neither: the sandbox is for that one
    env = {name: value for name, value in common.items() if name not in ("AR_DATA", "AR_OUT")}
    model = Child([], cwd="/", env={**env, "HOME": "/tmp"}, seconds=0)
    inside = sandbox.wrap(model, readable=written, hidden=hidden, device=device).argv
    outside = Sandbox(Tier.NONE, "", gpus=sandbox.gpus).wrap(evaluator, writable=[measured], device=device)
    return trainer, replace(outside, env={**outside.env, "AR_MODEL_SANDBOX": json.dumps(list(inside))})
