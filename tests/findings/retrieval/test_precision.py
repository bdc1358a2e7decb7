"""How many of the nearest studies share a condition, against a loop."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.findings.retrieval.precision import precision
from tests.findings.retrieval.asking import SETTINGS, row_of


def test_precision_is_that_of_a_loop():
    rng = np.random.default_rng(2)
    n = 30
    vectors, patients = rng.normal(size=(n, 4)), [f"p{i // 2}" for i in range(n)]
    labels = rng.integers(-1, 2, size=(n, 2)).astype(np.int8)
    found = precision(
        vectors, patients, labels, ["x", "y"], encoder="e", sequence_set="t1", settings=SETTINGS
    )
    wanted, by_chance = [], []
    for i in np.flatnonzero(labels[:, 0] == 1):
        among = [j for j in range(n) if patients[j] != patients[i] and labels[j, 0] >= 0]
        cosine = {
            j: vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            for j in among
        }
        nearest = sorted(among, key=lambda j: -cosine[j])[:5]
        wanted.append(np.mean(labels[nearest, 0] == 1))
        by_chance.append(np.mean(labels[among, 0] == 1))
    row = row_of(found, condition="x")
    assert row["precision_5"] == pytest.approx(np.mean(wanted))
    assert row["chance"] == pytest.approx(np.mean(by_chance))
    mean = np.mean(found.filter(pl.col("condition") != "all")["precision_5"].to_list())
    assert row_of(found, condition="all")["precision_5"] == pytest.approx(mean)
    nothing = precision(
        vectors, patients, labels * 0, ["x", "y"], encoder="e", sequence_set="t1", settings=SETTINGS
    )
    assert set(nothing["status"]) == {"not_evaluable"}
