"""T1 minus T2: a signal that is only in T2 wins there; the same studies and draws on both sides."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import condition_keys
from spine_models.findings.probes.evaluate import evaluate_probes
from spine_models.findings.probes.scores import auroc
from spine_models.findings.probes.strata.contrasts import agreement, expectations, sequence_contrast
from spine_models.findings.probes.strata.tables import CONTRASTS

PROBES = ProbeSettings(bootstrap=10, regularisation=(1e-2, 1e-1), folds=3)
SETTINGS = StratumSettings(bootstrap=200)
PREVALENCE = {"canal": 0.4, "hemangioma": 0.4, "disc_height": 0.4}


@pytest.fixture
def t2_only(cohort):
    """Vectors whose T1 is noise: what is planted is in T2 alone."""
    made = cohort(patients=160, signal=2.5, prevalence=PREVALENCE)
    rng = np.random.default_rng(0)
    noise = pl.Series(rng.normal(size=(made.vectors.height, 12)).tolist(), dtype=pl.List(pl.Float32))
    made.vectors = made.vectors.with_columns(
        vector=pl.when(pl.col("route") == "t1").then(noise).otherwise("vector")
    )
    return made


def predicted(made) -> pl.DataFrame:
    return evaluate_probes(made.vectors, None, made.labels, made.splits, settings=PROBES).predictions


def contrast(predictions: pl.DataFrame) -> pl.DataFrame:
    return sequence_contrast(predictions, probes=PROBES, settings=SETTINGS)


def test_a_signal_in_t2_alone_is_better_told_by_t2(t2_only):
    table = contrast(predicted(t2_only))
    assert table.schema == CONTRASTS
    assert table.height == 2 * 17
    for evaluation in ("cv", "test"):
        rows = {r["condition"]: r for r in table.filter(evaluation=evaluation).iter_rows(named=True)}
        for condition in PREVALENCE:
            assert rows[condition]["t2"] > 0.85
            assert rows[condition]["difference"] == pytest.approx(
                rows[condition]["t1"] - rows[condition]["t2"]
            )
            assert rows[condition]["difference_high"] < -0.1
        assert rows["canal"]["agreement"] == "agrees"
        assert rows["hemangioma"]["agreement"] == "disagrees"
        assert rows["disc_height"]["agreement"] is None
        assert rows["cyst"]["status"] == "not_evaluable"


def test_only_studies_with_both_count_and_pairing_narrows(cohort):
    made = cohort(patients=160, signal=1.5, prevalence=PREVALENCE)
    gone = made.vectors["study_key"].unique().sort().head(40).implode()
    made.vectors = made.vectors.filter(~pl.col("study_key").is_in(gone) | (pl.col("route") == "t2"))
    predictions = predicted(made)
    table = contrast(predictions)
    row = table.filter(evaluation="cv", condition="canal").row(0, named=True)
    shown = predictions.filter(evaluation="cv", condition="canal", sequence_set="t2")
    both = shown.filter(~pl.col("study_key").is_in(gone))
    assert row["n_studies"] == both.height < shown.height
    assert row["t2"] == pytest.approx(auroc(both["label"].to_numpy(), both["probability"].to_numpy())[0])
    same = predictions.filter(sequence_set="t2")
    twin = contrast(pl.concat([same, same.with_columns(sequence_set=pl.lit("t1"))]))
    flat = twin.filter(status="evaluated")
    assert (flat["difference_high"] - flat["difference_low"]).max() == 0
    assert set(flat.filter(condition="canal")["agreement"]) == {"open"}


@pytest.mark.parametrize(
    ("low", "high", "expected", "answer"),
    [
        (0.1, 0.2, "t1", "agrees"),
        (0.1, 0.2, "t2", "disagrees"),
        (-0.2, -0.1, "t2", "agrees"),
        (-0.1, 0.1, "t2", "open"),
        (0.0, 0.1, "t1", "open"),
        (float("nan"), float("nan"), "t1", "open"),
        (0.1, 0.2, "either", None),
    ],
)
def test_agreement_is_by_the_sign_of_the_interval(low, high, expected, answer):
    assert agreement(low, high, expected) == answer


def test_every_condition_has_an_expectation_and_a_reason():
    assert set(expectations()) == set(condition_keys())
    assert all(why for _, why in expectations().values())
    assert expectations()["hemangioma"][0] == "t1"
    assert expectations()["canal"][0] == "t2"


def test_no_predictions_give_no_rows(t2_only):
    assert contrast(predicted(t2_only).clear()).is_empty()
    alone = contrast(predicted(t2_only).filter(sequence_set="t2"))
    assert set(alone["reason"]) == {"no study has predictions by both sequences"}
