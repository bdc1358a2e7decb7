from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from spine_models.corpus.labels import consensus, drift
from spine_models.corpus.labels.panel.drift import holm
from spine_models.corpus.labels.tables import CONSENSUS, DRIFT


@pytest.fixture
def batches(labels):
    """Consensus of batches: per batch and condition so many present, absent and ambiguous studies."""

    def make(**counts: dict[str, tuple[int, int, int]]) -> pl.DataFrame:
        rows = []
        for batch, conditions in counts.items():
            for condition, numbers in conditions.items():
                statuses = [
                    status
                    for status, number in zip(("present", "absent", "ambiguous"), numbers, strict=True)
                    for _ in range(number)
                ]
                rows.extend(
                    ("a", f"{batch}-{i:03d}", condition, status, {"batch_key": batch})
                    for i, status in enumerate(statuses)
                )
        return consensus([labels(rows)])

    return make


def test_one_batch_against_all_others(batches):
    table = drift(
        batches(b1={"canal": (30, 10, 5)}, b2={"canal": (15, 25, 0)}, b3={"canal": (8, 32, 7)}), alpha=0.05
    )
    assert table.schema == DRIFT
    row = table.row(0, named=True)
    assert (row["batch_key"], row["studies"], row["present"], row["prevalence"]) == ("b1", 40, 30, 0.75)
    assert (row["other_studies"], row["other_prevalence"]) == (80, 0.2875)
    assert row["p_value"] == pytest.approx(fisher_exact([[30, 10], [23, 57]]).pvalue)
    assert table["drifted"].to_list() == [True, False, True]


def test_a_small_batch_never_drifts(batches):
    table = drift(batches(b1={"canal": (19, 0, 30)}, b2={"canal": (0, 400, 0)}), alpha=0.05)
    assert table["p_value"].max() < 1e-20
    assert table["drifted"].to_list() == [False, True]
    assert drift(batches(b1={"canal": (20, 0, 0)}, b2={"canal": (0, 400, 0)}), 0.05)["drifted"][0]


def test_one_batch_alone_is_not_tested(batches):
    table = drift(batches(b1={"canal": (30, 10, 0)}), alpha=0.05)
    assert table.select("other_studies", "other_prevalence", "p_value", "drifted").rows() == [
        (0, None, None, False)
    ]
    only_there = drift(batches(b1={"canal": (3, 1, 0), "cyst": (1, 1, 0)}, b2={"canal": (3, 1, 0)}), 0.05)
    assert only_there.select("batch_key", "condition", pl.col("p_value").is_null()).rows() == [
        ("b1", "canal", False),
        ("b1", "cyst", True),
        ("b2", "canal", False),
    ]


def test_all_equal_does_not_drift(batches):
    table = drift(batches(**{f"b{i}": {"canal": (10, 30, 0), "cyst": (0, 40, 0)} for i in range(3)}), 0.05)
    assert table["p_value"].to_list() == pytest.approx([1.0] * 6)
    assert not table["drifted"].any()


def test_many_rows_ask_for_more(batches):
    apart = {"b1": {"canal": (14, 26, 0)}, "b2": {"canal": (5, 35, 0)}}
    alone = drift(batches(**apart), 0.05)
    assert alone["p_value"].to_list() == pytest.approx([fisher_exact([[14, 26], [5, 35]]).pvalue] * 2)
    assert alone["p_value"][0] < 0.05 / 1
    more = {b: c | dict.fromkeys(("cyst", "edema", "pars"), (20, 20, 0)) for b, c in apart.items()}
    assert alone["p_value"][0] > 0.05 / 8
    assert not drift(batches(**more), 0.05)["drifted"].any()


def test_holm_by_hand():
    # Holm at 0.05 over four: 0.01 <= 0.0125, 0.013 <= 0.0167, 0.03 > 0.025 stops, 0.04 is not looked at.
    assert holm([0.04, 0.01, None, 0.03, 0.013], 0.05) == [False, True, False, False, True]
    assert holm([], 0.05) == []
    assert holm([None], 0.05) == [False]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_lies_between_bonferroni_and_no_correction(p_values, alpha):
    rejected = np.array(holm(p_values, alpha))
    values = np.array(p_values)
    assert (rejected >= (values <= alpha / len(values))).all()
    assert (rejected <= (values <= alpha)).all()
    if rejected.any() and not rejected.all():
        assert values[rejected].max() <= values[~rejected].min()


def test_order_and_empty_frames(batches):
    frame = batches(b2={"cyst": (1, 2, 0), "canal": (1, 2, 0)}, b1={"canal": (1, 2, 0)})
    table = drift(frame.sample(fraction=1.0, shuffle=True, seed=0), 0.05)
    assert table.select("batch_key", "condition").rows() == [("b1", "canal"), ("b2", "canal"), ("b2", "cyst")]
    empty = drift(pl.DataFrame(schema=CONSENSUS), 0.05)
    assert empty.schema == DRIFT
    assert empty.is_empty()
    assert drift(batches(b1={"canal": (0, 0, 9)}), 0.05).is_empty()


@pytest.mark.parametrize("alpha", [0, 1, -0.1])
def test_an_alpha_that_is_none(batches, alpha):
    with pytest.raises(ValueError, match="family-wise"):
        drift(batches(), alpha)
