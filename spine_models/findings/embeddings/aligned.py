"""Vectors of one batch in the space of the reports; nothing that has a slice vector is encoded again.

Clip's image side reads the slice vectors of ``embeddings/slices``, at most ``clip.max_slices`` a route, the same slices
that its training chose. A vector is computed again only where its content or its model changed.

Belongs here: clip's modalities, and putting both models' rows together. Does not belong here: the synthesizer's rows
(``aligned_series``), the choice of slices (``aligned_choice``), searching (``findings.retrieval``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.domain import Split
from spine_models.encoder.clip.data import ClipStudy, report_texts
from spine_models.encoder.clip.model import ClipModel
from spine_models.encoder.clip.variants import IMAGE, REPORT, reads_reports
from spine_models.encoder.synthesizer.alignment import Alignment
from spine_models.findings.embeddings.aligned_choice import (
    AlignedError,
    ReadVectors,
    as_routes,
    by_key,
    chosen_slices,
    content_hashes,
    divided_slices,
    divided_studies,
    one_slice,
    wanted_rows,
    with_vectors,
)
from spine_models.findings.embeddings.aligned_series import series_vectors
from spine_models.findings.embeddings.aligned_tables import ALIGNED, ALIGNED_SLICES

STUDIES_AT_A_TIME = 256
"""Studies whose slice vectors are in memory together; each time the batch's table is scanned once."""

_PARENTS = ("encoder", "model_version", "preprocessing_version")


@dataclass(frozen=True)
class ClipSide:
    """A trained clip, its version, and of each route the versions of the slice vectors it was trained on."""

    model: ClipModel
    version: str
    parents: Mapping[str, Mapping[str, str]]

    @property
    def name(self) -> str:
        """Like ``clip-tri_modal``."""
        return f"clip-{self.model.settings.variant}"


@dataclass(frozen=True)
class AlignedBatch:
    """Both tables of a batch, how many rows were computed now, images encoded, and why something is missing."""

    studies: pl.DataFrame
    slices: pl.DataFrame
    computed: int
    encoded: int
    reasons: tuple[str, ...]


