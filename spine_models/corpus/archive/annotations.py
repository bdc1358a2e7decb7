"""Annotation tables of an inbox: the RSNA LumbarDISC layout, joined to its DICOM tree, and boxes, joined by UIDs.

Belongs here: which rows a batch has and what becomes of a file; the three csv files of the RSNA layout (study labels,
points, series descriptions), their vocabulary, and the join of ``study_id/series_id/instance`` folder names to UIDs.
Does not belong here: the table of boxes (``boxes``), what leaves the restricted zone (``deid.annotations``), use of
the labels. Anything that the vocabulary does not know rejects the file with a reason: a wrong label is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.annotation_cells import Refused, Row, pixel, require, whole_number
from spine_models.corpus.archive.boxes import BOXES_FILE, BoxedImages, box_rows, unplaced, without_repeats
from spine_models.corpus.archive.folder import ANNOTATION_FILES, source_path
from spine_models.corpus.archive.instance import Examined, examine_table
from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.archive.text_files import TextTableError, read_text
from spine_models.corpus.archive.text_tables import table_rows
from spine_models.domain import DISCS_OF_REGION, Region

LABELS_FILE, POINTS_FILE, SERIES_FILE = ANNOTATION_FILES

CONDITIONS: Final[dict[str, tuple[str, str | None]]] = {
    "spinal_canal_stenosis": ("canal", None),
    "left_neural_foraminal_narrowing": ("neuroforaminal", "left"),
    "right_neural_foraminal_narrowing": ("neuroforaminal", "right"),
    "left_subarticular_stenosis": ("subarticular", "left"),
    "right_subarticular_stenosis": ("subarticular", "right"),
}
SEVERITIES: Final = {"normal/mild": ("normal_mild", 0), "moderate": ("moderate", 1), "severe": ("severe", 2)}
DESCRIPTIONS: Final = {
    "sagittal t1": "sagittal_t1",
    "sagittal t2/stir": "sagittal_t2_stir",
    "axial t2": "axial_t2",
}
LEVELS: Final = (*DISCS_OF_REGION[Region.LUMBAR],)

_POINT_COLUMNS: Final = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
_SERIES_COLUMNS: Final = ("study_id", "series_id", "series_description")
_FILE_ORDER: Final = ("batch_key", "inbox", "relative_path")
_IMAGE: Final = r"(?i)(?:^|/)([0-9]{1,18})/([0-9]{1,18})/([0-9]{1,9})(?:\.dcm)?"


@dataclass(frozen=True)
class Annotated:
    """Rows of one batch, and what became of the batch's own files by (inbox, relative path)."""

    rows: list[Row]
    files: dict[tuple[str, str], Examined]


class _Images(Protocol):
    """What the rows of a table are joined to: folder names, or UIDs."""

    def batch_of(self, inbox: str, row: Row) -> str | None:
        """The batch of the row's study."""
        ...

    def fits(self, row: Row) -> bool:
        """Whether the row can be true of the image that it names."""
        ...

    def joined(self, inbox: str, row: Row) -> Row:
        """The row with the UIDs of what it names."""
        ...


