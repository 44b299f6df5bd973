"""Claude proposes. What it needs it reads from the record each time; nothing it holds between two questions matters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from core import config, secrets
from core.errors import ConfigError
from core.lab import Lab
from core.models import Proposal
from core.researchers.base import Say, Situation, Unavailable
from core.researchers.claude.budget import Usage, cost, used_up
from core.researchers.claude.conversation import Conversation
from core.researchers.claude.desk import Desk
from core.researchers.claude.endpoint import PAUSES, Abilities, Endpoint, PromptTooLong, elsewhere
from core.researchers.claude.facts import NOTEBOOK, Facts, read_facts
from core.researchers.claude.forms import tools
from core.researchers.claude.prompt import Prompt, build
from core.researchers.claude.question import NAME, Question, question
from core.researchers.claude.repeats import vetoed_ideas
from core.researchers.claude.shelf import shelf
from core.researchers.claude.voice import Voice
from core.researchers.claude.words import estimate
from core.secrets import Secret
from core.store import Reader, Writer

NOTES = 100
"""notes that are kept; the oldest goes first"""
SURE = 0.8
"""share of the budget up to which the estimate of the prompt's size is trusted"""


class ClaudeResearcher:
    """Asks the model one question at a time."""

    name = NAME

    def __init__(
        self,
        lab: Lab,
        settings: config.Config,
        store: Writer,
        secret: Secret | None,
        *,
        pauses: Sequence[float] = PAUSES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.lab = lab
        self.settings = settings.researcher
        self.judging = settings.judging
        self.target = settings.target
        self.store = store
        """only to write down what calls cost and what the model wants to remember"""
        self.secret = secret
        self.pauses = pauses
        self.now = now
        self._abilities: Abilities | None = None
        """of the model, asked for once"""
        self._ratio: float | None = None
        """tokens as the endpoint counted them, to our estimate: from the last question, so that the next fits better"""

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        """The next experiment.

        Raises:
            Unavailable: no key, a cap, or an endpoint that cannot be used now.
            ResearcherError: the answer cannot be used, or the model refused.
        """
        secret = self._key()
        self._may_ask()
        say("reading the record")
        asked = question(situation, self.settings.plateau)
        with closing(Reader(self.lab.database)) as reader:
            desk = Desk(self.lab, reader, situation, await asyncio.to_thread(shelf, self.target), self._remember)
            facts = read_facts(reader, desk, situation, asked, self.judging)
            vetoed = list(vetoed_ideas(situation.history, situation.reviews, reader.patch))
            async with Endpoint(self.settings, secret, journal=self.store.event, pauses=self.pauses) as endpoint:
                self._abilities = self._abilities or await endpoint.abilities()
                budget = float(self._longest_prompt())
                for smaller in (1.0, 0.5, 0.25):
                    prompt, request = await self._fitting(situation, facts, asked, budget * smaller, endpoint)
                    conversation = Conversation(
                        endpoint, desk, Voice(say), situation, asked,
                        vetoed=vetoed, settings=self.settings, record=self._record, may_ask=self._may_ask,
                        journal=self.store.event,
                    )  # fmt: skip
                    try:
                        proposal = await conversation.answer(request)
                    except PromptTooLong as error:
                        say("the prompt is too long for this model: summarising more")
                        self.store.event("researcher_retries", error=f"the prompt is too long: {error}", wait=0)
                        complaint = str(error)
                    else:
                        self._learn(prompt, request, conversation.first_prompt)
                        return proposal
        raise Unavailable(
            f"the prompt does not fit {self.settings.model}: {complaint}", hint="lower researcher.prompt_tokens"
        )

    # ---- the prompt --------------------------------------------------------------------------------------------

    async def _fitting(
        self, situation: Situation, facts: Facts, asked: Question, budget: float, endpoint: Endpoint
    ) -> tuple[Prompt, dict[str, Any]]:
        """A prompt inside the budget: by our estimate, and by the endpoint's count where that comes near it."""
        prompt, request = self._request(situation, facts, asked, budget)
        if self._ratio is not None or self._estimated(prompt, request) <= SURE * budget:
            return prompt, request
        counted = await endpoint.count(request)
        if counted is not None and counted > budget:
            self._ratio = counted / self._estimated(prompt, request)
            return self._request(situation, facts, asked, budget)
        return prompt, request

    def _request(
        self, situation: Situation, facts: Facts, asked: Question, budget: float
    ) -> tuple[Prompt, dict[str, Any]]:
        known = tools(eager=not elsewhere(self.settings))
        left = budget / (self._ratio or 1.0) - estimate(str(known))
        prompt = build(situation, facts, asked, tokens=int(left), cache=self.settings.cache)
        request: dict[str, Any] = {
            "model": self.settings.model,
            "max_tokens": self._longest_answer(),
            "system": prompt.system,
            "messages": [{"role": "user", "content": prompt.content}],
            "tools": known,
        }
        if self.settings.cache != "off":  # what the conversation adds: short-lived, marked by the endpoint itself
            request["cache_control"] = {"type": "ephemeral"}
        if self.settings.effort:
            request["output_config"] = {"effort": self.settings.effort}
        if self._abilities is not None and self._abilities.summaries:  # newer models think in silence unless asked
            request["thinking"] = {"type": "adaptive", "display": "summarized"}
        return prompt, request

    def _longest_answer(self) -> int:
        most = self._abilities.longest_answer if self._abilities is not None else None
        return min(self.settings.answer_tokens, most or self.settings.answer_tokens)

    def _longest_prompt(self) -> int:
        """The budget of the configuration, or what the model's context leaves beside an answer."""
        whole = self._abilities.longest_prompt if self._abilities is not None else None
        if whole is None:
            return self.settings.prompt_tokens
        return min(self.settings.prompt_tokens, max(whole // 2, whole - self._longest_answer()))

    def _estimated(self, prompt: Prompt, request: Mapping[str, Any]) -> int:
        return prompt.tokens + estimate(str(request["tools"]))

    def _learn(self, prompt: Prompt, request: Mapping[str, Any], counted: int) -> None:
        if counted:
            self._ratio = min(3.0, max(0.5, counted / self._estimated(prompt, request)))

    # ---- keys, caps and the record -----------------------------------------------------------------------------

    def _key(self) -> Secret:
        """The key; a file is read each time, so that a new one needs no restart."""
        if self.secret is not None and self.secret.source in secrets.VARIABLES:
            return self.secret
        try:
            found = secrets.find(self.settings.key_file)
        except ConfigError as error:
            raise Unavailable(error.message, hint=error.hint) from error
        if found is None:
            raise Unavailable("there is no key for Claude", hint=secrets.HOW)
        return found if self.secret is None else replace(found, headers=self.secret.headers)

    def _may_ask(self) -> None:
        cap = used_up(self.settings.caps, lambda since: self.store.spent(since=since), self.now())
        if cap is not None:
            raise cap.error()

    def _record(self, usage: Usage, seconds: float) -> None:
        self.store.add_usage(
            model=self.settings.model,
            input=usage.input,
            output=usage.output,
            cache_read=usage.cache_read,
            cache_write=usage.cache_write,
            seconds=seconds,
            cost=cost(usage, self.settings.prices.get(self.settings.model)),
        )

    def _remember(self, note: str) -> None:
        notes = [*self.store.setting(NOTEBOOK, []), note]
        with self.store.transaction():
            self.store.set(NOTEBOOK, notes[-NOTES:])
            self.store.event("remembered", note=note)