def align_batch(
    slices: pl.DataFrame,
    reports: pl.DataFrame,
    batch: str,
    *,
    clip: ClipSide | None,
    alignment: Alignment | None,
    synthesizer_slices: int,
    read: ReadVectors,
    shard_root: Path,
    previous: pl.DataFrame | None = None,
    previous_slices: pl.DataFrame | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AlignedBatch:
    """ALIGNED and ALIGNED_SLICES of one batch.

    Args:
        slices: shards.SLICES of the batch.
        reports: study_key and report_text; one row a study at most.
        batch: its key.
        clip: a trained clip; None gives no rows at all.
        alignment: a trained aligned synthesizer; None, or one of another clip's space, gives no study and other.
        synthesizer_slices: slices of a study that the synthesizer reads.
        read: gives what ``embeddings/slices`` holds of some slice keys.
        shard_root: folder that ``slices.shard`` is relative to.
        previous: ALIGNED of an earlier run, or None.
        previous_slices: ALIGNED_SLICES of an earlier run, or None.
        progress: called with (images encoded, to encode).

    Raises:
        AlignedError: slice vectors that are missing, not finite, or not of the encoders that clip was trained on.
        EmbeddingError: a slice that is not in its shard.
    """
    if clip is None:
        empty = pl.DataFrame(schema=ALIGNED), pl.DataFrame(schema=ALIGNED_SLICES)
        return AlignedBatch(*empty, 0, 0, ("clip is not trained",))
    reasons: list[str] = []
    if not reads_reports(clip.model.settings.variant):
        reasons.append(f"clip of variant {clip.model.settings.variant} reads no reports")
    studies, of_slices, computed = _clip_vectors(slices, batch, clip, read, previous, previous_slices)
    texts, fresh = _report_vectors(slices, reports, batch, clip, previous)
    parts, slice_parts = [studies, texts], [of_slices]
    encoded = 0
    if alignment is None:
        reasons.append("the synthesizer is not aligned")
    elif alignment.clip_version != clip.version:
        reasons.append(
            f"the synthesizer is aligned with clip {alignment.clip_version}, this is {clip.version}: align it again"
        )
    else:
        own, own_slices, encoded = series_vectors(
            slices, batch, alignment, most=synthesizer_slices, read=read, shard_root=shard_root,
            previous=previous, previous_slices=previous_slices, progress=progress,
        )  # fmt: skip
        parts.append(own)
        slice_parts.append(own_slices)
    return AlignedBatch(
        pl.concat(parts).sort("study_key", "modality"),
        pl.concat(slice_parts).sort("study_key", "series_key", "slice_key"),
        computed + fresh,
        encoded,
        tuple(reasons),
    )


def studies_without_vector(slices: pl.DataFrame, aligned: pl.DataFrame, routes: list[str]) -> int:
    """Number of studies with slices of ``routes``, of this body region, of which no image has a vector."""
    seen = slices.filter(pl.col("split") != Split.OUTSIDE.value, pl.col("route").is_in(routes))
    images = aligned.filter(pl.col("modality") != REPORT)
    return seen.select("study_key").unique().join(images, on="study_key", how="anti").height


def _clip_vectors(
    slices: pl.DataFrame,
    batch: str,
    clip: ClipSide,
    read: ReadVectors,
    previous: pl.DataFrame | None,
    previous_slices: pl.DataFrame | None,
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    model, joined = clip.model, clip.model.settings.variant == "concat"
    chosen = chosen_slices(
        slices.filter(pl.col("route").is_in(list(model.dims))), model.settings.max_slices, by_route=True
    )
    group = ["study_key"] if joined else ["study_key", "route"]
    hashes = content_hashes(
        chosen, group, *(str(clip.parents[r]["model_version"]) for r in sorted(model.dims))
    )
    wanted = wanted_rows(hashes, batch, IMAGE if joined else None, clip.name, clip.version)
    kept, stale = divided_studies(wanted, previous)
    kept_slices, stale_slices = divided_slices(chosen, clip.name, clip.version, previous_slices)
    due = pl.concat([stale.select("study_key"), stale_slices.select("study_key")]).unique().sort("study_key")
    parts, slice_parts = [kept], [kept_slices]
    for keys in due.iter_slices(STUDIES_AT_A_TIME):
        rows = chosen.join(keys, on="study_key", how="semi")
        vectors = checked_vectors(rows, read, clip)
        studies = chosen_studies(rows, vectors)
        embedded = model.embed(studies).vectors
        at = {study.study_key: n for n, study in enumerate(studies)}
        now = stale.join(keys, on="study_key", how="semi")
        parts.append(
            with_vectors(
                now,
                [embedded[m][at[s]].numpy() for s, m in now.select("study_key", "modality").rows()],
                ALIGNED,
            )
        )
        now = stale_slices.join(keys, on="study_key", how="semi")
        if now.height:
            alone = [
                ClipStudy("", "", {route: one_slice(vectors[key], plane)}, "")
                for key, route, plane in now.select("slice_key", "route", "plane").rows()
            ]
            embedded = model.embed(alone).vectors
            names = [IMAGE if joined else route for route in now["route"]]
            found = [embedded[name][n].numpy() for n, name in enumerate(names)]
            slice_parts.append(with_vectors(now, found, ALIGNED_SLICES))
    return pl.concat(parts), pl.concat(slice_parts), stale.height


def chosen_studies(rows: pl.DataFrame, vectors: dict[str, np.ndarray]) -> list[ClipStudy]:
    """Chosen slices (``chosen_slices`` by route) with their vectors as studies without patient and report."""
    routes: dict[str, dict[str, object]] = {}
    for (study, route), part in rows.group_by(["study_key", "route"], maintain_order=True):
        routes.setdefault(str(study), {})[str(route)] = as_routes(part, vectors)
    return [ClipStudy(study, "", own, "") for study, own in routes.items()]  # type: ignore[arg-type]


def checked_vectors(rows: pl.DataFrame, read: ReadVectors, clip: ClipSide) -> dict[str, np.ndarray]:
    """Slice vectors by key, each of the pixels that the shards hold and of the encoder that clip was trained on.

    Args:
        rows: chosen slices of one batch.
        read: gives what ``embeddings/slices`` holds of some slice keys.
        clip: whose routes and parents count.

    Raises:
        AlignedError: vectors that are missing, not finite, or of another encoder.
    """
    held = read(rows["slice_key"].to_list())
    for route in clip.model.dims:
        own = held.filter(pl.col("route") == route).select(_PARENTS).unique()
        for found in own.to_dicts():
            if found != {name: clip.parents[route][name] for name in _PARENTS}:
                raise AlignedError(
                    f"slice vectors of route {route!r} are of {found['encoder']} {found['model_version']}, the "
                    f"alignment was trained on {clip.parents[route]['model_version']}: train clip again, or embed "
                    "with that one"
                )
    joined = rows.select("slice_key", "pixel_hash").join(held, on=["slice_key", "pixel_hash"], how="left")
    missing = joined["vector"].null_count()
    if missing or joined.height != rows.height:
        raise AlignedError(
            f"{missing or joined.height - rows.height} chosen slices have no vector, or two: materialise the "
            "embeddings of this batch again"
        )
    vectors = by_key(joined)
    if broken := sum(not np.isfinite(vector).all() for vector in vectors.values()):
        raise AlignedError(
            f"{broken} slice vectors are not finite: materialise the embeddings of this batch again"
        )
    return vectors


def _report_vectors(
    slices: pl.DataFrame, reports: pl.DataFrame, batch: str, clip: ClipSide, previous: pl.DataFrame | None
) -> tuple[pl.DataFrame, int]:
    """ALIGNED of modality report; a report that says nothing has no row."""
    if not reads_reports(clip.model.settings.variant) or reports.is_empty():
        return pl.DataFrame(schema=ALIGNED), 0
    patients = dict(slices.select("study_key", "patient_key").unique().rows())
    texts = {key: text for key, text in report_texts(reports).items() if text and key in patients}
    found = [
        (key, patients[key], hashlib.sha256(text.encode()).hexdigest()[:32])
        for key, text in sorted(texts.items())
    ]
    columns = dict.fromkeys(("study_key", "patient_key", "content_hash"), pl.String)
    hashes = pl.DataFrame(found, schema=columns, orient="row")
    kept, stale = divided_studies(wanted_rows(hashes, batch, REPORT, clip.name, clip.version), previous)
    if stale.is_empty():
        return kept, 0
    vectors, present = clip.model.embed_reports([texts[key] for key in stale["study_key"]])
    said = stale.filter(pl.Series(present.numpy()))
    fresh = with_vectors(said, vectors.numpy()[present.numpy()], ALIGNED)
    return pl.concat([kept, fresh]), fresh.height
