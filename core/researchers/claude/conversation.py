"""One question until it is answered: ask, let it read, check what it proposes, let it mend that twice.

What was sent is only ever added to: newer models bind their thinking to everything that came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from core import config
from core.errors import ResearcherError
from core.models import Proposal
from core.researchers.base import Situation
from core.researchers.claude import draft
from core.researchers.claude.answer import Answer, Call
from core.researchers.claude.budget import Usage, cost, over
from core.researchers.claude.desk import Desk, Wrong
from core.researchers.claude.endpoint import Endpoint, Journal, PromptTooLong
from core.researchers.claude.forms import FORMS, Propose, ReadExperiment, ReadFile, mistakes
from core.researchers.claude.question import Question
from core.researchers.claude.repeats import Vetoed
from core.researchers.claude.voice import READING, Voice
from core.text import one_line

TRIES = 3
"""proposals the model may make before the attempt is given up"""
ROUNDS = 14
"""answers to one question, reading included"""
CALLS = 8
"""tools of one answer that are used; more are refused"""
LAST = "This was the last look: call `propose` now."
NUDGE = "Answer the question with a call of `propose`."
CUT = "Your last answer was longer than allowed, was cut off and is not shown. Think less, and propose a smaller patch."

Record = Callable[[Usage, float], None]
"""writes a call down: what it used, and its seconds"""
MayAsk = Callable[[], None]
"""raises Unavailable when a cap of the day or of the lab is used up"""


class Conversation:
    """The messages of one question."""

    def __init__(
        self,
        endpoint: Endpoint,
        desk: Desk,
        voice: Voice,
        situation: Situation,
        asked: Question,
        *,
        vetoed: Sequence[Vetoed],
        settings: config.Researcher,
        record: Record,
        may_ask: MayAsk,
        journal: Journal,
    ) -> None:
        self.endpoint = endpoint
        self.desk = desk
        self.voice = voice
        self.situation = situation
        self.asked = asked
        self.vetoed = vetoed
        self.settings = settings
        self.record = record
        self.may_ask = may_ask
        self.journal = journal
        self.messages: list[dict[str, Any]] = []
        self.first_prompt = 0
        """tokens of the first prompt, as the endpoint counted them"""
        self._wrong: list[str] = []
        self._title = ""
        self._asked_why = False
        """it was asked what makes a proposal different from a vetoed one"""
        self._closing = ""
        """why this is the last call"""

    async def answer(self, request: dict[str, Any]) -> Proposal:
        """The proposal; one that is given up after too many tries says why in `problem`.

        Raises:
            PromptTooLong, Unavailable, ResearcherError: see `Endpoint.answer`; a refusal is a ResearcherError.
        """
        self.messages = [{"role": "user", "content": list(request["messages"][0]["content"])}]
        for number in range(1, ROUNDS + 1):
            self.voice.tell("thinks" if number == 1 else "thinks on")
            answer = await self.endpoint.answer(
                {**request, "messages": self.messages}, self.voice.say, self.voice.watch, self._paid
            )
            self.first_prompt = self.first_prompt or answer.usage.prompt
            self._check_refusal(answer)
            proposal = await self._take(answer)
            if proposal is not None:
                return proposal
            if len(self._wrong) >= TRIES or self._closing:
                break
            self._close_if_last(number)
        if self._closing:
            self.may_ask()  # a cap of the day or the lab: the question stands, and is asked again when it may be
        why = self._wrong[-1] if self._wrong else "it looked around and never proposed"
        after = f" ({self._closing})" if self._closing else ""
        return draft.given_up(self.asked, self.situation, f"{why}{after}", self._title)

    # ---- one answer --------------------------------------------------------------------------------------------

    async def _take(self, answer: Answer) -> Proposal | None:
        """Use the tools an answer asks for and add what they say; the proposal, if there is one."""
        if answer.stop == "max_tokens":
            self._note_wrong(f"its answer was cut off at {self.settings.answer_tokens:,} tokens")
            self._say_to_model([{"type": "text", "text": CUT}])
            return None
        results: list[dict[str, Any]] = []
        proposed = False
        for number, call in enumerate(answer.calls):
            if call.name == "propose" and proposed:
                results.append(_result(call, "One proposal at a time: this one was not looked at.", wrong=True))
            elif call.name == "propose":
                proposed = True
                try:
                    return self._propose(call)
                except draft.Resembles as error:
                    results.append(_result(call, self._may_say_why(str(error)), wrong=True))
                except draft.Mend as error:
                    self._note_wrong(str(error))
                    left = TRIES - len(self._wrong)
                    tries = f"\n{left} more tries." if left else ""
                    results.append(_result(call, f"{error}{tries}", wrong=True))
            elif number >= CALLS:
                results.append(_result(call, "Too many tools at once: this one was not used.", wrong=True))
            else:
                results.append(await self._look(call))
        if answer.content:
            self.messages.append({"role": "assistant", "content": answer.content})
        if answer.stop == "pause_turn" and not answer.calls:  # the endpoint wants to be asked to go on
            return None
        if not answer.calls:
            self._note_wrong("it answered in words and proposed nothing")
            results.append({"type": "text", "text": NUDGE})
        self._say_to_model(results)
        return None

    def _note_wrong(self, words: str) -> None:
        """One try is used up; the screen and the journal say why."""
        self._wrong.append(words)
        self.journal("researcher_mends", problem=one_line(words, 500), tries=len(self._wrong))
        self.voice.tell(f"tries again: {one_line(words, 120)}")

    def _may_say_why(self, words: str) -> str:
        """Being asked what is different is no failure: the first time no try is used up."""
        if self._asked_why:
            self._note_wrong(words)
        self._asked_why = True
        return words

    def _propose(self, call: Call) -> Proposal:
        if call.problem:
            raise draft.Mend(f"{call.problem} Send the whole call again.")
        self._title = one_line(str(call.input.get("title", "")), 120)
        try:
            form = Propose.model_validate(call.input)
        except ValidationError as error:
            raise draft.Mend(mistakes(error)) from error
        return draft.proposal(form, self.situation, self.asked, self.vetoed)

    async def _look(self, call: Call) -> dict[str, Any]:
        form_type = FORMS.get(call.name)
        if form_type is None:
            known = ", ".join(FORMS)
            return _result(call, f"There is no tool {one_line(call.name, 40)!r}. There are: {known}.", wrong=True)
        if call.problem:
            return _result(call, call.problem, wrong=True)
        try:
            form = form_type.model_validate(call.input)
            self.voice.tell(_reads(call.name, form))
            return _result(call, await self.desk.use(form))
        except ValidationError as error:
            return _result(call, mistakes(error), wrong=True)
        except Wrong as error:
            return _result(call, str(error), wrong=True)

    def _say_to_model(self, blocks: list[dict[str, Any]]) -> None:
        """Add to the end: to the last message where that is ours already."""
        if self.messages[-1]["role"] == "user":
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": "user", "content": blocks})

    # ---- limits ------------------------------------------------------------------------------------------------

    def _paid(self, usage: Usage, seconds: float) -> None:
        self.voice.used += usage
        self.record(usage, seconds)

    def _close_if_last(self, number: int) -> None:
        """Say so when the next call is the last: the rounds, a cap on a proposal, or a cap of the day or the lab."""
        used = self.voice.used
        closing = over(self.settings.caps, used, cost(used, self.settings.prices.get(self.settings.model)))
        if not closing and number == ROUNDS - 1:
            closing = f"after {ROUNDS} answers"
        if not closing:
            try:
                self.may_ask()
            except ResearcherError as error:
                closing = error.message
        if closing:
            self._closing = closing
            self._say_to_model([{"type": "text", "text": LAST}])

    def _check_refusal(self, answer: Answer) -> None:
        if answer.stop == "refusal":
            why = f": {one_line(answer.refusal, 300)}" if answer.refusal else ""
            raise ResearcherError(
                f"{self.settings.model} refused to answer{why}",
                hint="look at program.md and your messages, or set another researcher.model; "
                "what is approved goes on training",
            )
        if answer.stop == "model_context_window_exceeded":
            raise PromptTooLong("the conversation outgrew the model's context")


def _result(call: Call, text: str, *, wrong: bool = False) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call.id, "content": text, **({"is_error": True} if wrong else {})}


def _reads(name: str, form: object) -> str:
    if isinstance(form, ReadFile):
        return f"reads {one_line(form.path, 60)}"
    if isinstance(form, ReadExperiment):
        return f"reads experiment #{form.id}"
    return READING[name]
