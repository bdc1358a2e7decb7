"""A drafted report of one study folder without the graph.

Belongs here: the composition for ``spineagent report``. Does not belong here: any step; reading the folder (``study``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from pipelines.runtime.agents import published_agents
from pipelines.runtime.priors import lake_priors
from pipelines.runtime.report_model import asked_studies, draft_texts, tuned_card
from pipelines.runtime.resources import Hospital
from pipelines.study import NothingUsable, Study, read_study

if TYPE_CHECKING:
    from spine_models.findings.localization.tokens import Sources
    from spine_models.reporting.agents import Published
    from spine_models.reporting.reports import ReportTables
    from spine_models.reporting.reports.pages import KeySlice

POINTS = ("probes", "operating_points")
ASKED_FOR = "--template was given"
"""Why a draft is by templates though a model may be there."""


class Drafted(NamedTuple):
    """Drafts of the studies of one folder, and the claims that they rest on (``agents.CLAIMS``)."""

    tables: ReportTables
    claims: pl.DataFrame


def report_study(
    hospital: Hospital, folder: Path, pages: Path | None = None, *, template: bool = False
) -> Drafted:
    """Draft a report of every study found in one folder; HTML pages too where ``pages`` is given.

    The report model writes where it is there and fit for drafts, as in the lake; ``reason`` of a draft says why
    templates wrote it. With ``template`` they always do.

    A study in which nothing can be read gets its report too: every condition is not assessed, with the reason. Where
    the lake holds earlier studies of the same patient, under the same key, it is compared with the last of them.
    """
    from spine_models.reporting.agents import diagnose
    from spine_models.reporting.reports import draft_reports, key_slices, shard_pixels, write_pages

    models, points = published_agents(hospital), _points(hospital)
    pictures: Mapping[str, Sequence[KeySlice]] = {}
    try:
        with read_study(hospital, folder) as study:
            sources = _sources(hospital, study)
            claims = diagnose(
                study.studies,
                study.study_vectors,
                study.series,
                study.slices,
                models.heads,
                settings=hospital.numbers.agents,
                untrained_versions=hospital.untrained_encoders(),
                guards=models.guards,
                points=points,
                findings=_findings(hospital, study, models, sources, points),
                grading=models.grading,
                levels=_levels(hospital, study, models, sources),
                level_heads=models.levels,
            )
            priors = lake_priors(hospital, study.studies)
            texts = (
                _no_text(hospital, study.studies, ASKED_FOR) if template else _texts(hospital, study, claims)
            )
            written = draft_reports(claims, study.studies, study.series, priors=priors, written=texts)
            if pages is not None:
                pixels = shard_pixels(study.slices, study.shards)
                limit = hospital.numbers.reports.key_slices
                pictures = key_slices(claims, written.drafts, study.slices, pixels, limit=limit)
    except NothingUsable as refusal:
        claims, written = _unusable(hospital, models, refusal, template=template)
    if pages is not None:
        write_pages(
            written.drafts, written.sentences, claims, pages, removed=written.removed, pictures=pictures
        )
    return Drafted(written, claims)


def who_wrote(tables: ReportTables) -> list[str]:
    """A line a draft: whether the report model or templates wrote it, and why."""
    from spine_models.reporting.reports.drafting import TEMPLATES

    lines = []
    drafts = tables.drafts.sort("study_key")
    for draft in drafts.iter_rows(named=True):
        name = "the draft" if drafts.height == 1 else f"the draft of study {draft['study_key']}"
        if draft["writer"] == TEMPLATES:
            lines.append(f"{name}: templates stand in: {draft['reason']}")
            continue
        gone = tables.removed.filter(study_key=draft["study_key"]).height
        told = f", and {gone} of its sentences that no claim carries were removed" if gone else ""
        lines.append(f"{name}: written by the report model, version {draft['writer']}{told}")
    return lines


def _no_text(hospital: Hospital, studies: pl.DataFrame, reason: str) -> pl.DataFrame:
    """``llava.WRITTEN`` of studies that the report model is not asked about, and why."""
    from spine_models.reporting.llava.writing import written

    return written(studies, [], None, hospital.numbers.llava, version=None, reason=reason)


def _texts(hospital: Hospital, study: Study, claims: pl.DataFrame) -> pl.DataFrame:
    """``llava.WRITTEN`` of the folder's studies, by the same code as ``llava/written``."""
    return draft_texts(
        hospital,
        study.studies,
        lambda: asked_studies(hospital, study.studies, claims, study.slices, study.slice_vectors),
    )


