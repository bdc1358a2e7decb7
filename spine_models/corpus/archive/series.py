"""Series of a batch: how many slices and stacks, how they lie, which b-values and echo times they have.

Belongs here: rows of ``archive.SERIES`` from indexed instances. Does not belong here: what a series shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from spine_models.corpus.archive.instance import Examined
from spine_models.corpus.geometry import plane_of, series_geometry

Row = dict[str, Any]
Member = tuple[Row, Examined]


def series_rows(indexed: Iterable[Member]) -> list[Row]:
    """One row per study and series of the instances given."""
    members: defaultdict[tuple[str, str, str], list[Member]] = defaultdict(list)
    for row, found in indexed:
        members[row["batch_key"], row["study_uid"], row["series_uid"]].append((row, found))
    return [
        {
            "batch_key": batch_key,
            "study_uid": study_uid,
            "series_uid": series_uid,
            "n_instances": len(group),
            **_lies(group),
            "b_values": _distinct(frame.b_value for _, found in group for frame in found.frames),
            "echo_times_ms": _distinct(frame.te_ms for _, found in group for frame in found.frames),
        }
        for (batch_key, study_uid, series_uid), group in members.items()
    ]


def _lies(group: Sequence[Member]) -> Row:
    mosaics = [(row, found) for row, found in group if found.mosaic]
    if mosaics:
        # Every mosaic of a series shows the same slices, at another b-value or time point.
        row, found = mosaics[0]
        if not found.frames:
            tiles = found.mosaic_tiles
            return {
                "n_slices": tiles,
                "n_stacks": 1,
                "plane": plane_of(row["iop"]).value,
                "slice_spacing_mm": row["spacing_between_mm"] or row["slice_thickness_mm"],
                "geometry": "unknown" if tiles is None else "single" if tiles == 1 else "regular",
            }
        frames = list(found.frames)
    else:
        frames = [frame for _, found in group for frame in found.frames]
    lies = series_geometry([frame.geometry for frame in frames])
    return {
        "n_slices": lies.n_slices,
        "n_stacks": len({frame.stack for frame in frames if frame.stack is not None}) or 1,
        "plane": lies.plane.value,
        "slice_spacing_mm": lies.slice_spacing_mm,
        "geometry": lies.geometry,
    }


def _distinct(values: Iterable[float | None]) -> list[float]:
    return sorted({round(value, 3) for value in values if value is not None})
