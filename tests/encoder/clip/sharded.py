"""Shards of two batches with the index of their slices: a hidden class shows in every slice and in the report."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from PIL import Image

FINDINGS = ("disc bulge", "normal alignment", "facet arthropathy", "canal stenosis")


class Sharded(NamedTuple):
    slices: pl.DataFrame  # the columns of SLICES that training reads
    reports: pl.DataFrame
    roots: dict[str, Path]


def picture(label: int, px: int, rng: np.random.Generator) -> np.ndarray:
    """A bright blob in one of four corners on stripes of one of four directions and noise, uint16."""
    rows, columns = np.mgrid[:px, :px]
    y, x = (px * (0.25 + 0.5 * part) + rng.uniform(-2, 2) for part in divmod(label, 2))
    blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (px * 0.6))
    along = (rows, columns, rows + columns, rows - columns)[label]
    stripes = np.sin(along * np.pi / 2 + rng.uniform(0, np.pi))
    image = 0.3 + 0.4 * blob + 0.15 * stripes + rng.uniform(0, 0.1, rows.shape)
    return (image * 65535).astype(np.uint16)


def make_sharded(
    root: Path, n_train: int = 12, n_val: int = 6, *, px: int = 32, slices: int = 3, seed: int = 0
) -> Sharded:
    """Every study has T1 (one series) and T2 (two series), all but each third a series of route other.

    Study s007 has no report. Keys say patient and study; slice keys run against slice_index.
    """
    rng = np.random.default_rng(seed)
    rows, reports = [], []
    tars: dict[tuple[str, str], list[tuple[str, np.ndarray, str]]] = {}
    for number in range(n_train + n_val):
        split = "train" if number < n_train else "val"
        batch, label = f"batch{number % 2}", int(rng.integers(4))
        study = f"s{number:03d}"
        text = (
            "" if number == 7 else f"FINDINGS: L4-L5: {FINDINGS[label]}.\n\nIMPRESSION: {FINDINGS[label]}.\n"
        )
        reports.append({"study_key": study, "report_text": text})
        kinds = [("a", "t1", "sagittal"), ("b", "t2", "sagittal"), ("c", "t2", "axial")]
        for name, route, plane in [*kinds, *([("d", "other", "sagittal")] if number % 3 else [])]:
            for index in range(slices + (name == "c")):
                image = picture(label, px, rng)
                key, shard = f"{study}{name}-{90 - index:04d}", f"{route}/{split}/shard-000000.tar"
                tars.setdefault((batch, shard), []).append((key, image, study))
                rows.append(
                    {"batch_key": batch, "patient_key": f"p{number:03d}", "study_key": study,
                     "series_key": f"{study}{name}", "slice_key": key, "slice_index": index, "route": route,
                     "plane": plane, "split": split, "shard": shard,
                     "pixel_hash": hashlib.sha256(image.astype("<u2").tobytes()).hexdigest(),
                     "preprocessing_version": "w1"}
                )  # fmt: skip
    for (batch, shard), members in tars.items():
        write_members(root / batch / shard, members)
    frame = pl.DataFrame(rows).with_columns(pl.col("slice_index").cast(pl.Int32))
    return Sharded(
        frame.sample(fraction=1.0, shuffle=True, seed=1),
        pl.DataFrame(reports),
        {name: root / name for name in ("batch0", "batch1")},
    )


def write_members(path: Path, members: list[tuple[str, np.ndarray, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, image, study in members:
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG")
            about = json.dumps({"study_key": study}).encode()
            for suffix, content in (("json", about), ("png", png.getvalue())):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
