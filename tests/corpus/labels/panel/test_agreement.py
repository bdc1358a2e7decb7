from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from spine_models.corpus.labels import agreement
from spine_models.corpus.labels.panel.agreement import adjusted_kappa, cohen_kappa
from spine_models.corpus.labels.panel.counting import wilson
from spine_models.corpus.labels.tables import AGREEMENT
from spine_models.domain import condition_keys

STATUSES = ("present", "absent", "ambiguous")


def random_labels(labels, names, studies=60, conditions=("canal", "cyst"), seed=0):
    draw = np.random.default_rng(seed)
    return labels(
        (name, f"s{study:03d}", condition, STATUSES[draw.choice(3, p=[0.3, 0.5, 0.2])])
        for name in names
        for study in range(studies)
        for condition in conditions
    )


def test_kappa_by_hand():
    # 20 of 25 + 15 of 25 on the diagonal: po 0.7, pe 0.5·0.6 + 0.5·0.4 = 0.5
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert adjusted_kappa(0.7, 2) == pytest.approx(0.4)
    assert adjusted_kappa(0.7) == pytest.approx(0.55)
    assert adjusted_kappa(1 / 3) == pytest.approx(0)


def test_kappa_is_that_of_scikit_learn(labels):
    frame = random_labels(labels, ("a", "b", "c"))
    table = agreement(frame)
    assert table.schema == AGREEMENT
    assert table.height == 3 * 3
    for row in table.iter_rows(named=True):
        own = frame if row["condition"] == "all" else frame.filter(condition=row["condition"])
        first, second = (
            own.filter(labeller=row[name]).sort("study_key", "condition")["label"].to_numpy()
            for name in ("first", "second")
        )
        assert row["kappa"] == pytest.approx(cohen_kappa_score(first, second))
        assert row["studies"] == len(first) == (120 if row["condition"] == "all" else 60)
        assert row["observed"] == pytest.approx((first == second).mean())
        assert row["equal"] == (first == second).sum()
        assert (row["first_present"], row["second_present"]) == ((first == 1).sum(), (second == 1).sum())


def test_order_is_that_of_names_and_of_the_condition_file(labels):
    frame = random_labels(labels, ("b", "a"), 3, condition_keys()[::-1])
    table = agreement(frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert table.equals(agreement(frame))
    assert table["condition"].to_list() == [*condition_keys(), "all"]
    assert set(table["first"]) == {"a"}


def test_only_shared_studies_count(labels):
    frame = labels(
        [
            ("a", "s1", "canal", "present"),
            ("a", "s2", "canal", "present"),
            ("b", "s2", "canal", "absent"),
            ("b", "s3", "canal", "absent"),
            ("b", "s3", "cyst", "absent"),
        ]
    )
    table = agreement(frame)
    assert table.select("condition", "studies", "equal").rows() == [("canal", 1, 0), ("all", 1, 0)]
    assert table["kappa"].to_list() == [0.0, 0.0]


def test_kappa_is_null_where_both_say_the_same_throughout(labels):
    frame = labels((name, f"s{i}", "canal", "absent") for name in ("a", "b") for i in range(5))
    row = agreement(frame).row(0, named=True)
    assert row["kappa"] is None
    assert (row["observed"], row["pabak"]) == (1.0, 1.0)


@pytest.mark.parametrize("names", [(), ("a",)])
def test_fewer_than_two_labellers_keep_the_schema(labels, names):
    table = agreement(random_labels(labels, names))
    assert table.schema == AGREEMENT
    assert table.is_empty()


def test_a_study_labelled_twice_is_refused(labels):
    frame = random_labels(labels, ("a", "b"), 2)
    with pytest.raises(ValueError, match="labeller 'a' has more than one label for canal in study s000"):
        agreement(pl.concat([frame, frame.head(1)]))


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 40), (3, 40), (20, 40), (40, 40), (999, 1000)]
)
def test_wilson_is_that_of_scipy(successes, n):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(successes, n):
    with pytest.raises(ValueError, match="not a share"):
        wilson(successes, n)
