"""Known identifiers in the strings of released tables, row by row where a row names its patient.

Belongs here: searching polars frames. Does not belong here: DICOM files (released) or files on disk (lake).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Final

import polars as pl

from spine_models.corpus.deid.gate.identifiers import Known, date_needles, parse_day
from spine_models.corpus.deid.gate.needles import Haystack, Needle

_SEPARATOR: Final = "\x01"
# Names that the product itself gives: a record number as short as 000001 also counts shards and batches.
_OWN_NAMES: Final = re.compile(r"\w+/(?:train|val|test|outside)/shard-\d{6}\.tar|[a-z][a-z0-9_]{0,30}-\d{4}")
_DATE_COLUMNS: Final = ("study_date", "admit_date", "discharge_dttm", "order_date")


class FrameSearch:
    """Searches frames for a batch's identifiers; built once, used for many frames."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._shared = Haystack(known.shared)
        squeezed = {_squeeze(n.text) for n in known.shared if n.rule in ("identifier", "phone")}
        self._squeezed = Haystack(Needle("identifier", t, "none") for t in squeezed if len(t) >= 9)
        self._own: dict[str, Haystack] = {}

    def hits(self, frame: pl.DataFrame) -> Counter[str]:
        """Occurrences per rule over all string cells."""
        found: Counter[str] = Counter()
        texts = [*frame.columns, *string_cells(frame)]
        found += self._shared.hits(_SEPARATOR.join(texts).encode("utf-8", "replace"))
        prose = [_squeeze(t) for t in texts if " " in t]
        found += self._squeezed.hits(_SEPARATOR.join(prose).encode("utf-8", "replace"))
        if "patient_key" in frame.columns:
            for (patient,), rows in frame.group_by("patient_key", maintain_order=True):
                found += self._of_patient(str(patient), rows)
        return found

    def _of_patient(self, patient: str, rows: pl.DataFrame) -> Counter[str]:
        if patient not in self._own:
            self._own[patient] = Haystack(self._known.own.get(patient, ()))
        dates = [c for c in _DATE_COLUMNS if c in rows.columns]
        legitimate: set[date] = {
            d for c in dates for v in rows[c].drop_nulls() if (d := parse_day(str(v)[:10]))
        }
        cells = (cell for cell in string_cells(rows.drop(dates)) if not _OWN_NAMES.fullmatch(cell))
        body = _SEPARATOR.join(cells).encode("utf-8", "replace")
        found = self._own[patient].hits(body)
        births = {n for n in date_needles(self._known, patient, legitimate) if n.rule == "birth_date"}
        return found + Haystack(births).hits(body)


def _squeeze(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.casefold())


def string_cells(frame: pl.DataFrame) -> Iterator[str]:
    """Every string in the frame, those inside lists and structs too."""
    for column in frame.get_columns():
        yield from _strings(column)


def _strings(column: pl.Series) -> Iterator[str]:
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        yield from (str(v) for v in column.drop_nulls().to_list())
    elif column.dtype == pl.Binary:
        yield from (v.decode("latin-1") for v in column.drop_nulls().to_list())
    elif column.dtype == pl.List or isinstance(column.dtype, pl.List | pl.Array):
        inner = column.dtype.inner  # type: ignore[attr-defined]
        if not inner.is_numeric():
            yield from _strings(column.drop_nulls().explode().drop_nulls())
    elif isinstance(column.dtype, pl.Struct):
        for part in column.struct.unnest().get_columns():
            yield from _strings(part)
