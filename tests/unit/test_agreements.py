"""How well reviewers and verdicts agree, each reviewer for itself."""

from __future__ import annotations

from core.models import Decision, Review, State, Verdict, Via
from core.reporting.claims import agreements
from core.store.rows import Summary


def test_each_person_and_each_rule_of_the_dial_is_looked_at_for_itself() -> None:
    def review(number: int, actor: str, decision: Decision, policy: str = "", undone: bool = False) -> Review:
        approved = "a" * 64 if decision is Decision.APPROVE else None
        via = Via.POLICY if policy else Via.TUI
        return Review(
            number, number, decision, "why", "a" * 64, approved, None, None, 10.0 * number, actor, via, policy, 0.0,
            1.0 if undone else None,
        )  # fmt: skip

    def summary(number: int) -> Summary:
        return Summary(
            number, State.JUDGED, "", "claude", "", Verdict.KEEP, None, None, None, None, None, None, None, 0.0
        )

    experiments = [summary(number) for number in (1, 2, 3, 4, 5)]
    reviews = [
        review(1, "anna", Decision.APPROVE),
        review(2, "ben", Decision.APPROVE),
        review(3, "autonomy full", Decision.APPROVE, "full"),
        review(4, "anna", Decision.VETO),
        review(5, "anna", Decision.APPROVE, undone=True),
        review(6, "anna", Decision.OVERRIDE),
    ]
    found = agreements(experiments, reviews, frozenset({2}), apart=True)
    assert [(one.who, one.by_policy) for one in found] == [("anna", False), ("ben", False), ("full", True)]
    anna, ben, full = found
    assert (anna.approvals, anna.kept, anna.vetoes, anna.taken_back, anna.seconds) == (1, 1, 1, 1, 25.0)
    assert (ben.approvals, ben.judged) == (1, 0)  # its verdict is a person's own
    assert (full.approvals, full.kept) == (1, 1)
