"""Where the wall time of a run went, and how that is said. Pure."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = ("queue", "start", "compile", "train", "evaluate", "judge")
"""the keys of a run's `detail["seconds"]`. queue: until the process was there, and at the gate; start: imports, data,
model; compile: warm-up steps; train: until the checkpoint was written; evaluate; judge: until what follows from it was
in the record"""
NO_TIME = 0.05
"""seconds below which a phase did not happen: a CPU does not compile"""


def split(
    since: Mapping[str, float],
    *,
    created: float,
    now: float,
    ended: Mapping[str, float] | None = None,
    waited: float = 0.0,
) -> dict[str, float]:
    """Seconds of each phase that has begun; judging is added by who judges.

    `since`: when each phase began, in the trainer's own words (Unix time). `ended`: the runner's clock, of a run that
    is over: `train` (the whole process, less `waited` at the gate) and `evaluate`. Whatever the trainer says, start,
    compile and train add up to the runner's `train`.
    """
    if "starting" not in since:
        return {"queue": max(0.0, now - created)}
    began = since["starting"]
    ready = since.get("waiting", since.get("training", since.get("evaluating", now)))
    compiling = min(since.get("compiling", ready), ready)
    queue = max(0.0, began - created)
    start, compile_ = max(0.0, compiling - began), max(0.0, ready - compiling)
    if ended is None:
        found = {"queue": queue, "start": start, "compile": compile_}
        if "training" in since:
            found["queue"] += max(0.0, since["training"] - ready)
            found["train"] = max(0.0, since.get("evaluating", now) - since["training"])
        if "evaluating" in since:
            found["evaluate"] = max(0.0, now - since["evaluating"])
        return found
    whole = max(0.0, ended.get("train", 0.0))
    if "training" not in since and "waiting" not in since and "compiling" not in since:
        start, compile_ = 0.0, 0.0  # a script that does not say what it does
    start = min(start, whole)
    compile_ = min(compile_, whole - start)
    return {
        "queue": queue + waited,
        "start": start,
        "compile": compile_,
        "train": whole - start - compile_,
        "evaluate": ended.get("evaluate", 0.0),
    }


def words(seconds: Mapping[str, object]) -> str:
    """`queue 0.1 s, start 1.4 s, …`; what took no time is left out. Empty where nothing is known."""
    known = [(name, seconds.get(name)) for name in NAMES]
    return ", ".join(
        f"{name} {value:.1f} s" for name, value in known if isinstance(value, int | float) and value >= NO_TIME
    )


def trainer(seconds: Mapping[str, object]) -> float:
    """Seconds of the trainer's whole process, by the runner's clock, its waiting left out."""
    found = (seconds.get(name) for name in ("start", "compile", "train"))
    return sum(float(value) for value in found if isinstance(value, int | float) and not isinstance(value, bool))
