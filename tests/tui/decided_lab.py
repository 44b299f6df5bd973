"""A lab with a review of every kind in it, and one with thousands; the calendar stands still."""

from __future__ import annotations

import random
from pathlib import Path

from core.models import Decision, State, Verdict, Via
from tests.sample_lab import SampleLab, unified
from tests.sample_target import QK_NORM, TITLES, TRAIN, WINDOW

NOW = 1_790_000_000.0
COOLDOWN = (("COOLDOWN = 0.4\n", "COOLDOWN = 0.55\n"),)


class DecidedLab(SampleLab):
    """Tells who decided what."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, now=lambda: NOW)
        self.baseline()

    def reviews(
        self,
        experiment: int,
        decision: Decision,
        *,
        minutes: float,
        reason: str = "",
        actor: str = "anna",
        policy: str = "",
        seconds: float | None = None,
        out: tuple[int, ...] = (),
        edited: str = "",
        verdict: Verdict | None = None,
        undone: bool = False,
    ) -> int:
        """A review so many minutes ago; `out`: hunks that were switched out, of three at most."""
        row = self.writer.experiment(experiment)
        assert row is not None
        assert row.patch_sha256 is not None
        approving = decision in (Decision.APPROVE, Decision.APPROVE_EDITED)
        ran = self._version(experiment, edited, "edited") if edited else row.patch_sha256
        review = self.writer.add_review(
            experiment, decision, reason=reason, patch_sha256=row.patch_sha256, actor=actor,
            approved_sha256=ran if approving else None, via=Via.POLICY if policy else Via.TUI, policy=policy,
            seconds=seconds, hunks_kept=tuple(n for n in range(3) if n not in out) if out else None,
            hunks_seen=(0,) if not policy else None, verdict=verdict,
        )  # fmt: skip
        undone_at = NOW if undone else None
        self.writer.db.execute(
            "UPDATE reviews SET decided_at = ?, undone_at = ? WHERE id = ?", (NOW - 60 * minutes, undone_at, review)
        )
        state = {Decision.REVISE: State.REVISING, Decision.VETO: State.VETOED}.get(decision, State.APPROVED)
        if decision is not Decision.OVERRIDE:
            self.writer.update_experiment(
                experiment, state=State.PROPOSED if undone else state, commit_sha=self.commit if approving else None
            )
        return review


def every_kind(root: Path) -> DecidedLab:
    """One review of every kind."""
    lab = DecidedLab(root)
    kept = lab.proposes(TITLES[0])
    lab.reviews(kept, Decision.APPROVE, minutes=300, seconds=42.0, reason="small and clear")
    lab.judges(kept, Verdict.KEEP, delta=-0.0093, reason="better, confirmed on 2 fresh seeds")
    lost = lab.proposes(TITLES[1], WINDOW)
    lab.reviews(lost, Decision.APPROVE, minutes=240, policy="guarded/small", actor="autonomy guarded",
                reason="Guarded autonomy: 4 lines change and nothing in them is flagged.")  # fmt: skip
    lab.judges(lost, Verdict.DISCARD, delta=0.0061, reason="worse than the champion")
    parts = lab.proposes(TITLES[2], (*QK_NORM, *COOLDOWN))
    lab.reviews(parts, Decision.APPROVE_EDITED, minutes=180, seconds=95.0, out=(0,), actor="ben")
    lab.judges(parts, Verdict.DISCARD, delta=0.001, reason="not better in the screening run")
    edited = lab.proposes(TITLES[3], COOLDOWN)
    by_hand = unified("train.py", TRAIN, TRAIN.replace("COOLDOWN = 0.4\n", "COOLDOWN = 0.5\n"))
    lab.reviews(edited, Decision.APPROVE_EDITED, minutes=120, seconds=61.0, edited=by_hand, reason="half the step")
    lab.judges(edited, Verdict.SUSPECT, delta=-0.03, reason="better by more than 8σ: too good to be kept unseen")
    lab.reviews(edited, Decision.OVERRIDE, minutes=90, verdict=Verdict.DISCARD, reason="it read the audit split")
    lab.writer.update_experiment(edited, verdict=Verdict.DISCARD, overridden_by="anna")
    back = lab.proposes(TITLES[4])
    lab.reviews(back, Decision.REVISE, minutes=60, seconds=20.0, reason="make it smaller: one idea a patch")
    vetoed = lab.proposes(TITLES[9], WINDOW)
    lab.reviews(vetoed, Decision.VETO, minutes=30, seconds=8.0, reason="measures something else, not a better model")
    undone = lab.proposes(TITLES[6])
    lab.reviews(undone, Decision.APPROVE, minutes=2, seconds=5.0, undone=True)
    return lab


def thousands(root: Path, count: int = 3_000) -> DecidedLab:
    """A lab after months."""
    lab, chance = DecidedLab(root), random.Random(1)
    for first in range(0, count, 1000):
        with lab.writer.transaction():
            for number in range(first, min(first + 1000, count)):
                experiment = lab.proposes(f"{TITLES[number % 10]} ({number})", WINDOW)
                policy = chance.choice(("", "", "full", "guarded/small"))
                minutes = float(count - number)
                if chance.random() < 0.1:
                    lab.reviews(experiment, Decision.VETO, minutes=minutes, reason="not worth a run", seconds=9.0)
                    continue
                lab.reviews(
                    experiment, Decision.APPROVE, minutes=minutes, policy=policy, seconds=None if policy else 30.0,
                    actor=f"autonomy {policy.split('/')[0]}" if policy else chance.choice(("anna", "ben")),
                )  # fmt: skip
                verdict = chance.choices((Verdict.DISCARD, Verdict.KEEP, Verdict.CRASHED), (88, 8, 4))[0]
                delta = None if verdict is Verdict.CRASHED else chance.gauss(0, 0.004)
                lab.judges(experiment, verdict, delta=delta)
    return lab
