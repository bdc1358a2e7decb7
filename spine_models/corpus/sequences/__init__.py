"""sequences: what each series is, from its de-identified header, with a confidence and the right to abstain.

Belongs here: contrast family, encoder route, plane and body region by rules on names and timing.
Does not belong here: identifiers, pixels, or which series a model is trained on (shards).
"""

from spine_models.corpus.sequences.classify import CLASSIFIER_VERSION, classify_series

__all__ = ["CLASSIFIER_VERSION", "classify_series"]
