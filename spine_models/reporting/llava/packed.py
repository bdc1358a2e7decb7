"""Studies' images as one table, to hand them to another process: a row a chosen slice.

Belongs here: the table and back. Does not belong here: choosing slices (``images``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from spine_models.reporting.llava.images import StudyImages

IMAGES: Final = pl.Schema(
    {
        "study_key": pl.String,
        "slice_key": pl.String,
        "route": pl.Int64,
        "plane": pl.Int64,
        "contrast": pl.Int64,
        "series": pl.Int64,
        "position": pl.Float32,
        "offset_mm": pl.Float32,
        "vector": pl.List(pl.Float32),
    }
)
_ARRAYS: Final = ("route", "plane", "contrast", "series", "position", "offset_mm")


def pack(images: Mapping[str, StudyImages]) -> pl.DataFrame:
    """IMAGES of studies in key order, slices in theirs."""
    parts = [pl.DataFrame(schema=IMAGES)]
    for study_key, own in sorted(images.items()):
        arrays = {name: pl.Series(getattr(own, name), dtype=IMAGES[name]) for name in _ARRAYS}
        keys = {"study_key": [study_key] * len(own), "slice_key": list(own.slice_keys)}
        parts.append(pl.DataFrame(keys | arrays | {"vector": own.vectors.tolist()}, schema=IMAGES))
    return pl.concat(parts)


def unpack(table: pl.DataFrame) -> dict[str, StudyImages]:
    """The studies of ``pack``, exactly."""
    return {
        str(key): StudyImages(
            vectors=np.array(rows["vector"].to_list(), dtype=np.float32),
            slice_keys=tuple(rows["slice_key"].to_list()),
            **{name: rows[name].to_numpy() for name in _ARRAYS},
        )
        for (key,), rows in table.group_by(["study_key"], maintain_order=True)
    }