def index_annotations(
    cohort: pl.DataFrame, batch_key: str, instances: Sequence[Row], settings: ArchiveSettings
) -> Annotated:
    """``ANNOTATIONS`` of a batch: the rows of its studies from every annotation file of the cohort.

    Folder names mean something within their inbox alone, UIDs everywhere. A row of a study that is in no batch stays
    with its file, without UIDs. A file with a box outside one of the batch's images is not used: its coordinates are
    not those of the images. It is rejected by the batch that it belongs to; in another batch, which knows no outcome of
    it, its rows lose their UIDs and so wait. ``cohort`` is the ledger of the whole cohort, ``instances`` the indexed
    rows of the batch.
    """
    files = cohort.filter(kind="annotation").sort(_FILE_ORDER).to_dicts()
    if not files:
        return Annotated([], {})
    tree, boxed = _Tree.of(cohort, instances), BoxedImages.of(cohort, instances)
    rows: list[Row] = []
    outcome: dict[tuple[str, str], Examined] = {}
    seen: set[tuple[str, str]] = set()
    for file in files:
        own_file, inbox = file["batch_key"] == batch_key, file["inbox"]
        path = source_path(inbox, file["relative_path"])
        images: _Images = boxed if path.name.casefold() == BOXES_FILE else tree
        examined = examine_table(path, settings)
        content = (inbox, examined.sha256 or "")
        parsed: list[Row] = []
        if examined.reason is None and content in seen:
            examined = Examined(examined.size_bytes, examined.sha256, Reason.DUPLICATE_CONTENT)
        elif examined.reason is None:
            seen.add(content)
            try:
                parsed = read_annotations(path)
            except Refused as refusal:
                examined = Examined(examined.size_bytes, examined.sha256, refusal.reason)
            except FileNotFoundError:
                examined = Examined(examined.size_bytes, examined.sha256, Reason.VANISHED)
            except (TextTableError, OSError, RecursionError, MemoryError):
                examined = Examined(examined.size_bytes, examined.sha256, Reason.ANNOTATION_UNREADABLE)
        ours = [row for row in parsed if _is_ours(images.batch_of(inbox, row), batch_key, own_file)]
        if all(images.fits(row) for row in ours):
            ours = [images.joined(inbox, row) for row in ours]
        elif own_file:
            examined = Examined(examined.size_bytes, examined.sha256, Reason.ANNOTATION_OUTSIDE_IMAGE)
            ours = []
        else:
            ours = [unplaced(row) for row in ours]
        if own_file:
            outcome[inbox, file["relative_path"]] = examined
        place = {"batch_key": batch_key, **{k: file[k] for k in ("inbox", "relative_path")}}
        rows += [place | row for row in ours]
    return Annotated(without_repeats(rows), outcome)


def _is_ours(batch_of_row: str | None, batch_key: str, own_file: bool) -> bool:
    return batch_of_row == batch_key or (batch_of_row is None and own_file)


def read_annotations(path: Path) -> list[Row]:
    """Rows of one of the four files, without place and UIDs; a box has the UIDs that its row names.

    Raises:
        ValueError: a column is missing or unknown, or a cell is not in the vocabulary; carries a ``reason``.
        TextTableError: no readable table.
        OSError: cannot be read.
    """
    readers: dict[str, Callable[[Iterator[dict[str, str | None]]], Iterator[Row]]] = {
        LABELS_FILE: _labels,
        POINTS_FILE: _points,
        SERIES_FILE: _series,
        BOXES_FILE: box_rows,
    }
    reader = readers.get(path.name.casefold())
    if reader is None:
        raise Refused(Reason.ANNOTATION_UNKNOWN_TABLE)
    return list(reader(_lower(table_rows(read_text(path)))))


def _lower(rows: Iterator[dict[str, str | None]]) -> Iterator[dict[str, str | None]]:
    for row in rows:
        yield {name.casefold(): value for name, value in row.items()}


