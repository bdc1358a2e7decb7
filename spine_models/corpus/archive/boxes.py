"""``annotations/boxes.csv``: boxes that a reader drew around findings, joined to their images by UIDs.

Belongs here: the table's columns and vocabulary, and which image a row means. Does not belong here: which batch reads
the file (``annotations``), what leaves the restricted zone (``deid.annotations``).

One row per box, columns in any order and case:

- ``study_instance_uid, series_instance_uid, sop_instance_uid``: the image;
- ``frame`` (may be left out): from 1, as DICOM counts; empty for an image of one frame;
- ``condition``: a key of ``conditions.yaml``;
- ``level, side, severity`` (may be left out or empty): a disc (L4-L5) or vertebra (L4), and the words of
  ``domain.Side`` and ``domain.Severity``;
- ``x, y, w, h``: pixels of the frame, x and y the left and top edge; pixel (0, 0) spans 0 to 1.

A reader's name or remark has no column here: a table with another column is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from spine_models.corpus.archive.annotation_cells import (
    LARGEST_PX,
    Cells,
    Refused,
    Row,
    require,
    whole_number,
)
from spine_models.corpus.archive.reasons import Reason
from spine_models.domain import DISCS, VERTEBRAE, Severity, Side, condition_keys

BOXES_FILE: Final = "boxes.csv"
LEVELS: Final = frozenset({*DISCS, *VERTEBRAE})
SIDES: Final = frozenset(Side)
SEVERITIES: Final = frozenset(Severity)
SLACK_PX: Final = 0.5
"""An edge as far outside the image as this is a rounded one, and moved to the image's own."""
DIGITS: Final = 2
"""Decimals of a pixel that are kept: more are no measurement, and could say something else."""

