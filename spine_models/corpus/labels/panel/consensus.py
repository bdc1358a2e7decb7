"""One label per study and condition from several labellers and from people.

Belongs here: agreement, disagreement, adjudication. Does not belong here: reading reports, kappa tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from spine_models.corpus.labels.contract import Reason, Silent, label_of
from spine_models.corpus.labels.tables import CONSENSUS
from spine_models.domain import Status, condition_keys

ADJUDICATION: Final = "adjudication"
"""How a person's word is named among the labellers of a row."""

_ORDER = {
    status.value: rank for rank, status in enumerate((Status.PRESENT, Status.ABSENT, Status.NOT_MENTIONED))
}


def consensus(
    labellers: Sequence[pl.DataFrame],
    adjudications: pl.DataFrame | None = None,
    *,
    not_mentioned: Silent = 0,
) -> pl.DataFrame:
    """Fold ``LABELS`` frames, one or more labellers each, into ``CONSENSUS``.

    Labellers that give the same label agree; the details are those of the first of them that says most (present
    or absent before not mentioned). Where labels differ the row is ambiguous (-1) and ``agreed`` is false: it
    waits in the review queue. A person's adjudication overrides both, keeps the details of the first labeller
    that says the same, and is named in ``labellers`` as ``adjudication``.

    Args:
        labellers: frames of ``LABELS``.
        adjudications: columns study_key, condition, status; at most one row per study and condition. Rows of
            studies that no labeller knows are left out.
        not_mentioned: label of a silent report. Labels are read off the statuses under this setting, so that
            frames made under another one cannot make silence disagree with silence.

    Returns:
        ``CONSENSUS``, one row per batch, study and condition, in that order.

    Raises:
        ValueError: an adjudication with an unknown condition or status, or two for the same place.
    """
    verdicts = _verdicts(adjudications)
    order = {key: index for index, key in enumerate(condition_keys())}
    rows: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for frame in labellers:
        for row in frame.iter_rows(named=True):
            rows.setdefault((row["batch_key"], row["study_key"], row["condition"]), []).append(row)
    places = sorted(rows, key=lambda place: (place[0], place[1], order[place[2]]))
    return pl.DataFrame(
        [_folded(rows[place], verdicts.get((place[1], place[2])), not_mentioned) for place in places],
        schema=CONSENSUS,
    )


def _verdicts(adjudications: pl.DataFrame | None) -> dict[tuple[str, str], Status]:
    verdicts: dict[tuple[str, str], Status] = {}
    if adjudications is None:
        return verdicts
    for row in adjudications.select("study_key", "condition", "status").iter_rows(named=True):
        place = (row["study_key"], row["condition"])
        if row["condition"] not in condition_keys():
            raise ValueError(
                f"adjudication of an unknown condition {row['condition']!r}: see conditions.yaml"
            )
        if row["status"] not in set(Status):
            raise ValueError(f"adjudication with status {row['status']!r}: use one of {', '.join(Status)}")
        if place in verdicts:
            raise ValueError(f"two adjudications of {row['condition']} in study {row['study_key']}: keep one")
        verdicts[place] = Status(row["status"])
    return verdicts


def _folded(rows: list[dict[str, Any]], verdict: Status | None, not_mentioned: Silent) -> dict[str, Any]:
    names = [row["labeller"] for row in rows]
    if verdict is not None:
        agreed, status = True, verdict
        names = [*names, ADJUDICATION]
    elif len({label_of(Status(row["status"]), not_mentioned) for row in rows}) == 1:
        agreed, status = True, Status(min((row["status"] for row in rows), key=lambda s: _ORDER.get(s, 0)))
    else:
        agreed, status = False, Status.AMBIGUOUS
    if not agreed:
        reason: str | None = Reason.DISAGREEMENT.value
    else:
        reason = next((row["reason"] for row in rows if row["reason"]), None)
    reason = reason if status is Status.AMBIGUOUS else None
    source = next((row for row in rows if row["status"] == status.value), None)
    details = ("level", "side", "severity", "evidence")
    return {
        "batch_key": rows[0]["batch_key"],
        "patient_key": rows[0]["patient_key"],
        "study_key": rows[0]["study_key"],
        "condition": rows[0]["condition"],
        "status": status.value,
        "label": label_of(status, not_mentioned),
        "levels": source["levels"] if source else [],
        "labellers": names,
        "agreed": agreed,
        "reason": reason,
    } | {name: source[name] if source else None for name in details}
