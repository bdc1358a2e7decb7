"""Which open labels a person should read first.

Belongs here: what waits for a person, how much it matters, in which order. Does not belong here: what the person
says (``adjudication``), samples that measure quality (``audit``): a queue of the doubtful tells nothing of the rest.

``weight = conflict · urgency · rarity · certainty``, each factor on a scale of its own:

- conflict, 0.2 to 1: see ``Conflict``. A label that may be either 1 or 0 teaches most when it is settled.
- urgency, above 0 to 1: what a wrong label of the condition would cost a patient, from ``urgency.yaml``.
- rarity, 1 to 2: ``1 + log(1/p) / log(n + 2)`` with ``p = (present + 1) / (n + 2)`` among the ``n`` settled studies
  of the condition in this corpus; a positive of a condition that hardly any study has is worth most to training.
- certainty, 0.5 to 1: ``0.5 + 0.5 · c`` with ``c`` the mean confidence of the labellers that say 1 or 0 (0.5 for one
  that states none): two sure labellers that differ point at a flaw, two unsure ones at a vague report.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from math import log
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from spine_models.corpus.labels.panel.consensus import ADJUDICATION
from spine_models.corpus.labels.panel.counting import PLACE, in_order
from spine_models.corpus.labels.tables import REVIEW_QUEUE
from spine_models.domain import Status

_UNSTATED: Final = 0.5
_DECIMALS: Final = 6


class Conflict(Enum):
    """How far apart the labellers of one row are."""

    AFFIRMED_AND_DENIED = 1.0
    """One says present, another absent."""
    AFFIRMED_AND_SILENT = 0.8
    """One says present, another does not find the condition mentioned: more often overlooked than denied."""
    AFFIRMED_AND_DOUBTED = 0.6
    """One says present, the others are in doubt."""
    NEGATIVE_AND_DOUBTED = 0.4
    """One says absent or not mentioned, the others are in doubt (or, where silence is unknown, differ on that)."""
    DOUBTED = 0.2
    """All are in doubt: most often the report itself is, and no reader of the report will settle it."""


def review_queue(labels: pl.DataFrame, consensus: pl.DataFrame) -> pl.DataFrame:
    """Rank what the labellers leave open.

    A row waits when its consensus is ambiguous and no person has decided on it, whatever the decision was. A
    report that is silent does not wait, even where silence is labelled -1.

    Args:
        labels: ``LABELS`` of every labeller of the consensus.
        consensus: ``CONSENSUS`` of the whole corpus; rarity is counted here.

    Returns:
        ``REVIEW_QUEUE``, rank 1 first; equal weights stand in the order of batch, study and condition.
    """
    waiting = consensus.filter(
        (pl.col("status") == Status.AMBIGUOUS.value) & ~pl.col("labellers").list.contains(ADJUDICATION)
    ).select(*PLACE, "patient_key", "reason")
    rare = _rarity(consensus)
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in labels.join(waiting, on=PLACE, how="semi").iter_rows(named=True):
        rows.setdefault(tuple(row[name] for name in PLACE), []).append(row)
    queue = [
        _entry(row, rows.get(tuple(row[name] for name in PLACE), []), rare) for row in waiting.to_dicts()
    ]
    # Labels may lack the rows of a consensus that was made from more; a row without witnesses still waits.
    ordered = in_order(pl.DataFrame(queue, schema=REVIEW_QUEUE), "batch_key", "study_key")
    ranked = ordered.sort("weight", descending=True, maintain_order=True)
    return ranked.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))


def conflict_of(statuses: set[Status]) -> Conflict:
    """How far apart these statuses of one report and condition are."""
    if Status.PRESENT in statuses:
        if Status.ABSENT in statuses:
            return Conflict.AFFIRMED_AND_DENIED
        if Status.NOT_MENTIONED in statuses:
            return Conflict.AFFIRMED_AND_SILENT
        return Conflict.AFFIRMED_AND_DOUBTED
    return Conflict.DOUBTED if statuses <= {Status.AMBIGUOUS} else Conflict.NEGATIVE_AND_DOUBTED


@lru_cache(maxsize=1)
def _urgencies() -> tuple[dict[str, float], float]:
    document = yaml.safe_load((Path(__file__).parent / "urgency.yaml").read_text(encoding="utf-8"))
    weights = {key: float(entry["weight"]) for key, entry in document["urgency"].items()}
    return weights, float(document["default"])


def urgency_of(condition: str) -> float:
    """What a wrong label of the condition would cost a patient, 0 to 1, from ``urgency.yaml``."""
    weights, default = _urgencies()
    return weights.get(condition, default)


def rarity(present: int, settled: int) -> float:
    """1 where every settled study has the condition, up to 2 where none has.

    Args:
        present: studies that have it.
        settled: studies of which it is known whether they do.
    """
    share = (present + 1) / (settled + 2)
    return 1 - log(share) / log(settled + 2)


def _rarity(consensus: pl.DataFrame) -> dict[str, float]:
    counts = consensus.group_by("condition").agg(
        (pl.col("label") == 1).sum().alias("present"), (pl.col("label") >= 0).sum().alias("settled")
    )
    return {condition: rarity(present, settled) for condition, present, settled in counts.iter_rows()}


def _entry(place: dict[str, Any], labels: list[dict[str, Any]], rare: dict[str, float]) -> dict[str, Any]:
    said = [(row, Status(row["status"])) for row in labels]
    firm = [
        _UNSTATED if row["confidence"] is None else row["confidence"]
        for row, status in said
        if status is not Status.AMBIGUOUS
    ]
    certainty = 0.5 + 0.5 * (sum(firm) / len(firm) if firm else _UNSTATED)
    conflict = conflict_of({status for _, status in said}).value
    weight = conflict * urgency_of(place["condition"]) * rare[place["condition"]] * certainty
    return place | {
        "report_key": labels[0]["report_key"] if labels else None,
        "weight": round(weight, _DECIMALS),  # so that the last bit of a logarithm does not order equals
        "statuses": ", ".join(f"{row['labeller']}: {row['status']}" for row in labels),
        "quotes": [row["evidence"] for row in labels if row["evidence"]],
    }
