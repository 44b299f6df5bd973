"""Keeps proposals ready: asks the researcher ahead of need, checks what comes back, puts it before the human."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from core import patches
from core.engine.bench import Bench, log
from core.engine.reviewing import Reviewing
from core.errors import LabError, PatchError, ResearcherError
from core.failpoints import failpoint
from core.models import Autonomy, Experiment, Message, Proposal, Review, State, Via
from core.researchers.base import Pause, Researcher, Revision, Situation, Unavailable
from core.text import duration

PATIENCE = 300.0
"""the longest wait, in seconds, between two tries of a researcher that cannot be reached"""
RELUCTANCE = 3600.0
"""the same for one that was reached and gave nothing of use: each try costs as much as an answer"""
LEFT_TO_PEOPLE = 16
"""proposals that only a person can move, beyond which none is made for a dial that is turned up"""
NO_LONGER_FITS = "the champion has changed and this no longer fits"
"""how `reviewing` begins the problem of a proposal that cannot be carried over"""


class Proposing:
    """At most one question to the researcher at a time."""

    def __init__(self, bench: Bench, reviewing: Reviewing, researcher: Researcher) -> None:
        self.bench = bench
        self.reviewing = reviewing
        self.researcher = researcher
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._last_error = ""
        self._not_before = 0.0
        self._notes_not_before = 0.0
        self._dry_at: tuple[int, ...] | None = None
        self._stuck_at: tuple[int, ...] | None = None
        """what the researcher knew when its answer was of no use: with anything new, it is asked again at once"""

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def dry(self) -> bool:
        """The researcher had nothing more to propose, and nothing has happened since that could change its mind."""
        return self._dry_at is not None and self._dry_at == self._what_it_knows()

    def step(self) -> None:
        """Start the next question if one is due. What the last one stumbled over is raised here, into the loop."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, LabError):  # a mistake in the researcher: each try may cost
                self._failed(ResearcherError(f"{type(error).__name__}: {error}"), None)
            task.result()
        if self._stuck_at is not None and self._stuck_at != self._what_it_knows():
            self._stuck_at, self._not_before = None, 0.0
        if self.busy or time.monotonic() < self._not_before:
            return
        self._drop_stale()
        revision = self._revision() if time.monotonic() >= self._notes_not_before else None
        if revision is None and (self._enough() or self.dry):
            if not self.dry:
                self._say("idle", self._instead)
            return
        self._task = asyncio.create_task(self._ask(revision))

    def _drop_stale(self) -> None:
        """Drop what a model wrote for an older champion and no person has decided on; it is told, and asked again."""
        if self.researcher.name != "claude":
            return
        for summary in self.bench.store.queue():
            experiment = self.bench.store.experiment(summary.id)
            if experiment is None or experiment.author != self.researcher.name:
                continue
            decided = any(review.via != Via.POLICY for review in self.bench.store.reviews(experiment.id))
            if experiment.problem.startswith(NO_LONGER_FITS) and not decided:
                self.bench.store.update_experiment(experiment.id, event="stale", state=State.INVALID)

    @property
    def _instead(self) -> str:
        """Who stands in for the researcher and why; empty where nobody does."""
        return str(getattr(self.researcher, "instead", ""))  # a FallbackResearcher's

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _enough(self) -> bool:
        """Whether enough stands ready. With the dial turned up, what only a person can move does not: the device would
        wait for somebody who is asleep.
        """
        store = self.bench.store
        counts, ready = store.counts(), store.counts()[State.PROPOSED]
        if store.autonomy() is not Autonomy.MANUAL and ready < LEFT_TO_PEOPLE:
            ready = sum(not self.reviewing.waits_for_a_person(summary.id) for summary in store.queue())
        return ready + counts[State.APPROVED] >= self.bench.config.researcher.lookahead

    def _what_it_knows(self) -> tuple[int, ...]:
        counts = self.bench.store.counts()
        champion = self.bench.store.champion()
        unanswered = len(self.bench.store.messages(unanswered=True))
        return (counts[State.JUDGED], counts[State.VETOED], champion.seq if champion else 0, unanswered)

    def _revision(self) -> Revision | None:
        for experiment in self.bench.store.experiments(State.REVISING):
            body = self.bench.store.patch(experiment.patch_sha256 or "") or ""
            return Revision(experiment, body, self._note(experiment))
        return None

    def _note(self, experiment: Experiment) -> str:
        """What it was last sent back with."""
        notes = [r.reason for r in self.bench.store.reviews(experiment.id) if r.undone_at is None]
        return notes[-1] if notes else ""

    def _situation(self, revision: Revision | None) -> Situation:
        store = self.bench.store
        files = self.bench.champion_files()

        def tried(changed: Mapping[str, str]) -> int | None:
            return store.tried(patches.syntax_sha256({**files, **changed}))

        reviews: dict[int, list[Review]] = {}
        for review in store.reviews():
            if review.undone_at is None:
                reviews.setdefault(review.experiment_id, []).append(review)
        target = self.bench.config.target
        noise = store.setting("noise", {})
        return Situation(
            champion=self.bench.champion(),
            files=files,
            program=self._program(),
            metric=target.metric,
            direction=target.direction,
            history=store.experiments(),
            reviews=reviews,
            messages=store.messages(unanswered=True),
            revision=revision,
            sigma=noise.get(self.bench.devices[0].kind, {}).get("sigma"),
            seed=self.bench.config.researcher.seed,
            tried=tried,
        )

    def _program(self) -> str:
        try:
            return self.bench.lab.program.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            log.warning("program.md cannot be read: %s", error)
            return ""

    async def _ask(self, revision: Revision | None) -> None:
        situation = self._situation(revision)
        self._say("thinking", "reading the history")
        try:
            proposal = await self.researcher.propose(situation, self._told)
        except LabError as error:
            failed = error if isinstance(error, ResearcherError) else ResearcherError(error.message, hint=error.hint)
            if isinstance(failed, Unavailable) or self._is_wanted(revision):
                self._failed(failed, revision)
            else:
                self._drop(revision)
        else:
            if not self._is_wanted(revision):
                self._drop(revision)
            elif proposal is None:
                self._dry_at = self._what_it_knows()
                self._say("dry", "has nothing more to propose")
                self.bench.store.event("researcher_dry")
            else:
                recorded = self.bench.store.experiment(self.take(proposal, situation))
                self._say("idle", self._instead)
                if recorded is None or recorded.state != State.INVALID:
                    self._failures, self._last_error, self._stuck_at = 0, "", None
                else:  # a model that keeps failing must not spend without end
                    self._failures += 1
                    self._not_before = time.monotonic() + min(PATIENCE, 2.0 ** max(0, self._failures - 2) - 1)
        self.bench.wake.set()

    def _is_wanted(self, revision: Revision | None) -> bool:
        """Nobody has decided otherwise, or sent it back with another note, while the researcher was at it."""
        if revision is None:
            return True
        now = self.bench.store.experiment(revision.experiment.id)
        return now is not None and now.state == State.REVISING and self._note(now) == revision.note

    def _drop(self, revision: Revision | None) -> None:
        """What a person did meanwhile stands."""
        if revision is not None:
            self.bench.store.event("revision_dropped", experiment_id=revision.experiment.id)
        self._say("idle", self._instead)

    def _failed(self, error: ResearcherError, revision: Revision | None) -> None:
        log.warning("the researcher failed: %s", error)
        away = error if isinstance(error, Unavailable) else None
        if revision is not None and away is None:  # back to the human, who can edit or veto it
            problem = f"{error.message} ({error.hint})" if error.hint else error.message
            self.bench.store.update_experiment(
                revision.experiment.id, event="not_revised", state=State.PROPOSED, problem=problem
            )
            return
        self._failures += 1
        wait = min(PATIENCE if away else RELUCTANCE, 2.0 ** min(self._failures, 20))
        self._stuck_at = None if away else self._what_it_knows()
        if away is not None and away.wait is not None:
            wait = away.wait
        if away is not None and away.others:
            self._notes_not_before = time.monotonic() + wait
        else:
            self._not_before = time.monotonic() + wait
        words = f"{error.message}; trying again in {duration(wait)}" + (f"\n{error.hint}" if error.hint else "")
        self._say(away.state if away else "error", words, wait)
        if error.message != self._last_error:  # an outage of a night is one event, not a hundred
            self.bench.store.event("researcher_failed", error=error.message, hint=error.hint)
        self._last_error = error.message

    def take(self, proposal: Proposal, situation: Situation) -> int:
        """Record a proposal: waiting for a review, or invalid with the reason."""
        patch, problem = self._check(proposal, situation)
        store = self.bench.store
        with store.transaction():
            if situation.revision is not None and not problem:
                experiment_id = situation.revision.experiment.id
                self._revise(situation.revision.experiment, proposal, onto=situation.champion)
            else:
                state = State.INVALID if problem else State.PROPOSED
                experiment_id = store.add_experiment(
                    proposal, parent_commit=situation.champion, state=state, problem=problem
                )
            if patch is not None:
                store.add_patch(patch.sha256, patch.text, added=patch.added, removed=patch.removed)
                source = "revised" if situation.revision is not None and not problem else "proposed"
                store.add_patch_version(experiment_id, patch.sha256, source)
                syntax = patches.syntax_sha256({**situation.files, **proposal.files})
                store.update_experiment(
                    experiment_id, event="patch", note={"sha256": patch.sha256}, syntax_sha256=syntax
                )
            answered = self._answered(situation, proposal) if not problem or proposal.problem else []
            store.answer_messages([m.id for m in answered], experiment_id=experiment_id)
            if not proposal.author.startswith("offline/"):
                store.claim_usage(experiment_id)
        failpoint("proposal_recorded")
        if problem and situation.revision is not None:
            store.update_experiment(
                situation.revision.experiment.id, event="not_revised", state=State.PROPOSED, problem=problem
            )
        if situation.champion != self.bench.champion():
            self.reviewing.rebase_waiting()
        return experiment_id

    def _answered(self, situation: Situation, proposal: Proposal) -> list[Message]:
        if proposal.answers is not None:
            return [m for m in situation.messages if m.id in proposal.answers]
        return [] if proposal.author.startswith("offline/") or proposal.problem else list(situation.messages)

    def _revise(self, experiment: Experiment, proposal: Proposal, *, onto: str) -> None:
        """`onto`: the champion that it was made for, which is not always that of now."""
        self.bench.store.update_experiment(
            experiment.id,
            event="revised",
            state=State.PROPOSED,
            title=proposal.title,
            hypothesis=proposal.hypothesis,
            rationale=proposal.rationale,
            category=proposal.category,
            expected=proposal.expected,
            key=proposal.key,
            parent_commit=onto,
            commit_sha=None,
            problem="",
        )

    def _check(self, proposal: Proposal, situation: Situation) -> tuple[patches.Patch | None, str]:
        if proposal.problem:
            return None, proposal.problem
        editable = self.bench.config.target.editable
        if outside := [path for path in proposal.files if path not in editable]:
            return None, f"touches files that are frozen: {', '.join(outside)}"
        before = {path: situation.files[path] for path in proposal.files}
        try:
            patch = patches.diff(before, proposal.files)
            found = patches.problems(patch, situation.files, editable)
        except PatchError as error:
            return None, error.message
        if not patch.hunks:
            return None, "changes nothing"
        if not found and (refusal := self.bench.workspace.refusal(situation.champion, patch.text)):
            found = [refusal]
        if found:
            return patch, "; ".join(found)
        same = situation.tried(proposal.files)
        revised = situation.revision.experiment.id if situation.revision else None
        if same is not None and same != revised:
            return patch, f"is the same code as #{same}"
        return patch, ""

    def _told(self, words: str) -> None:
        self._say("thinking", words, words.seconds if isinstance(words, Pause) else 0.0)

    def _say(self, state: str, detail: str, wait: float = 0.0) -> None:
        """Publish what the researcher does; `wait`: seconds until it goes on, which the screen counts down."""
        now = self.bench.store.setting("researcher", {})
        if not wait and (now.get("state"), now.get("detail")) == (state, detail):
            return
        since = now.get("since") if now.get("state") == state else self.bench.now()
        until = self.bench.now() + wait if wait else 0.0
        known = {"kind": self.researcher.name, "key_missing": now.get("key_missing", False)}
        self.bench.store.set(
            "researcher",
            {**known, "state": state, "detail": detail, "since": since, "until": until, "instead": self._instead},
        )
