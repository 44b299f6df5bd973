"""A lab as data: what `status`, `list` and `show` print, and upstream's results.tsv."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.lab import Lab
from core.models import CHAMPION_PURPOSES, Experiment, Run, State, Verdict
from core.store import Reader, Summary

TSV_COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")


def status(lab: Lab, reader: Reader, *, engine: bool) -> dict[str, Any]:
    """What the lab is doing now."""
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
        else {"commit": champion.commit_sha, "experiment": champion.experiment_id, "metric": champion_metric(reader)},
        "running": [_run(run) for run in reader.live_runs()],
        "waiting": [summary.id for summary in reader.queue()],
        "counts": {str(state): n for state, n in counts.items()},
        "verdicts": {str(verdict): n for verdict, n in reader.verdict_counts().items()},
        "noise": reader.setting("noise", {}),
        "usage": usage(reader),
        "devices": reader.setting("devices", []),
    }


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


def champion_metric(reader: Reader) -> float | None:
    """The mean over the champion's honest runs."""
    champion = reader.champion()
    if champion is None:
        return None
    values = [
        r.metric
        for r in reader.runs(commit_sha=champion.commit_sha)
        if r.metric is not None and r.experiment_id is None and r.purpose in CHAMPION_PURPOSES
    ]
    return sum(values) / len(values) if values else None


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
    return asdict(run)


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
