"""The prompts: read from versioned files, checked, digested, and put together for one report.

Belongs here: the order of a prompt's parts and what names its version. Does not belong here: any word about a
condition or the rules of answering (``prompts/<version>/*.yaml``).

Order is what makes many questions on one report cheap. System text and report come first and are the same for all
17 conditions, so a server with a prefix cache reads them once; the condition comes last and is short. A joint
question has the conditions before the report instead: there they are the same for all reports.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spine_models.corpus.labels.contract import find_quote
from spine_models.corpus.labels.llm.answers import Answer
from spine_models.corpus.labels.llm.errors import PromptError
from spine_models.domain import Status, condition_keys, conditions

PROMPTS: Final = Path(__file__).parent / "prompts"
JOINT: Final = "joint"

_LAYOUT: Final = "layout-1"
"""How the parts are put together below; part of every digest, to be counted up with a change."""

Message = dict[str, str]
Model = TypeVar("Model", bound=BaseModel)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Example(_File):
    """A sentence and the answer to it."""

    report: str = Field(min_length=5, max_length=200)
    answer: Answer

    @model_validator(mode="after")
    def _quote_stands(self) -> Example:
        quote = self.answer.quote
        if (quote is None) != (self.answer.status is Status.NOT_MENTIONED):
            raise ValueError("every answer but not_mentioned has a quote")
        if quote is not None and find_quote(self.report, quote) is None:
            raise ValueError("the quote does not stand in the example's report")
        return self


class ConditionPrompt(_File):
    """One condition's file: what it is, what counts, what does not, and two to four examples."""

    definition: str = Field(min_length=10, max_length=300)
    inclusions: tuple[str, ...] = Field(min_length=1, max_length=6)
    exclusions: tuple[str, ...] = Field(min_length=1, max_length=6)
    examples: tuple[Example, ...] = Field(min_length=2, max_length=4)

    @model_validator(mode="after")
    def _examples_cover(self) -> ConditionPrompt:
        missing = {Status.PRESENT, Status.ABSENT, Status.AMBIGUOUS} - {e.answer.status for e in self.examples}
        if missing:
            raise ValueError(f"no example of: {', '.join(sorted(missing))}")
        return self


class SharedPrompt(_File):
    """What every question says."""

    system: str = Field(min_length=100)
    joint: str = Field(min_length=20)


@dataclass(frozen=True)
class Prompts:
    """One version of all prompts.

    Attributes:
        version: "v1+" and the digest of all files: what names these prompts in tables.
        shared: the text of every question.
        of: condition key to its file.
        digests: condition key, or ``JOINT``, to the digest of the files its question is made from: what an answer
            depends on, so that a changed condition leaves the other conditions' answers valid.
    """

    version: str
    shared: SharedPrompt
    of: dict[str, ConditionPrompt]
    digests: dict[str, str]

    def messages(self, report: str, condition: str) -> list[Message]:
        """The question about one condition of one report, or with ``JOINT`` about all of them."""
        if condition == JOINT:
            parts = [self.shared.system, self.shared.joint, *(self._finding(key) for key in condition_keys())]
            asked = "\n\nAnswer now for all findings of the report above."
            return [_message("system", "\n".join(parts)), _message("user", _fenced(report) + asked)]
        asked = f"\n\n{self._finding(condition, examples=True)}\nAnswer for {condition} in the report above."
        return [_message("system", self.shared.system), _message("user", _fenced(report) + asked)]

    def _finding(self, condition: str, *, examples: bool = False) -> str:
        prompt = self.of[condition]
        name = next(c.name for c in conditions() if c.key == condition)
        lines = [
            f"FINDING {condition}: {name}. {prompt.definition}",
            f"Counts: {'; '.join(prompt.inclusions)}.",
            f"Does not count: {'; '.join(prompt.exclusions)}.",
        ]
        if examples:
            lines += [f"{json.dumps(e.report)} gives {_written(e.answer)}" for e in prompt.examples]
        return "\n".join(lines)


def load_prompts(version: str, folder: Path = PROMPTS) -> Prompts:
    """Read and check all files of one version.

    Args:
        version: name of a folder: "v1".
        folder: where versions are.

    Raises:
        PromptError: no such version, a condition without a file, a file without a condition, or a file that its
            model refuses; names the file.
    """
    return _load(version, folder, _stamps(folder / version))


def _stamps(folder: Path) -> tuple[tuple[str, int], ...]:
    """What says that a folder's files changed, for the cache."""
    return tuple(sorted((p.name, p.stat().st_mtime_ns) for p in folder.glob("*.yaml")))


@lru_cache(maxsize=4)
def _load(version: str, folder: Path, stamps: tuple[tuple[str, int], ...]) -> Prompts:
    names = {name.removesuffix(".yaml") for name, _ in stamps}
    if not names:
        known = ", ".join(sorted(p.name for p in folder.glob("v*") if p.is_dir()))
        raise PromptError(f"no prompts {version!r}: there are {known or 'none'} in {folder}")
    wanted = {"shared", *condition_keys()}
    if names != wanted:
        lacking, extra = ", ".join(sorted(wanted - names)), ", ".join(sorted(names - wanted))
        raise PromptError(
            f"prompts {version}: no file for {lacking or 'nothing'}, no condition {extra or '-'}"
        )
    texts = {name: (folder / version / f"{name}.yaml").read_bytes() for name in sorted(wanted)}
    shared = _checked(SharedPrompt, texts["shared"], version, "shared")
    of = {key: _checked(ConditionPrompt, texts[key], version, key) for key in condition_keys()}
    digests = {key: _digest(texts["shared"], texts[key]) for key in condition_keys()}
    digests[JOINT] = _digest(*texts.values())
    return Prompts(f"{version}+{digests[JOINT]}", shared, of, digests)


def _checked(model: type[Model], text: bytes, version: str, name: str) -> Model:
    try:
        return model.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        raise PromptError(f"prompts/{version}/{name}.yaml: {error}") from error


def _digest(*texts: bytes) -> str:
    return hashlib.sha256(b"\0".join((_LAYOUT.encode(), *texts))).hexdigest()[:12]


def _fenced(report: str) -> str:
    """The report between marks that it cannot write itself: their number is made from the whole text."""
    number = hashlib.sha256(report.encode()).hexdigest()[:8]
    return f"REPORT {number} BEGINS\n{report.strip()}\nREPORT {number} ENDS"


def _written(answer: Answer) -> str:
    return json.dumps(answer.model_dump(mode="json"), separators=(",", ":"))


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
