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
    trained: bool = False,
) -> dict[str, float]:
    """Seconds of each phase that has begun; judging is added by who judges.

    `since`: when each phase began, in the trainer's own words (Unix time). `ended`: the runner's clock, of a run that
    is over: `train` (the whole process, less `waited` at the gate) and `evaluate`. Whatever the trainer says, start,
    compile and train add up to the runner's `train`, where there is one: a runner that was told to stop has none.
    `trained`: something else shows that it did, a result or a curve. Where nothing does, what is left of the process
    belongs to the phase that it had come to.
    """
    if "starting" not in since:
        return {"queue": max(0.0, now - created)}
    began, over = since["starting"], since.get("evaluating", now)
    ready = since.get("waiting", since.get("training", over))
    compiling = min(since.get("compiling", ready), ready)
    start, compile_ = max(0.0, compiling - began), max(0.0, ready - compiling)
    held = max(0.0, since.get("training", over) - ready) if "waiting" in since else 0.0
    if ended and "train" in ended:
        whole, held = max(0.0, ended["train"]), waited
    else:
        whole = max(0.0, over - began - held)
    found = {"queue": max(0.0, began - created) + held}
    if trained or "training" in since or "evaluating" in since:
        if not {"training", "waiting", "compiling"} & since.keys():
            start = 0.0  # a script that does not say what it does
        found["start"] = min(start, whole)
        found["compile"] = min(compile_, whole - found["start"])
        found["train"] = whole - found["start"] - found["compile"]
    else:
        found["start"] = min(start, whole) if "compiling" in since else whole
        found["compile"] = whole - found["start"]
    if "evaluating" in since or ended:
        found["evaluate"] = (ended or {}).get("evaluate", max(0.0, now - over))
    return found


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
