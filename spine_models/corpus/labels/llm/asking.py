"""Asking what is not yet answered, in an order that pays with a prefix cache.

Belongs here: the schedule, the second chance of a malformed answer, writing answers down as they come. Does not
belong here: HTTP (``client``), rows (``labeller``).

Questions go report by report: the first alone, so that the server has the report's prefix when the others come,
then all others together. Several reports are in flight so that the server is never idle meanwhile. Repeats come
after all first answers: other neighbours in the batch are the point of asking again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spine_models.config import LlmSettings
from spine_models.corpus.labels.contract import Reason
from spine_models.corpus.labels.llm.answers import answer_schema, parse, status_log_probabilities
from spine_models.corpus.labels.llm.endpoint import endpoint_of
from spine_models.corpus.labels.llm.errors import AnswerError
from spine_models.corpus.labels.llm.keeping import Keeper, first_failure
from spine_models.corpus.labels.llm.prompting import Prompts
from spine_models.corpus.labels.llm.questions import Question
from spine_models.corpus.labels.llm.replies import Answered
from spine_models.corpus.labels.llm.store import AnswerLog, Stored

if TYPE_CHECKING:
    from spine_models.corpus.labels.llm.client import Client

ANSWERED: Final = "answered"

_QUESTIONS_A_REPORT: Final = 4
"""Requests that a report has in flight at least, on average: one at first, sixteen then."""

_SECOND_CHANCE_TEMPERATURE: Final = 0.3
"""At temperature 0 another seed would bring the same malformed answer again."""

_SEED_STEP: Final = 1009

Progress = Callable[[int, int], None]
"""Told how many of how many questions are answered."""


@dataclass(frozen=True)
class Reading:
    """One report text and the questions on it that are open."""

    text: str
    questions: tuple[Question, ...]


def ask_open(
    readings: Sequence[Reading],
    log: AnswerLog,
    *,
    settings: LlmSettings,
    prompts: Prompts,
    endpoint: str,
    api_key: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Ask every open question and write each answer into the log when it is there.

    Raises:
        LlmError: the server cannot go on. What was answered is in the log.
    """
    if any(reading.questions for reading in readings):
        asyncio.run(_ask_all(readings, log, settings, prompts, endpoint, api_key, progress))


async def _ask_all(
    readings: Sequence[Reading],
    log: AnswerLog,
    settings: LlmSettings,
    prompts: Prompts,
    endpoint: str,
    api_key: str | None,
    progress: Progress | None,
) -> None:
    # The HTTP library takes a second to load, and whoever reads the asset graph asks nothing.
    from spine_models.corpus.labels.llm.client import Client

    total = sum(len(reading.questions) for reading in readings)
    done = 0
    async with Client(endpoint_of(endpoint), settings, api_key=api_key) as client:
        await client.check()
        keeper = Keeper(client, log)

        async def answer(reading: Reading, question: Question, *, urgent: bool = False) -> None:
            nonlocal done
            stored = await _answered(client, reading.text, question, settings, prompts, urgent=urgent)
            keeper.add(stored)
            done += 1
            if progress is not None:
                progress(done, total)

        async def work(mine: Iterator[Reading]) -> None:
            for reading in mine:  # all workers draw from one iterator
                first, *others = reading.questions
                await answer(reading, first, urgent=True)
                async with asyncio.TaskGroup() as group:
                    for question in others:
                        group.create_task(answer(reading, question))

        joint = settings.prompts == "joint"
        workers = settings.concurrency if joint else settings.concurrency // _QUESTIONS_A_REPORT + 1
        queue = iter([reading for reading in readings if reading.questions])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(workers, len(readings))):
                    group.create_task(work(queue))
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        keeper.close()


async def _answered(
    client: Client, text: str, question: Question, settings: LlmSettings, prompts: Prompts, *, urgent: bool
) -> Stored:
    messages = prompts.messages(text, question.condition)
    schema = answer_schema(joint=question.asked is None)
    seconds, attempts = 0.0, 0
    for again in range(settings.malformed_retries + 1):
        answered = await client.ask(
            messages,
            schema,
            seed=question.seed + _SEED_STEP * again,
            temperature=_SECOND_CHANCE_TEMPERATURE if again else 0.0,
            urgent=urgent,
        )
        seconds, attempts = seconds + answered.seconds, attempts + answered.attempts
        refused = answered.refused or _malformed(answered.text, question)
        if refused is not Reason.MALFORMED:
            break
    return _stored(answered, question, refused, seconds, attempts, settings)


def _malformed(text: str | None, question: Question) -> Reason | None:
    try:
        parse(text or "", question.asked)
    except AnswerError:
        return Reason.MALFORMED
    return None


def _stored(
    answered: Answered,
    question: Question,
    refused: Reason | None,
    seconds: float,
    attempts: int,
    settings: LlmSettings,
) -> Stored:
    usable = refused is None and answered.text is not None
    return Stored(
        key=question.key,
        text=answered.text if usable else None,
        outcome=refused.value if refused else ANSWERED,
        finish_reason=answered.finish_reason,
        prompt_tokens=answered.prompt_tokens,
        cached_tokens=answered.cached_tokens,
        completion_tokens=answered.completion_tokens,
        seconds=round(seconds, 4),
        attempts=attempts,
        limit=settings.max_model_len,
        log_probabilities={
            key: round(value, 5)
            for key, value in status_log_probabilities(
                answered.text or "", answered.tokens, question.asked
            ).items()
        }
        if usable
        else {},
    )
