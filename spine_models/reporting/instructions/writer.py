"""Items in a model's words: a draft, then a revision, each bound to a schema; what is true is given, never asked for.

Belongs here: the prompts of both stages and reading the replies. Does not belong here: the server (``reporting.chat``),
the facts (``drafting``), whether a question asks what it should (``form``), whether the words are right (``verify``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from spine_models.reporting.chat import ANSWERED, Message, Question, Reply
from spine_models.reporting.instructions.drafting import PLACED, Draft
from spine_models.reporting.instructions.form import asks_what_it_should
from spine_models.reporting.instructions.revise import Worded, option_text, plain, revised
from spine_models.reporting.instructions.wording import words

PROMPTS: Final = Path(__file__).parent / "prompts"
Ask = Callable[[list[Question]], Mapping[str, Reply]]
"""Asks a model and returns its replies by key (``chat.ask_all`` with everything but the questions bound)."""

DOES_NOT_ASK: Final = "does_not_ask"
"""Outcome of an answer that keeps to its schema and whose questions do not ask what they should."""

_LONGEST_TURN: Final = 600
_LONGEST_REPORT: Final = 8000


@dataclass(frozen=True)
class Written:
    """What a model made of one draft.

    Attributes:
        draft: its first words; None where none came.
        worded: the revised ones; None where there are none that could be used.
        outcome: ``ANSWERED``, a ``corpus.labels.contract.Reason``, or ``DOES_NOT_ASK``.
    """

    draft: str | None
    worded: Worded | None
    outcome: str


def write(drafts: Sequence[Draft], ask: Ask, version: str, part: str) -> dict[str, Written]:
    """Let a model draft and then revise; by key of the draft.

    Args:
        drafts: what is asked and true.
        ask: the model.
        version: of the prompts.
        part: train or benchmark: whose study phrases are shown to it.

    Raises:
        ValueError: no such prompts.
    """
    prompts = _prompts(version)
    asked = {d.key: d for d in drafts if plain(d, part) is not None}
    first = ask([Question(key, _first(d, prompts, part), _schema(d)) for key, d in asked.items()])
    again = {key: reply for key, reply in first.items() if reply.outcome == ANSWERED}
    second = ask(
        [
            Question(key, _second(asked[key], reply, prompts, part), _schema(asked[key]))
            for key, reply in again.items()
        ]
    )
    found = {}
    for key, draft in asked.items():
        reply = second.get(key, first[key])
        said = first[key].text
        usable = key in second and reply.outcome == ANSWERED
        worded = _worded(draft, reply.document) if usable else None
        if worded is not None and not asks_what_it_should(draft, worded):
            found[key] = Written(said, None, DOES_NOT_ASK)
        else:
            found[key] = Written(said, worded, reply.outcome)
    return found


def prompt_version(version: str) -> str:
    """The prompts' version with the digest of their file.

    Raises:
        ValueError: no such prompts.
    """
    text = _file(version).read_bytes()
    return f"{version}+{hashlib.sha256(text).hexdigest()[:12]}"


def _file(version: str) -> Path:
    file = PROMPTS / f"{version}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(p.stem for p in PROMPTS.glob("*.yaml")))
        raise ValueError(f"no prompts {version!r} of instructions: choose one of {known}")
    return file


def _prompts(version: str) -> Mapping[str, str]:
    return _loaded(version, _file(version).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(version: str, stamp: int) -> Mapping[str, str]:
    document: Mapping[str, str] = yaml.safe_load(_file(version).read_text(encoding="utf-8"))
    return document


def _schema(draft: Draft) -> dict[str, Any]:
    if draft.kind == "report":
        return _object(report={"type": "string", "minLength": 20, "maxLength": _LONGEST_REPORT})
    text = {"type": "string", "minLength": 1, "maxLength": _LONGEST_TURN}
    if draft.kind == "choice":
        return _object(question=text)
    number = len(draft.asks)
    turn = _object(question=text, answer=text)
    return _object(turns={"type": "array", "items": turn, "minItems": number, "maxItems": number})


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _first(draft: Draft, prompts: Mapping[str, str], part: str) -> list[Message]:
    if draft.kind == "report":
        report = next(iter(draft.case.texts.values()))
        return [_message("system", prompts["report"]), _message("user", _fenced(report))]
    return [_message("system", prompts["draft"]), _message("user", _fenced(_facts(draft, part)))]


def _second(draft: Draft, first: Reply, prompts: Mapping[str, str], part: str) -> list[Message]:
    if draft.kind == "report":
        source = next(iter(draft.case.texts.values()))
        text = json.dumps({"report": source, "draft": first.document}, ensure_ascii=False)
        return [_message("system", prompts["report"]), _message("user", _fenced(text))]
    text = json.dumps({"given": json.loads(_facts(draft, part)), "draft": first.document}, ensure_ascii=False)
    return [_message("system", prompts["revise"]), _message("user", _fenced(text))]


def _facts(draft: Draft, part: str) -> str:
    finding, known = draft.finding, words()
    assert finding is not None
    # A drawn wording: shown the same one every time, a model would repeat it.
    sample = revised(draft, part, 0, set())
    facts = {
        "finding": known.topic(finding.condition, draft.case.region),
        "status": finding.status.value,
        **{name: getattr(finding, name) for name in PLACED},
    }
    given: dict[str, Any] = {
        "kind": draft.kind,
        "region": known.region(draft.case.region),
        "each turn asks": list(draft.asks),
        "facts": facts,
        "may be told": known.described(finding, draft.case.region, draft.told),
        "passage": draft.case.texts[finding.report_key][finding.start : finding.end],
        "for example": [list(turn) for turn in sample.turns] if sample else [],
    }
    if draft.options:
        given["options"] = [option_text(draft, option) for option in draft.options]
    return json.dumps(given, ensure_ascii=False)


def _worded(draft: Draft, document: Any) -> Worded:
    if draft.kind == "report":
        question = revised(draft, "train", 0, set())
        assert question is not None, "reports without a body are not asked for"
        return Worded(((question.turns[0][0], document["report"].strip()),), None)
    if draft.kind == "choice":
        return Worded(((_one_line(document["question"]), option_text(draft, draft.options[0])),), None)
    return Worded(tuple((_one_line(t["question"]), _one_line(t["answer"])) for t in document["turns"]), None)


def _one_line(text: str) -> str:
    """A turn has one line: behind the question of a choice only its options begin others."""
    return " ".join(text.split())


def _fenced(text: str) -> str:
    """Data between marks that it cannot write itself: their number is made from the whole text."""
    number = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"DATA {number} BEGINS\n{text}\nDATA {number} ENDS"


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
