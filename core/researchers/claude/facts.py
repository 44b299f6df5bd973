"""What the prompt needs beside the situation, read from the record once for a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from core import config
from core.models import CHAMPION_PURPOSES, Decision, Review, Run, RunState
from core.researchers.base import Situation
from core.researchers.claude.desk import Desk
from core.researchers.claude.question import Asked, Question
from core.store import Reader
from core.text import number, one_line

NOTEBOOK = "notebook"
EDITS = 3
"""a human's changes of patches that are told, the newest"""
SIZES = 24
"""values of a profile that are told"""
COUNTED = {
    "steps": (1, " steps"), "tokens": (1e6, " million tokens"), "parameters": (1e6, " million parameters"),
    "peak_memory_bytes": (1e9, " GB of memory"), "train_seconds": (1, " s of training"),
}  # fmt: skip
"""what a run's summary says of its size -> (unit, words)"""


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers and texts of the record."""

    noise: Mapping[str, float | None]
    """sigma, df, low, high of the first device's class; empty before it is measured"""
    device: str
    champion: float | None
    """the champion's metric, and in how many runs it was measured"""
    champion_runs: int
    baseline: float | None
    """the metric of the code before any experiment"""
    bench: str
    """what one run is: sizes, budget, steps, memory"""
    readable: Sequence[str]
    """files that can be read and not changed"""
    edits: Sequence[tuple[Review, str, str]]
    """a human's changes of a patch: the review, the patch as proposed, the patch as approved; newest first"""
    notebook: Sequence[str]
    z: float
    confirmations: int
    """the most fresh seeds an experiment gets"""
    traceback: str = ""
    """of the crash to repair"""
    crashed_patch: str = ""


def read_facts(reader: Reader, desk: Desk, situation: Situation, asked: Question, judging: config.Judging) -> Facts:
    """The facts for one question."""
    devices = reader.setting("devices", [])
    device = str(devices[0].get("class", "this device")) if devices else "this device"
    own = measured(reader, situation.champion, device)
    kept = next((e for e in situation.history if e.commit_sha == situation.champion), None)
    lineage = reader.champions()
    first = measured(reader, lineage[0].commit_sha, device) if len(lineage) > 1 else []
    edited = [
        review
        for reviews in situation.reviews.values()
        for review in reviews
        if review.decision is Decision.APPROVE_EDITED
    ]
    newest = sorted(edited, key=lambda review: review.id, reverse=True)[:EDITS]
    crashed = asked.experiment if asked.asked is Asked.REPAIR else None
    return Facts(
        noise=reader.setting("noise", {}).get(device, {}),
        device=device,
        champion=mean(own) if own else kept.metric if kept else None,
        champion_runs=len(own),
        baseline=mean(first) if first else None,
        bench=bench(device, reader.setting("profile", {}), own[-1] if own else None),
        readable=desk.shelf.names,
        edits=[(r, reader.patch(r.patch_sha256) or "", reader.patch(r.approved_sha256 or "") or "") for r in newest],
        notebook=[str(note) for note in reader.setting(NOTEBOOK, [])],
        z=judging.z,
        confirmations=judging.max_confirmations,
        traceback=desk.traceback(crashed.id) if crashed else "",
        crashed_patch=(reader.patch(crashed.patch_sha256 or "") or "") if crashed else "",
    )


def measured(reader: Reader, commit: str, device: str) -> list[Run]:
    """Runs of a champion that were made to measure it: no audit, no other scale, none it was chosen by."""
    return [
        run
        for run in reader.runs(commit_sha=commit)
        if run.purpose in CHAMPION_PURPOSES
        and run.experiment_id is None
        and run.state is RunState.FINISHED
        and run.device_class == device
        and run.metric is not None
    ]


def mean(runs: Sequence[Run]) -> float:
    return fmean(run.metric for run in runs if run.metric is not None)


def bench(device: str, profile: Mapping[str, Any], run: Run | None) -> str:
    """The device, the profile's sizes, and what one run of the champion came to. The last are the run's own words."""
    sizes = [
        f"{one_line(str(name), 30)} {one_line(str(value), 40)}"
        for name, value in profile.items()
        if isinstance(value, (int, float, str)) and name != "name"
    ]
    lines = [f"One run, on {device}: {', '.join(sizes[:SIZES])}." if sizes else ""]
    if run is not None:
        told = run.detail.get("train")
        numbers = told.items() if isinstance(told, dict) else ()
        known = {name: value for name, value in numbers if isinstance(value, (int, float)) and value > 0}
        parts = [
            f"{number(float(known[name]) / unit, 3 if unit > 1 else 0)}{words}"
            for name, (unit, words) in COUNTED.items()
            if name in known
        ]
        lines.append(f"The champion's newest run: {', '.join(parts)}." if parts else "")
    return "\n".join(line for line in lines if line)
