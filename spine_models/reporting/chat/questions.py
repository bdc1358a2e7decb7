"""What is asked of a model and what comes back.

Belongs here: a question, its place in the log of answers, a reply. Does not belong here: asking (``asking``), the words
of any prompt (the stages that ask).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm.questions import execution_mode
from spine_models.reporting.chat.schema import read_json

ANSWERED: Final = "answered"
"""Outcome of a question with a usable answer; any other is a ``corpus.labels.contract.Reason``."""

Message = dict[str, str]
"""``role`` (system | user | assistant) and ``content``."""


@dataclass(frozen=True)
class Question:
    """One request.

    Attributes:
        key: what the caller finds the reply by; one of its own in a call of ``ask_all``.
        messages: the prompt; de-identified text only.
        schema: JSON schema that the answer is bound to and checked against; None for free text.
        seed: added to the settings' seed, so that the same prompt may be asked twice.
    """

    key: str
    messages: list[Message] = field(repr=False)
    schema: dict[str, Any] | None = field(default=None, repr=False)
    seed: int = 0

    def log_key(self, settings: LlmSettings) -> str:
        """64 hexadecimal digits of everything that the answer depends on: equal prompts share one answer."""
        depends = [
            settings.model,
            execution_mode(settings),
            settings.answer_tokens,
            settings.seed + self.seed,
            self.messages,
            self.schema,
        ]
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What became of one question.

    Attributes:
        text: what the model wrote; None where nothing usable came.
        outcome: ``ANSWERED``, or the reason why there is no text: truncated, malformed, refused, context_too_long,
            rejected.
        model: who was asked.
        prompt_tokens: as the server counts; None where it does not.
        completion_tokens: the same of the answer.
        seconds: from the first attempt to the last reply.
        attempts: HTTP requests made.
    """

    text: str | None = field(repr=False)
    outcome: str
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    attempts: int = 1

    @property
    def document(self) -> Any:
        """The JSON of an answer that was bound to a schema; None where there is no answer.

        Raises:
            ValueError: the text is no JSON: the question named no schema.
        """
        return None if self.text is None else read_json(self.text)


def model_version(settings: LlmSettings) -> str:
    """Model and execution mode: what names the writer of a text in tables."""
    return f"{settings.model}, {execution_mode(settings)}"


def refuse_twins(questions: Sequence[Question]) -> None:
    """Demand that every question can be told from the others.

    Raises:
        ValueError: two have one key.
    """
    if len({question.key for question in questions}) < len(questions):
        raise ValueError("two questions have one key: replies are found by it, give each its own")
