"""The aligned synthesizer's vectors: of a study over all its series, and over those of route other alone.

Its slice vectors are its own, also of T1 and T2 series: what the shards hold is encoded, but only the few slices that
stand for a study, and only where something changed. Slices of route other that ``embeddings/slices`` already holds in
the same version are not encoded again.

Belongs here: study and other. Does not belong here: clip's modalities (``aligned``), what stands for a study
(``aligned_choice``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.domain import Route
from spine_models.encoder.synthesizer.alignment import Alignment
from spine_models.findings.embeddings.aligned_choice import (
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
from spine_models.findings.embeddings.aligned_tables import ALIGNED, ALIGNED_SLICES
from spine_models.findings.embeddings.images import stored_images
from spine_models.findings.embeddings.study_means import stacked

STUDY, OTHER = "study", "other"


def series_vectors(
    slices: pl.DataFrame,
    batch: str,
    alignment: Alignment,
    *,
    most: int,
    read: ReadVectors,
    shard_root: Path,
    previous: pl.DataFrame | None,
    previous_slices: pl.DataFrame | None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """ALIGNED of modalities study and other, ALIGNED_SLICES of route other, and the number of images encoded.

    Args:
        slices: shards.SLICES of one batch.
        batch: its key.
        alignment: a trained aligned synthesizer.
        most: slices of a study (``synthesizer.align.slices``).
        read: gives what ``embeddings/slices`` holds.
        shard_root: folder that ``slices.shard`` is relative to.
        previous: ALIGNED of an earlier run, or None.
        previous_slices: ALIGNED_SLICES of an earlier run, or None.
        progress: called with (encoded, to encode).

    Raises:
        EmbeddingError: a slice that is not in its shard.
    """
    name, version = alignment.synthesizer.name, alignment.version
    chosen = {
        STUDY: chosen_slices(slices, most, by_route=False),
        OTHER: chosen_slices(slices.filter(pl.col("route") == Route.OTHER.value), most, by_route=False),
    }
    divided = {
        modality: divided_studies(
            wanted_rows(content_hashes(rows, ["study_key"]), batch, modality, name, version), previous
        )
        for modality, rows in chosen.items()
    }
    kept_slices, stale_slices = divided_slices(chosen[OTHER], name, version, previous_slices)

    needed = pl.concat(
        [rows.join(divided[m].stale, on="study_key", how="semi") for m, rows in chosen.items()]
        + [chosen[OTHER].join(stale_slices, on="slice_key", how="semi")]
    ).unique("slice_key", maintain_order=True)
    vectors, encoded = _slice_vectors(needed, alignment, read, shard_root, progress)
    parts, slice_parts = [own.kept for own in divided.values()], [kept_slices]
    for modality, rows in chosen.items():
        due = divided[modality].stale
        by_study = rows.join(due, on="study_key", how="semi").partition_by(
            "study_key", as_dict=True, maintain_order=True
        )
        found = alignment.embed([as_routes(by_study[(key,)], vectors) for key in due["study_key"]])
        parts.append(with_vectors(due, found, ALIGNED))
    alone = [
        one_slice(vectors[key], plane) for key, plane in stale_slices.select("slice_key", "plane").rows()
    ]
    slice_parts.append(with_vectors(stale_slices, alignment.embed(alone), ALIGNED_SLICES))
    return pl.concat(parts), pl.concat(slice_parts), encoded


def _slice_vectors(
    rows: pl.DataFrame,
    alignment: Alignment,
    read: ReadVectors,
    shard_root: Path,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, np.ndarray], int]:
    """The synthesizer's vectors by slice key, read where they are, encoded elsewhere."""
    if rows.is_empty():
        return {}, 0
    other = rows.filter(pl.col("route") == Route.OTHER.value)
    held = read(other["slice_key"].to_list()).filter(
        pl.col("encoder") == alignment.synthesizer.name,
        pl.col("model_version") == alignment.synthesizer.version,
    )
    held = held.join(rows, on=["slice_key", "pixel_hash", "preprocessing_version"], how="semi")
    vectors = by_key(held)
    due = rows.filter(~pl.col("slice_key").is_in(list(vectors)))
    done = 0
    for keys, images in stacked(stored_images(due, shard_root)):
        vectors.update(zip(keys, alignment.synthesizer.encode(images), strict=True))
        done += len(keys)
        if progress is not None:
            progress(done, due.height)
    return vectors, done
