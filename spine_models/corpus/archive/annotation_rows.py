"""Whose rows an annotation table holds, and which batch of a cohort takes them.

Belongs here: the key and the content of a row, without its number, so that a table in another order is the same one.
Does not belong here: packing and remembering them (``table_rows``), joining them to images (``annotations``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import polars as pl

from spine_models.corpus.archive.annotation_cells import Row
from spine_models.corpus.archive.annotations import batches_of_folders, read_annotations
from spine_models.corpus.archive.boxes import batches_of_studies
from spine_models.corpus.archive.records import Key


def annotation_rows(path: Path, inbox: str) -> Iterator[tuple[Key, str]]:
    """Key and content of each data row of one file; errors as ``annotations.read_annotations``.

    The content is what was understood of the row: columns in another order change nothing.

    Args:
        path: where it lies.
        inbox: as the ledger says; folder names mean something within it alone.
    """
    for _, parts in groupby(read_annotations(path), key=lambda row: row["row"]):
        said = [{name: value for name, value in part.items() if name != "row"} for part in parts]
        yield _key(said[0], inbox), "\n".join(sorted(json.dumps(part, sort_keys=True) for part in said))


def batches_by_key(cohort: pl.DataFrame) -> dict[Key, str]:
    """The batch of every study and study folder of a cohort's ledger; a folder of two batches means none."""
    folders = {("folder", f"{i}\0{name}"): batch for (i, name), batch in batches_of_folders(cohort).items()}
    named: dict[Key, str] = {key: batch for key, batch in folders.items() if batch is not None}
    return named | {("study", study): batch for study, batch in batches_of_studies(cohort).items()}


def _key(row: Row, inbox: str) -> Key:
    return ("study", row["study_uid"]) if row["kind"] == "box" else ("folder", f"{inbox}\0{row['study_id']}")
