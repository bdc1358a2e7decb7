"""Made-up spines whose levels lie where a ladder says, and views of levels with a planted signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from spine_models.config import LocalizationSettings
from spine_models.corpus.shards.tables import SLICES
from spine_models.corpus.statements import Reference, Unit
from spine_models.findings.levelwise.tables import VIEWS
from spine_models.findings.localization.levels import Ladder, LevelModel
from spine_models.findings.localization.models import Models
from spine_models.findings.localization.targets import LEVELS
from spine_models.findings.localization.tokens import Sources
from tests.findings.conftest import write_batch
from tests.findings.localization.conftest import BATCH, SIZE, Brightness

NAMES = ("L2", "L2-L3", "L3", "L3-L4", "L4", "L4-L5", "L5", "L5-S1")
HEIGHTS = (42.0, 30.0, 18.0, 6.0, -6.0, -18.0, -30.0, -42.0)
WHERE = (-12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0)
"""How far to the patient's left the slices of a series lie; those from 8 mm on belong to a side."""
SETTINGS = LocalizationSettings(
    bootstrap=30,
    levelwise={"height_mm": 20.0, "width_mm": 40.0, "components": 24, "max_places": 3000, "folds": 3},
)


class Seeing(Brightness):
    """An encoder that also says how long its vectors are."""

    dim = 9


def level_model(regions: Sequence[str] = ("lumbar",)) -> LevelModel:
    """Ladders without a shift: what is in view follows from the field of view alone."""
    ladder = Ladder(np.array([LEVELS[name] for name in NAMES]), np.array(HEIGHTS), 3.0, 3.0, None)
    return LevelModel(dict.fromkeys(regions, ladder), (), 0.7, "t2")


def models(**more: Any) -> Models:
    return Models(
        **{
            "levels": level_model(),
            "model_versions": {"t1": "m-t1", "t2": "m-t2"},
            "preprocessing_versions": {"t1": "p1", "t2": "p1"},
            "version": "loc-a",
        }
        | more
    )


@dataclass
class Spines:
    """Slices and where to read them; ``images`` by slice key."""

    slices: pl.DataFrame
    sources: Sources
    images: dict[str, np.ndarray]


def make_spines(root: Path, series: Sequence[Mapping[str, Any]], *, seed: int = 0) -> Spines:
    """Series given as study, name and route, with ``xs``, ``flipped`` rows, ``region``, ``top_mm``, ``plane``.

    Slices are 96 mm high, 48 x 48 pixels; those of ``top_mm`` 0 reach from 48.5 to -47.5 mm.
    """
    rng = np.random.default_rng(seed)
    members, facts = [], []
    for one in series:
        up = -1.0 if one.get("flipped") else 1.0
        for i, x in enumerate(one.get("xs", WHERE)):
            key = f"{one['name']}i{i}"
            image = rng.integers(0, 65536, (SIZE, SIZE)).astype(np.uint16)
            members.append(
                {
                    "patient": f"p-{one['study']}", "study": one["study"], "series": one["name"],
                    "slice": f"{key}-0000", "route": one.get("route", "t2"), "image": image,
                    "plane": one.get("plane", "sagittal"),
                }
            )  # fmt: skip
            facts.append(
                {
                    "frame": 0, "slice_index": i, "region": one.get("region", "lumbar"), "source_rows": SIZE * 2,
                    "source_columns": SIZE * 2, "scale": 0.5, "pad_top_px": 0.0, "pad_left_px": 0.0, "size_px": SIZE,
                    "iop": [0.0, 1.0, 0.0, 0.0, 0.0, -up],
                    "ipp_mm": [x, -48.0, up * 48.0 + one.get("top_mm", 0.0) - (0.0 if up > 0 else -1.0)],
                    "pixel_spacing_mm": [1.0, 1.0], "output_spacing_mm": 2.0,
                }
            )  # fmt: skip
    batch = write_batch(root, members)
    table = pl.concat([batch.table.drop(list(facts[0])), pl.DataFrame(facts)], how="horizontal")
    encoders = {"t2": Seeing(), "t1": Seeing("t1", "m-t1")}
    return Spines(
        table.select(*SLICES).cast(dict(SLICES)), Sources(encoders, {BATCH: batch.root}), batch.images
    )


@pytest.fixture
def spines(tmp_path: Path) -> Callable[..., Spines]:
    def make(*series: Mapping[str, Any], folder: str = "tars", **options: Any) -> Spines:
        return make_spines(tmp_path / folder, series, **options)

    return make


@dataclass
class Judgeable:
    """Views with what their reports say, and who is in which split."""

    views: pl.DataFrame
    splits: pl.DataFrame
    reports: dict[str, Reference]


WIDTH = 10
PLANTED = {"canal": 0, "neuroforaminal": 1, "fracture": 2}
"""Direction of a view that shows each condition; edema is named at random."""
SIDES = ("left", "right")


def view_row(study: str, level: str, vectors: Mapping[str, np.ndarray], **more: Any) -> dict[str, Any]:
    return {
        "batch_key": BATCH, "patient_key": f"p-{study}", "study_key": study, "region": "lumbar", "level": level,
        "z_mm": HEIGHTS[NAMES.index(level)], "settled": True, "routes": ["t2"], "centre_slice": f"{study}-c",
        "left_slice": f"{study}-l", "right_slice": f"{study}-r", "models_version": "loc-a",
        "model_versions": ["t1:m-t1", "t2:m-t2"], "preprocessing_version": "p1",
    } | {part: vector.astype(np.float32).tolist() for part, vector in vectors.items()} | more  # fmt: skip


def make_views(patients: int = 75, *, strength: float = 4.0, share: float = 0.2, seed: int = 0) -> Judgeable:
    """Train, val and test patients as 3 : 1 : 1; every fifth has two studies. Vectors are normal noise and the signal.

    Canal and edema are named at discs, fractures at vertebrae, foramina at discs by side.
    """
    rng = np.random.default_rng(seed)
    rows, reports, splits = [], {}, {}
    for number in range(patients):
        patient = f"p{number:03d}"
        splits[patient] = ("train", "train", "train", "val", "test")[number % 5]
        for study in [f"{patient}a", f"{patient}b"][: 2 if number // 5 % 5 == 0 else 1]:
            units = []
            for level in NAMES:
                vectors = {part: rng.normal(size=WIDTH) for part in ("centre", *SIDES)}
                if "-" in level:
                    if rng.random() < share:
                        units.append(Unit("canal", level))
                        vectors["centre"][PLANTED["canal"]] += strength
                    if rng.random() < share:
                        units.append(Unit("edema", level))
                    for side in SIDES:
                        if rng.random() < share:
                            units.append(Unit("neuroforaminal", level, side))
                            vectors[side][PLANTED["neuroforaminal"]] += strength
                elif rng.random() < share:
                    units.append(Unit("fracture", level))
                    vectors["centre"][PLANTED["fracture"]] += strength
                rows.append(view_row(study, level, vectors, patient_key=patient))
            reports[study] = Reference(tuple(units))
    table = pl.DataFrame({"patient_key": list(splits), "split": list(splits.values())})
    return Judgeable(pl.DataFrame(rows, schema=VIEWS), table, reports)


@pytest.fixture(scope="session")
def judgeable() -> Judgeable:
    return make_views()
