"""Questions to a model server: bounded in number, patient with a busy server, clear about one that cannot.

Belongs here: the HTTP exchange, what is tried again, what a failure means. Does not belong here: what is asked
(``prompting``), what a reply holds (``replies``), the order of questions (``labeller``).

Report text travels in request bodies only. No log line and no exception holds a prompt, an answer or the body of a
server's error, which may repeat them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import openai

from spine_models.config import LlmSettings
from spine_models.corpus.labels.contract import Reason
from spine_models.corpus.labels.llm.endpoint import Endpoint, demand_model, down, refused_key
from spine_models.corpus.labels.llm.errors import LlmError
from spine_models.corpus.labels.llm.prompting import Message
from spine_models.corpus.labels.llm.replies import Answered, read_reply
from spine_models.corpus.labels.llm.slots import Slots

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0

_AGAIN: Final = frozenset({408, 409, 425, 429})
_CONTEXT_WORDS: Final = ("context length", "context window", "maximum model length", "max_model_len")


class Client:
    """One server and one model. Use as ``async with``; errors of this class end the run.

    Attributes:
        answered: replies so far.
    """

    def __init__(self, endpoint: Endpoint, settings: LlmSettings, *, api_key: str | None = None) -> None:
        self._endpoint, self._settings, self._key = endpoint, settings, api_key
        self._slots = Slots(settings.concurrency)
        self.answered = 0
        # The library logs whole requests at DEBUG, and a site may have set the root logger to that.
        logging.getLogger("openai").setLevel(logging.WARNING)
        self._openai = openai.AsyncOpenAI(
            base_url=endpoint.api,
            api_key=api_key or "none",
            timeout=settings.timeout_s,
            max_retries=0,
            # No proxy may see what goes to this machine itself.
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not endpoint.loopback),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._openai.close()

    async def check(self) -> None:
        """Demand that the server is there and serves the model.

        Raises:
            LlmError: it is not, or does not.
        """
        await asyncio.to_thread(demand_model, self._endpoint, self._settings, api_key=self._key)

    async def ask(
        self,
        messages: list[Message],
        schema: dict[str, Any] | None,
        *,
        seed: int,
        temperature: float = 0.0,
        urgent: bool = False,
    ) -> Answered:
        """Ask once, and again as long as the server only asks for patience.

        Args:
            messages: the prompt.
            schema: JSON schema that the answer is bound to; None for free text.
            seed: of sampling.
            temperature: of sampling.
            urgent: others wait for this one.

        Raises:
            LlmError: the server is down, refuses the key, lacks the model, or fails for every question.
        """
        # Before a slot is taken, as reading the reply comes after: a slot is for what the server works on.
        body = self._body(messages, schema, seed, temperature)
        async with self._slots.taken(urgent=urgent):
            began = time.monotonic()
            outcome, attempts = await self._send_patiently(body)
            seconds = time.monotonic() - began
        await asyncio.sleep(0)  # whoever waits for the slot sends before this reply is read
        if isinstance(outcome, Reason):
            return Answered(None, outcome, seconds=seconds, attempts=attempts)
        answered = read_reply(outcome, seconds, attempts)
        if answered is None:
            raise LlmError(f"{self._endpoint.shown} answers what no model server does: is the URL right?")
        return answered

    async def _send_patiently(self, body: bytes) -> tuple[bytes | Reason, int]:
        """The reply, or why this question gets none; and the number of attempts."""
        why, code, answered_before = "no answer", None, self.answered
        attempts = self._settings.attempts
        for attempt in range(1, attempts + 1):
            pause: float | None = None
            try:
                reply = await self._send(body)
            except openai.APIStatusError as error:
                code = error.status_code
                if code not in _AGAIN and code < 500:
                    return await self._refusal(code, error.body), attempt
                why, pause = f"HTTP {code}", _retry_after(error.response.headers.get("retry-after"))
            except openai.APIConnectionError as error:
                slow = isinstance(error, openai.APITimeoutError)
                if slow and not isinstance(error.__cause__, httpx2.ConnectTimeout):
                    code, why = 408, f"no answer within {self._settings.timeout_s:g} s"
                else:
                    code, why = None, type(error.__cause__ or error).__name__
            else:
                self.answered += 1
                return reply, attempt
            if attempt < attempts:
                await asyncio.sleep(_pause(attempt, pause))
        if code == 500 and self.answered > answered_before:
            # It breaks on this question and answers others meanwhile. A busy server says 429 or 503 instead.
            return Reason.REJECTED, attempts
        if code is None:
            raise down(self._endpoint, f"{why}, {attempts} attempts")
        raise LlmError(
            f"{self._endpoint.shown} does not answer ({why}, {attempts} attempts): see the server's log, lower "
            "concurrency or raise timeout_s in the profile. Answers so far are kept"
        )

    def _body(
        self, messages: list[Message], schema: dict[str, Any] | None, seed: int, temperature: float
    ) -> bytes:
        document: dict[str, Any] = {
            "model": self._settings.model,
            "messages": messages,
            "temperature": temperature,
            "seed": seed,
            "max_tokens": self._settings.answer_tokens,
            "logprobs": True,
        }
        if schema is not None:
            bound = {"name": "answer", "strict": True, "schema": schema}
            document["response_format"] = {"type": "json_schema", "json_schema": bound}
        return json.dumps(document, ensure_ascii=False).encode()

    async def _send(self, body: bytes) -> bytes:
        # Bytes in, bytes out: the library's typed call walks through every schema and token, which costs as much
        # as all the rest of a question.
        reply = await self._openai.post("/chat/completions", cast_to=httpx2.Response, content=body)
        return reply.content

    def rejects_everything(self) -> LlmError:
        """The error of a server that accepts none of our questions."""
        return LlmError(
            f"{self._endpoint.shown} rejects every question: does it know response_format json_schema and "
            "logprobs? See the server's log"
        )

    async def _refusal(self, code: int, body: object) -> Reason:
        """Why a question is not answered; errors that no other question would escape are raised."""
        if code in (401, 403):
            raise refused_key(self._endpoint, code)
        if code == 404:
            await self.check()
            raise LlmError(f"{self._endpoint.shown} serves the model but has no chat completions (HTTP 404)")
        said = json.dumps(body, default=str).lower()
        return Reason.CONTEXT_TOO_LONG if any(words in said for words in _CONTEXT_WORDS) else Reason.REJECTED


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds to the next attempt: as the server asks, else doubling, with jitter so that not all come at once."""
    usual = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
    if asked is not None:
        return min(LONGEST_PAUSE_S, asked) + random.uniform(0, 0.1 * FIRST_PAUSE_S)
    return usual * random.uniform(0.5, 1.0)


def _retry_after(header: str | None) -> float | None:
    """Seconds that a server asks to wait; a date instead of seconds is left to the usual pause."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
