"""sequences: what each series is, from its de-identified header and pixels, with a confidence and the right to abstain.

Belongs here: contrast family, encoder route, plane, region, contrast agent, Dixon part and b-values: rules first, then
a calibrated header model, then a pixel model; what contradicts what.
Does not belong here: identifiers, or which series a model is trained on (shards).
"""

from spine_models.corpus.sequences.classify import (
    CLASSIFIER_VERSION,
    SequenceTables,
    classify_batch,
    classify_series,
)

__all__ = ["CLASSIFIER_VERSION", "SequenceTables", "classify_batch", "classify_series"]
