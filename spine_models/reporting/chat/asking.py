"""Asking many questions of one server: what the log answers is not asked again, the rest a bounded number at a time.

Belongs here: the log, the second chance of a malformed answer, replies by key. Does not belong here: HTTP and its
patience (``corpus.labels.llm.client``), which server answers (``pipelines.runtime.models``), what is asked.

One question that fails for good is a reply without text and with its reason; a server that is down, lacks the model or
rejects everything ends the call, and what was answered until then is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spine_models.config import LlmSettings
from spine_models.corpus.labels.contract import Reason
from spine_models.corpus.labels.llm.endpoint import endpoint_of
from spine_models.corpus.labels.llm.errors import LlmError
from spine_models.corpus.labels.llm.keeping import Keeper, first_failure
from spine_models.corpus.labels.llm.store import AnswerLog, Stored
from spine_models.reporting.chat.questions import ANSWERED, Question, Reply, refuse_twins
from spine_models.reporting.chat.schema import keeps_to

if TYPE_CHECKING:
    from spine_models.corpus.labels.llm.client import Client

Progress = Callable[[int, int], None]
"""Told how many of how many open questions are answered."""

_SECOND_CHANCE_TEMPERATURE: Final = 0.3
"""At temperature 0 another seed would bring the same malformed answer again."""

_SEED_STEP: Final = 1009


def ask_all(
    questions: Sequence[Question],
    *,
    settings: LlmSettings,
    endpoint: str,
    log_folder: Path,
    api_key: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Reply]:
    """Ask every question that the log does not answer yet, and return all replies.

    Args:
        questions: each with a key of its own; equal prompts are asked once.
        settings: the model and how it is asked; ``settings.concurrency`` requests are in flight.
        endpoint: URL of a server of the OpenAI-compatible protocol, with or without ``/v1``; not called where
            everything is in the log.
        log_folder: folder of the log, one file per ``settings.name``; one run at a time.
        api_key: where the server wants one.
        progress: told as answers come.

    Returns:
        Key of each question to its reply, in the order of the questions.

    Raises:
        ServerDownError: nothing answers at the endpoint.
        ModelMissingError: the server does not serve the model.
        LlmError: the settings leave no room for a prompt, the server cannot go on otherwise, or another run holds
            the log. What was answered is kept.
        ValueError: two questions have one key.
    """
    refuse_twins(questions)
    _demand_room(settings)
    with AnswerLog(_log_file(log_folder, settings)) as log:
        todo = _open(questions, log, settings)
        if todo:
            asyncio.run(_ask(todo, log, settings, endpoint, api_key, progress))
        return {q.key: _reply(log.get(q.log_key(settings)), settings) for q in questions}


def count_open(questions: Sequence[Question], *, settings: LlmSettings, log_folder: Path) -> int:
    """How many questions the log does not answer yet: with none, no server is needed.

    Raises:
        LlmError: another run holds the log.
    """
    with AnswerLog(_log_file(log_folder, settings)) as log:
        return len(_open(questions, log, settings))


def _demand_room(settings: LlmSettings) -> None:
    """A server refuses every question whose longest answer fills its context, each as if its prompt were too long."""
    if settings.answer_tokens >= settings.max_model_len:
        raise LlmError(
            f"the language model {settings.name} may answer with {settings.answer_tokens} tokens in a context of "
            f"{settings.max_model_len}: no prompt fits. Lower max_tokens or raise max_model_len in the profile"
        )


def _log_file(folder: Path, settings: LlmSettings) -> Path:
    return folder / f"{settings.name}.jsonl"


def _open(questions: Sequence[Question], log: AnswerLog, settings: LlmSettings) -> dict[str, Question]:
    """Log key to question, each prompt once."""
    found: dict[str, Question] = {}
    for question in questions:
        key = question.log_key(settings)
        stored = log.get(key)
        longer = (
            stored is not None
            and stored.outcome == Reason.CONTEXT_TOO_LONG
            and stored.limit < settings.max_model_len
        )
        if stored is None or longer:
            found.setdefault(key, question)
    return found


async def _ask(
    todo: dict[str, Question],
    log: AnswerLog,
    settings: LlmSettings,
    endpoint: str,
    api_key: str | None,
    progress: Progress | None,
) -> None:
    # The HTTP library takes a second to load, and whoever reads the asset graph asks nothing.
    from spine_models.corpus.labels.llm.client import Client

    async with Client(endpoint_of(endpoint), settings, api_key=api_key) as client:
        await client.check()
        keeper = Keeper(client, log)
        done = 0

        async def work(mine: Iterator[tuple[str, Question]]) -> None:
            nonlocal done
            for key, question in mine:  # all workers draw from one iterator
                stored = await _answered(client, key, question, settings)
                keeper.add(stored)
                done += 1
                if progress is not None:
                    progress(done, len(todo))

        queue = iter(todo.items())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(settings.concurrency, len(todo))):
                    group.create_task(work(queue))
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        keeper.close()


async def _answered(client: Client, key: str, question: Question, settings: LlmSettings) -> Stored:
    seconds, attempts = 0.0, 0
    for again in range(settings.malformed_retries + 1):
        answered = await client.ask(
            question.messages,
            question.schema,
            seed=settings.seed + question.seed + _SEED_STEP * again,
            temperature=_SECOND_CHANCE_TEMPERATURE if again else 0.0,
        )
        seconds, attempts = seconds + answered.seconds, attempts + answered.attempts
        outcome: str = answered.refused or ANSWERED
        if outcome == ANSWERED and question.schema is not None:
            outcome = ANSWERED if keeps_to(answered.text or "", question.schema) else Reason.MALFORMED
        if outcome != Reason.MALFORMED:
            break
    return Stored(
        key=key,
        text=answered.text if outcome == ANSWERED else None,
        outcome=str(outcome),
        finish_reason=answered.finish_reason,
        prompt_tokens=answered.prompt_tokens,
        cached_tokens=answered.cached_tokens,
        completion_tokens=answered.completion_tokens,
        seconds=round(seconds, 4),
        attempts=attempts,
        limit=settings.max_model_len,
        log_probabilities={},
    )


def _reply(stored: Stored | None, settings: LlmSettings) -> Reply:
    assert stored is not None, "every open question was answered above, or the call had ended"
    return Reply(
        text=stored.text,
        outcome=stored.outcome,
        model=settings.model,
        prompt_tokens=stored.prompt_tokens,
        completion_tokens=stored.completion_tokens,
        seconds=stored.seconds,
        attempts=stored.attempts,
    )
