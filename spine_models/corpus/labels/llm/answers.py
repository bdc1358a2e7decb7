"""What a model answers: the models of an answer, the JSON schema that binds decoding, and the way to a verdict.

Belongs here: fields and bounds of an answer, reading it, checking it against the report. Does not belong here:
what is asked (``prompts``) or how (``client``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from spine_models.corpus.labels.contract import Reason, Verdict, find_quote
from spine_models.corpus.labels.llm.errors import AnswerError
from spine_models.corpus.labels.rules.levels import find_levels
from spine_models.corpus.labels.rules.lexicon import lexicon
from spine_models.corpus.labels.rules.sentences import fold
from spine_models.domain import Severity, Side, Status, condition_keys

QUOTE_CHARACTERS: Final = 300
LEVELS: Final = 20
LEVEL_CHARACTERS: Final = 16

_KEPT: Final = frozenset({"type", "enum", "properties", "required", "items", "anyOf", "additionalProperties"})
_BOUNDS: Final = frozenset({"maxLength", "maxItems"})


class Answer(BaseModel):
    """One condition in one report. Every field is asked for; null and the empty list stand for "none"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status
    levels: tuple[Annotated[str, Field(max_length=LEVEL_CHARACTERS)], ...] = Field(max_length=LEVELS)
    side: Side | None
    severity: Severity | None
    quote: Annotated[str, Field(max_length=QUOTE_CHARACTERS)] | None


JointAnswer: Final[type[BaseModel]] = create_model(
    "JointAnswer",
    __config__=ConfigDict(frozen=True, extra="forbid"),
    **dict.fromkeys(condition_keys(), (Answer, ...)),
)
"""All conditions in one report, each under its key."""


@lru_cache(maxsize=2)
def answer_schema(*, joint: bool) -> dict[str, Any]:
    """The JSON schema of an answer, made from the models above: nothing to resolve, every field required."""
    document = (JointAnswer if joint else Answer).model_json_schema()
    return _plain(document, document.get("$defs", {}))


def _plain(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A schema node with its references put in and only the keywords that decoders know."""
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    plain: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            plain[key] = {name: _plain(sub, definitions) for name, sub in value.items()}
        elif key == "items":
            plain[key] = _plain(value, definitions)
        elif key == "anyOf":
            plain[key] = [_plain(sub, definitions) for sub in value]
        elif key in _KEPT | _BOUNDS:
            plain[key] = value
    return plain


def parse(text: str, condition: str | None) -> dict[str, Answer]:
    """Read an answer.

    Args:
        text: what the model wrote.
        condition: the one asked about; None for a joint answer.

    Returns:
        Condition key to answer: one, or all.

    Raises:
        AnswerError: it is no JSON or does not follow the schema.
    """
    try:
        if condition is not None:
            return {condition: Answer.model_validate_json(text)}
        joint = JointAnswer.model_validate_json(text)
    except ValidationError as error:
        fields = sorted(
            {".".join(map(str, e["loc"])) or e["type"] for e in error.errors(include_input=False)}
        )
        raise AnswerError(f"not an answer: {', '.join(fields[:5])}") from None
    return {key: getattr(joint, key) for key in condition_keys()}


def verdict_of(condition: str, answer: Answer, report: str, log_probability: float | None = None) -> Verdict:
    """A verdict, with the quote found in the report or else in doubt.

    Severity and side of an absent finding are dropped, and the side of a condition that has none, as the rules
    labeller does. Levels become canonical names; what is no level is dropped.

    Args:
        condition: its key.
        answer: what the model said of it.
        report: the text that was read.
        log_probability: of the tokens that spell the status, where the server told.
    """
    confidence = None if log_probability is None else min(1.0, math.exp(min(0.0, log_probability)))
    if answer.status is Status.NOT_MENTIONED:
        return Verdict(condition, Status.NOT_MENTIONED, confidence=confidence)
    phrases = lexicon().of(condition)
    affirmed = answer.status is not Status.ABSENT
    place = find_quote(report, answer.quote) if answer.quote else None
    verdict = Verdict(
        condition,
        answer.status,
        levels=canonical_levels(answer.levels, phrases.level_kind),
        side=answer.side if affirmed and phrases.lateral else None,
        severity=answer.severity if affirmed else None,
        start=place[0] if place else None,
        end=place[1] if place else None,
        confidence=confidence,
        reason=Reason.HEDGED if answer.status is Status.AMBIGUOUS else None,
    )
    if not (answer.quote and answer.quote.strip()):
        return verdict.doubted(Reason.NO_QUOTE)
    return verdict if place else verdict.doubted(Reason.QUOTE_NOT_FOUND)


def canonical_levels(levels: Sequence[str], kind: str) -> tuple[str, ...]:
    """Canonical names in the order given, ranges spelled out, each once; text that is no level gives nothing.

    Args:
        levels: as a model writes them: "L4/5", "L4-L5", "T12", "L3-S1".
        kind: ``disc``, ``vertebra`` or ``any``: what a pair means.
    """
    names: dict[str, None] = {}
    for level in levels:
        # The word before tells the vertebra T1 from a T1-weighted image.
        for group in find_levels(f"at {fold(level)}"):
            names.update(dict.fromkeys(group.names(kind)))
    return tuple(names)


_STATUS: Final = re.compile(rb'"status"\s*:\s*"(\w+)"')
_STATUS_OF: Final = re.compile(rb'"(\w+)"\s*:\s*\{\s*"status"\s*:\s*"(\w+)"')


def status_log_probabilities(
    text: str, tokens: Sequence[tuple[bytes, float]], condition: str | None
) -> dict[str, float]:
    """Log-probability of each status value: the sum over the tokens that spell it.

    Args:
        text: the answer.
        tokens: bytes and log-probability of each of its tokens, in order. Bytes, because a token may end within
            a character.
        condition: the one asked about; None for a joint answer.

    Returns:
        Condition key to log-probability; empty where the tokens do not spell the text.
    """
    written = text.encode()
    if not b"".join(token for token, _ in tokens).startswith(written):
        return {}
    if condition is not None:
        match = _STATUS.search(written)
        spans = {condition: match.span(1)} if match else {}
    else:
        spans = {m.group(1).decode(): m.span(2) for m in _STATUS_OF.finditer(written)}
    found = dict.fromkeys(spans, 0.0)
    position = 0
    for token, value in tokens:
        end = position + len(token)
        for key, (low, high) in spans.items():
            if position < high and end > low:
                found[key] += value
        position = end
    return found
