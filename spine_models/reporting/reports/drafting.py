"""Drafted reports of studies as tables: drafts, sentences, what was removed, and where each sentence comes from.

Belongs here: claims, examinations, earlier studies and written text in, the tables of ``tables`` out. Does not belong
here: choosing or wording a statement, HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from spine_models.corpus.statements import merged, units_of_text
from spine_models.reporting.agents import refuse_mixed
from spine_models.reporting.agents.evidence import digest
from spine_models.reporting.agents.examination import Examination, examination_of, examinations
from spine_models.reporting.reports.assembly import Sentence, from_template, from_written, spoken
from spine_models.reporting.reports.claims import Claim
from spine_models.reporting.reports.comparison import Earlier, comparison_of, prior_of
from spine_models.reporting.reports.graph import NOTICE, verbatim
from spine_models.reporting.reports.linking import Removed, link
from spine_models.reporting.reports.provenance import provenance_rows
from spine_models.reporting.reports.tables import DRAFTS, PROVENANCE, REMOVED, SENTENCES
from spine_models.reporting.reports.technique import technique_of
from spine_models.reporting.reports.template import Template, load_template
from spine_models.reporting.reports.text import render_text

TEMPLATES: Final = "templates"
NO_MODEL: Final = "no report model is in use"
NOTHING_LEFT: Final = "no sentence of the written text rests on a claim"
READS_OTHERWISE: Final = "put together with the template, the written text read otherwise than its claims"


@dataclass(frozen=True)
class ReportTables:
    """Tables of ``tables``, sorted by study_key and position."""

    drafts: pl.DataFrame
    sentences: pl.DataFrame
    removed: pl.DataFrame
    provenance: pl.DataFrame


@dataclass(frozen=True)
class Priors:
    """Studies of other batches, as ``agents.CLAIMS``, ``deid.STUDIES`` and ``sequences.SERIES``."""

    claims: pl.DataFrame
    studies: pl.DataFrame
    series: pl.DataFrame


@dataclass
class _Rows:
    drafts: list[dict[str, object]] = field(default_factory=list)
    sentences: list[dict[str, object]] = field(default_factory=list)
    removed: list[dict[str, object]] = field(default_factory=list)
    provenance: list[dict[str, object]] = field(default_factory=list)


def draft_reports(
    claims: pl.DataFrame,
    studies: pl.DataFrame,
    series: pl.DataFrame,
    *,
    priors: Priors | None = None,
    written: pl.DataFrame | None = None,
) -> ReportTables:
    """A complete draft of every study of ``studies``, from the template of its region.

    Args:
        claims: ``agents.CLAIMS``; every study needs its rows.
        studies: ``deid.STUDIES``.
        series: ``sequences.SERIES`` of the same studies.
        priors: studies of other batches; those of ``studies`` itself are compared without being named.
        written: ``llava.WRITTEN`` of the same studies; each sentence is kept only where claims carry it.

    Returns:
        The same claims give the same bytes.

    Raises:
        ValueError: a study without claims.
        AgentsError: an agent that speaks in several versions.
        TemplateError: a template that cannot place a condition.
    """
    refuse_mixed(claims)
    examined = examinations(series)
    own = claims_of(claims)
    candidates = _candidates(studies, own, examined)
    if priors is not None:
        candidates += _candidates(priors.studies, claims_of(priors.claims), examinations(priors.series))
    texts = {row["study_key"]: row for row in written.iter_rows(named=True)} if written is not None else {}
    rows = _Rows()
    for study in studies.sort("study_key").iter_rows(named=True):
        if study["study_key"] not in own:
            raise ValueError(
                f"study {study['study_key']} has no claims: materialise agents/claims of its batch first"
            )
        examination = examined.get(study["study_key"], examination_of(()))
        prior = prior_of(study["patient_key"], study["study_date"], examination.region, candidates)
        _draft(study, examination, own[study["study_key"]], prior, texts.get(study["study_key"]), rows)
    return ReportTables(
        pl.DataFrame(rows.drafts, schema=DRAFTS),
        pl.DataFrame(rows.sentences, schema=SENTENCES),
        pl.DataFrame(rows.removed, schema=REMOVED),
        pl.DataFrame(rows.provenance, schema=PROVENANCE),
    )


def claims_of(claims: pl.DataFrame) -> dict[str, tuple[Claim, ...]]:
    """Claims by study_key, in the order of their keys."""
    found: dict[str, list[Claim]] = {}
    for row in claims.sort("study_key", "claim_key").iter_rows(named=True):
        found.setdefault(row["study_key"], []).append(Claim.of(row))
    return {study: tuple(members) for study, members in found.items()}


def _candidates(
    studies: pl.DataFrame, claims: Mapping[str, tuple[Claim, ...]], examined: Mapping[str, Examination]
) -> list[Earlier]:
    return [
        Earlier(
            study["patient_key"],
            study["study_key"],
            study["study_date"],
            examined[study["study_key"]].region,
            claims[study["study_key"]],
        )
        for study in studies.iter_rows(named=True)
        if study["study_date"] and study["study_key"] in claims and study["study_key"] in examined
    ]


def _draft(
    study: Mapping[str, Any],
    examination: Examination,
    claims: Sequence[Claim],
    prior: Earlier | None,
    written: Mapping[str, Any] | None,
    rows: _Rows,
) -> None:
    template = load_template(examination.region)
    opening = spoken([verbatim(NOTICE, template.language.notice)], template)
    opening += spoken(technique_of(examination, claims, template), template)
    if prior is not None:
        opening += spoken(comparison_of(claims, prior, study["study_date"], template), template)
    title = template.language.titles[str(examination.region)]
    body, removed, reason = _body(title, study["study_key"], claims, written, template)
    sentences = [*opening, *body]
    text = render_text(title, study["study_key"], sentences)
    version = written["model_version"] if written is not None else None
    draft_key = digest("draft", study["study_key"], template.version, text, sorted(c.key for c in claims))
    identity = {"batch_key": study["batch_key"], "study_key": study["study_key"]}
    rows.drafts.append(
        {
            **identity,
            "patient_key": study["patient_key"],
            "region": str(examination.region),
            "template_version": template.version,
            "agent_version": _one_version(claims),
            "writer": version if reason is None else TEMPLATES,
            "reason": reason,
            "prior_study_key": None if prior is None else prior.study_key,
            "draft_key": draft_key,
            "n_sentences": len(sentences),
            "report_text": text,
        }
    )
    identity["draft_key"] = draft_key
    for position, sentence in enumerate(sentences):
        row = _sentence_row(sentence, position, draft_key)
        rows.sentences.append(identity | row)
        rows.provenance.extend(provenance_rows(identity, row["sentence_key"], sentence))
    for position, gone in enumerate(removed):
        rows.removed.append(
            {**identity, "position": position, "section": gone.section, "text": gone.text,
             "condition": gone.condition, "reason": gone.reason, "model_version": version}
        )  # fmt: skip


def _body(
    title: str,
    study_key: str,
    claims: Sequence[Claim],
    written: Mapping[str, Any] | None,
    template: Template,
) -> tuple[list[Sentence], list[Removed], str | None]:
    """Sentences below the technique, what was removed of a written text, and why templates wrote, if they did."""
    plain = from_template(claims, template)
    if written is None:
        return plain, [], NO_MODEL
    if not written["text"] or not written["text"].strip():
        return plain, [], written["reason"] or "the report model wrote nothing"
    matched, removed = link(written["text"], claims, stopped=bool(written["stopped"]))
    if not matched:
        return plain, removed, NOTHING_LEFT
    sentences = from_written(matched, claims, template)
    wanted = merged(unit for claim in claims for unit in claim.units)
    if units_of_text(render_text(title, study_key, sentences)) != wanted:
        lost = [Removed(one.section, one.text, READS_OTHERWISE) for one in matched]
        return plain, [*removed, *lost], READS_OTHERWISE
    return sentences, removed, None


def _one_version(claims: Iterable[Claim]) -> str:
    """The version that all agents share, or a digest of theirs where they have their own."""
    versions = sorted({claim.agent_version for claim in claims})
    return versions[0] if len(versions) == 1 else digest("agents", *versions)


def _sentence_row(sentence: Sentence, position: int, draft_key: str) -> dict[str, object]:
    keys = [claim.key for claim in sentence.claims]
    slices = [place.slice_key for said in sentence.said for place in said.places if place.slice_key]
    return {
        "sentence_key": digest("sentence", draft_key, position, sentence.text, keys),
        "section": sentence.section,
        "position": position,
        "level": sentence.level,
        "text": sentence.text,
        "kind": str(sentence.kind),
        "linked_by": sentence.linked_by,
        "claim_keys": keys,
        "prior_claim_keys": [claim.key for claim in sentence.earlier],
        "evidence": list(dict.fromkeys(slices)),
    }
