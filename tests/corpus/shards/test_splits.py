from __future__ import annotations

import pytest

from spine_models.config import ShardSettings
from spine_models.corpus.shards import assign_splits
from spine_models.domain import Split

KEYS = [f"{i:032x}" for i in range(4000)]


def test_a_patient_keeps_the_split_whoever_else_is_known():
    settings = ShardSettings()
    together = assign_splits(KEYS, settings=settings)
    assert assign_splits(KEYS[::-1], settings=settings) == together
    assert all(assign_splits([key], settings=settings) == {key: together[key]} for key in KEYS[:50])


def test_the_split_is_the_same_on_every_machine():
    # Frozen values: a change here would move patients between train and test in every lake that exists.
    splits = assign_splits([f"{i:032x}" for i in range(8)], settings=ShardSettings())
    assert "".join(split.value[1] for split in splits.values()) == EXPECTED


EXPECTED = "rrrrrrre"


def test_fractions_are_met():
    splits = list(assign_splits(KEYS, settings=ShardSettings()).values())
    share = {split: splits.count(split) / len(splits) for split in Split}
    assert share[Split.TRAIN] == pytest.approx(0.7, abs=0.025)
    assert share[Split.VAL] == pytest.approx(0.1, abs=0.015)
    assert share[Split.OUTSIDE] == 0


def test_fractions_without_test_patients_are_refused():
    with pytest.raises(ValueError, match="no test patients"):
        assign_splits(KEYS, settings=ShardSettings(train_fraction=0.9, val_fraction=0.1))
