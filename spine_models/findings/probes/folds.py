"""Cross-validation folds: whole patients, every condition spread evenly, the same for all encoders.

Iterative stratification of multi-label data (Sechidis, Tsoumakas, Vlahavas, ECML PKDD 2011), with the patient
as the unit, so that no patient's studies are ever on both sides.

Belongs here: the assignment alone. Does not belong here: train, val and test (``corpus.shards.splits``).
"""

from __future__ import annotations

import numpy as np


def patient_folds(patient_keys: np.ndarray, labels: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Fold of every study, int32 [N] in 0 .. folds - 1.

    The condition with the fewest unassigned positive patients is dealt out first, each patient to the fold
    that lacks that condition most, then to the emptier fold, then to the lower number. The result depends on
    the set of patients and their labels, not on the order of the rows.

    Args:
        patient_keys: [N].
        labels: [N, C] of 1, 0 and -1; only 1 counts.
        folds: at least 2; with fewer patients than folds some folds stay empty.
        seed: order in which equals are dealt.
    """
    patients, member = np.unique(patient_keys, return_inverse=True)
    positive = np.zeros((len(patients), labels.shape[1]), dtype=bool)
    np.logical_or.at(positive, member, labels == 1)
    order = np.random.default_rng(seed).permutation(len(patients))
    capacity = np.full(folds, len(patients) / folds)
    wanted = np.tile(positive.sum(axis=0) / folds, (folds, 1))
    assigned = np.full(len(patients), -1, dtype=np.int32)

    def deal(patient: int, need: np.ndarray) -> None:
        best = max(range(folds), key=lambda fold: (round(need[fold], 9), round(capacity[fold], 9), -fold))
        assigned[patient] = best
        capacity[best] -= 1
        wanted[best] -= positive[patient]

    while True:
        left = positive[assigned < 0].sum(axis=0)
        if not left.any():
            break
        rarest = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        for patient in order:
            if assigned[patient] < 0 and positive[patient, rarest]:
                deal(patient, wanted[:, rarest])
    for patient in order:
        if assigned[patient] < 0:
            deal(patient, capacity)
    return assigned[member]
