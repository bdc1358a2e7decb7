"""Slices for training and embedding: one preprocessing, WebDataset tars, a split ledger, an exact reader.

Belongs here: the names that other stages and assets use. Does not belong here: code.
"""

from spine_models.corpus.shards.manifest import ManifestTables, freeze_manifest
from spine_models.corpus.shards.preprocess import (
    Preprocessed,
    preprocess,
    preprocessing_version,
    to_output_px,
    to_patient_mm,
    to_source_px,
)
from spine_models.corpus.shards.reader import EpochReader, ShardError, read_slices
from spine_models.corpus.shards.series import SkipReason
from spine_models.corpus.shards.splits import assign_splits
from spine_models.corpus.shards.write import ShardTables, write_shards

__all__ = [
    "EpochReader",
    "ManifestTables",
    "Preprocessed",
    "ShardError",
    "ShardTables",
    "SkipReason",
    "assign_splits",
    "freeze_manifest",
    "preprocess",
    "preprocessing_version",
    "read_slices",
    "to_output_px",
    "to_patient_mm",
    "to_source_px",
    "write_shards",
]