_UIDS: Final = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
_NEEDED: Final = (*_UIDS, "condition", "x", "y", "w", "h")
_COLUMNS: Final = frozenset({*_NEEDED, "frame", "level", "side", "severity"})
_UID: Final = re.compile(r"[0-9.]{1,64}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
_MOST_FRAMES: Final = 2**31 - 1
_PLACED: Final = ("study_uid", "series_uid", "sop_uid")
_SAME: Final = (*_PLACED, "frame", "condition", "side", "level", "severity", "x", "y", "w", "h")


def box_rows(rows: Iterator[dict[str, str | None]]) -> Iterator[Row]:
    """Rows of ``archive.ANNOTATIONS`` without place; the UIDs as named, ``frame`` 0-based or null where empty.

    Args:
        rows: cells by lower-case column.

    Raises:
        Refused: a column is missing or unknown, or a cell is not what its column may hold.
    """
    conditions = frozenset(condition_keys())
    for number, row in enumerate(rows, start=1):
        require(row, _NEEDED)
        if not set(row) <= _COLUMNS:
            raise Refused(Reason.ANNOTATION_COLUMNS)
        condition = (row["condition"] or "").casefold().replace(" ", "_")
        if condition not in conditions:
            raise Refused(Reason.ANNOTATION_VALUES)
        yield {
            "row": number,
            "kind": "box",
            **{short: _uid(row[name]) for short, name in zip(_PLACED, _UIDS, strict=True)},
            "frame": _frame(row),
            "condition": condition,
            "side": _word((row.get("side") or "").casefold(), SIDES),
            "level": _word(re.sub(r"[/_]", "-", (row.get("level") or "").upper()), LEVELS),
            "severity": _word((row.get("severity") or "").casefold(), SEVERITIES),
            **_edges(row),
        }


def unplaced(row: Row) -> Row:
    """The row as one that stays with its file: it names no study, series or image."""
    return row | dict.fromkeys(_PLACED)


@dataclass(frozen=True)
class _Image:
    study_uid: str
    series_uid: str
    columns: int | None
    rows: int | None
    frames: int
    sheet: bool

    def holds(self, row: Row) -> bool:
        """Whether the box lies in a frame of the image, by half a pixel; what the header does not say is believed."""
        if (row["frame"] is None and self.frames > 1) or (row["frame"] or 0) >= self.frames:
            return False
        sizes = ((row["x"], row["w"], self.columns), (row["y"], row["h"], self.rows))
        return all(
            size is None or (low < size and low + extent <= size + SLACK_PX) for low, extent, size in sizes
        )


@dataclass
class BoxedImages:
    """What a batch knows of images: ``batches`` by study UID of the cohort, ``images`` by SOP UID of its own."""

    batches: dict[str, str] = field(default_factory=dict)
    images: dict[str, _Image] = field(default_factory=dict)

    @classmethod
    def of(cls, cohort: pl.DataFrame, instances: Sequence[Row]) -> BoxedImages:
        """From the ledger of the cohort and the indexed instances of the batch."""
        return cls(batches_of_studies(cohort), dict(_images(instances)))

    def batch_of(self, _inbox: str, row: Row) -> str | None:
        """The batch of the study; UIDs mean the same in every inbox."""
        return self.batches.get(row["study_uid"])

    def fits(self, row: Row) -> bool:
        """False where the box lies outside the image that it means, or names a frame that is not there."""
        image = self._image(row)
        return image is None or image.holds(row)

    def joined(self, _inbox: str, row: Row) -> Row:
        """The row with its edges inside the image, or `unplaced` where the batch has no such image.

        All three UIDs must be those of one indexed image. The sheet of a mosaic is no image: its slices are tiles.
        """
        image = self._image(row)
        if image is None:
            return unplaced(row)
        x, y = row["x"], row["y"]
        inside = {} if image.columns is None else {"w": _rounded(min(row["w"], image.columns - x))}
        inside |= {} if image.rows is None else {"h": _rounded(min(row["h"], image.rows - y))}
        return row | inside | {"frame": row["frame"] or 0}

    def _image(self, row: Row) -> _Image | None:
        image = self.images.get(row["sop_uid"])
        if image is None or (image.study_uid, image.series_uid) != (row["study_uid"], row["series_uid"]):
            return None
        return None if image.sheet else image


def batches_of_studies(cohort: pl.DataFrame) -> dict[str, str]:
    """Batch by study UID, of the ledger of a cohort."""
    studies = cohort.filter(pl.col("study_uid").is_not_null()).select("study_uid", "batch_key").unique()
    return dict(studies.sort("batch_key").iter_rows())


def without_repeats(rows: Iterable[Row]) -> list[Row]:
    """Rows of all kinds in order; the same box on the same image counts once, in however many files it stands."""
    seen: set[tuple[object, ...]] = set()
    kept = []
    for row in rows:
        if row["kind"] == "box" and row["sop_uid"] is not None:
            same = tuple(row[name] for name in _SAME)
            if same in seen:
                continue
            seen.add(same)
        kept.append(row)
    return kept


def _images(instances: Iterable[Row]) -> Iterator[tuple[str, _Image]]:
    for row in instances:
        image = _Image(
            row["study_uid"],
            row["series_uid"],
            row.get("columns"),
            row.get("rows"),
            row.get("frames") or 1,
            row.get("mosaic_tiles") is not None,
        )
        yield row["sop_uid"], image


def _uid(cell: str | None) -> str:
    if _UID.fullmatch(cell or "") is None:
        raise Refused(Reason.ANNOTATION_VALUES)
    return cell or ""


def _frame(row: Cells) -> int | None:
    if row.get("frame") is None:
        return None
    number = int(whole_number(row, "frame"))
    if not 1 <= number <= _MOST_FRAMES:
        raise Refused(Reason.ANNOTATION_VALUES)
    return number - 1


def _word(cell: str, vocabulary: frozenset[str]) -> str | None:
    if cell and cell not in vocabulary:
        raise Refused(Reason.ANNOTATION_VALUES)
    return cell or None


def _edges(row: Cells) -> Row:
    """x, y, w, h; the left and top edge moved into the image, all to hundredths of a pixel."""
    found: Row = {}
    for low_name, extent_name in (("x", "w"), ("y", "h")):
        low, extent = _number(row[low_name]), _number(row[extent_name])
        high = low + extent
        if not (low >= -SLACK_PX and extent > 0 and high <= LARGEST_PX + SLACK_PX):
            raise Refused(Reason.ANNOTATION_VALUES)
        start = _rounded(max(low, 0.0))
        found |= {low_name: start, extent_name: _rounded(high - start)}
        if found[extent_name] <= 0:
            raise Refused(Reason.ANNOTATION_VALUES)
    return found


def _number(cell: str | None) -> float:
    if _NUMBER.fullmatch(cell or "") is None:
        raise Refused(Reason.ANNOTATION_VALUES)
    return float(cell or "")


def _rounded(value: float) -> float:
    return round(value, DIGITS)
