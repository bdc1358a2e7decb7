"""One study folder without the graph: the same domain calls in a row, in a folder that goes away.

Belongs here: the composition for ``spineagent embed``, on which that for ``spineagent report`` (``study_report``)
rests. Does not belong here: any step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.resources import ENCODER, Hospital

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


_NO_MR_IMAGE = ("dicomdir", "not_mr", "encapsulated", "secondary_capture", "screen_save")
"""Reasons (``archive.reasons``, ``deid.quarantine``) of DICOM files that are none, whatever else is wrong with them."""


class StudyRefused(RuntimeError):
    """The folder cannot be used; says why by counts and reason codes."""


class NothingUsable(StudyRefused):
    """MR images, but none that may leave the restricted zone; ``told`` says why by counts and reason codes."""

    def __init__(self, told: str) -> None:
        super().__init__(f"no MR image of the study folder can be used: {told}; export the study anew")
        self.told = told


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
        StudyRefused: the folder is missing, empty or without any MR image, or the gate found an identifier.
        NothingUsable: no instance may leave the restricted zone.
        StorageError: no encoder has been trained in this installation.
    """
    from spine_models.corpus.archive import index_batch
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
        ledger = _scanned(hospital, folder)
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
            dicom = files.filter(pl.col("kind") == "dicom", pl.col("outcome") != "duplicate")
            if dicom["reason"].is_in(_NO_MR_IMAGE).all():
                raise StudyRefused(
                    f"the study folder holds no MR image: {told}; give the folder of one MRI study, as DICOM"
                )
            raise NothingUsable(told)
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


def _scanned(hospital: Hospital, folder: Path) -> pl.DataFrame:
    """The files of the folder as a ledger (``archive.scan_inbox``), or why there are none; never the folder's name."""
    from spine_models.corpus.archive import InboxError, scan_inbox

    if not folder.is_dir():
        raise StudyRefused(
            "the study folder does not exist, or is a file: give the folder with the study's DICOM files"
        )
    try:
        return scan_inbox(folder.absolute(), cohort="study", ledger=None, settings=hospital.numbers.archive)
    except InboxError:
        raise StudyRefused(
            "the study folder holds no file, or may not be listed: give the folder with the study's DICOM files, and "
            "check its permissions"
        ) from None


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
