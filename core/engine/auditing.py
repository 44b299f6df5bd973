"""The claim of a lab, measured afresh: the whole stack of keeps against the first baseline, on seeds nobody has used.

Where the target has a hidden split it is measured on that: no researcher, screening or confirmation ever saw it.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

from core import verdict as statistics
from core.engine.bench import Bench, Work, log
from core.engine.judging import Judging
from core.engine.measuring import audits
from core.errors import Refused
from core.models import LIVE_RUNS, Purpose, RunState
from core.requests import Audit


class Auditing:
    """At most one audit at a time; it goes on after a restart."""

    def __init__(self, bench: Bench, judging: Judging) -> None:
        self.bench = bench
        self.judging = judging

    def ask(self, request: Audit) -> dict[str, Any]:
        """Begin an audit.

        Raises:
            Refused: one is under way, or nothing has been kept yet.
        """
        store = self.bench.store
        if store.setting("audit", {}).get("state") == "running":
            raise Refused("an audit is already under way", hint="autoresearch-tui audit LAB shows it")
        lineage = store.champions()
        if len(lineage) < 2:
            raise Refused("nothing has been kept yet: there is no claim to audit")
        if not 2 <= request.seeds <= 64:
            raise Refused("an audit takes 2 to 64 seeds")
        first = 1 + max((run.seed for run in store.runs()), default=0)
        body = {
            "state": "running",
            "baseline": lineage[0].commit_sha,
            "champion": lineage[-1].commit_sha,
            "keeps": len(lineage) - 1,
            "seeds": list(range(first, first + request.seeds)),
            "asked_at": self.bench.now(),
        }
        with store.transaction():
            store.set("audit", body)
            store.event("audit_asked", actor=request.actor, seeds=request.seeds)
        self.bench.wake.set()
        return body

    def work(self, kind: str) -> list[Work]:
        """Runs the audit still needs; concludes it when none are left."""
        audit = self.bench.store.setting("audit", {})
        if audit.get("state") != "running":
            return []
        missing: list[Work] = []
        live = False
        for seed in audit["seeds"]:
            for commit in (audit["baseline"], audit["champion"]):
                runs = audits(self.bench.store, commit, seed, kind)
                live = live or any(run.is_live for run in runs)
                done = [run for run in runs if run.state not in (*LIVE_RUNS, RunState.LOST)]
                if not done and not any(run.is_live for run in runs):
                    missing.append(Work(None, Purpose.AUDIT, commit, seed, 1 + len(runs)))
        if not missing and not live:
            self._conclude(audit, kind)
        return missing

    def _conclude(self, audit: dict[str, Any], kind: str) -> None:
        pairs = []
        for seed in audit["seeds"]:
            values = [
                next(
                    (
                        run.metric
                        for run in reversed(audits(self.bench.store, commit, seed, kind))
                        if run.metric is not None
                    ),
                    None,
                )
                for commit in (audit["baseline"], audit["champion"])
            ]
            if values[0] is not None and values[1] is not None:
                pairs.append((values[0], values[1]))
        result = claim(pairs)
        with self.bench.store.transaction():
            self.bench.store.set("audit", {**audit, "state": "done", "device_class": kind, "result": result})
            self.bench.store.event("audited", **result)
        log.info("audit: %s", result["words"])
        for commit in (audit["baseline"], audit["champion"]):
            for seed in audit["seeds"]:
                self.judging.drop_checkpoints(audits(self.bench.store, commit, seed, kind))


def claim(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """What (baseline, champion) metrics on the same seeds say, with a 95 % interval from their own spread."""
    differences = [champion - baseline for baseline, champion in pairs]
    if len(differences) < 2:
        return {"n": len(differences), "words": "too few runs ended with a metric: nothing can be claimed"}
    delta = fmean(differences)
    se = stdev(differences) / len(differences) ** 0.5
    low, high = statistics.interval(delta, se, len(differences) - 1)
    return {
        "n": len(differences),
        "baseline": fmean(b for b, _ in pairs),
        "champion": fmean(c for _, c in pairs),
        "delta": delta,
        "low": low,
        "high": high,
        "words": statistics.gain_text(delta, low, high, len(differences)),
    }
