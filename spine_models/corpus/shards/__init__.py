"""Slices for training and embedding: one preprocessing, WebDataset tars, a split ledger, an exact reader.

Belongs here: the names that other stages and assets use. Does not belong here: code.
"""

from spine_models.corpus.shards.manifest import ManifestTables, freeze_manifest
from spine_models.corpus.shards.members import shard_name
from spine_models.corpus.shards.place import (
    from_patient_mm,
    output_grid,
    to_output_px,
    to_patient_mm,
    to_source_px,
)
from spine_models.corpus.shards.preprocess import (
    Preprocessed,
    Quantum,
    apply_window,
    preprocess,
    preprocessing_version,
)
from spine_models.corpus.shards.reader import (
    EpochReader,
    ShardError,
    read_slices,
    read_stored,
    readable_shards,
)
from spine_models.corpus.shards.series import SkipReason
from spine_models.corpus.shards.splits import assign_splits
from spine_models.corpus.shards.write import ShardTables, write_shards

__all__ = [
    "EpochReader",
    "ManifestTables",
    "Preprocessed",
    "Quantum",
    "ShardError",
    "ShardTables",
    "SkipReason",
    "apply_window",
    "assign_splits",
    "freeze_manifest",
    "from_patient_mm",
    "output_grid",
    "preprocess",
    "preprocessing_version",
    "read_slices",
    "read_stored",
    "readable_shards",
    "shard_name",
    "to_output_px",
    "to_patient_mm",
    "to_source_px",
    "write_shards",
]
