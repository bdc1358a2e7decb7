"""One study folder without the graph: the same domain calls in a row, in a folder that goes away.

Belongs here: the composition for ``spineagent embed`` and ``spineagent report``. Does not belong here: any step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from pipelines.runtime.agents import published_agents
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.priors import lake_priors
from pipelines.runtime.resources import ENCODER, Hospital

if TYPE_CHECKING:
    from spine_models.reporting.agents import Published
    from spine_models.reporting.reports import ReportTables

POINTS = ("probes", "operating_points")

VECTORS = pl.Schema(
    {
        "unit": pl.String,  # study | series | slice
        "study_key": pl.String,
        "key": pl.String,
        "route": pl.String,
        "encoder": pl.String,
        "model_version": pl.String,
        "preprocessing_version": pl.String,
        "n_slices": pl.Int32,
        "vector": pl.List(pl.Float32),
    }
)


class StudyRefused(RuntimeError):
    """The folder cannot be used; says why by counts and reason codes."""


@dataclass(frozen=True)
class Study:
    """Tables of one folder, de-identified, embedded; ``shards`` is gone when ``read_study`` ends."""

    studies: pl.DataFrame
    series: pl.DataFrame
    slices: pl.DataFrame
    slice_vectors: pl.DataFrame
    series_vectors: pl.DataFrame
    study_vectors: pl.DataFrame
    outcomes: pl.DataFrame
    shards: Path
    without_vectors: list[str]
    """Why usable series have none, a sentence a route; empty where every one has."""


@contextmanager
def read_study(hospital: Hospital, folder: Path) -> Iterator[Study]:
    """De-identify, classify, preprocess and embed one DICOM folder; nothing of it stays on disk.

    Raises:
        InboxError: the folder is missing or empty.
        StudyRefused: no instance may leave the restricted zone, or the gate found an identifier.
        StorageError: no encoder has been trained in this installation.
    """
    from spine_models.corpus.archive import index_batch, scan_inbox
    from spine_models.corpus.deid import deidentify_batch, gate_batch, refusal
    from spine_models.corpus.sequences import classify_series
    from spine_models.corpus.shards import write_shards
    from spine_models.findings.embeddings import embed_slices, pool_series, pool_studies
    from spine_models.findings.embeddings.encoders import usable_embedders

    key, numbers = hospital.key(), hospital.numbers
    folders, synthesizer = hospital.embedder_folders()
    if not folders:
        hospital.current(ENCODER, encoder_sequences.get_partition_keys()[0])
    hospital.restricted.root.mkdir(parents=True, exist_ok=True)
    hospital.restricted.root.chmod(hospital.restricted.mode)
    with tempfile.TemporaryDirectory(prefix=".study-", dir=hospital.restricted.root) as temporary:
        dicom, tars = Path(temporary) / "dicom", Path(temporary) / "tars"
        ledger = scan_inbox(folder.absolute(), cohort="study", ledger=None, settings=numbers.archive)
        frames = []
        for batch in ledger["batch_key"].unique().sort():
            archive = index_batch(ledger, batch, settings=numbers.archive)
            released = deidentify_batch(archive, key=key, out=dicom, settings=numbers.deid)
            leaving = {
                "instances": released.instances,
                "studies": released.studies,
                "reports": released.reports,
            }
            hits = gate_batch(archive, folder=dicom, tables=leaving, key=key, settings=numbers.deid)
            if not hits.is_empty():
                raise StudyRefused(f"{refusal(hits)}: nothing of this folder is used")
            frames.append((released.instances, released.studies, released.files))
        instances, studies, files = (pl.concat(column) for column in zip(*frames, strict=True))
        outcomes = files.group_by("outcome", "reason").len("files").sort("outcome", "reason", nulls_last=True)
        if instances.is_empty():
            told = "; ".join(f"{n} {outcome} ({reason})" for outcome, reason, n in outcomes.rows())
            raise StudyRefused(f"no usable MR instance in the folder: {told}")
        series = classify_series(instances, settings=numbers.sequences)
        written = write_shards(instances, series, dicom=dicom, out=tars, settings=numbers.shards)
        embedders = usable_embedders(folders, synthesizer)
        slice_vectors, _ = embed_slices(
            written.slices,
            shard_root=tars,
            encoders=embedders.by_route,
            previous=None,
            settings=numbers.embeddings,
        )
        series_vectors = pool_series(slice_vectors)
        yield Study(
            studies,
            series,
            written.slices,
            slice_vectors,
            series_vectors,
            pool_studies(series_vectors),
            outcomes,
            tars,
            _without_vectors(written.slices, embedders.by_route, embedders.without_other),
        )


def _without_vectors(
    slices: pl.DataFrame, by_route: Mapping[str, object], without_other: str | None
) -> list[str]:
    """Routes of the slices that nothing embeds, each with its number of series and the reason."""
    lacking = slices.filter(~pl.col("route").is_in(list(by_route)))
    counts = lacking.group_by("route").agg(pl.col("series_key").n_unique()).sort("route")
    reasons = {"other": without_other}
    return [
        f"{n} series of route {route}: {reasons.get(route) or 'its encoder has not been made'}"
        for route, n in counts.rows()
    ]


class Embedded(NamedTuple):
    """Vectors of one folder as ``VECTORS``, and why series that could be used have none."""

    vectors: pl.DataFrame
    without_vectors: list[str]


def embed_study(hospital: Hospital, folder: Path) -> Embedded:
    """Slice, series and study vectors of one folder."""
    with read_study(hospital, folder) as study:
        parts = (
            ("study", study.study_vectors, "study_key"),
            ("series", study.series_vectors, "series_key"),
            ("slice", study.slice_vectors.with_columns(n_slices=pl.lit(1, pl.Int32)), "slice_key"),
        )
        vectors = pl.concat(
            frame.select(
                pl.lit(unit).alias("unit"),
                "study_key",
                pl.col(key).alias("key"),
                *[c for c in VECTORS.names() if c not in {"unit", "study_key", "key"}],
            )
            for unit, frame, key in parts
        )
        return Embedded(vectors, study.without_vectors)


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
            pictures = key_slices(
                claims,
                written.drafts,
                study.slices,
                shard_pixels(study.slices, study.shards),
                limit=hospital.numbers.reports.key_slices,
            )
            write_pages(written.drafts, written.sentences, claims, pages, pictures=pictures)
    return Drafted(written, claims)


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
