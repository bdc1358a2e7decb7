"""Who a model was trained on: from what a training says it read to patients, and whether they may train.

Belongs here: the schema of patients and the comparison with the frozen ledger. Does not belong here: reading shards.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.encoder.backbone.tables import SEEN

PATIENTS: Final = pl.Schema(
    {
        "training": pl.String,  # which training of the stage: pretrain, anchor, synthesize, align, align_gates
        "route": pl.String,  # t1, t2; all where a training reads every route
        "patient_key": pl.String,
        "role": pl.String,  # train | held_out
        "n": pl.Int32,  # slices, or studies where a training reads studies
    }
)
"""One row per training, route, patient and role."""

ALLOWED: Final = {"train": ("train",), "held_out": ("train", "val")}
"""Splits that each role may come from. A probe fills up with training slices that are then left out of training."""


class UnknownSlices(ValueError):
    """A training read slices that the slice index does not know."""


def patients_of_slices(
    seen: pl.DataFrame, slices: pl.DataFrame, *, training: str, route: str
) -> pl.DataFrame:
    """PATIENTS of a training that reads slices.

    Args:
        seen: ``backbone.tables.SEEN``.
        slices: slice_key and patient_key, at least of every slice seen.
        training: name of the training.
        route: name of what it reads.

    Raises:
        UnknownSlices: a slice without a patient; what was trained on cannot be proved.
    """
    owned = seen.select(*SEEN).join(slices.select("slice_key", "patient_key"), on="slice_key", how="left")
    if unknown := owned["patient_key"].null_count():
        raise UnknownSlices(
            f"{unknown} slices of {training} {route} are in no slice index: freeze the manifest again, train anew"
        )
    return _counted(owned, training=training, route=route)


def patients_of_studies(seen: pl.DataFrame, *, training: str, route: str = "all") -> pl.DataFrame:
    """PATIENTS of a training that reads studies: ``seen`` has patient_key, study_key and role."""
    return _counted(seen, training=training, route=route)


def not_allowed(patients: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """Rows of PATIENTS whose patient is in no split of ``ALLOWED`` for its role; unknown patients are among them.

    Args:
        patients: PATIENTS.
        ledger: shards.PATIENTS, as it was frozen.
    """
    known = patients.join(ledger.select("patient_key", "split", "may_train"), on="patient_key", how="left")
    fine = pl.any_horizontal(
        (pl.col("role") == role) & pl.col("split").is_in(splits) for role, splits in ALLOWED.items()
    )
    may = (pl.col("role") != "train") | pl.col("may_train")
    return known.filter(~(fine & may).fill_null(False)).select(*PATIENTS)


def _counted(rows: pl.DataFrame, *, training: str, route: str) -> pl.DataFrame:
    return (
        rows.group_by("patient_key", "role")
        .agg(n=pl.len().cast(pl.Int32))
        .with_columns(training=pl.lit(training), route=pl.lit(route))
        .select(*PATIENTS)
        .sort("patient_key", "role")
    )
