"""How an experiment, a run and the settings looked after each entry of the journal. Pure.

The record keeps how a row ended up, and what happened to it in between. Here the second turns a fresh row into the
first, entry by entry; at a row's last entry it is exactly as recorded, so a kind of entry that is unknown here (a newer
engine wrote it) costs at most a picture of what was in between.
"""

from __future__ import annotations

import json
from typing import Any

from core.models import Event, State, Verdict
from core.replay.recording import Row

VERDICT = ("verdict", "metric", "delta", "delta_low", "delta_high", "shrunken", "confirmations", "judged_at")
TEXTS = ("title", "hypothesis", "rationale", "category", "expected", "key")


def fresh_experiment(recorded: Row, event: Event, champion: str) -> Row:
    """An experiment as it came."""
    known = {str(state) for state in State}
    state = event.kind if event.kind in known else str(State.PROPOSED)
    row = {
        **recorded, **dict.fromkeys(VERDICT), "verdict_reason": "", "state": state, "commit_sha": None,
        "patch_sha256": None, "proposed_sha256": None, "hold_until": None, "deferred_at": None, "decided_at": None,
        "problem": recorded["problem"] if state == State.INVALID else "",
        "title": event.body.get("title", recorded["title"]), "author": event.body.get("author", recorded["author"]),
        "parent_commit": champion or recorded["parent_commit"],
    }  # fmt: skip
    return possible(row, row | {"state": str(State.PROPOSED)})


def experiment_after(row: Row, event: Event, recorded: Row, *, champion: str, last: bool) -> Row:
    """An experiment after one entry."""
    if last:
        return dict(recorded)
    changed = {**row, **_changes(row, event, recorded, champion)}
    return possible(changed, row)


def _changes(row: Row, event: Event, recorded: Row, champion: str) -> Row:
    """The columns that one entry changes."""
    kind, body = event.kind, event.body
    if kind == State.JUDGED:
        return _judged(event, recorded)
    if kind in set(State):
        return _new_state(row, State(kind), event.at, recorded)
    changes: Row = {}
    match kind:
        case "overridden":
            verdict = body.get("verdict", row["verdict"])
            words = "kept by hand" if verdict == Verdict.KEEP else "by hand"
            changes = {"verdict": verdict, "verdict_reason": f"{words}: {body.get('reason', '')}"}
        case "revised":
            texts = {name: recorded[name] for name in TEXTS}
            changes = {**texts, "state": "proposed", "parent_commit": champion, "problem": ""}
        case "rebased":
            fuzzy = {"state": "proposed", "hold_until": None} if body.get("fuzzy") else {}
            changes = {"parent_commit": body.get("onto", champion), "problem": "", **fuzzy}
        case "does_not_apply" | "not_revised":
            problem = recorded["problem"] or "it no longer fits"
            changes = {"problem": problem, "state": "proposed", "hold_until": None}
        case "problem":
            changes = {"problem": recorded["problem"]}
        case "committed":
            changes = {"commit_sha": body.get("commit", recorded["commit_sha"])}
        case "measured_again":
            changes = {"state": "approved", "commit_sha": None}
        case "deferred":
            changes = {"deferred_at": event.at}
        case "stale":
            changes = {"state": "invalid"}
    return changes


def _new_state(row: Row, state: State, at: float, recorded: Row) -> Row:
    changes: Row = {"state": str(state)}
    match state:
        case State.APPROVED | State.REVISING | State.VETOED:
            hold = recorded["hold_until"]
            held = hold if state is State.APPROVED and hold is not None and hold >= at else None
            return changes | {"decided_at": at, "hold_until": held, "problem": ""}
        case State.PROPOSED:  # a decision was taken back
            return changes | {"decided_at": None, "hold_until": None, "commit_sha": None}
        case State.RUNNING:
            return changes | {"commit_sha": row["commit_sha"] or recorded["commit_sha"]}
    return changes


def _judged(event: Event, recorded: Row) -> Row:
    """A verdict as it was given; a human may have replaced it since."""
    body = event.body
    return {
        **{name: recorded[name] for name in VERDICT}, "state": "judged",
        "verdict": body.get("verdict", recorded["verdict"]),
        "verdict_reason": body.get("reason", recorded["verdict_reason"]),
    }  # fmt: skip


def possible(row: Row, before: Row) -> Row:
    """The row if the record could hold it; else as it was: a half-known entry must not end the show."""
    judged = row["state"] == "judged"
    if judged != (row["verdict"] is not None):
        return before
    if row["state"] in ("approved", "running") and row["patch_sha256"] is None:
        return before
    return row


def fresh_run(recorded: Row) -> Row:
    """A run as it was meant, before anything was started."""
    return {
        **recorded, "state": "starting", "phase": "starting", "progress": 0.0, "metric": None, "error": "",
        "pid": None, "pid_started": None, "boot_id": "", "started_at": None, "ended_at": None, "detail": "{}",
    }  # fmt: skip


def run_underway(row: Row, recorded: Row, *, at: float, share: float | None, trained: bool) -> Row:
    """A live run at a moment: `share` of its curve is there (None: training has not begun), `trained`: all of it."""
    started = recorded["started_at"]
    if started is None or at < started:
        return row
    process = {name: recorded[name] for name in ("pid", "pid_started", "boot_id", "started_at")}
    if share is None:
        return {**row, **process}
    phase = "evaluating" if trained and recorded["ended_at"] is not None else "training"
    return {**row, **process, "state": "running", "phase": phase, "progress": share * recorded["progress"]}


def first_settings(recorded: dict[str, str], events: list[Event]) -> dict[str, Any]:
    """The settings before the first entry: what never changes, and what the entries will say."""
    settings = {key: json.loads(value) for key, value in recorded.items()}
    kinds = {event.kind for event in events}
    dial = next((event.body.get("was") for event in events if event.kind == "autonomy"), None)
    researcher, engine = settings.get("researcher"), settings.get("engine")
    settings |= {"paused": "", "noise": {}, "aside": {}}
    if dial is not None:
        settings["autonomy"] = dial
    if kinds & {"prepared", "preparation_failed"}:
        settings["preparation"] = {"state": "none"}
    if isinstance(researcher, dict):
        settings["researcher"] = {**researcher, "state": "idle", "detail": ""}
    if isinstance(engine, dict):
        settings["engine"] = {**engine, "state": "running", "problem": ""}
    return settings


def settings_after(event: Event, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that one entry changes."""
    body = event.body
    researcher = settings.get("researcher")
    known = researcher if isinstance(researcher, dict) else {}
    match event.kind:
        case "autonomy":
            return {"autonomy": body.get("level", settings.get("autonomy"))}
        case "paused":
            return {"paused": body.get("reason") or "paused"}
        case "resumed":
            return {"paused": "", "aside": settings.get("aside", {}) if body.get("actor") == "engine" else {}}
        case "device_set_aside":
            return {"aside": {**settings.get("aside", {}), str(body.get("device", "")): str(body.get("words", ""))}}
        case "prepared":
            return {"preparation": {**body, "state": "ready"}}
        case "preparation_failed":
            return {"preparation": {"state": "failed", "error": body.get("error", "")}}
        case "researcher_dry":
            words = "has nothing more to propose"
            return {"researcher": {**known, "state": "dry", "detail": words, "since": event.at}}
        case "researcher_failed":
            return {"researcher": {**known, "state": "error", "detail": body.get("error", ""), "since": event.at}}
        case "proposed" | "revised" | "invalid":
            return {"researcher": {**known, "state": "idle", "detail": "", "since": event.at}}
    return {}
