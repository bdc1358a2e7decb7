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
from pipelines.runtime.resources import Hospital
from pipelines.study import NothingUsable, Study, read_study

if TYPE_CHECKING:
    from spine_models.reporting.agents import Published
    from spine_models.reporting.reports import ReportTables
    from spine_models.reporting.reports.pages import KeySlice

POINTS = ("probes", "operating_points")


class Drafted(NamedTuple):
    """Drafts of the studies of one folder, and the claims that they rest on (``agents.CLAIMS``)."""

    tables: ReportTables
    claims: pl.DataFrame


def report_study(hospital: Hospital, folder: Path, pages: Path | None = None) -> Drafted:
    """Draft a report of every study found in one folder; HTML pages too where ``pages`` is given.

    A study in which nothing can be read gets its report too: every condition is not assessed, with the reason. Where
    the lake holds earlier studies of the same patient, under the same key, it is compared with the last of them.
    """
    from spine_models.reporting.agents import diagnose
    from spine_models.reporting.reports import draft_reports, key_slices, shard_pixels, write_pages

    models, points = published_agents(hospital), _points(hospital)
    pictures: Mapping[str, Sequence[KeySlice]] = {}
    try:
        with read_study(hospital, folder) as study:
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
                findings=_findings(hospital, study, models, points),
                grading=models.grading,
            )
            priors = lake_priors(hospital, study.studies)
            written = draft_reports(claims, study.studies, study.series, priors=priors)
            if pages is not None:
                pixels = shard_pixels(study.slices, study.shards)
                limit = hospital.numbers.reports.key_slices
                pictures = key_slices(claims, written.drafts, study.slices, pixels, limit=limit)
    except NothingUsable as refusal:
        claims, written = _unusable(hospital, models, refusal)
    if pages is not None:
        write_pages(written.drafts, written.sentences, claims, pages, pictures=pictures)
    return Drafted(written, claims)


def _unusable(
    hospital: Hospital, models: Published, refusal: NothingUsable
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
    ).with_columns(reason=pl.lit(f"no image could be used: {refusal.told}"))
    return claims, draft_reports(claims, studies, series)


def _points(hospital: Hospital) -> pl.DataFrame | None:
    """Operating points of the heads; None where none have been set yet."""
    there = hospital.lake.table_path(POINTS).is_file()
    return hospital.lake.read_table(POINTS, [None]) if there else None


def _findings(
    hospital: Hospital, study: Study, models: Published, points: pl.DataFrame | None
) -> pl.DataFrame | None:
    """Where the study's conditions are seen; None where nothing was trained to look, or nothing can be looked at."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.findings.localization.find import find
    from spine_models.findings.localization.tokens import Sources

    if models.localizer is None or models.heads is None or study.slice_vectors.is_empty():
        return None
    return find(
        study.slices,
        study.slice_vectors,
        study.study_vectors,
        models.localizer,
        models.heads,
        Sources(
            {route: load_encoder(folder) for route, folder in hospital.encoders().items()},
            dict.fromkeys(study.slices["batch_key"].unique(), study.shards),
        ),
        settings=hospital.numbers.localization,
        points=points,
    )
