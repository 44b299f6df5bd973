"""A lab as data: what `status`, `list` and `show` print, and upstream's results.tsv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from core.lab import Lab
from core.models import CHAMPION_PURPOSES, Experiment, Run, State, Verdict
from core.runs import gate
from core.store import Reader, Summary
from core.verdict import Noise, plan, plan_text

TSV_COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")


def status(lab: Lab, reader: Reader, *, engine: bool, gain: float | None = None) -> dict[str, Any]:
    """What the lab is doing now; `gain`: the size whose cost in runs is wanted, else twice the noise."""
    champion = reader.champion()
    counts = reader.counts()
    return {
        "lab": str(lab.root),
        "engine": {"running": engine, **reader.setting("engine", {})},
        "autonomy": str(reader.autonomy()),
        "paused": reader.paused(),
        "preparation": reader.setting("preparation", {"state": "none"}),
        "researcher": reader.setting("researcher", {}),
        "sandbox": reader.setting("sandbox", {}),
        "champion": None
        if champion is None
        else {
            "commit": champion.commit_sha,
            "experiment": champion.experiment_id,
            "metric": reader.champion_metric(champion),
        },
        "running": [_run(run) for run in reader.live_runs()],
        "last_run": None if (last := reader.last_run()) is None else _run(last),
        "waiting": [summary.id for summary in reader.queue()],
        "counts": {str(state): n for state, n in counts.items()},
        "verdicts": {str(verdict): n for verdict, n in reader.verdict_counts().items()},
        "noise": reader.setting("noise", {}),
        "plan": planned(lab, reader, gain),
        "drift": drifting(reader),
        "manifest": reader.setting("manifest", {}),
        "usage": usage(reader),
        "devices": reader.setting("devices", []),
        "aside": reader.setting("aside", {}),
    }


def planned(lab: Lab, reader: Reader, gain: float | None) -> dict[str, Any] | None:
    """What it takes to tell a gain from noise on the first device; None before the noise is measured."""
    devices, champion = reader.setting("devices", []), reader.champion()
    kind = str(devices[0].get("class", "")) if devices else ""
    known = reader.setting("noise", {}).get(kind, {})
    if champion is None or not known.get("df") or not (known.get("sigma") or gain):
        return None
    noise = Noise(
        known["sigma"], known["df"], paired_sigma=known.get("paired_sigma"), paired_df=known.get("paired_df", 0)
    )
    effect = abs(gain) if gain else 2 * noise.sigma
    runs = [run for run in reader.measured_runs() if run.device_class == kind]
    own = {run.seed for run in runs if run.commit_sha == champion.commit_sha and run.experiment_id is None}
    found = plan(effect, noise, len(own), z=lab.load_config().judging.z)
    seconds = typical_seconds(runs)
    body = {"gain": effect, "sigma": noise.sigma, "df": noise.df, "seconds": seconds}
    if found is None:
        return {**body, "words": f"to tell a gain of {effect:.3g} from noise takes thousands of runs"}
    words = plan_text(f"{effect:.3g}", found.seeds, found.runs, seconds)
    return {**body, "seeds": found.seeds, "runs": found.runs, "words": words}


def typical_seconds(runs: Sequence[Run]) -> float | None:
    """How long a run takes, from start to result."""
    took = [run.ended_at - run.started_at for run in runs if run.ended_at and run.started_at]
    return median(took) if took else None


def drifting(reader: Reader) -> dict[str, Any] | None:
    """What the champion's re-runs on the first device say of the machine; None before it ran often enough."""
    devices, champion = reader.setting("devices", []), reader.champion()
    kind = str(devices[0].get("class", "")) if devices else ""
    found = reader.setting("drift", {}).get(kind, {})
    return found if champion is not None and found.get("commit") == champion.commit_sha else None


def usage(reader: Reader) -> dict[str, Any]:
    """What the model cost so far; money is None where no prices are set."""
    kept, cost, tokens, hours = reader.cost_per_keep()
    tried = sum(reader.verdict_counts().values())
    return {
        "tokens": tokens or 0,
        "cost": cost,
        "device_hours": hours or 0.0,
        "cost_per_experiment": cost / tried if cost is not None and tried else None,
        "cost_per_keep": cost / kept if cost is not None and kept else None,
    }


def row(summary: Summary) -> dict[str, Any]:
    """One line of `list`."""
    return {
        "id": summary.id,
        "state": str(summary.state),
        "title": summary.title,
        "author": summary.author,
        "verdict": summary.verdict and str(summary.verdict),
        "metric": summary.metric,
        "delta": summary.delta,
        "commit": summary.commit_sha,
    }


def whole(reader: Reader, experiment: Experiment) -> dict[str, Any]:
    """Everything about one experiment: texts, patch versions, reviews, runs."""
    body = asdict(experiment)
    body["patch"] = reader.patch(experiment.patch_sha256) if experiment.patch_sha256 else None
    body["versions"] = [asdict(version) for version in reader.patch_versions(experiment.id)]
    body["reviews"] = [asdict(review) for review in reader.reviews(experiment.id)]
    body["runs"] = [_run(run) for run in reader.runs(experiment_id=experiment.id)]
    return body


def _run(run: Run) -> dict[str, Any]:
    state, error = gate.in_words(run)
    return {**asdict(run), "words": {"state": state, "error": error}}


def tsv(reader: Reader) -> list[list[str]]:
    """Upstream's results.tsv, header first: a row a judged experiment, oldest first, the baseline on top."""
    lines = [list(TSV_COLUMNS)]
    champions = reader.champions()
    if champions:
        lines.append(
            _tsv_row(
                reader, champions[0].commit_sha, reader.runs(commit_sha=champions[0].commit_sha), "keep", "baseline"
            )
        )
    for experiment in reader.experiments(State.JUDGED):
        status_word = {Verdict.KEEP: "keep", Verdict.CRASHED: "crash"}.get(
            experiment.verdict or Verdict.VOID, "discard"
        )
        runs = reader.runs(experiment_id=experiment.id)
        lines.append(
            _tsv_row(reader, experiment.commit_sha or "", runs, status_word, experiment.title, experiment.metric)
        )
    return lines


def _tsv_row(
    reader: Reader, commit: str, runs: list[Run], status_word: str, title: str, metric: float | None = None
) -> list[str]:
    values = [
        run.metric
        for run in runs
        if run.metric is not None and run.experiment_id is None and run.purpose in CHAMPION_PURPOSES
    ]
    if metric is None and values:
        metric = sum(values) / len(values)
    peaks = [(run.detail.get("train") or {}).get("peak_memory_bytes") for run in runs]
    peak = max((float(p) for p in peaks if isinstance(p, int | float)), default=0.0)
    value = f"{metric:.6f}" if metric is not None else "0.000000"  # upstream writes zeros for a crash
    return [commit[:7], value, f"{peak / 2**30:.1f}", status_word, " ".join(title.split())]
