"""The freeze: which tars a training run may open, and the split of every patient at that moment.

Belongs here: hashing tars and proving that the index and the ledger agree. Does not belong here: assigning
splits (``splits``) or opening tars for training (``reader``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from spine_models.corpus.shards.tables import MANIFEST, PATIENTS
from spine_models.domain import Split

_FROZEN: Final = (Split.TRAIN.value, Split.VAL.value)
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class ManifestTables:
    """``manifest`` names tars of train and val; ``patients`` is the split ledger of everybody indexed."""

    manifest: pl.DataFrame
    patients: pl.DataFrame


def freeze_manifest(slices: pl.DataFrame, *, shard_roots: Mapping[str, Path]) -> ManifestTables:
    """Freeze the tars of splits train and val of all routes, by content hash.

    Both frames are sorted and hold nothing that depends on when or where they were made, so equal shards give
    equal frames. A patient whose every slice is outside (no spine) stands in the ledger as ``outside``.

    Args:
        slices: ``SLICES`` of all batches.
        shard_roots: per batch, the folder that ``shard`` is relative to.

    Raises:
        ValueError: a patient in two splits; a batch without a folder; a tar that is not there; a test or
            outside slice indexed in a tar of train or val.
    """
    patients = _ledger(slices)
    wrong = slices.filter(pl.col("shard").str.split("/").list.get(1) != pl.col("split"))
    if wrong.height:
        raise ValueError(
            f"slice {wrong['slice_key'][0]} of split {wrong['split'][0]} is indexed in {wrong['shard'][0]}:"
            " write the shards of its batch again"
        )
    counts = (
        slices.filter(pl.col("split").is_in(_FROZEN))
        .group_by("batch_key", "route", "split", "shard")
        .agg(n_slices=pl.len().cast(pl.Int32), n_patients=pl.col("patient_key").n_unique().cast(pl.Int32))
        .sort("batch_key", "shard")
    )
    rows = []
    for row in counts.iter_rows(named=True):
        root = shard_roots.get(row["batch_key"])
        if root is None:
            raise ValueError(f"batch {row['batch_key']} has slices but no shard folder: materialise its tars")
        path = Path(root) / row["shard"]
        if not path.is_file():
            raise ValueError(
                f"{row['shard']} of batch {row['batch_key']} is missing: materialise its tars again"
            )
        rows.append(row | {"sha256": _sha256(path)})
    return ManifestTables(pl.DataFrame(rows, schema=MANIFEST), patients)


def _ledger(slices: pl.DataFrame) -> pl.DataFrame:
    rows = []
    pairs = slices.group_by("patient_key").agg(pl.col("split").unique().sort()).sort("patient_key")
    for patient_key, splits in pairs.iter_rows():
        own = [split for split in splits if split != Split.OUTSIDE.value]
        if len(own) > 1:
            raise ValueError(
                f"patient {patient_key} is in splits {' and '.join(own)}: the fractions in the shards"
                " settings were changed between batches; restore them and write the shards again"
            )
        split = own[0] if own else Split.OUTSIDE.value
        rows.append({"patient_key": patient_key, "split": split, "may_train": split == Split.TRAIN.value})
    return pl.DataFrame(rows, schema=PATIENTS)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
