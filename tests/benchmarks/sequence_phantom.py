"""The phantom's headers and images with known truth, for training and measuring the sequence classifier.

Belongs here: turning what the phantom writes into examples. Does not belong here: the phantom, fitting, scoring.
"""

from __future__ import annotations

from sequence_headers import Example


def phantom_examples(n: int, seed: int, *, damage_rate: float) -> list[Example]:
    return []
