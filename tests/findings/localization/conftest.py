"""A made-up cohort whose finding is a bright square: slices in tars, vectors, annotations, a simple encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from spine_models.config import LocalizationSettings
from spine_models.corpus.deid.tables import ANNOTATIONS
from spine_models.corpus.shards.tables import SLICES
from spine_models.findings.embeddings.tables import SLICES as VECTORS
from spine_models.findings.localization.tokens import Sources
from tests.findings.conftest import write_batch

SIZE, PATCH, PER_SERIES = 48, 8, 7
BATCH = "internal-0001"
SETTINGS = LocalizationSettings(
    min_patients=4, bootstrap=20, strengths=(1e-3, 1e-2, 1.0), ridges=(1e-3, 1e-1), min_hits=2, slices=2
)
BOXES = pl.Schema(
    dict(ANNOTATIONS)
    | {"frame": pl.Int32, "w": pl.Float64, "h": pl.Float64, "x": pl.Float64, "y": pl.Float64}
)


class Brightness:
    """Tokens: a constant, a patch's mean and its maximum; the vector is what ``encoder.Encoder`` makes of tokens."""

    name, version = "dinov3-t2", "m-t2"

    def __init__(self, route: str = "t2", version: str = "m-t2") -> None:
        self.route, self.version = route, version

    def encode_patches(self, images: np.ndarray) -> np.ndarray:
        n, edge = len(images), images.shape[1] // PATCH
        cells = images.reshape(n, edge, PATCH, edge, PATCH).astype(np.float32) / 65535
        return np.stack(
            [np.ones((n, edge, edge), np.float32), cells.mean(axis=(2, 4)), cells.max(axis=(2, 4))], axis=-1
        )

    def encode(self, images: np.ndarray) -> np.ndarray:
        tokens = self.encode_patches(images).reshape(len(images), -1, 3)
        cls = tokens.std(axis=1)
        return np.concatenate([cls, tokens.mean(axis=1), tokens.max(axis=1)], axis=1)


@dataclass
class World:
    """Tables and images of the made-up cohort."""

    slices: pl.DataFrame
    annotations: pl.DataFrame
    splits: pl.DataFrame
    vectors: pl.DataFrame
    sources: Sources
    truth: dict[str, tuple[int, float, float]]
    """Slice index and centre (in pixels) of every study's square."""


def split_of(number: int) -> str:
    return ("train", "train", "train", "val", "test")[number % 5]


def make_world(root: Path, *, patients: int = 40, seed: int = 0) -> World:
    """Sagittal T2 series of seven slices; a square of 10 pixels on one slice, 12 pixels of noise grey everywhere."""
    rng = np.random.default_rng(seed)
    members, facts, notes, truth = [], [], [], {}
    for p in range(patients):
        patient, study, series = f"p{p:02d}", f"s{p:02d}", f"e{p:02d}"
        shown = int(rng.integers(PER_SERIES))
        left, top = (int(rng.integers(2, SIZE - 12)) for _ in range(2))
        truth[study] = (shown, left + 5.0, top + 5.0)
        for i in range(PER_SERIES):
            image = rng.integers(8000, 20000, (SIZE, SIZE)).astype(np.uint16)
            if i == shown:
                image[top : top + 10, left : left + 10] = 60000
            key = f"{series}i{i}"
            members.append(
                {
                    "patient": patient, "study": study, "series": series, "slice": f"{key}-0000", "route": "t2",
                    "split": split_of(p), "image": image,
                }
            )  # fmt: skip
            facts.append(
                {
                    "frame": 0, "slice_index": i, "region": "lumbar", "source_rows": SIZE * 2,
                    "source_columns": SIZE * 2, "scale": 0.5, "pad_top_px": 0.0, "pad_left_px": 0.0,
                    "size_px": SIZE, "iop": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
                    "ipp_mm": [4.0 * (i - 3), -48.0, 48.0], "pixel_spacing_mm": [1.0, 1.0],
                    "output_spacing_mm": 2.0,
                }
            )  # fmt: skip
        notes.append(
            {
                "batch_key": BATCH, "patient_key": patient, "study_key": study, "series_key": series,
                "instance_key": f"{series}i{shown}", "kind": "box", "condition": "cyst", "level": "L3-L4",
                "frame": 0, "x": left * 2.0, "y": top * 2.0, "w": 20.0, "h": 20.0,
            }
        )  # fmt: skip
    batch = write_batch(root, members)
    table = pl.concat(
        [batch.table.drop(list(facts[0])), pl.DataFrame(facts)], how="horizontal"
    ).select(*SLICES).cast(dict(SLICES))  # fmt: skip
    encoder = Brightness()
    vectors = encoder.encode(np.stack([batch.images[key] for key in table["slice_key"]]))
    held = table.with_columns(
        encoder=pl.lit("dinov3-t2"), model_version=pl.lit("m-t2"),
        vector=pl.Series(vectors).cast(pl.List(pl.Float32)),
    ).select(*VECTORS)  # fmt: skip
    splits = pl.DataFrame(
        {
            "patient_key": [f"p{p:02d}" for p in range(patients)],
            "split": [split_of(p) for p in range(patients)],
        }
    )
    annotations = pl.DataFrame(notes, schema=BOXES)
    return World(table, annotations, splits, held, Sources({"t2": encoder}, {BATCH: batch.root}), truth)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))
