"""Made-up vectors in one space: studies near their reports, some patients with two studies, some of each split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from spine_models.config import RetrievalSettings
from spine_models.findings.embeddings.aligned_tables import ALIGNED, ALIGNED_SLICES

DIM = 12


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@dataclass
class Space:
    """Tables of two batches."""

    aligned: pl.DataFrame
    slices: pl.DataFrame
    splits: pl.DataFrame
    reports: pl.DataFrame

    def read(self, thing: str, batch: str, columns: list[str]) -> pl.DataFrame:
        table = self.aligned if thing == "aligned" else self.slices
        return table.filter(pl.col("batch_key") == batch).select(columns)


def make_space(n: int = 40, *, noise: float = 0.3, seed: int = 0, patients_from: int = 0) -> Space:
    """Every fourth study is of the patient before; splits go round: train, test, train, val, test."""
    rng = np.random.default_rng(seed)
    aligned, slices, splits, reports = [], [], {}, []
    patient = ""
    for i in range(n):
        patient = patient if i % 4 == 3 else f"p{patients_from + i:03d}"
        splits.setdefault(patient, ("train", "test", "train", "val", "test")[len(splits) % 5])
        study, batch = f"s{i:03d}", f"b{i % 2}"
        ids = {"batch_key": batch, "patient_key": patient, "study_key": study}
        centre = rng.normal(size=DIM)
        clip = {"encoder": "clip-tri_modal", "model_version": "c1"}
        other = {"encoder": "synthesizer-conditional", "model_version": "a1"}
        made = {"t1": clip, "t2": clip, "report": clip, "study": other}
        if i % 5 == 0:
            made["other"] = other
        if i % 7 == 6:
            del made["t1"]
        for modality, of in made.items():
            vector = unit(centre + noise * rng.normal(size=DIM))
            aligned.append(
                {**ids, "modality": modality, **of, "content_hash": "h", "vector": vector.tolist()}
            )
        for j in range(4):
            plane, route = ("sagittal", "axial")[j % 2], ("t1", "t2")[j // 2]
            vector = unit(centre + 2 * noise * rng.normal(size=DIM))
            slices.append(
                {**ids, "series_key": f"{study}{route}", "slice_key": f"{study}-{j}", "route": route, "plane": plane,
                 **clip, "pixel_hash": "x", "vector": vector.tolist()}
            )  # fmt: skip
        reports.append({"study_key": study, "report_text": f"FINDINGS: Finding number {i} at L{i % 5 + 1}."})
    return Space(
        pl.DataFrame(aligned, schema=ALIGNED),
        pl.DataFrame(slices, schema=ALIGNED_SLICES),
        pl.DataFrame(
            [{"patient_key": p, "split": s} for p, s in splits.items()],
            schema={"patient_key": pl.String, "split": pl.String},
        ),
        pl.DataFrame(reports),
    )


@pytest.fixture
def space() -> Space:
    return make_space()


@pytest.fixture
def settings() -> RetrievalSettings:
    return RetrievalSettings(bootstrap=50, chunk=7)
