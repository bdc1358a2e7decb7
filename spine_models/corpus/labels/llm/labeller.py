"""A language model as a labeller: reports to 17 rows a study, from answers that are asked for once.

Belongs here: the public face, and which questions are open. Does not belong here: how they are asked (``asking``),
how answers are kept (``store``) and become rows (``rows``).

Everything returned is read back from the log of answers, so a run that was killed and resumed returns what an
uninterrupted one does. Every report and condition has its row: where there is no usable answer it is ambiguous and
says why. Of several reports of one study the worst verdict wins, as with the rules labeller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from spine_models.config import LlmSettings
from spine_models.corpus.labels.contract import Reason, Silent
from spine_models.corpus.labels.llm.asking import Progress, Reading, ask_open
from spine_models.corpus.labels.llm.prompting import Prompts, load_prompts
from spine_models.corpus.labels.llm.questions import REPEATS, Question, is_repeated, questions_of, version_of
from spine_models.corpus.labels.llm.rows import Row, Rows
from spine_models.corpus.labels.llm.store import AnswerLog
from spine_models.corpus.labels.tables import LABELS, REQUESTS


@dataclass(frozen=True)
class LlmTables:
    """What one model made of a set of reports.

    Attributes:
        labels: ``LABELS``, 17 rows for every study with a report.
        requests: ``REQUESTS``, one row per report and question, repeats included.
        repeats: ``LABELS`` of the studies that were asked again, from the second answers.
    """

    labels: pl.DataFrame
    requests: pl.DataFrame
    repeats: pl.DataFrame


def labeller_version(settings: LlmSettings) -> str:
    """Model, prompts and execution mode; the ``labeller_version`` of every row.

    Raises:
        PromptError: the prompts do not load.
    """
    return version_of(settings, load_prompts(settings.prompt_version))


def label_with_llm(
    reports: pl.DataFrame,
    *,
    settings: LlmSettings,
    endpoint: str,
    answers: Path,
    api_key: str | None = None,
    not_mentioned: Silent = 0,
    progress: Progress | None = None,
) -> LlmTables:
    """Label every study that has a report, asking only what the log of answers does not hold.

    Args:
        reports: ``deid.REPORTS``.
        settings: the model and how it is asked.
        endpoint: URL of a server of the OpenAI-compatible protocol, with or without ``/v1``. Where every answer
            is in the log it is not called.
        answers: folder of the log; one file per labeller name, one run at a time.
        api_key: where the server wants one.
        not_mentioned: label of a condition on which a report is silent.
        progress: told how many of how many open questions are answered.

    Raises:
        LlmError: the server is down, lacks the model or refuses the key, or another run holds the log. What was
            answered is kept, and the next call goes on from there.
        PromptError: the prompts do not load.
    """
    prompts = load_prompts(settings.prompt_version)
    ordered = list(reports.sort("batch_key", "study_key", "report_key").iter_rows(named=True))
    with AnswerLog(_log_file(answers, settings)) as log:
        ask_open(
            list(_open_readings(ordered, log, settings, prompts)),
            log,
            settings=settings,
            prompts=prompts,
            endpoint=endpoint,
            api_key=api_key,
            progress=progress,
        )
        tables = Rows(settings, prompts, log, not_mentioned)
        again = [row for row in ordered if is_repeated(row, settings)]
        requests = [
            *tables.requests(ordered, 0),
            *(row for n in range(1, REPEATS + 1) for row in tables.requests(again, n)),
        ]
        return LlmTables(
            pl.DataFrame(tables.labels(ordered, 0), schema=LABELS),
            pl.DataFrame(requests, schema=REQUESTS).sort(
                "batch_key", "study_key", "report_key", "repeat", maintain_order=True
            ),
            pl.DataFrame(tables.labels(again, REPEATS), schema=LABELS),
        )


def count_open(reports: pl.DataFrame, *, settings: LlmSettings, answers: Path) -> int:
    """How many questions the log does not answer yet: with none, no server is needed.

    Args:
        reports: ``deid.REPORTS``.
        settings: the model and how it is asked.
        answers: folder of the log.

    Raises:
        LlmError: another run holds the log.
        PromptError: the prompts do not load.
    """
    prompts = load_prompts(settings.prompt_version)
    rows = list(reports.iter_rows(named=True))
    with AnswerLog(_log_file(answers, settings)) as log:
        return sum(len(reading.questions) for reading in _open_readings(rows, log, settings, prompts))


def _log_file(answers: Path, settings: LlmSettings) -> Path:
    return answers / f"{settings.name}.jsonl"


def _open_readings(
    ordered: Iterable[Row], log: AnswerLog, settings: LlmSettings, prompts: Prompts
) -> Iterator[Reading]:
    """What is to be asked: first answers before repeats, reports with the same text once."""
    rows, taken = list(ordered), set[str]()
    for repeat in range(REPEATS + 1):
        for row in rows:
            if repeat and not is_repeated(row, settings):
                continue
            text = row["report_text"] or ""
            asked = [q for q in questions_of(text, settings, prompts, repeat=repeat) if q.key not in taken]
            missing = tuple(q for q in asked if _is_open(q, log, settings))
            taken.update(q.key for q in missing)
            if missing:
                yield Reading(text, missing)


def _is_open(question: Question, log: AnswerLog, settings: LlmSettings) -> bool:
    """Not answered; or too long for a model that has since been given more context."""
    stored = log.get(question.key)
    if stored is None:
        return True
    return stored.outcome == Reason.CONTEXT_TOO_LONG and stored.limit < settings.max_model_len
