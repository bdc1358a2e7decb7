"""Annotations of released studies, by pseudonym.

Belongs here: which annotation rows may leave, and their keys. Does not belong here: reading the files
(``archive.annotations``): everything of a row but its ids is already of a closed vocabulary or a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.quarantine import Reason
from spine_models.corpus.deid.tables import ANNOTATIONS

_ORDER = (
    "patient_key",
    "study_key",
    "kind",
    "series_key",
    "instance_key",
    "condition",
    "side",
    "level",
    "x",
    "y",
)
_KEPT = ("kind", "condition", "side", "level", "severity", "grade", "x", "y", "description")


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
    """Rows whose study, series and image are released; the others stay with their file.

    Args:
        annotations: ``archive.ANNOTATIONS`` of the batch.
        instances: ``tables.INSTANCES`` of what was released.
        patient_of_study: patient key by original study UID.
        names: pseudonyms.
    """
    out = ReleasedAnnotations(pl.DataFrame(schema=ANNOTATIONS))
    keys = {name: set(instances[f"{name}_key"]) for name in ("study", "series", "instance")}
    rows: list[dict[str, object]] = []
    for row in annotations.iter_rows(named=True):
        place = (row["inbox"], row["relative_path"])
        uids = {"study": row["study_uid"], "series": row["series_uid"], "instance": row["sop_uid"]}
        needed = {"label": ("study",), "series": ("study", "series")}.get(row["kind"], tuple(uids))
        found = {name: names.key_of_uid(uids[name]) for name in needed if uids[name]}
        patient = patient_of_study.get(row["study_uid"] or "")
        if patient is None or len(found) < len(needed):
            out.waiting.setdefault(place, Reason.UNRESOLVED_PATIENT)
        elif any(found[name] not in keys[name] for name in needed):
            out.waiting.setdefault(place, Reason.STUDY_NOT_RELEASED)
        else:
            out.released.add(place)
            rows.append(
                {"batch_key": row["batch_key"], "patient_key": patient}
                | {f"{name}_key": key for name, key in found.items()}
                | {name: row[name] for name in _KEPT}
            )
    kept = [{name: row.get(name) for name in ANNOTATIONS} for row in rows]
    out.frame = pl.DataFrame(kept, schema=ANNOTATIONS).sort(_ORDER, nulls_last=True, maintain_order=True)
    return out
