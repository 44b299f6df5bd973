"""Takes decisions: a review is validated against the record, committed, and only then answered.

A decision is bound to one version of a patch. Nothing here starts a run: an approved experiment is held for the undo
window, and `running` picks it up when the window has closed.
"""

from __future__ import annotations

from typing import Any

from core import guards, patches
from core.autonomy import Limits, Passed, Proposed, Waits, may_pass, refusal
from core.engine.bench import Bench, log
from core.errors import PatchError, Refused
from core.failpoints import failpoint
from core.models import LIVE_RUNS, Autonomy, Decision, Experiment, Review, RunState, State, Verdict, Via
from core.requests import Approve, Defer, Override, Revise, Undo, Veto


class Reviewing:
    """Every way in which an experiment's fate is decided by a person or a policy."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._waits: dict[int, tuple[object, ...]] = {}
        """what did not pass -> what it was held against: looking at a patch takes a while, and the loop turns fast"""

    # ---- decisions ---------------------------------------------------------------------------------------------

    def approve(self, request: Approve, *, policy: str = "") -> dict[str, Any]:
        """Approve a patch as it is, with some hunks only, or as edited."""
        experiment = self._waiting(request.experiment_id, request.patch_sha256)
        files = self.bench.workspace.files(experiment.parent_commit, self.bench.config.target.editable)
        patch, source = self._chosen(request, files)
        self._refuse_if_wrong(experiment, patch, files)
        decision = Decision.APPROVE if patch.sha256 == request.patch_sha256 else Decision.APPROVE_EDITED
        hold = 0.0 if request.via == Via.POLICY else self.bench.config.review.undo_seconds
        hold_until = self.bench.now() + hold
        with self.bench.store.transaction():
            if decision == Decision.APPROVE_EDITED:
                self._add_version(experiment.id, patch, source)
            self.bench.store.add_review(
                experiment.id,
                decision,
                reason=request.reason,
                patch_sha256=request.patch_sha256,
                approved_sha256=patch.sha256,
                hunks_kept=request.hunks_kept,
                hunks_seen=request.hunks_seen,
                seconds=request.seconds,
                actor=request.actor,
                via=request.via,
                policy=policy,
            )
            self.bench.store.update_experiment(
                experiment.id,
                state=State.APPROVED,
                hold_until=hold_until,
                decided_at=self.bench.now(),
                problem="",
                syntax_sha256=patches.syntax_sha256({**files, **patches.apply(patch, files)}),
            )
        failpoint("review_recorded")
        self.bench.wake.set()
        return {"hold_until": hold_until, "patch_sha256": patch.sha256, "decision": decision}

    def revise(self, request: Revise) -> dict[str, Any]:
        """Send a patch back with a note."""
        return self._send_off(request, Decision.REVISE, State.REVISING, request.note)

    def veto(self, request: Veto) -> dict[str, Any]:
        """End an experiment before it runs."""
        return self._send_off(request, Decision.VETO, State.VETOED, request.reason)

    def _send_off(self, request: Revise | Veto, decision: Decision, state: State, words: str) -> dict[str, Any]:
        if not words.strip():
            raise Refused(f"a {decision} needs words: they are what the researcher learns from")
        experiment = self._waiting(request.experiment_id, request.patch_sha256)
        with self.bench.store.transaction():
            self.bench.store.add_review(
                experiment.id,
                decision,
                reason=words.strip(),
                patch_sha256=request.patch_sha256,
                approved_sha256=None,
                seconds=request.seconds,
                actor=request.actor,
                via=request.via,
            )
            self.bench.store.update_experiment(experiment.id, state=state, decided_at=self.bench.now())
        failpoint("review_recorded")
        self.bench.wake.set()
        return {}

    def defer(self, request: Defer) -> dict[str, Any]:
        """Put a proposal at the end of the queue."""
        experiment = self._existing(request.experiment_id)
        if experiment.state != State.PROPOSED:
            raise Refused(f"#{experiment.id} is {experiment.state}; only a waiting proposal can be deferred")
        self.bench.store.update_experiment(
            experiment.id, event="deferred", note={"actor": request.actor}, deferred_at=self.bench.now()
        )
        return {}

    def undo(self, request: Undo) -> dict[str, Any]:
        """Take the last decision back; it is possible until a run has started."""
        experiment = self._existing(request.experiment_id)
        review = self._last_review(experiment)
        if experiment.state not in (State.APPROVED, State.VETOED, State.REVISING) or review is None:
            raise Refused(f"#{experiment.id} is {experiment.state}: there is no decision that could be taken back")
        runs = self.bench.store.runs(experiment_id=experiment.id)
        if any(run.state not in (*LIVE_RUNS, RunState.LOST) for run in runs):  # one that lives waits at its gate
            raise Refused(f"#{experiment.id} has already started", hint="K stops a run")
        # what was carried over to a new champion since then stays as it is: the version that was read fits no more
        rebased = review.approved_sha256 not in (None, experiment.patch_sha256)
        changes: dict[str, Any] = {} if rebased else self._as_read(experiment, review.patch_sha256)
        with self.bench.store.transaction():
            self.bench.store.undo_review(review.id, experiment_id=experiment.id, actor=request.actor)
            self.bench.store.update_experiment(
                experiment.id,
                state=State.PROPOSED,
                hold_until=None,
                decided_at=None,
                commit_sha=None,
                **changes,
            )
        return {"decision": review.decision}

    def _as_read(self, experiment: Experiment, patch_sha256: str) -> dict[str, Any]:
        """The columns of a patch as it stood when it was read: a part or an edit of it may have been approved."""
        files = self.bench.workspace.files(experiment.parent_commit, self.bench.config.target.editable)
        patch = patches.parse(self.bench.store.patch(patch_sha256) or "")
        syntax = patches.syntax_sha256({**files, **patches.apply(patch, files)})
        return {"patch_sha256": patch_sha256, "syntax_sha256": syntax}

    def overridable(self, request: Override) -> Experiment:
        """The experiment whose verdict a human may replace.

        Raises:
            Refused: it was not judged, or stands on a champion that has been replaced.
        """
        experiment = self._existing(request.experiment_id)
        if experiment.state != State.JUDGED or experiment.commit_sha is None:
            raise Refused(f"#{experiment.id} is {experiment.state}; only a judged experiment has a verdict to override")
        if not request.reason.strip():
            raise Refused("an override needs a reason: it is left out of the claim statistics")
        if experiment.verdict == Verdict.KEEP:
            raise Refused(
                f"#{experiment.id} is kept; later champions may stand on it", hint="propose its reversal instead: i"
            )
        if request.verdict == Verdict.KEEP and experiment.parent_commit != self.bench.champion():
            raise Refused(f"#{experiment.id} was measured against an older champion", hint="i proposes the idea again")
        return experiment

    # ---- policy ------------------------------------------------------------------------------------------------

    def let_pass(self) -> None:
        """Approve every waiting proposal that the autonomy dial lets through."""
        autonomy = self.bench.store.autonomy()
        if autonomy == Autonomy.MANUAL:
            return
        queue, limits = self.bench.store.queue(), self.limits()
        self._waits = {summary.id: self._waits[summary.id] for summary in queue if summary.id in self._waits}
        for summary in queue:
            experiment = self._existing(summary.id)
            if experiment.problem or experiment.patch_sha256 is None:
                continue
            asked = (experiment.patch_sha256, experiment.parent_commit, autonomy, limits)
            if self._waits.get(experiment.id) == asked:
                continue
            try:
                passed = self._passes(experiment, autonomy)
                if isinstance(passed, Waits):
                    self._waits[experiment.id] = asked
                    continue
                request = Approve(
                    experiment.id,
                    experiment.patch_sha256,
                    reason=passed.why,
                    actor=f"autonomy {autonomy}",
                    via=Via.POLICY,
                )
                self.approve(request, policy=passed.policy)
            except (Refused, PatchError) as error:
                self.bench.store.update_experiment(experiment.id, event="problem", problem=error.message)

    def waits_for_a_person(self, experiment_id: int) -> bool:
        """No dial lets this waiting proposal through."""
        return experiment_id in self._waits or bool(self._existing(experiment_id).problem)

    def _passes(self, experiment: Experiment, autonomy: Autonomy) -> Passed | Waits:
        body = self.bench.store.patch(experiment.patch_sha256 or "") or ""
        files = self.bench.workspace.files(experiment.parent_commit, self.bench.config.target.editable)
        patch = patches.parse(body)
        after = {**files, **patches.apply(patch, files)}
        found = guards.findings(patch, files, after, self.bench.config.target.editable)
        facts = Proposed(
            constants_only=guards.constants_only(files, after), lines=patch.added + patch.removed, findings=found
        )
        return may_pass(autonomy, facts, self.limits())

    def autonomy_refusal(self, level: Autonomy) -> str:
        """Why the dial cannot be turned this far here; empty where it can."""
        return refusal(level, self.limits())

    def limits(self) -> Limits:
        """What the config and the sandbox allow."""
        review = self.bench.config.review
        tier = self.bench.store.setting("sandbox", {}).get("tier", "C")
        return Limits(lines=review.guarded_lines, tier=tier, allow_unsandboxed=review.allow_unsandboxed)

    # ---- moved champions ---------------------------------------------------------------------------------------

    def rebase_waiting(self) -> None:
        """Carry every waiting proposal onto the champion; what no longer fits says so and waits for a human."""
        champion = self.bench.champion()
        onto = self.bench.champion_files()
        for summary in self.bench.store.queue():
            experiment = self._existing(summary.id)
            if experiment.parent_commit != champion and experiment.patch_sha256 is not None:
                self.rebase(experiment, champion, onto)

    def rebase(self, experiment: Experiment, champion: str, onto: dict[str, str]) -> bool:
        """Carry one experiment onto the champion. False: it does not fit surely, and waits for a human."""
        base = self.bench.workspace.files(experiment.parent_commit, self.bench.config.target.editable)
        patch = patches.parse(self.bench.store.patch(experiment.patch_sha256 or "") or "")
        try:
            rebased = patches.rebase(patch, onto, base)
        except PatchError as error:
            log.info("#%d does not fit the new champion: %s", experiment.id, error.message)
            self.bench.store.update_experiment(
                experiment.id,
                event="does_not_apply",
                state=State.PROPOSED,
                hold_until=None,
                commit_sha=None,
                problem=f"the champion has changed and this no longer fits: {error.message}",
            )
            return False
        problem = "carried over to the new champion by likeness: read it again" if rebased.fuzzy else ""
        with self.bench.store.transaction():
            self._add_version(experiment.id, rebased.patch, "rebased")
            changes: dict[str, Any] = {"parent_commit": champion, "problem": problem, "commit_sha": None}
            if rebased.fuzzy:
                changes |= {"state": State.PROPOSED, "hold_until": None}
            self.bench.store.update_experiment(
                experiment.id, event="rebased", note={"onto": champion, "fuzzy": rebased.fuzzy}, **changes
            )
        return not rebased.fuzzy

    # ---- checks ------------------------------------------------------------------------------------------------

    def _existing(self, experiment_id: int) -> Experiment:
        experiment = self.bench.store.experiment(experiment_id)
        if experiment is None:
            raise Refused(f"there is no experiment #{experiment_id}", hint="autoresearch-tui list LAB shows them")
        return experiment

    def _waiting(self, experiment_id: int, patch_sha256: str) -> Experiment:
        experiment = self._existing(experiment_id)
        if experiment.state != State.PROPOSED:
            raise Refused(
                f"#{experiment_id} is {experiment.state}, it does not wait for a review", hint=_next(experiment)
            )
        if experiment.patch_sha256 != patch_sha256:
            raise Refused(
                f"the patch of #{experiment_id} has changed since you read it; nothing was decided",
                hint="the new version is on the screen now: read it and decide again",
            )
        return experiment

    def _last_review(self, experiment: Experiment) -> Review | None:
        reviews = [review for review in self.bench.store.reviews(experiment.id) if review.undone_at is None]
        return reviews[-1] if reviews else None

    def _chosen(self, request: Approve, files: dict[str, str]) -> tuple[patches.Patch, str]:
        """The patch that a review approves, and where that version comes from."""
        try:
            if request.edited is not None:
                if request.hunks_kept is not None:
                    raise Refused("an edited patch is taken whole: switch hunks out before editing")
                return patches.parse(request.edited), "edited"
            body = self.bench.store.patch(request.patch_sha256)
            if body is None:
                raise Refused(
                    f"the patch {request.patch_sha256[:12]} is not in the record", hint="autoresearch-tui verify LAB"
                )
            patch = patches.parse(body)
            if request.hunks_kept is None or set(request.hunks_kept) >= {hunk.index for hunk in patch.hunks}:
                return patch, "proposed"
            if not request.hunks_kept:
                raise Refused("every hunk is switched out: nothing would change", hint="v vetoes it")
            return patches.select(patch, request.hunks_kept), "selected"
        except PatchError as error:
            raise Refused(error.message, hint=error.hint) from error

    def _refuse_if_wrong(self, experiment: Experiment, patch: patches.Patch, files: dict[str, str]) -> None:
        found = patches.problems(patch, files, self.bench.config.target.editable)
        if not found and patch.sha256 != experiment.patch_sha256:  # a proposal was shown to git when it came in
            refusal = self.bench.workspace.refusal(experiment.parent_commit, patch.text)
            found = [refusal] if refusal else []
        if found:
            raise Refused(f"this patch cannot run: {'; '.join(found)}", hint="e edits it, r sends it back")

    def _add_version(self, experiment_id: int, patch: patches.Patch, source: str) -> None:
        self.bench.store.add_patch(patch.sha256, patch.text, added=patch.added, removed=patch.removed)
        self.bench.store.add_patch_version(experiment_id, patch.sha256, source)


def _next(experiment: Experiment) -> str:
    if experiment.state == State.APPROVED:
        return "u takes the decision back until it starts"
    if experiment.verdict is not None:
        return f"its verdict is {Verdict(experiment.verdict)}"
    return ""
