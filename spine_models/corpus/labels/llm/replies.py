"""The reply of a model server: its text, why it has none, and what it cost.

Belongs here: the fields of a chat completion. Does not belong here: HTTP (``client``), whether the text is an answer
(``answers``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from spine_models.corpus.labels.contract import Reason


@dataclass(frozen=True)
class Answered:
    """What became of one question.

    Attributes:
        text: what the model wrote; None where nothing usable came.
        refused: why there is no usable text; None where there is.
        finish_reason: as the server says.
        seconds: from the first attempt to the last reply, pauses included.
        attempts: HTTP requests made.
        tokens: bytes and log-probability of each token of the text; empty where the server does not tell.
    """

    text: str | None = field(repr=False)
    refused: Reason | None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    attempts: int = 1
    tokens: tuple[tuple[bytes, float], ...] = field(default=(), repr=False)


def read_reply(reply: bytes, seconds: float, attempts: int) -> Answered | None:
    """Read a chat completion.

    Args:
        reply: body of the HTTP reply.
        seconds: how long it took.
        attempts: HTTP requests made for it.

    Returns:
        What it says; None where it is no chat completion.
    """
    try:
        document = json.loads(reply)
    except ValueError:
        return None
    choices = document.get("choices") if isinstance(document, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        return None
    choice = choices[0]
    message, finish = choice.get("message") or {}, choice.get("finish_reason")
    text, usage = message.get("content"), document.get("usage") or {}
    if finish == "length":
        refused: Reason | None = Reason.TRUNCATED
    elif finish == "content_filter" or message.get("refusal"):
        refused = Reason.REFUSED
    elif finish != "stop" or not isinstance(text, str):
        refused = Reason.MALFORMED
    else:
        refused = None
    # Half of a surrogate pair, which a model can write, would stop every encoder behind this.
    text = text.encode(errors="replace").decode() if isinstance(text, str) and refused is None else None
    tokens = (choice.get("logprobs") or {}).get("content") or [] if refused is None else []
    return Answered(
        text,
        refused,
        finish_reason=finish,
        prompt_tokens=usage.get("prompt_tokens"),
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        seconds=seconds,
        attempts=attempts,
        tokens=tuple((_bytes(token), float(token["logprob"])) for token in tokens),
    )


def _bytes(token: dict[str, Any]) -> bytes:
    written = token.get("bytes")
    return bytes(written) if written is not None else str(token["token"]).encode()
