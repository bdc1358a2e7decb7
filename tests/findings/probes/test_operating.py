"""Operating points: as many studies flagged as are positive, chosen on train patients out of fold alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import LocalizationSettings
from spine_models.domain import condition_keys
from spine_models.findings.localization.find import searched
from spine_models.findings.localization.tokens import LocalizationError
from spine_models.findings.probes.operating import operating_points, prevalence_threshold, thresholds
from spine_models.findings.probes.studies import ROUTES_OF_SET, ProbeInputError
from spine_models.findings.probes.tables import OPERATING_POINTS, PREDICTIONS


def predictions(labels, chances, *, condition="canal", name="all", evaluation="cv", start=0, **more):
    rows = [
        {
            "study_key": f"s{start + n}", "patient_key": f"p{start + n}", "condition": condition, "encoder": "spinefm",
            "head": "linear", "sequence_set": name, "evaluation": evaluation, "label": label, "probability": chance,
        } | more
        for n, (label, chance) in enumerate(zip(labels, chances, strict=True))
    ]  # fmt: skip
    return pl.DataFrame([{c: row.get(c) for c in PREDICTIONS} for row in rows], schema=PREDICTIONS)


def point(table, condition="canal", name="all"):
    return table.filter(condition=condition, sequence_set=name).row(0, named=True)


@pytest.mark.parametrize("seed", range(20))
def test_the_share_flagged_is_the_nearest_to_the_prevalence(seed):
    """Against every threshold that there is, tried one by one, ties among the probabilities included."""
    rng = np.random.default_rng(seed)
    chances = np.round(rng.random(rng.integers(1, 40)), rng.integers(1, 4))
    positives = int(rng.integers(1, len(chances) + 1))
    found = prevalence_threshold(chances, positives)
    off = abs(int((chances >= found).sum()) - positives)
    assert off == min(abs(int((chances >= one).sum()) - positives) for one in chances)


def test_of_two_equally_near_numbers_the_smaller_is_flagged():
    assert (
        np.array([0.9, 0.5, 0.5, 0.1]) >= prevalence_threshold(np.array([0.9, 0.5, 0.5, 0.1]), 2)
    ).sum() == 1


def test_a_point_and_its_figures():
    table = operating_points(predictions([1, 0, 1, 0, 0], [0.9, 0.8, 0.3, 0.2, 0.1]), "h1")
    assert table.schema == OPERATING_POINTS
    assert table.height == len(condition_keys()) * len(ROUTES_OF_SET)
    row = point(table)
    assert row["threshold"] == pytest.approx(0.55)
    assert (row["prevalence"], row["flagged_share"], row["precision"], row["recall"]) == (0.4, 0.4, 0.5, 0.5)
    assert (row["n_studies"], row["n_patients"], row["n_positive"], row["chosen_on"]) == (5, 5, 2, "cv")
    assert thresholds(table) == {("canal", "all"): row["threshold"]}
    other = point(table, "pars")
    assert (other["status"], other["threshold"]) == ("none", None)
    assert other["reason"]


def test_test_and_val_patients_other_heads_and_encoders_move_nothing():
    own = predictions([1, 0, 1, 0, 0], [0.9, 0.8, 0.3, 0.2, 0.1])
    rest = [
        predictions([1, 1, 1], [0.01, 0.02, 0.03], evaluation=evaluation, start=50, **more)
        for evaluation, more in (
            ("test", {}),
            ("val", {}),
            ("cv", {"encoder": "pixel_pca"}),
            ("cv", {"head": "mil"}),
        )
    ]
    assert operating_points(pl.concat([own, *rest]), "h1").equals(operating_points(own, "h1"))


def test_a_set_without_cross_validation_takes_the_predictions_that_saw_reports():
    seen = predictions([1, 0], [0.6, 0.4], evaluation="seen")
    assert point(operating_points(seen, "h1"))["chosen_on"] == "seen"
    both = pl.concat([seen, predictions([1, 0], [0.9, 0.8])])
    assert point(operating_points(both, "h1"))["chosen_on"] == "cv"
    assert point(operating_points(both, "h1"))["threshold"] == pytest.approx(0.85)


def test_no_positive_study_gives_no_point():
    row = point(operating_points(predictions([0, 0], [0.9, 0.8]), "h1"))
    assert (row["status"], row["reason"]) == ("none", "no train study is labelled positive")


def test_a_patient_in_both_parts_is_refused():
    own = predictions([1, 0], [0.9, 0.8])
    with pytest.raises(ProbeInputError, match="out-of-fold and held-out"):
        operating_points(pl.concat([own, predictions([1], [0.7], evaluation="test")]), "h1")
    with pytest.raises(ProbeInputError, match="two predictions"):
        operating_points(pl.concat([own, own]), "h1")


def test_whatever_a_draft_may_name_is_searched():
    points = operating_points(predictions([1, 0, 0, 0], [0.3, 0.2, 0.1, 0.1]), "h1")
    asked = pl.DataFrame(
        [
            ("a", "canal", "all", 0.26),
            ("b", "canal", "all", 0.24),
            ("c", "canal", "t2", 0.26),
            ("d", "pars", "all", 0.5),
        ],
        schema=["study_key", "condition", "sequence_set", "probability"], orient="row",
    )  # fmt: skip
    settings = LocalizationSettings(min_probability=0.5)
    assert searched(asked, "h1", points, settings)["study_key"].to_list() == ["a", "d"]
    assert searched(asked, "h1", None, settings)["study_key"].to_list() == ["d"]
    # A point above the setting does not narrow the search.
    high = points.with_columns(threshold=pl.lit(0.9))
    assert searched(asked, "h1", high, settings)["study_key"].to_list() == ["d"]
    with pytest.raises(LocalizationError, match="other heads"):
        searched(asked, "h2", points, settings)