def _unusable(
    hospital: Hospital, models: Published, refusal: NothingUsable, *, template: bool
) -> tuple[pl.DataFrame, ReportTables]:
    """Claims and draft of a folder without a single usable image: nothing is assessed, and why.

    Its keys stand for the refusal; no study and no patient is known.
    """
    from spine_models.corpus.deid import tables as deid
    from spine_models.corpus.sequences import tables as sequences
    from spine_models.corpus.shards import tables as shards
    from spine_models.findings.embeddings import tables as embeddings
    from spine_models.reporting.agents import diagnose
    from spine_models.reporting.agents.evidence import digest
    from spine_models.reporting.llava.writing import NO_IMAGES, unfit
    from spine_models.reporting.reports import draft_reports

    key = digest("unusable", refusal.told)
    known = {
        "batch_key": "study-0001",
        "cohort": "study",
        "patient_key": key,
        "study_key": key,
        "has_report": False,
    }
    studies = pl.DataFrame([{name: known.get(name) for name in deid.STUDIES}], schema=deid.STUDIES)
    series = pl.DataFrame(schema=sequences.SERIES)
    claims = diagnose(
        studies,
        pl.DataFrame(schema=embeddings.STUDIES),
        series,
        pl.DataFrame(schema=shards.SLICES),
        models.heads,
        settings=hospital.numbers.agents,
        guards=models.guards,
        grading=models.grading,
        level_heads=models.levels,
    ).with_columns(reason=pl.lit(f"no image could be used: {refusal.told}"))
    reason = ASKED_FOR if template else unfit(tuned_card(hospital)) or NO_IMAGES
    texts = _no_text(hospital, studies, reason)
    return claims, draft_reports(claims, studies, series, written=texts)


def _points(hospital: Hospital) -> pl.DataFrame | None:
    """Operating points of the heads; None where none have been set yet."""
    there = hospital.lake.table_path(POINTS).is_file()
    return hospital.lake.read_table(POINTS, [None]) if there else None


def _findings(
    hospital: Hospital, study: Study, models: Published, sources: Sources, points: pl.DataFrame | None
) -> pl.DataFrame | None:
    """Where the study's conditions are seen; None where nothing was trained to look, or nothing can be looked at."""
    from spine_models.findings.localization.find import find

    if models.localizer is None or models.heads is None or study.slice_vectors.is_empty():
        return None
    return find(
        study.slices,
        study.slice_vectors,
        study.study_vectors,
        models.localizer,
        models.heads,
        sources,
        settings=hospital.numbers.localization,
        points=points,
    )


def _levels(hospital: Hospital, study: Study, models: Published, sources: Sources) -> pl.DataFrame | None:
    """Levels that look affected; None where nothing was trained to judge them."""
    from spine_models.findings.levelwise.judge import judge
    from spine_models.findings.levelwise.views import look

    if models.localizer is None or models.levels is None or study.slices.is_empty():
        return None
    settings = hospital.numbers.localization
    views = look(study.slices, models.localizer, sources, settings=settings)
    return judge(views, study.slices, models.levels, models.localizer, settings=settings)


def _sources(hospital: Hospital, study: Study) -> Sources:
    """Encoders, and the shards of the folder."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.findings.localization.tokens import Sources

    return Sources(
        {route: load_encoder(folder) for route, folder in hospital.encoders().items()},
        dict.fromkeys(study.slices["batch_key"].unique(), study.shards),
    )
