"""What a tuned model writes of studies, as tables: texts for drafts, and answers to be scored.

Belongs here: the rows, and why there is no text. Does not belong here: generation (``model``), drafts
(``reporting.reports``), scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from spine_models.config import LlavaSettings
from spine_models.reporting.llava.examples import Conditioning, ReportStudy, report_question
from spine_models.reporting.llava.generate import Generated
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.sequence import ContextTooLong
from spine_models.reporting.llava.tables import ANSWERS, WRITTEN

NOT_TRAINED: Final = "no report model has been trained"
NO_CLAIMS: Final = "the agents say nothing of the study"
NO_IMAGES: Final = "no image of the study could be encoded"
TOO_LONG: Final = "its prompt is longer than the context of the report model"
OTHER_ENCODER: Final = "the images were encoded by another version than the report model was trained on"
SCORED: Final = (Conditioning.IMAGE_ONLY, Conditioning.AGENTS)


def unfit(card: Mapping[str, Any] | None) -> str | None:
    """Why a model's text may not stand in a draft, by the card of its training; None where it may."""
    if card is None or not card["trained"]:
        reason = (card or {}).get("reason")
        return f"{NOT_TRAINED}: {reason}" if reason else NOT_TRAINED
    return None if card["fit_for_drafts"] else str(card["fit_reason"])


def encoder_mismatch(card: Mapping[str, Any], encoders: Mapping[str, Sequence[str]]) -> str | None:
    """Why a model cannot read vectors of these encoders (``studies.encoders_of``); None where it can.

    A route that the training had no vectors of is one that the model cannot read.
    """
    trained = card["parents"]["encoders"]
    same = all(list(trained.get(route, [])) == list(versions) for route, versions in encoders.items())
    return None if same else OTHER_ENCODER


def written(
    studies: pl.DataFrame,
    asked: Sequence[ReportStudy],
    llava: Llava | None,
    settings: LlavaSettings,
    *,
    version: str | None,
    reason: str | None,
) -> pl.DataFrame:
    """WRITTEN of a batch: a text that says a study's claims, or why there is none.

    A text that was cut at the largest number of tokens is kept: drafts judge it sentence by sentence.

    Args:
        studies: ``deid.STUDIES`` of the batch.
        asked: the same studies.
        llava: tuned model; None where there is a reason for all.
        settings: of the profile.
        version: of the model.
        reason: why no study has a text.
    """
    by_key = {study.study_key: study for study in asked}
    found: dict[str, Generated | str] = {}
    if llava is None or reason is not None:
        found = dict.fromkeys(by_key, reason or NOT_TRAINED)
    else:
        found = _generated(asked, Conditioning.DRAFT, llava, settings)
    rows = []
    for batch, patient, key in (
        studies.select("batch_key", "patient_key", "study_key").sort("study_key").rows()
    ):
        cells = _cells(found.get(key, reason or NO_CLAIMS), version)
        rows.append((batch, patient, key, str(Conditioning.AGENTS), *cells))
    return pl.DataFrame(rows, schema=WRITTEN, orient="row")


def answers(
    studies: pl.DataFrame,
    asked: Sequence[ReportStudy],
    llava: Llava | None,
    settings: LlavaSettings,
    *,
    version: str | None,
    reason: str | None = None,
) -> pl.DataFrame:
    """ANSWERS: texts of val and test studies under their images alone and under what the agents say.

    Args:
        studies: batch_key, patient_key, study_key and split.
        asked: the same studies.
        llava: tuned model; None gives no rows.
        settings: of the profile.
        version: of the model.
        reason: why none of these studies can be answered; their rows say so.
    """
    if llava is None:
        return pl.DataFrame(schema=ANSWERS)
    rows = []
    keys = studies.select("batch_key", "patient_key", "study_key", "split").sort("study_key").rows()
    for conditioning in SCORED:
        found: dict[str, Generated | str] = {}
        if reason is None:
            found = _generated(asked, conditioning, llava, settings)
        for batch, patient, key, split in keys:
            answer = found.get(key, reason or NO_CLAIMS)
            rows.append((batch, patient, key, split, str(conditioning), *_cells(answer, version)))
    return pl.DataFrame(rows, schema=ANSWERS, orient="row").sort("study_key", "conditioning")


def _generated(
    studies: Sequence[ReportStudy], conditioning: Conditioning, llava: Llava, settings: LlavaSettings
) -> dict[str, Generated | str]:
    """What is written, or why nothing is: a report on no image would be a guess."""
    found: dict[str, Generated | str] = {}
    prompts: dict[str, str] = {}
    for study in studies:
        if study.images is None or (conditioning is not Conditioning.IMAGE_ONLY and not study.agents):
            found[study.study_key] = NO_IMAGES if study.images is None else NO_CLAIMS
            continue
        prompt = report_question(study, conditioning)
        try:
            llava.encode(prompt, room=settings.max_new_tokens)
        except ContextTooLong:
            found[study.study_key] = TOO_LONG
        else:
            prompts[study.study_key] = prompt
    own = [study for study in studies if study.study_key in prompts]
    texts = llava.generate(
        [prompts[study.study_key] for study in own],
        [study.images for study in own],
        settings.max_new_tokens,
        at_a_time=settings.generated_at_a_time,
    )
    return found | {study.study_key: text for study, text in zip(own, texts, strict=True)}


def _cells(answer: Generated | str, version: str | None) -> tuple[str, int, bool, str | None, str | None]:
    """text, n_tokens, stopped, model_version, reason."""
    if isinstance(answer, str):
        return "", 0, False, version, answer
    return answer.text, answer.n_tokens, answer.stopped, version, None
