"""The gate: an independent reader of everything that leaves, which can only say no.

Belongs here: byte-level search and consistency checks. Does not belong here: any import of the engine, the
policy or the text cleaner; what they overlook must not be overlooked here for the same reason.
"""

from spine_models.corpus.deid.gate.batch import gate_batch, refusal
from spine_models.corpus.deid.gate.intervals import date_integrity
from spine_models.corpus.deid.gate.lake import sweep_lake
from spine_models.corpus.deid.gate.memory import ArchivedBatch

__all__ = ["ArchivedBatch", "date_integrity", "gate_batch", "refusal", "sweep_lake"]
