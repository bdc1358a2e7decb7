"""Annotations of released studies, by pseudonym.

Belongs here: which annotation rows may leave, and their keys. Does not belong here: reading the files
(``archive.annotations``), which lets nothing in but ids, closed vocabularies and numbers. The door does not rely on it:
a word that is in none of the vocabularies holds its row back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from spine_models.corpus.archive.annotations import CONDITIONS, DESCRIPTIONS, SEVERITIES
from spine_models.corpus.archive.boxes import DIGITS
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.quarantine import Reason
from spine_models.corpus.deid.tables import ANNOTATIONS
from spine_models.domain import DISCS, VERTEBRAE, Severity, Side, condition_keys

_ORDER = (
    "patient_key",
    "study_key",
    "kind",
    "series_key",
    "instance_key",
    "frame",
    "condition",
    "side",
    "level",
    "x",
    "y",
    "w",
    "h",
)
_NUMBERS: Final = ("grade", "frame", "x", "y", "w", "h")
_UIDS: Final = {"study": "study_uid", "series": "series_uid", "instance": "sop_uid"}
_NEEDED: Final = {"label": ("study",), "series": ("study", "series")}
_WORDS: Final[dict[str, frozenset[str]]] = {
    "kind": frozenset({"label", "point", "series", "box"}),
    "condition": frozenset({*condition_keys(), *(condition for condition, _ in CONDITIONS.values())}),
    "side": frozenset(Side),
    "level": frozenset({*DISCS, *VERTEBRAE}),
    "severity": frozenset({*Severity, *(severity for severity, _ in SEVERITIES.values())}),
    "description": frozenset(DESCRIPTIONS.values()),
}


@dataclass
class ReleasedAnnotations:
    """``frame`` as ``tables.ANNOTATIONS``; ``waiting`` has one reason per file that keeps rows back."""

    frame: pl.DataFrame
    released: set[tuple[str, str]] = field(default_factory=set)
    waiting: dict[tuple[str, str], Reason] = field(default_factory=dict)


def release_annotations(
    annotations: pl.DataFrame,
    instances: pl.DataFrame,
    patient_of_study: Mapping[str, str],
    names: Pseudonymizer,
) -> ReleasedAnnotations:
    """Rows whose study, series and image are released and belong together; the others stay with their file.

    Args:
        annotations: ``archive.ANNOTATIONS`` of the batch.
        instances: ``tables.INSTANCES`` of what was released.
        patient_of_study: patient key by original study UID.
        names: pseudonyms.
    """
    out = ReleasedAnnotations(pl.DataFrame(schema=ANNOTATIONS))
    released = list(instances.select([f"{name}_key" for name in ("patient", *_UIDS)]).iter_rows())
    # A study's, a series' and an image's keys with those of what they belong to: a row may not join two patients.
    there = {keys[:depth] for keys in released for depth in (2, 3, 4)}
    rows: list[dict[str, object]] = []
    for row in annotations.iter_rows(named=True):
        place = (row["inbox"], row["relative_path"])
        needed = _NEEDED.get(row["kind"], tuple(_UIDS))
        found = {name: names.key_of_uid(row[_UIDS[name]]) for name in needed if row[_UIDS[name]]}
        patient = patient_of_study.get(row["study_uid"] or "")
        if patient is None or len(found) < len(needed):
            out.waiting.setdefault(place, Reason.UNRESOLVED_PATIENT)
        elif (patient, *found.values()) not in there:
            out.waiting.setdefault(place, Reason.STUDY_NOT_RELEASED)
        elif not _is_plain(row):
            out.waiting.setdefault(place, Reason.NO_POLICY)
        else:
            out.released.add(place)
            rows.append(
                {"batch_key": row["batch_key"], "patient_key": patient}
                | {f"{name}_key": key for name, key in found.items()}
                | {name: row[name] for name in _WORDS}
                | {name: _number(row["kind"], row[name]) for name in _NUMBERS}
            )
    kept = [{name: row.get(name) for name in ANNOTATIONS} for row in rows]
    out.frame = pl.DataFrame(kept, schema=ANNOTATIONS).sort(_ORDER, nulls_last=True, maintain_order=True)
    return out


def _is_plain(row: Mapping[str, Any]) -> bool:
    """Whether every word of the row is of its vocabulary, and every number one."""
    words = all(row[name] is None or row[name] in known for name, known in _WORDS.items())
    return words and all(row[name] is None or math.isfinite(row[name]) for name in _NUMBERS)


def _number(kind: str, value: float | None) -> float | None:
    """Of a box to hundredths of a pixel: a longer fraction is no measurement, and could be a number of somebody."""
    return round(value, DIGITS) if kind == "box" and isinstance(value, float) else value
