"""The wire to an endpoint that speaks the Messages API, through the official SDK.

One call is one streamed answer. What may pass (rate limits, overload, 5xx, a refused connection, a stream cut in the
middle) is tried again after a pause that the screen is told, as the endpoint asks for it in `retry-after`. What will
not pass by itself (a refused key, an unknown model) is said at once, with the key and the way to set it.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from core import config, secrets
from core.errors import ResearcherError
from core.researchers.base import Pause, Say, Unavailable
from core.researchers.claude.answer import Answer, Incoming, TooLong
from core.researchers.claude.budget import Usage
from core.secrets import Secret
from core.text import duration, one_line

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""seconds before each further try"""
LONGEST_PAUSE = 60.0
"""a longer `retry-after` is waited for by the engine, which has other things to do meanwhile"""
SILENCE = 180.0
"""seconds without a byte after which a stream counts as cut; the API sends a ping every few seconds"""
SPENDING = ("contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded")
KINDS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500,
    "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip
"""an error inside a stream comes with status 200: its type says what it would have been"""
TOO_LONG = ("prompt is too long", "input length", "context limit", "context window", "context length")
TRAINING_GOES_ON = "What is approved goes on training."

Watch = Callable[[Incoming], None]
"""is shown the answer while it arrives"""
Journal = Callable[..., object]
"""appends an event: its kind, and what there is to say"""
Paid = Callable[[Usage, float], None]
"""is told what a call used, and its seconds, whether it worked or not"""


