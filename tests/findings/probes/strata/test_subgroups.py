"""Subgroups: who is in which, and a planted failure in one of them is found there alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.findings.probes.scores import auroc, calibration_error
from spine_models.findings.probes.strata.subgroups import DIMENSIONS, subgroup_scores, subgroups_of_studies
from spine_models.findings.probes.strata.tables import SUBGROUPS
from spine_models.findings.probes.tables import PREDICTIONS

PROBES = ProbeSettings()
SETTINGS = StratumSettings(bootstrap=200)


def predictions(n: int = 400, *, broken_sex: str | None = None, over: float = 0.0, seed: int = 0):
    """Calibrated test predictions of canal; for one sex the probabilities say nothing, or are ``over`` too high."""
    rng = np.random.default_rng(seed)
    chances = rng.beta(1, 1.5, size=n)
    labels = (rng.random(n) < chances).astype(int)
    sex = np.array(["F", "M"])[np.arange(n) % 2]
    said = np.where(sex == broken_sex, rng.permutation(chances), chances)
    said = np.where(sex == "F", np.clip(said + over, 0, 1), said)
    keys = [f"s{i:04d}" for i in range(n)]
    given = {
        "study_key": keys,
        "patient_key": [f"p{i // 2:04d}" for i in range(n)],
        "condition": "canal",
        "encoder": "spinefm",
        "sequence_set": "all",
        "evaluation": "test",
        "label": labels,
        "probability": said,
    }
    if "head" in PREDICTIONS:
        given["head"] = "linear"
    frame = pl.DataFrame(given).with_columns(fold=pl.lit(None, dtype=pl.Int32))
    frame = frame.select(pl.col(name).cast(kind) for name, kind in PREDICTIONS.items())
    studies = pl.DataFrame({"study_key": keys, "age_years": np.arange(n) % 90, "sex": sex})
    series = pl.DataFrame({"study_key": keys, "field_strength_t": [1.5] * n})
    return frame, studies, series


def run(frame, studies, series):
    return subgroup_scores(frame, studies, series, probes=PROBES, settings=SETTINGS)


def one(table: pl.DataFrame, subgroup: str, condition: str = "canal") -> dict:
    rows = table.filter(subgroup=subgroup, condition=condition, evaluation="test").to_dicts()
    assert len(rows) == 1
    return rows[0]


def test_bands_and_what_is_unknown():
    studies = pl.DataFrame(
        {
            "study_key": list("abcdef"),
            "age_years": [39, 40, 64, 65, 90, None],
            "sex": ["F", "M", "O", None, "F", "M"],
        }
    )
    series = pl.DataFrame(
        [("a", 0.064), ("b", 1.0), ("c", 1.494), ("c", None), ("d", 3.0), ("e", 1.5), ("e", 3.0), ("f", 7.0)],
        schema={"study_key": pl.String, "field_strength_t": pl.Float64},
        orient="row",
    )
    found = subgroups_of_studies(studies, series).sort("study_key")
    assert found["age"].to_list() == ["<40", "40-64", "40-64", ">=65", ">=65", None]
    assert found["sex"].to_list() == ["F", "M", None, None, "F", "M"]
    assert found["field_strength"].to_list() == ["<=1 T", "<=1 T", "1.5 T", "3 T", None, "other T"]


def test_heads_that_fail_for_one_sex_are_found_there():
    table = run(*predictions(broken_sex="F"))
    assert table.schema == SUBGROUPS
    assert table.height == 2 * sum(map(len, DIMENSIONS.values())) * 18
    women, men = one(table, "F"), one(table, "M")
    assert women["difference_high"] < -0.1
    assert men["difference_low"] > 0.1
    assert (
        women["difference"]
        == pytest.approx(women["auroc"] - men["auroc"])
        == pytest.approx(-men["difference"])
    )
    assert women["auroc_low"] <= 0.5 + 0.1
    assert one(table, "F", "mean")["difference"] == pytest.approx(women["difference"])


def test_heads_that_serve_all_alike_show_no_difference():
    covered = 0
    for seed in range(10):
        table = run(*predictions(seed=seed))
        row = one(table, "F")
        covered += row["difference_low"] <= 0 <= row["difference_high"]
        covered += row["gap_difference_low"] <= 0 <= row["gap_difference_high"]
    assert covered >= 16


def test_overconfidence_in_one_sex_is_a_gap():
    women = one(run(*predictions(over=0.2)), "F")
    assert women["gap_low"] > 0.1
    assert women["gap_difference_low"] > 0.1
    assert women["ece"] > 0.1


def test_numbers_are_those_of_the_subgroup_alone():
    frame, studies, series = predictions()
    row = one(run(frame, studies, series), "40-64")
    own = frame.join(studies.filter(pl.col("age_years").is_between(40, 64)), on="study_key")
    label, chance = own["label"].to_numpy(), own["probability"].to_numpy()
    assert row["n_studies"] == own.height
    assert row["n_patients"] == own["patient_key"].n_unique()
    assert row["prevalence"] == pytest.approx(label.mean())
    assert row["auroc"] == pytest.approx(auroc(label, chance)[0])
    assert row["ece"] == pytest.approx(calibration_error(label, chance))
    assert row["gap"] == pytest.approx((chance - label).mean())
    assert row["prevalence_low"] < row["prevalence"] < row["prevalence_high"]


def test_every_interval_holds_its_value():
    """Few studies: a resample's calibration error is mostly noise, and larger than the sample's."""
    table = run(*predictions(n=300, seed=4)).filter(status="evaluated")
    for name in ("ece", "auroc", "gap"):
        held = table.drop_nulls(name)
        assert (held[f"{name}_low"] <= held[name]).all(), name
        assert (held[name] <= held[f"{name}_high"]).all(), name
    assert table.drop_nulls("ece").height == 6


def test_vectors_that_saw_reports_say_why_cv_has_no_subgroups():
    frame, studies, series = predictions()
    rows = run(pl.concat([frame, frame.with_columns(evaluation=pl.lit("seen"))]), studies, series)
    assert rows.filter(evaluation="cv", condition="canal")["reason"].unique().to_list() == [
        "the vectors of train studies saw their reports: only test is evaluable"
    ]


def test_empty_subgroups_have_a_reason_and_a_lone_one_no_difference():
    table = run(*predictions())
    empty = one(table, "3 T")
    assert (empty["status"], empty["n_studies"]) == ("not_evaluable", 0)
    assert empty["reason"] == "0 positive patients, at least 5 are needed"
    everybody = one(table, "1.5 T")
    assert everybody["status"] == "evaluated"
    assert everybody["difference"] is None
    assert one(table, "F", "cyst")["reason"] == "no head has been fitted"


def test_no_predictions_give_rows_without_numbers():
    frame, studies, series = predictions()
    table = run(frame.clear(), studies, series)
    assert set(table["status"]) == {"not_evaluable"}
    assert run(frame, studies.clear(), series.clear()).filter(status="evaluated").is_empty()
