"""Drafted reports of studies as tables: one draft a study, one row a sentence, linked to claims.

Belongs here: claims and examinations in, ``DRAFTS`` and ``SENTENCES`` out. Does not belong here: HTML.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from spine_models.reporting.agents.evidence import digest
from spine_models.reporting.agents.examination import examination_of, examinations
from spine_models.reporting.reports.graph import Claim, build_graph
from spine_models.reporting.reports.phrasing import say
from spine_models.reporting.reports.tables import DRAFTS, SENTENCES
from spine_models.reporting.reports.template import load_template
from spine_models.reporting.reports.text import render_text


@dataclass(frozen=True)
class ReportTables:
    """``drafts`` in the DRAFTS schema and ``sentences`` in the SENTENCES schema."""

    drafts: pl.DataFrame
    sentences: pl.DataFrame


def draft_reports(claims: pl.DataFrame, studies: pl.DataFrame, series: pl.DataFrame) -> ReportTables:
    """A complete draft of every study of ``studies``, from the template of its region.

    Args:
        claims: ``agents.CLAIMS``; every study needs its rows.
        studies: ``deid.STUDIES``.
        series: ``sequences.SERIES`` of the same studies.

    Returns:
        Drafts sorted by study_key, sentences by study_key and position. The same claims give the same bytes.

    Raises:
        ValueError: a study without claims.
        TemplateError: a template that cannot place a condition.
    """
    examined = examinations(series)
    claims_of = {str(key): rows for (key,), rows in claims.partition_by("study_key", as_dict=True).items()}
    drafts: list[dict[str, object]] = []
    sentences: list[dict[str, object]] = []
    for study in studies.sort("study_key").iter_rows(named=True):
        study_key = study["study_key"]
        if study_key not in claims_of:
            raise ValueError(f"study {study_key} has no claims: materialise agents/claims of its batch first")
        examination = examined.get(study_key, examination_of(()))
        template = load_template(examination.region)
        own = [Claim.of(row) for row in claims_of[study_key].iter_rows(named=True)]
        statements = build_graph(examination, own, template)
        texts = [say(statement, template) for statement in statements]
        title = template.language.titles[str(examination.region)]
        text = render_text(title, study_key, ((s.section, t) for s, t in zip(statements, texts, strict=True)))
        draft_key = digest("draft", study_key, template.version, text, sorted(claim.key for claim in own))
        drafts.append(
            {
                "batch_key": study["batch_key"],
                "patient_key": study["patient_key"],
                "study_key": study_key,
                "region": str(examination.region),
                "template_version": template.version,
                "draft_key": draft_key,
                "n_sentences": len(statements),
                "report_text": text,
            }
        )
        for position, (statement, sentence) in enumerate(zip(statements, texts, strict=True)):
            claim_keys = [claim.key for claim in statement.claims]
            sentences.append(
                {
                    "batch_key": study["batch_key"],
                    "study_key": study_key,
                    "draft_key": draft_key,
                    "sentence_key": digest("sentence", draft_key, position, sentence, claim_keys),
                    "section": statement.section,
                    "position": position,
                    "text": sentence,
                    "kind": str(statement.kind),
                    "claim_keys": claim_keys,
                }
            )
    return ReportTables(pl.DataFrame(drafts, schema=DRAFTS), pl.DataFrame(sentences, schema=SENTENCES))
