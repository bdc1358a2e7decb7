"""A patient's split, for ever: a pure function of the pseudonym and the two fractions.

Belongs here: the hash that sends a patient to train, val or test. Does not belong here: which slices are fit
for training (``write``), or what a training run may open (``manifest``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from spine_models.config import ShardSettings
from spine_models.domain import Split

_DOMAIN: Final = b"spineagent/split/1\x00"


def assign_splits(patient_keys: Sequence[str], *, settings: ShardSettings) -> dict[str, Split]:
    """The split of every patient, independent of which other patients are known and of their order.

    The pseudonym is already a keyed digest, so nobody without the key can choose a patient's split. Only the
    fractions in ``settings`` move a patient: changing them on a living lake breaks the promise that a test
    patient stays one.

    Args:
        patient_keys: pseudonyms; repetitions are allowed.
        settings: ``train_fraction`` and ``val_fraction``; what is left over is test.

    Raises:
        ValueError: the two fractions leave nothing for test.
    """
    if settings.train_fraction + settings.val_fraction >= 1.0:
        raise ValueError(
            f"shards.train_fraction {settings.train_fraction} and shards.val_fraction {settings.val_fraction}"
            " leave no test patients: their sum must be below 1"
        )
    return {key: _split_of(key, settings) for key in sorted(set(patient_keys))}


def _split_of(patient_key: str, settings: ShardSettings) -> Split:
    digest = hashlib.sha256(_DOMAIN + patient_key.encode("utf-8")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < settings.train_fraction:
        return Split.TRAIN
    if position < settings.train_fraction + settings.val_fraction:
        return Split.VAL
    return Split.TEST
