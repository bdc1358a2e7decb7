"""Key slices of a study as small PNG files with the boxes of its claims.

Belongs here: which slices show what is affirmed, pixels to PNG, boxes in shares of the picture, letters of its edges.
Does not belong here: markup (``study``), reading shards (``corpus.shards``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.corpus.shards.reader import read_slices
from spine_models.corpus.statements import CERTAINTIES
from spine_models.domain import Region
from spine_models.reporting.reports.template import load_template

LETTERS: Final = (("R", "L"), ("A", "P"), ("I", "S"))
"""Ends of the patient's axes, against and along LPS."""
_COLUMNS: Final = (
    "slice_key", "contrast", "plane", "slice_index", "scale", "pad_top_px", "pad_left_px", "size_px", "iop",
)  # fmt: skip


ReadsSlices = Callable[[Collection[str]], Iterable[tuple[str, np.ndarray]]]
"""How pixels are read: (slice_key, uint16 [S, S]) of those keys, in any order."""


@dataclass(frozen=True)
class Mark:
    """A box on a key slice, in shares of its edge (left, top, width, height), with the ``supervision`` of its place."""

    claim_key: str
    condition: str
    supervision: str
    box: tuple[float, float, float, float]


@dataclass
class KeySlice:
    """One slice to look at; ``png`` is empty until pixels were read.

    ``edges``: letters of its left and top edge, empty where the slice has no orientation.
    """

    slice_key: str
    title: str
    edges: tuple[str, str]
    marks: list[Mark] = field(default_factory=list)
    png: bytes = b""

    @property
    def data_url(self) -> str:
        """The picture for an ``img`` element.

        Every byte is percent-encoded: among the letters and digits of base64, names and numbers of patients occur by
        chance, and the gate that searches the lake for them could not tell.
        """
        return f"data:image/png,%{self.png.hex('%')}"


def key_slices(
    claims: pl.DataFrame, drafts: pl.DataFrame, slices: pl.DataFrame, read: ReadsSlices, *, limit: int
) -> dict[str, list[KeySlice]]:
    """The slices that show what is affirmed, the most important first.

    Args:
        claims: ``agents.CLAIMS``.
        drafts: ``DRAFTS`` of the same studies; their region orders the claims.
        slices: ``shards.SLICES`` of the same studies.
        read: pixels by slice_key, such as ``shards.read_slices`` of the batch's tars.
        limit: slices a study at most.

    Returns:
        By study_key; slices whose pixels could not be had are left out.
    """
    geometry = {row["slice_key"]: row for row in slices.select(_COLUMNS).iter_rows(named=True)}
    regions = dict(drafts.select("study_key", "region").iter_rows())
    found: dict[str, dict[str, KeySlice]] = {}
    affirmed = claims.filter(pl.col("affirmed"))
    rows = sorted(affirmed.iter_rows(named=True), key=lambda row: _weight(row, regions))
    # The best place of every claim before the second of any.
    for rank in range(max((len(row["places"] or ()) for row in rows), default=0)):
        for row in rows:
            places = row["places"] or ()
            if rank < len(places) and row["study_key"] in regions:
                _mark(found.setdefault(row["study_key"], {}), row, places[rank], geometry, limit)
    wanted = {key: one for own in found.values() for key, one in own.items()}
    if wanted:
        for key, pixels in read(wanted.keys()):
            wanted[key].png = png_of(pixels)
    return {
        study: shown for study, own in found.items() if (shown := [one for one in own.values() if one.png])
    }


def shard_pixels(slices: pl.DataFrame, folder: Path) -> ReadsSlices:
    """Reads pixels, as an encoder sees them, from the shards of a batch.

    Args:
        slices: ``shards.SLICES``.
        folder: that ``shard`` of ``slices`` is relative to.
    """

    def read(slice_keys: Collection[str]) -> Iterable[tuple[str, np.ndarray]]:
        wanted = slices.select("slice_key", "shard").filter(pl.col("slice_key").is_in(list(slice_keys)))
        return read_slices([folder / shard for shard in wanted["shard"].unique().sort()], slice_keys)

    return read


def png_of(pixels: np.ndarray) -> bytes:
    """An 8-bit grey PNG of uint16 [S, S]; the same pixels give the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((pixels >> 8).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def edges_of(iop: Sequence[float] | None) -> tuple[str, str]:
    """Letters of the left and the top edge of an image by its orientation; empty where it has none."""
    if iop is None or len(iop) != 6:
        return "", ""
    row, column = np.array(iop[:3]), np.array(iop[3:])
    return _end(-row), _end(-column)


def _end(direction: np.ndarray) -> str:
    axis = int(np.abs(direction).argmax())
    return LETTERS[axis][int(direction[axis] > 0)]


def _weight(row: Mapping[str, Any], regions: Mapping[str, str]) -> tuple[Any, ...]:
    template = load_template(Region(regions.get(row["study_key"], Region.UNKNOWN)))
    doubt = -CERTAINTIES.index(row["certainty"] or CERTAINTIES[0])
    return (template.tier(row["condition"]), doubt, -(row["probability"] or 0.0), row["condition"])


def _mark(
    own: dict[str, KeySlice],
    claim: Mapping[str, Any],
    place: Mapping[str, Any],
    geometry: Mapping[str, Mapping[str, Any]],
    limit: int,
) -> None:
    row = geometry.get(place["slice_key"])
    if row is None or None in (place["x"], place["y"], place["w"], place["h"]):
        return
    if row["slice_key"] not in own:
        if len(own) >= limit:
            return
        plane = row["plane"] if row["plane"] not in (None, "unknown") else ""
        title = " ".join(word for word in (plane, row["contrast"] or "unclassified") if word)
        number = "" if row["slice_index"] is None else f", slice {row['slice_index'] + 1}"
        own[row["slice_key"]] = KeySlice(row["slice_key"], f"{title}{number}", edges_of(row["iop"]))
    size = row["size_px"]
    left, top = _shares(place["x"], row, "left"), _shares(place["y"], row, "top")
    box = (left, top, place["w"] * row["scale"] / size, place["h"] * row["scale"] / size)
    own[row["slice_key"]].marks.append(
        Mark(claim["claim_key"], claim["condition"], place["supervision"] or "unknown", box)
    )


def _shares(value: float, row: Mapping[str, Any], edge: str) -> float:
    return float((value * row["scale"] + row[f"pad_{edge}_px"]) / row["size_px"])


def shown_marks(slices: Iterable[KeySlice]) -> Iterator[tuple[int, str]]:
    """(number of the key slice from 1, claim_key) of every box."""
    for number, one in enumerate(slices, start=1):
        for mark in one.marks:
            yield number, mark.claim_key
