"""The report model's answers to the held-out benchmark, and their scores beside the other answerers'.

Of a choice it takes the option that it finds likeliest as an answer, in the form in which it learned to answer; of a
report what it has written (``writing.answers``) is scored. It answers twice: with what the agents say of the study
above the question, and on the images alone.

Belongs here: rows of answers, and which answerer they are. Does not belong here: likelihoods (``choosing``), the
scores' definitions (``reporting.instructions``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from spine_models.corpus.statements import units_of_text
from spine_models.reporting.instructions import Case, score_choices, score_reports
from spine_models.reporting.instructions.tables import BENCHMARK_SCORES
from spine_models.reporting.llava.choosing import answer_nats, likeliest
from spine_models.reporting.llava.examples import Conditioning, ReportStudy, choices_of, item_question
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.sequence import ContextTooLong
from spine_models.reporting.llava.tables import BENCHMARK_ANSWERS
from spine_models.reporting.llava.writing import NO_CLAIMS, NO_IMAGES, NOT_TRAINED, TOO_LONG

ANSWERERS: Final[Mapping[str, Conditioning]] = {
    "report_model": Conditioning.AGENTS,
    "report_model_image_only": Conditioning.IMAGE_ONLY,
}
Row = Mapping[str, Any]


def answer_choices(
    benchmark: pl.DataFrame,
    asked: Sequence[ReportStudy],
    llava: Llava | None,
    *,
    version: str | None = None,
    reason: str | None = None,
) -> pl.DataFrame:
    """BENCHMARK_ANSWERS: every choice of the benchmark under either answerer, with an option or the reason for none.

    Args:
        benchmark: ``instructions.BENCHMARK``.
        asked: its studies.
        llava: tuned model; None where there is none.
        version: of the model.
        reason: why none of these questions can be answered.
    """
    if llava is None:
        reason = reason or NOT_TRAINED
    by_key = {study.study_key: study for study in asked}
    rows = []
    for item in benchmark.filter(kind="choice").sort("item_key").iter_rows(named=True):
        ids = [item[name] for name in ("item_key", "batch_key", "patient_key", "study_key", "dimension")]
        for answerer, conditioning in ANSWERERS.items():
            found: list[float] | str = reason or ""
            if llava is not None and reason is None:
                found = _nats(llava, item, by_key.get(item["study_key"]), conditioning)
            chosen, nats, why = (
                (None, None, found) if isinstance(found, str) else (likeliest(found), found, None)
            )
            rows.append((*ids, answerer, chosen, nats, version, why))
    return pl.DataFrame(rows, schema=BENCHMARK_ANSWERS, orient="row")


def score_answers(
    benchmark: pl.DataFrame,
    answered: pl.DataFrame,
    written: pl.DataFrame,
    cases: Mapping[str, Case],
    *,
    bootstrap: int,
    seed: int,
) -> pl.DataFrame:
    """BENCHMARK_SCORES of both answerers, choices by dimension and reports by section; none without a model.

    Args:
        benchmark: ``instructions.BENCHMARK``.
        answered: BENCHMARK_ANSWERS.
        written: ``ANSWERS``, in which a study without a text is not answered.
        cases: of the benchmark's studies.
        bootstrap: replicates of the intervals, over patients.
        seed: of the replicates.
    """
    parts = [pl.DataFrame(schema=BENCHMARK_SCORES)]
    for answerer, conditioning in ANSWERERS.items():
        own = answered.filter(pl.col("answerer") == answerer, pl.col("model_version").is_not_null())
        if own.is_empty():
            continue  # no model: an answerer that was not there has no score, and its rows say why
        texts = written.filter(pl.col("conditioning") == str(conditioning), pl.col("reason").is_null())
        said = {key: units_of_text(text) for key, text in texts.select("study_key", "text").iter_rows()}
        chosen = dict(own.select("item_key", "chosen").iter_rows())
        drawn = {"bootstrap": bootstrap, "seed": seed}
        parts += [
            score_choices(benchmark, chosen, answerer, **drawn),
            score_reports(benchmark, cases, said, answerer, **drawn),
        ]
    return pl.concat(parts)


def _nats(
    llava: Llava, item: Row, study: ReportStudy | None, conditioning: Conditioning
) -> list[float] | str:
    """Of each option, or why there are none: an answer on no image, or on no claims, would be a guess."""
    if study is None or study.images is None:
        return NO_IMAGES
    if conditioning is Conditioning.AGENTS and not study.agents:
        return NO_CLAIMS
    question, answers = choices_of(item)
    try:
        return answer_nats(llava, item_question(study, question, conditioning), answers, study.images)
    except ContextTooLong:
        return TOO_LONG
