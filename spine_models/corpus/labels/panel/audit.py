"""How right the labels are: a sample that people read, and what it says of all labels.

Belongs here: drawing the sample, weighing it, the accuracy that follows. Does not belong here: what people read
because it is in doubt (``review``), measures that need no person (``reliability``).

Draw on the consensus before adjudications, and read every row of the sample: rows that were read because they looked
wrong would make the labels look worse than they are.
"""

from __future__ import annotations

from hashlib import blake2b
from math import fsum
from typing import Any, Final

import polars as pl

from spine_models.corpus.labels.panel.counting import ALL, PLACE, in_order, wilson
from spine_models.corpus.labels.tables import AUDIT, RELIABILITY
from spine_models.domain import TERNARY, Status

MEASURE: Final = "audit_accuracy"
LABELLER: Final = "consensus"
"""Whose accuracy it is."""


def audit_sample(consensus: pl.DataFrame, per_stratum: int, seed: int) -> pl.DataFrame:
    """Draw the rows that people read, from every condition and status.

    A row's chance is a hash of study and condition under the seed, and a stratum gives its lowest. So the sample
    is the same on every machine, and as the corpus grows a row leaves it only for a newcomer that comes before it.

    Args:
        consensus: ``CONSENSUS``.
        per_stratum: rows of each condition and status, at most; all where there are fewer.
        seed: of the hash; another seed, another sample.

    Returns:
        ``AUDIT`` in the order of conditions, strata, batches and studies; ``weight`` is ``stratum_size / sampled``.

    Raises:
        ValueError: a ``per_stratum`` below 1.
    """
    if per_stratum < 1:
        raise ValueError(f"per_stratum is {per_stratum}: an audit reads at least one row of each stratum")
    rows = consensus.select("batch_key", "patient_key", "study_key", "condition", "status", "evidence")
    chances = [_chance(study, condition, seed) for study, condition in rows.select(*PLACE[1:]).iter_rows()]
    stratum = ("condition", "stratum")
    drawn = (
        rows.with_columns(pl.Series("chance", chances, pl.UInt64), stratum="status")
        .sort("chance", *PLACE)
        .with_columns(
            pl.len().over(stratum).cast(pl.Int64).alias("stratum_size"),
            pl.int_range(pl.len()).over(stratum).alias("place"),
        )
        .filter(pl.col("place") < per_stratum)
        .with_columns(pl.len().over(stratum).cast(pl.Int64).alias("sampled"))
        .with_columns(weight=pl.col("stratum_size") / pl.col("sampled"))
    )
    return in_order(drawn.select(AUDIT.names()).cast(AUDIT), after=("stratum", "batch_key", "study_key"))


def audit_accuracy(
    audit: pl.DataFrame, adjudications: pl.DataFrame, consensus_before: pl.DataFrame
) -> pl.DataFrame:
    """Accuracy of the labels that training uses, as the people who read the sample see it.

    A label is right when a person gives the same (present 1; absent and not mentioned 0; in doubt -1). The stratum
    of ambiguous rows is left out: it claims nothing and trains nothing. The estimate over the strata ``h`` of a
    condition is the stratified mean (Cochran 1977, "Sampling Techniques", 5.3) ``p = Σ W_h·p_h`` with ``W_h`` the
    stratum's share of the rows and ``p_h`` the share of right labels among those read. The interval is Wilson's at
    the effective sample size ``1 / Σ (W_h² / n_h)`` (Kish 1965, "Survey Sampling"), the size of a plain sample that
    would be as uncertain if the strata were equally variable. Unlike the plug-in variance it does not claim
    certainty where every label read was right.

    Args:
        audit: ``AUDIT``, as it was drawn.
        adjudications: ``ADJUDICATIONS``, of the sample's rows and any others.
        consensus_before: ``CONSENSUS`` without adjudications, whose labels are judged; a later one than the
            audit was drawn from can be, since its rows were drawn all the same.

    Returns:
        ``RELIABILITY`` rows of the labeller "consensus" per condition and "all"; ``n`` is the number of rows read.
        Value and interval are null while a stratum of the condition has not been read at all; "all" is that
        of the conditions that have been. Conditions without settled rows in the audit have no row.
    """
    judged = consensus_before.select(*PLACE, pl.col("status").alias("now"))
    decided = adjudications.select("study_key", "condition", pl.col("status").alias("decided"))
    label = {status.value: value for status, value in TERNARY.items()}
    read = (
        audit.filter(pl.col("stratum") != Status.AMBIGUOUS.value)
        .join(judged, on=PLACE, how="left")
        .join(decided, on=("study_key", "condition"), how="left")
        .with_columns(pl.col("now", "decided").replace_strict(label, default=None, return_dtype=pl.Int8))
    )
    strata = read.group_by("condition", "stratum").agg(
        pl.col("stratum_size").first(),
        (pl.col("now") == pl.col("decided")).sum().alias("right"),  # null where nobody read it
        (pl.col("now").is_not_null() & pl.col("decided").is_not_null()).sum().alias("n"),
    )
    rows: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    for (condition,), group in strata.sort("condition", "stratum").group_by("condition", maintain_order=True):
        own = group.to_dicts()
        rows.append(_row(str(condition), own))
        known.extend(own if rows[-1]["value"] is not None else [])
    if rows:
        rows.append(_row(ALL, known))
    return in_order(pl.DataFrame(rows, schema=RELIABILITY))


def _chance(study_key: str, condition: str, seed: int) -> int:
    digest = blake2b(f"{study_key}\0{condition}".encode(), key=str(seed).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def _row(condition: str, strata: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "labeller": LABELLER,
        "condition": condition,
        "measure": MEASURE,
        "n": sum(s["n"] for s in strata),
    }
    if not strata or not all(s["n"] for s in strata):
        return row | dict.fromkeys(("value", "low", "high"))
    total = sum(s["stratum_size"] for s in strata)
    value = min(1.0, fsum(s["stratum_size"] / total * s["right"] / s["n"] for s in strata))
    effective = 1 / fsum((s["stratum_size"] / total) ** 2 / s["n"] for s in strata)
    low, high = wilson(min(value * effective, effective), effective)
    return row | {"value": value, "low": low, "high": high}
