"""Tiny batches of shards, written by the tests themselves, and study tables with a planted signal."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from spine_models.corpus.shards.tables import SLICES
from spine_models.domain import condition_keys
from spine_models.findings.embeddings.tables import STUDIES


@dataclass
class Batch:
    """Images by slice key, their table, and the folder that their tars lie in."""

    root: Path
    images: dict[str, np.ndarray]
    table: pl.DataFrame


def write_batch(root: Path, members: list[dict], *, size: int = 16, seed: int = 0) -> Batch:
    """One tar per (route, split). A member names patient, study, series, slice, route and may bring its image."""
    rng = np.random.default_rng(seed)
    images, rows = {}, []
    for member in members:
        image = member.get("image")
        if image is None:
            image = rng.integers(0, 65536, (size, size)).astype(np.uint16)
        split = member.get("split", "train")
        images[member["slice"]] = image
        rows.append(
            {
                "batch_key": member.get("batch", "internal-0001"),
                "patient_key": member["patient"],
                "study_key": member["study"],
                "series_key": member["series"],
                "instance_key": member["slice"].split("-")[0],
                "slice_key": member["slice"],
                "route": member["route"],
                "plane": member.get("plane", "sagittal"),
                "split": split,
                "shard": f"{member['route']}/{split}/shard-000000.tar",
                "pixel_hash": hashlib.sha256(image.astype("<u2").tobytes()).hexdigest(),
                "preprocessing_version": "p1",
            }
        )
    table = pl.DataFrame(rows, schema=SLICES)
    for (shard,), part in table.group_by("shard", maintain_order=True):
        path = root / shard
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for row in part.sort("slice_key").iter_rows(named=True):
                png = io.BytesIO()
                Image.fromarray(images[row["slice_key"]]).save(png, "PNG")
                identity = json.dumps(
                    {name: row[name] for name in ("patient_key", "study_key", "series_key")}
                )
                for ending, data in (("png", png.getvalue()), ("json", identity.encode())):
                    info = tarfile.TarInfo(f"{row['slice_key']}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return Batch(root, images, table)


@pytest.fixture
def make_batch(tmp_path: Path) -> Callable[..., Batch]:
    def make(members: list[dict], folder: str = "tars", **options: int) -> Batch:
        return write_batch(tmp_path / folder, members, **options)

    return make


@pytest.fixture
def members() -> list[dict]:
    """Two patients: one with T1 (2 slices), T2 (3) and other (1), one with T2 alone (1 + 4 slices in two series)."""
    plan = [
        ("p1", "s1", "a", "t1", 2),
        ("p1", "s1", "b", "t2", 3),
        ("p1", "s1", "c", "other", 1),
        ("p2", "s2", "d", "t2", 1),
        ("p2", "s2", "e", "t2", 4),
    ]
    return [
        {"patient": patient, "study": study, "series": series, "route": route, "slice": f"{series}{i}-0000"}
        for patient, study, series, route, n in plan
        for i in range(n)
    ]


@dataclass
class Cohort:
    """Tables of a made-up cohort, one or two studies a patient."""

    vectors: pl.DataFrame
    labels: pl.DataFrame
    splits: pl.DataFrame


def make_cohort(
    patients: int = 90,
    *,
    dim: int = 12,
    signal: float = 0.0,
    prevalence: dict[str, float] | None = None,
    seed: int = 0,
    test_from: float = 0.7,
) -> Cohort:
    """Vectors whose n-th number carries the n-th named condition, ``signal`` deviations strong, in both routes.

    Conditions that are not named are absent everywhere. Every fourth patient has two studies with equal labels.
    """
    rng = np.random.default_rng(seed)
    prevalence = {"canal": 0.4, "edema": 0.3} if prevalence is None else prevalence
    patient_keys = [f"p{i:03d}" for i in range(patients)]
    owners = [p for i, p in enumerate(patient_keys) for _ in range(2 if i % 4 == 0 else 1)]
    studies = [f"s{i:04d}" for i in range(len(owners))]
    of_patient = {p: {c: int(rng.random() < share) for c, share in prevalence.items()} for p in patient_keys}
    labels = pl.DataFrame(
        [
            {"study_key": s, "patient_key": p, "condition": c, "label": of_patient[p].get(c, 0)}
            for s, p in zip(studies, owners, strict=True)
            for c in condition_keys()
        ],
        schema_overrides={"label": pl.Int8},
    )
    rows = []
    for route in ("t1", "t2"):
        for study, patient in zip(studies, owners, strict=True):
            vector = rng.normal(size=dim)
            for column, condition in enumerate(prevalence):
                vector[column] += signal * of_patient[patient][condition]
            rows.append(
                {
                    "batch_key": "internal-0001",
                    "patient_key": patient,
                    "study_key": study,
                    "route": route,
                    "encoder": f"dinov3-{route}",
                    "model_version": f"m-{route}",
                    "preprocessing_version": "p1",
                    "n_series": 1,
                    "n_slices": 1,
                    "vector": vector.tolist(),
                }
            )
    split = ["train" if i < test_from * patients else "test" for i in range(patients)]
    splits = pl.DataFrame(
        {"patient_key": patient_keys, "split": split, "may_train": [s == "train" for s in split]}
    )
    return Cohort(pl.DataFrame(rows, schema=STUDIES), labels, splits)


@pytest.fixture
def cohort() -> Callable[..., Cohort]:
    return make_cohort
