"""Slice vectors of the alignment, from shards to a file that every process maps into its memory.

Belongs here: which slices of a study are encoded, the folder and its content key, studies made of it. Does not belong
here: reading and encoding (``encoding``), the embeddings of the findings (all slices, per batch).

A folder holds ``<route>.npy`` (float32 [N, D], a study's slices in a row), ``index.parquet`` (``tables.VECTORS``) and
``vectors.json`` with the content key: a hash of what was encoded by which encoder. It is renamed into place when
whole. Vectors are mapped, not read: training holds in memory what a batch asks for, whatever the corpus' size. They
stay in float32, at the published size some 50 GB of disk, so that aligning a mapped and a fresh vector is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from spine_models.domain import Split
from spine_models.encoder.backbone.distributed import maximum, rank
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.clip.data import (
    ClipDataError,
    ClipStudy,
    RouteSlices,
    choose_slices,
    kind_of,
    report_texts,
)
from spine_models.encoder.clip.encoding import ABOUT, INDEX, Progress, SliceEncoder, write_vectors
from spine_models.encoder.clip.tables import VECTORS

FORMAT = 1


@dataclass(frozen=True)
class SliceVectors:
    """A folder of slice vectors, open.

    Attributes:
        folder: where it lies.
        key: sha256 of slices, pixels, encoders and ``max_slices``; equal keys are equal vectors.
        index: ``tables.VECTORS``, by route, study, series and place in the series.
        arrays: by route [N, D] float32, mapped read-only; row i is the i-th of the route in the index.
        parents: by route encoder, model_version and preprocessing_version, for the card of what is made of them.
    """

    folder: Path
    key: str
    index: pl.DataFrame
    arrays: Mapping[str, np.ndarray]
    parents: dict[str, dict[str, str]]


def slice_vectors(
    slices: pl.DataFrame,
    shard_roots: Mapping[str, Path],
    encoders: Mapping[str, SliceEncoder],
    out: Path,
    *,
    max_slices: int,
    progress: Progress | None = None,
) -> SliceVectors:
    """Encode the slices that the alignment takes of every study, or open what an earlier call left.

    Of a study and route at most ``max_slices`` are kept, evenly over its series (``data.choose_slices``); the others
    are not even read. Under torchrun every process calls this with the same arguments, joins the group before it
    opens its encoders and encodes its share; the folder is on storage that all of them see. A call that was killed
    begins again.

    Args:
        slices: ``corpus.shards`` SLICES of the frozen manifest's patients. Rows of split outside and of routes
            without an encoder are left out.
        shard_roots: per batch, the folder that ``shard`` is relative to.
        encoders: by route; frozen.
        out: of the folder. One that fits is used as it is, one of other content is replaced.
        max_slices: of one route of one study.
        progress: called on rank 0 with (slices done, slices in all) of its share.

    Raises:
        ClipDataError: slices of split test, two preprocessings in one route, no slice at all, a batch without
            shards, a slice that is not in its shard or not the one that was indexed, vectors that are not finite, or
            ``out`` holds something else.
        ShardError: a shard that cannot be read.
    """
    chosen = _chosen(slices, encoders, max_slices)
    index = chosen.select(VECTORS.names()).cast(dict(VECTORS))
    about: dict[str, Any] = {"format": FORMAT, "max_slices": max_slices, "routes": {}}
    for (route,), part in index.group_by("route", maintain_order=True):
        encoder, versions = encoders[str(route)], part["preprocessing_version"].unique()
        if len(versions) > 1:
            raise ClipDataError(
                f"slices of route {route!r} are of {len(versions)} preprocessings: "
                "write the shards of all batches alike"
            )
        about["routes"][str(route)] = {
            "encoder": encoder.name,
            "model_version": encoder.version,
            "preprocessing_version": versions[0],
            "shape": [part.height, encoder.dim],
        }
    about["key"] = _content_key(about, index)
    device = join_process_group()
    stale = rank() == 0 and not _fits(out, about)
    # One rank looks and all act alike, so that none looks while another is already replacing the folder.
    if bool(maximum(torch.tensor([float(stale)], device=device)).item()):
        write_vectors(chosen, index, shard_roots, encoders, out, about, progress)
    return open_vectors(out)


def open_vectors(folder: Path) -> SliceVectors:
    """Map a folder that ``slice_vectors`` wrote.

    Raises:
        ClipDataError: no such folder.
    """
    if not (folder / ABOUT).is_file():
        raise ClipDataError(f"no slice vectors in folder {folder.name}: encode the manifest's slices first")
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    arrays = {route: np.load(folder / f"{route}.npy", mmap_mode="r") for route in about["routes"]}
    parents = {
        route: {name: own[name] for name in ("encoder", "model_version", "preprocessing_version")}
        for route, own in about["routes"].items()
    }
    return SliceVectors(folder, about["key"], pl.read_parquet(folder / INDEX), arrays, parents)


def stored_studies(vectors: SliceVectors, reports: pl.DataFrame, *, split: str) -> list[ClipStudy]:
    """Studies of a split in key order, their vectors views of the mapped files.

    Args:
        vectors: of ``slice_vectors``.
        reports: study_key and report_text; one row a study at most.
        split: "train" or "val".

    Raises:
        ClipDataError: two reports of one study.
    """
    texts = report_texts(reports)
    found: dict[str, tuple[str, dict[str, RouteSlices]]] = {}
    for (route,), of_route in vectors.index.group_by("route", maintain_order=True):
        array = np.asarray(vectors.arrays[str(route)])
        version, start = vectors.parents[str(route)]["model_version"], 0
        for (study_key,), part in of_route.group_by("study_key", maintain_order=True):
            rows, start = slice(start, start + part.height), start + part.height
            if part["split"][0] != split:
                continue
            _, routes = found.setdefault(str(study_key), (part["patient_key"][0], {}))
            said = json.dumps([version, *part.select("slice_key", "pixel_hash").rows()])
            routes[str(route)] = RouteSlices(
                vectors=array[rows],
                series=part["series_key"].rle_id().to_numpy().astype(np.int64),
                kind=np.array([kind_of(plane) for plane in part["plane"]], dtype=np.int64),
                digest=hashlib.sha256(said.encode()).hexdigest(),
            )
    return [ClipStudy(key, own[0], own[1], texts.get(key) or "") for key, own in sorted(found.items())]


def _chosen(slices: pl.DataFrame, encoders: Mapping[str, SliceEncoder], max_slices: int) -> pl.DataFrame:
    """The rows that are encoded, in the order of the files."""
    if slices.filter(split=Split.TEST.value).height:
        raise ClipDataError("slices of split test were given to the alignment: give the manifest's alone")
    order = ("route", "study_key", "series_key", "slice_index", "slice_key")
    rows = slices.filter(
        pl.col("route").is_in(list(encoders)), pl.col("split").is_in([Split.TRAIN.value, Split.VAL.value])
    ).sort(order)
    if rows.is_empty():
        raise ClipDataError(
            f"no slice of route {' or '.join(sorted(encoders))} in the manifest: there is nothing to align"
        )
    lengths = rows.group_by(order[:3], maintain_order=True).len()
    kept: list[int] = []
    start = 0
    for _, part in lengths.group_by(order[:2], maintain_order=True):
        own = part["len"].to_list()
        for length, indices in zip(own, choose_slices(own, max_slices), strict=True):
            kept += [start + i for i in indices]
            start += length
    return rows[kept]


def _content_key(about: dict[str, Any], index: pl.DataFrame) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for part in index.iter_slices(100_000):
        digest.update(part.write_csv(include_header=False).encode())
    return digest.hexdigest()


def _fits(folder: Path, about: dict[str, Any]) -> bool:
    """Whether a folder holds these vectors.

    Raises:
        ClipDataError: it holds something that is no slice vectors.
    """
    if not folder.exists():
        return False
    if not (folder / ABOUT).is_file():
        if any(folder.iterdir()):
            raise ClipDataError(f"folder {folder.name} holds something else than slice vectors: give another")
        return False
    held = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return held == about and all((folder / f"{route}.npy").is_file() for route in about["routes"])