def _labels(rows: Iterator[dict[str, str | None]]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        study = whole_number(row, "study_id")
        columns = [name for name in row if name != "study_id"]
        if not columns:
            raise Refused(Reason.ANNOTATION_COLUMNS)
        for column in columns:
            label = _label_column(column)
            severity, grade = _severity(row[column])
            yield {
                "row": number,
                "kind": "label",
                "study_id": study,
                **label,
                "severity": severity,
                "grade": grade,
            }


def _points(rows: Iterator[dict[str, str | None]]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        require(row, _POINT_COLUMNS)
        condition = (row["condition"] or "").casefold().replace(" ", "_")
        level = _level((row["level"] or "").replace("/", "_").casefold())
        if condition not in CONDITIONS:
            raise Refused(Reason.ANNOTATION_VALUES)
        key, side = CONDITIONS[condition]
        yield {
            "row": number,
            "kind": "point",
            "study_id": whole_number(row, "study_id"),
            "series_id": whole_number(row, "series_id"),
            "instance_number": int(whole_number(row, "instance_number")),
            "condition": key,
            "side": side,
            "level": level,
            "x": pixel(row["x"]),
            "y": pixel(row["y"]),
        }


def _series(rows: Iterator[dict[str, str | None]]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        require(row, _SERIES_COLUMNS)
        description = DESCRIPTIONS.get((row["series_description"] or "").casefold())
        if description is None:
            raise Refused(Reason.ANNOTATION_VALUES)
        ids = {name: whole_number(row, name) for name in ("study_id", "series_id")}
        yield {"row": number, "kind": "series", **ids, "description": description}


def _label_column(column: str) -> Row:
    found = re.fullmatch(r"(\w+?)_(l[1-5]_[ls][1-5])", column)
    if found is None or found[1] not in CONDITIONS:
        raise Refused(Reason.ANNOTATION_COLUMNS)
    condition, side = CONDITIONS[found[1]]
    return {"condition": condition, "side": side, "level": _level(found[2])}


def _level(text: str) -> str:
    level = text.upper().replace("_", "-")
    if level not in LEVELS:
        raise Refused(Reason.ANNOTATION_VALUES)
    return level


def _severity(cell: str | None) -> tuple[str | None, int | None]:
    if cell is None:
        return None, None
    if cell.casefold() not in SEVERITIES:
        raise Refused(Reason.ANNOTATION_VALUES)
    return SEVERITIES[cell.casefold()]


def batches_of_folders(cohort: pl.DataFrame) -> dict[tuple[str, str], str | None]:
    """Batch by inbox and ``study_id`` of a cohort's DICOM trees; None for a name that stands in several batches."""
    study_id = pl.col("relative_path").str.extract(_IMAGE + "$", 1).cast(pl.Int64).cast(pl.String)
    named = cohort.filter(pl.col("study_uid").is_not_null()).select(
        "inbox", study_id.alias("id"), "batch_key"
    )
    of_folder = named.filter(pl.col("id").is_not_null()).group_by("inbox", "id")
    batches = of_folder.agg(pl.col("batch_key").first(), pl.col("batch_key").n_unique().alias("n"))
    return {(inbox, study): batch if n == 1 else None for inbox, study, batch, n in batches.iter_rows()}


@dataclass(frozen=True)
class _Tree:
    """Folder names of an inbox to batches and UIDs; a name that means several things means nothing."""

    batches: dict[tuple[str, str], str | None]
    studies: dict[tuple[str, str], str | None]
    series: dict[tuple[str, str, str], str | None]
    instances: dict[tuple[str, str, str, int], str | None]

    @classmethod
    def of(cls, cohort: pl.DataFrame, instances: Sequence[Row]) -> _Tree:
        tree = cls(batches_of_folders(cohort), {}, {}, {})
        for row in instances:
            parts = _folders(row["relative_path"])
            if parts is None:
                continue
            study, series, number = parts
            _once(tree.studies, (row["inbox"], study), row["study_uid"])
            _once(tree.series, (row["inbox"], study, series), row["series_uid"])
            _once(tree.instances, (row["inbox"], study, series, number), row["sop_uid"])
        return tree

    def batch_of(self, inbox: str, row: Row) -> str | None:
        return self.batches.get((inbox, row["study_id"]))

    def fits(self, row: Row) -> bool:
        return True

    def joined(self, inbox: str, row: Row) -> Row:
        if self.batch_of(inbox, row) is None:  # in two batches the name means two studies, one of them ours
            return unplaced(row)
        study, series, number = row["study_id"], row.get("series_id"), row.get("instance_number")
        return row | {
            "study_uid": self.studies.get((inbox, study)),
            "series_uid": self.series.get((inbox, study, series)) if series else None,
            "sop_uid": self.instances.get((inbox, study, series, number))
            if series and number is not None
            else None,
        }


def _folders(relative_path: str) -> tuple[str, str, int] | None:
    """(study_id, series_id, instance) of ``.../<study_id>/<series_id>/<instance>.dcm``, None for other names."""
    found = re.search(_IMAGE + r"\Z", relative_path)
    return (str(int(found[1])), str(int(found[2])), int(found[3])) if found else None


def _once(table: dict[Any, str | None], key: Any, value: str | None) -> None:
    table[key] = value if table.get(key, value) == value else None