class Passing(Exception):
    """A failure that may pass."""

    def __init__(self, words: str, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.retry_after = retry_after


class PromptTooLong(Exception):
    """The prompt does not fit the model's context."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the endpoint says of a model; what it does not say is unknown."""

    summaries: bool = False
    """its thinking can be had as a summary, which the screen shows while it arrives"""
    longest_prompt: int | None = None
    """tokens, the answer's included"""
    longest_answer: int | None = None


class Endpoint:
    """A client for the length of one question."""

    def __init__(
        self, settings: config.Researcher, secret: Secret, *, journal: Journal, pauses: Sequence[float] = PAUSES
    ) -> None:
        self.settings = settings
        self.secret = secret
        self.journal = journal
        self.pauses = pauses
        self._client: AsyncAnthropic | None = None

    async def __aenter__(self) -> Self:
        self._client = await asyncio.to_thread(make_client, self.settings, self.secret)  # the import takes a second
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def answer(self, request: Mapping[str, Any], say: Say, watch: Watch, paid: Paid) -> Answer:
        """One whole answer.

        Raises:
            PromptTooLong: the endpoint says that the prompt does not fit.
            Unavailable: the endpoint cannot be used now; `wait` says until when, where that is known.
            ResearcherError: the answer cannot be used.
        """
        for number, pause in enumerate([*self.pauses, None], 1):
            try:
                return await self._once(request, watch, paid)
            except Passing as error:
                wait = pause if error.retry_after is None else error.retry_after
                if pause is None or wait is None or wait > LONGEST_PAUSE:
                    tries = f" ({number} tries)" if number > 1 else ""
                    raise Unavailable(f"{error.words}{tries}", hint=TRAINING_GOES_ON, wait=error.retry_after) from error
                self.journal("researcher_retries", error=error.words, wait=wait)
                say(Pause(f"{error.words}; try {number + 1} in {duration(wait)}", wait))
                await asyncio.sleep(wait)
        raise AssertionError("the last round returns or raises")

    async def count(self, request: Mapping[str, Any]) -> int | None:
        """The prompt's tokens as the endpoint counts them; None where it does not say."""
        import anthropic

        assert self._client is not None
        body = {k: v for k, v in request.items() if k in ("model", "messages", "system", "tools")}
        try:
            counted = await self._client.messages.count_tokens(**body, timeout=20.0)
        except (anthropic.AnthropicError, ValueError):  # a local server may not have it; the estimate stands
            return None
        return counted.input_tokens if isinstance(counted.input_tokens, int) else None

    async def abilities(self) -> Abilities | None:
        """What the model can do; None where the endpoint cannot be asked now."""
        import anthropic

        assert self._client is not None
        try:
            model = await self._client.models.retrieve(self.settings.model, timeout=10.0)
            thinking = model.capabilities and model.capabilities.thinking.types.adaptive.supported
            return Abilities(bool(thinking), _count(model.max_input_tokens), _count(model.max_tokens))
        except anthropic.APIStatusError as error:  # gateways and local servers may not have it
            return Abilities() if error.status_code in (400, 404, 405, 501) else None
        except (anthropic.AnthropicError, ValueError, AttributeError, TypeError):  # the question itself will tell
            return None

    async def _once(self, request: Mapping[str, Any], watch: Watch, paid: Paid) -> Answer:
        import anthropic
        import httpx2

        assert self._client is not None
        incoming, started = Incoming(), time.monotonic()
        try:
            stream = await self._client.messages.create(**request, stream=True)
            async with stream:
                async for event in stream:
                    incoming.take(event)
                    watch(incoming)
                    if incoming.ended:
                        break
            if not incoming.ended:
                raise Passing("the answer broke off in the middle")
        except anthropic.APIStatusError as error:
            raise self._refused(error) from error
        except anthropic.APITimeoutError as error:
            raise Passing(f"{self._host} does not answer") from error
        except anthropic.APIConnectionError as error:
            cause = f": {one_line(str(error.__cause__), 100)}" if error.__cause__ else ""
            raise Passing(self.secret.redact(f"{self._host} cannot be reached{cause}")) from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise Passing("the answer broke off in the middle") from error
        except (ValueError, AttributeError, TypeError) as error:  # not what the Messages API sends
            raise Passing(f"{self._host} answers with something else than a message") from error
        except TooLong as error:
            raise ResearcherError(
                f"the answer was too long to be a proposal: {error}", hint="asked again from the beginning"
            ) from error
        finally:
            if incoming.begun:
                usage = incoming.usage if incoming.ended else incoming.broken_off()
                paid(usage, time.monotonic() - started)
        return incoming.answer()

    @property
    def _host(self) -> str:
        return str(self._client.base_url.host) if self._client else "the endpoint"

    def _refused(self, error: APIStatusError) -> Exception:
        """An error status as what it means here."""
        status = KINDS.get(str(error.type), error.status_code) if error.status_code < 400 else error.status_code
        said = one_line(self.secret.redact(str(error.api_message or "")), 300)
        because = f": {said}" if said else ""
        if status == 429 and error.error_code in SPENDING:
            return Unavailable(f"a spending limit is reached{because}", hint=TRAINING_GOES_ON, wait=3600.0)
        if status in (408, 409, 429) or status >= 500:
            names = {429: "rate limit", 529: "overloaded", 503: "unavailable", 504: "timed out"}
            return Passing(f"{self._host}: {names.get(status, f'error {status}')}", retry_after(error.response.headers))
        if status == 413 or (status == 400 and any(words in said.lower() for words in TOO_LONG)):
            return PromptTooLong(said)
        if status in (401, 403):
            hint = f"{secrets.HOW}; then start the engine again. {TRAINING_GOES_ON}"
            if self.secret.source not in secrets.VARIABLES:  # a file is read again each time
                hint = f"write another key into {self.secret.source}: it is read again by itself. {TRAINING_GOES_ON}"
            return Unavailable(f"{self._host} refuses {self.secret} ({status}{because})", hint=hint)
        if status == 402:
            return Unavailable(f"{self._host} wants to be paid{because}", hint=TRAINING_GOES_ON, wait=600.0)
        hint = "look at model, base_url, effort and answer_tokens under [researcher] in autoresearch.toml"
        if status == 404:
            return Unavailable(f"{self._host} knows no model {self.settings.model!r}{because}", hint=hint)
        return Unavailable(f"{self._host} refuses the question ({status}{because})", hint=f"{hint}. {TRAINING_GOES_ON}")


def make_client(settings: config.Researcher, secret: Secret) -> AsyncAnthropic:
    """The SDK's client: no retries of its own, for ours tell the screen."""
    import anthropic

    for name in ("anthropic", "httpx2", "httpcore2"):  # engine.log gets no line a call, and never a prompt
        logging.getLogger(name).setLevel(logging.WARNING)
    # Gateways and local servers that know only the header of older versions get the key in it, too.
    older = {"x-api-key": secret.value} if elsewhere(settings) and secret.argument == "api_key" else {}
    return anthropic.AsyncAnthropic(
        base_url=settings.base_url or None,
        max_retries=0,
        timeout=anthropic.Timeout(SILENCE, connect=10.0),
        default_headers={**older, **dict(secret.headers)},
        api_key=secret.value if secret.argument == "api_key" else None,
        auth_token=secret.value if secret.argument == "auth_token" else None,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def elsewhere(settings: config.Researcher) -> bool:
    """Whether the endpoint is another one than Anthropic's own."""
    return bool(settings.base_url or os.environ.get("ANTHROPIC_BASE_URL"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the endpoint wants us to wait: a number, thousandths, or a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    try:
        when = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, when.timestamp() - time.time())
