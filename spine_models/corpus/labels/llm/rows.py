"""Rows from the log of answers: labels of studies, and what every question cost.

Belongs here: the way from a stored answer to a row, two reports of a study as one. Does not belong here: what an
answer's fields mean (``answers``), which questions there are (``questions``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from spine_models.config import LlmSettings
from spine_models.corpus.labels.contract import WORST, Reason, Silent, Verdict
from spine_models.corpus.labels.llm.answers import parse, verdict_of
from spine_models.corpus.labels.llm.asking import ANSWERED
from spine_models.corpus.labels.llm.errors import AnswerError, AnswerLogError
from spine_models.corpus.labels.llm.prompting import Prompts
from spine_models.corpus.labels.llm.questions import (
    Question,
    execution_mode,
    questions_of,
    version_of,
)
from spine_models.corpus.labels.llm.store import AnswerLog, Stored
from spine_models.corpus.labels.rules.attributes import severity_rank
from spine_models.corpus.labels.rules.levels import level_rank
from spine_models.domain import Status, condition_keys

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of one labeller."""

    settings: LlmSettings
    prompts: Prompts
    log: AnswerLog
    not_mentioned: Silent

    def labels(self, rows: Iterable[Row], repeat: int) -> list[dict[str, Any]]:
        """Rows of ``LABELS``: of every study and condition one."""
        version = version_of(self.settings, self.prompts)
        found: list[dict[str, Any]] = []
        for _, group in groupby(rows, key=itemgetter("batch_key", "study_key")):
            verdicts = [(row, self._verdicts(row, repeat)) for row in group]
            for condition in condition_keys():
                row, verdict = _worst([(row, of[condition]) for row, of in verdicts])
                found.append(verdict.row(row, self.settings.name, version, not_mentioned=self.not_mentioned))
        return found

    def requests(self, rows: Iterable[Row], repeat: int) -> Iterator[dict[str, Any]]:
        """Rows of ``REQUESTS``."""
        for row in rows:
            for question in questions_of(
                row["report_text"] or "", self.settings, self.prompts, repeat=repeat
            ):
                stored = self._stored(question)
                yield {
                    "batch_key": row["batch_key"],
                    "study_key": row["study_key"],
                    "report_key": row["report_key"],
                    "labeller": self.settings.name,
                    "condition": question.asked,
                    "repeat": repeat,
                    "request_key": question.key,
                    "model": self.settings.model,
                    "prompt_version": self.prompts.version,
                    "execution_mode": execution_mode(self.settings),
                    "seed": question.seed,
                    "finish_reason": stored.finish_reason,
                    "outcome": stored.outcome,
                    "prompt_tokens": stored.prompt_tokens,
                    "cached_tokens": stored.cached_tokens,
                    "completion_tokens": stored.completion_tokens,
                    "seconds": stored.seconds,
                    "attempts": stored.attempts,
                }

    def _verdicts(self, row: Row, repeat: int) -> dict[str, Verdict]:
        text = row["report_text"] or ""
        verdicts = {key: Verdict(key, Status.NOT_MENTIONED) for key in condition_keys()}
        for question in questions_of(text, self.settings, self.prompts, repeat=repeat):
            verdicts |= _read(self._stored(question), question, text)
        return verdicts

    def _stored(self, question: Question) -> Stored:
        stored = self.log.get(question.key)
        if stored is None:  # every question was asked above, or the run had stopped
            raise AnswerLogError("an answer is missing from the log: was it changed during the run?")
        return stored


def _read(stored: Stored, question: Question, text: str) -> dict[str, Verdict]:
    """The verdicts of one finished question."""
    keys = condition_keys() if question.asked is None else (question.asked,)
    if stored.outcome != ANSWERED or stored.text is None:
        reason = Reason(stored.outcome)
        return {key: Verdict(key, Status.AMBIGUOUS, reason=reason) for key in keys}
    try:
        answers = parse(stored.text, question.asked)
    except AnswerError:
        return {key: Verdict(key, Status.AMBIGUOUS, reason=Reason.MALFORMED) for key in keys}
    return {key: verdict_of(key, answers[key], text, stored.log_probabilities.get(key)) for key in keys}


def _worst(of_reports: list[tuple[Row, Verdict]]) -> tuple[Row, Verdict]:
    """One verdict of several reports: the worst status, of these the most severe, then one with a quote."""
    worst = max((verdict.status for _, verdict in of_reports), key=WORST.__getitem__)
    chosen = [(row, verdict) for row, verdict in of_reports if verdict.status is worst]
    row, top = max(chosen, key=lambda pair: (severity_rank(pair[1].severity), pair[1].start is not None))
    others = {level for _, verdict in chosen for level in verdict.levels} - set(top.levels)
    return row, replace(top, levels=(*top.levels, *sorted(others, key=level_rank)))
