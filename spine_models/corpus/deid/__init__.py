"""De-identification: the only door out of the restricted zone.

Belongs here: the public functions of the stage. Does not belong here: code. The gate is a separate code path
(``gate``) that reads bytes and shares nothing with the engine but pseudonyms and schemas.
"""

from spine_models.corpus.deid.batch import DeidTables, deidentify_batch
from spine_models.corpus.deid.ehr import DeidPolicyError
from spine_models.corpus.deid.gate import date_integrity, gate_batch, refusal, sweep_lake
from spine_models.corpus.deid.pseudonyms import KeyFileError, Pseudonymizer, new_key_file, read_key_file
from spine_models.corpus.deid.quarantine import Reason

__all__ = [
    "DeidPolicyError",
    "DeidTables",
    "KeyFileError",
    "Pseudonymizer",
    "Reason",
    "date_integrity",
    "deidentify_batch",
    "gate_batch",
    "new_key_file",
    "read_key_file",
    "refusal",
    "sweep_lake",
]
