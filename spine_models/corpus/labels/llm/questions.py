"""Which questions a set of reports makes, and the key of each.

Belongs here: one question per report text and condition (or one about all), repeats for the self-check, what a key
depends on. Does not belong here: the words (``prompting``), asking (``labeller``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from spine_models.config import LlmSettings
from spine_models.corpus.labels.llm.answers import answer_schema
from spine_models.corpus.labels.llm.prompting import JOINT, Prompts
from spine_models.domain import condition_keys

REPEATS: Final = 1
"""How often a drawn study is asked again."""


@dataclass(frozen=True)
class Question:
    """One request as far as it decides the answer.

    Attributes:
        key: hash of everything that the answer depends on.
        condition: a condition's key, or ``JOINT``.
        repeat: 0 for the answer that counts.
        seed: of sampling.
    """

    key: str
    condition: str
    repeat: int
    seed: int

    @property
    def asked(self) -> str | None:
        """The one condition asked about; None for all."""
        return None if self.condition == JOINT else self.condition


def execution_mode(settings: LlmSettings) -> str:
    """What besides prompt and seed changes answers at temperature 0, in words."""
    own = f"{settings.dtype}, tensor parallel {settings.tensor_parallel}"
    return f"{own}, {settings.execution_mode}" if settings.execution_mode else own


def version_of(settings: LlmSettings, prompts: Prompts) -> str:
    """Model, prompts and mode: what names a model's labels."""
    return f"{settings.model}, {settings.prompts} {prompts.version}, {execution_mode(settings)}"


def questions_of(text: str, settings: LlmSettings, prompts: Prompts, *, repeat: int = 0) -> list[Question]:
    """The questions on one report text, in the order of the conditions; none on an empty one."""
    if not text.strip():
        return []
    report = hashlib.sha256(text.encode()).hexdigest()
    joint = settings.prompts == "joint"
    seed = settings.seed + repeat
    fixed = _fixed(settings)
    found = []
    for condition in (JOINT,) if joint else condition_keys():
        depends = "\0".join((report, prompts.digests[condition], condition, str(seed), str(repeat), fixed))
        found.append(Question(hashlib.sha256(depends.encode()).hexdigest(), condition, repeat, seed))
    return found


@lru_cache(maxsize=16)
def _decoding(joint: bool, tokens: int) -> str:
    decoding = {"temperature": 0, "max_tokens": tokens, "schema": answer_schema(joint=joint)}
    return hashlib.sha256(json.dumps(decoding, sort_keys=True).encode()).hexdigest()


def _fixed(settings: LlmSettings) -> str:
    """What the answers to all questions of a labeller depend on."""
    decoding = _decoding(settings.prompts == "joint", settings.answer_tokens)
    return "\0".join((settings.model, execution_mode(settings), decoding))


def is_repeated(report: Mapping[str, Any], settings: LlmSettings) -> bool:
    """Whether a report's study is drawn to be asked again: by hash, so the same in every run and batch."""
    if settings.repeat_share <= 0:
        return False
    drawn = hashlib.sha256(f"repeat\0{settings.seed}\0{report['study_key']}".encode()).digest()
    return int.from_bytes(drawn[:8]) < settings.repeat_share * 2**64
