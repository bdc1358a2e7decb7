"""Figures of heads of levels against plain counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from spine_models.domain import condition_keys
from spine_models.findings.levelwise.fit import fit_level_heads
from spine_models.findings.levelwise.skill import held_out, prior_of, skill
from spine_models.findings.levelwise.tables import PREDICTIONS, SKILL
from spine_models.findings.levelwise.targets import labels_of
from tests.findings.levelwise.conftest import SETTINGS
from tests.findings.levelwise.test_fit import FITTED, plain_auroc


@pytest.fixture(scope="module")
def fitted(judgeable):
    found = fit_level_heads(judgeable.views, judgeable.splits, judgeable.reports, settings=SETTINGS)
    return replace(found, heads=replace(found.heads, version="heads-l"))


@pytest.fixture(scope="module")
def predictions(judgeable, fitted):
    own = fitted.out_of_fold.with_columns(heads_version=pl.lit("heads-l"))
    return pl.concat([own, held_out(judgeable.views, judgeable.splits, judgeable.reports, fitted.heads)])


@pytest.fixture(scope="module")
def figures(fitted, predictions):
    return skill(fitted, predictions, settings=SETTINGS)


def row(table: pl.DataFrame, condition: str) -> dict:
    return table.row(by_predicate=pl.col("condition") == condition, named=True)


def test_predictions_are_of_every_patient_once(judgeable, fitted, predictions):
    assert predictions.schema == PREDICTIONS
    split = dict(judgeable.splits.iter_rows())
    assert [split[p] for p in predictions["patient_key"]] == predictions["split"].to_list()
    assert set(predictions.select("split", "evaluation").rows()) == {
        ("train", "cv"),
        ("val", "val"),
        ("test", "test"),
    }
    where = ["study_key", "condition", "level", "side"]
    assert not predictions.select(where).is_duplicated().any()
    assert set(predictions["heads_version"]) == {"heads-l"}
    # Identity, label and probability belong to one another.
    said = fitted.heads.predict(judgeable.views).select(*where, held="probability")
    others = predictions.filter(pl.col("split") != "train").join(said, on=where, how="left", nulls_equal=True)
    np.testing.assert_allclose(others["probability"], others["held"], atol=1e-6)
    owner = dict(judgeable.views.select("study_key", "patient_key").iter_rows())
    assert [owner[s] for s in predictions["study_key"]] == predictions["patient_key"].to_list()
    for (condition,), rows in predictions.group_by("condition"):
        assert rows["label"].to_list() == labels_of(rows, judgeable.reports, [str(condition)])[:, 0].tolist()


def test_a_held_out_study_without_a_report_is_judged_with_unknown_labels(judgeable, fitted):
    unsettled = judgeable.views.with_columns(settled=pl.col("level") != "L3-L4")
    said = held_out(unsettled, judgeable.splits, {}, fitted.heads)
    assert set(said["label"]) == {-1}
    assert set(said["split"]) == {"val", "test"}
    assert (said["level_uncertain"] == (said["level"] == "L3-L4")).all()
    for views, splits in (
        (judgeable.views.clear(), judgeable.splits),
        (judgeable.views, judgeable.splits.filter(split="train")),
    ):
        nothing = held_out(views, splits, {}, fitted.heads)
        assert (nothing.height, nothing.schema) == (0, PREDICTIONS)


def test_a_row_per_condition_with_its_figures_or_the_reason(fitted, predictions, figures):
    assert figures.schema == SKILL
    assert figures["condition"].to_list() == list(condition_keys())
    assert figures.height == 17
    for condition in condition_keys():
        told = row(figures, condition)
        if condition not in FITTED:
            assert (told["status"], told["unmeasured"], told["auroc"]) == (
                "not_fitted",
                "there is no head",
                None,
            )
            assert told["reason"] == fitted.heads.card["missing"][condition]
            continue
        own = predictions.filter(condition=condition)
        test, train = own.filter(split="test"), own.filter(split="train")
        assert (told["status"], told["reason"], told["unmeasured"]) == ("fitted", None, None)
        assert told["auroc"] == pytest.approx(plain_auroc(test["label"], test["probability"]), abs=1e-12)
        assert told["auroc_low"] < told["auroc"] < told["auroc_high"]
        hits = sum(f and y == 1 for f, y in train.select("flagged", "label").iter_rows())
        assert told["precision"] == hits / train["flagged"].sum()
        assert told["recall"] == hits / (train["label"] == 1).sum()
        assert (told["n_places"], told["n_positive"]) == (train.height, (train["label"] == 1).sum())
        assert (told["n_patients"], told["test_patients"]) == (45, 15)
        assert told["test_positive"] == (test["label"] == 1).sum()
        assert told["sided"] == (condition == "neuroforaminal")
        best: dict[str, list] = {}
        for study, label, chance in test.select("study_key", "label", "probability").iter_rows():
            best[study] = [max(pair) for pair in zip(best.get(study, (0, 0)), (label, chance), strict=True)]
        of_study = np.array(list(best.values()))
        if len(set(of_study[:, 0])) > 1:
            assert told["study_auroc"] == pytest.approx(
                plain_auroc(of_study[:, 0], of_study[:, 1]), abs=1e-12
            )


def test_the_prior_looks_at_reports_of_train_patients_alone(fitted, predictions, figures):
    own = predictions.filter(condition="canal")
    train, test = own.filter(split="train"), own.filter(split="test")
    share = {}
    mean = sum(train["label"] == 1) / train.height
    for level in train["level"].unique():
        at = train.filter(level=level)["label"].to_list()
        share[level] = (sum(at) + mean) / (len(at) + 1)
    assert dict(prior_of(train).iter_rows()) == pytest.approx(share)
    scores = [share[level] for level in test["level"]]
    told = row(figures, "canal")
    assert told["prior_auroc"] == pytest.approx(plain_auroc(test["label"], scores), abs=1e-12)
    # Whatever the heads say, and whatever was said of val patients, the prior is the same.
    noise = pl.Series(np.random.default_rng(0).random(predictions.height))
    blind = predictions.with_columns(
        probability=noise, label=pl.when(pl.col("split") == "val").then(1).otherwise("label").cast(pl.Int8)
    )
    again = row(skill(fitted, blind, settings=SETTINGS), "canal")
    assert [again[f"prior_auroc{end}"] for end in ("", "_low", "_high")] == [
        told[f"prior_auroc{end}"] for end in ("", "_low", "_high")
    ]
    assert again["auroc"] != told["auroc"]


def test_a_level_that_no_train_study_shows_has_the_mean_share(fitted, predictions):
    seen = predictions.filter(~((pl.col("split") == "train") & (pl.col("level") == "L5-S1")))
    told = row(skill(fitted, seen, settings=SETTINGS), "canal")
    own = seen.filter(condition="canal")
    train, test = own.filter(split="train"), own.filter(split="test")
    assert "L5-S1" in set(test["level"]) - set(train["level"])
    share = dict(prior_of(train).iter_rows())
    scores = [share.get(level, (train["label"] == 1).mean()) for level in test["level"]]
    assert told["prior_auroc"] == pytest.approx(plain_auroc(test["label"], scores), abs=1e-12)


def test_too_few_test_patients_measure_nothing_and_say_so(fitted, predictions):
    patient = predictions.filter(split="test", condition="canal", label=1)["patient_key"][0]
    only = predictions.filter((pl.col("split") == "train") | (pl.col("patient_key") == patient))
    told = row(skill(fitted, only, settings=SETTINGS), "canal")
    assert (told["status"], told["auroc"], told["ece"], told["test_patients"]) == ("fitted", None, None, 1)
    assert told["unmeasured"] == "1 test patients with and 1 without it, 2 of each are needed"
    none = row(skill(fitted, predictions.filter(split="train"), settings=SETTINGS), "canal")
    assert none["unmeasured"] == "0 test patients with and 0 without it, 2 of each are needed"
    assert none["recall"] is not None


def test_unknown_labels_are_counted_nowhere(fitted, predictions):
    known = skill(fitted, predictions, settings=SETTINGS)
    more = predictions.head(50).with_columns(label=pl.lit(-1, dtype=pl.Int8), patient_key=pl.lit("new"))
    tested = more.with_columns(evaluation=pl.lit("test"), split=pl.lit("test"), probability=pl.lit(1.0))
    assert skill(fitted, pl.concat([predictions, more, tested]), settings=SETTINGS).equals(known)


def test_the_error_of_calibration_falls_with_honest_probabilities(fitted, predictions):
    truth = pl.col("label").cast(pl.Float64)
    sure, wrong = (predictions.with_columns(probability=one) for one in (truth, 1.0 - truth))
    told = [row(skill(fitted, one, settings=SETTINGS), "edema") for one in (sure, wrong)]
    assert (told[0]["ece"], told[0]["auroc"]) == (0.0, 1.0)
    assert (told[1]["ece"], told[1]["auroc"]) == (1.0, 0.0)


def test_without_any_head_nothing_is_said_and_every_row_has_its_reason(judgeable):
    """No train study has a report: views of test patients alone are no contradiction."""
    fitted = fit_level_heads(judgeable.views, judgeable.splits, {}, settings=SETTINGS)
    assert fitted.heads.heads == {}
    said = held_out(judgeable.views, judgeable.splits, {}, fitted.heads)
    assert said.is_empty()
    assert said.schema == PREDICTIONS
    rows = skill(fitted, said.clear(), settings=SETTINGS)
    assert set(rows["status"]) == {"not_fitted"}
    assert rows["reason"].null_count() == 0
