"""Who is scored on what; found signals, honest noise, and every way of not being evaluable."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from spine_models.config import ProbeSettings
from spine_models.domain import condition_keys
from spine_models.findings.embeddings.tables import STUDIES
from spine_models.findings.probes.bootstrap import SCORES
from spine_models.findings.probes.evaluate import NO_VECTORS, evaluate_probes
from spine_models.findings.probes.studies import ProbeInputError
from spine_models.findings.probes.tables import BASELINES, METRICS, PREDICTIONS

SETTINGS = ProbeSettings(bootstrap=100, regularisation=(1e-3, 1e-2, 1e-1))


def evaluate(made, *, vectors=None, baselines=None, labels=None, splits=None, settings=SETTINGS):
    return evaluate_probes(
        made.vectors if vectors is None else vectors,
        baselines,
        made.labels if labels is None else labels,
        made.splits if splits is None else splits,
        settings=settings,
    )


def one(
    metrics: pl.DataFrame, condition: str, sequence_set: str, evaluation: str, encoder: str = "spinefm"
) -> dict:
    rows = metrics.filter(
        condition=condition, sequence_set=sequence_set, evaluation=evaluation, encoder=encoder
    ).to_dicts()
    assert len(rows) == 1
    return rows[0]


def test_a_planted_signal_is_found_in_every_set_and_evaluation(cohort):
    tables = evaluate(cohort(patients=120, signal=2.5))
    assert tables.metrics.schema == METRICS
    assert tables.predictions.schema == PREDICTIONS
    assert tables.metrics.height == 17 * 4 * 2
    for sequence_set in ("t1", "t2", "all"):
        for evaluation in ("cv", "test"):
            row = one(tables.metrics, "canal", sequence_set, evaluation)
            assert row["status"] == "evaluated"
            assert row["reason"] is None
            assert row["auroc"] > 0.85
            assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
            assert row["brier"] < 0.17
    both = one(tables.metrics, "canal", "all", "cv")["auroc"]
    assert both >= one(tables.metrics, "canal", "t1", "cv")["auroc"] - 0.02


def test_random_vectors_give_an_interval_around_one_half(cohort):
    conditions = condition_keys()[:8]
    made = cohort(patients=120, dim=40, prevalence=dict.fromkeys(conditions, 0.3), seed=11)
    metrics = evaluate(made).metrics.filter(
        (pl.col("status") == "evaluated") & (pl.col("sequence_set") == "all")
    )
    assert metrics.height == 16
    covered = ((metrics["auroc_low"] <= 0.5) & (metrics["auroc_high"] >= 0.5)).mean()
    assert covered >= 0.8
    assert metrics.filter(evaluation="cv")["auroc"].mean() == pytest.approx(0.5, abs=0.06)


def test_metrics_are_those_of_the_predictions_by_scikit_learn(cohort):
    tables = evaluate(cohort(signal=1.0))
    checked = 0
    for row in tables.metrics.filter(status="evaluated").iter_rows(named=True):
        shown = tables.predictions.filter(
            **{name: row[name] for name in ("condition", "encoder", "sequence_set", "evaluation")}
        )
        label, probability = shown["label"].to_numpy(), shown["probability"].to_numpy()
        assert row["n_studies"] == shown.height
        assert row["n_patients"] == shown["patient_key"].n_unique()
        assert row["n_positive"] == label.sum()
        assert row["auroc"] == pytest.approx(roc_auc_score(label, probability))
        assert row["auprc"] == pytest.approx(average_precision_score(label, probability))
        assert row["brier"] == pytest.approx(brier_score_loss(label, probability))
        for score in SCORES:
            assert row[f"{score}_low"] <= row[score] <= row[f"{score}_high"]
        checked += 1
    assert checked == 12


def test_operating_thresholds_come_from_the_held_out_train_predictions(cohort):
    tables = evaluate(cohort(signal=1.0))
    for row in tables.metrics.filter(status="evaluated").iter_rows(named=True):
        where = {name: row[name] for name in ("condition", "encoder", "head", "sequence_set")}
        held_out = tables.predictions.filter(evaluation="cv", **where)
        negatives = held_out.filter(label=0)["probability"]
        assert (negatives < row["threshold"]).mean() >= row["specificity"] == 0.9
        called = held_out.filter(pl.col("probability") >= row["threshold"], label=1).height
        cv = one(tables.metrics, row["condition"], row["sequence_set"], "cv")
        assert called / cv["n_positive"] == pytest.approx(cv["sensitivity"])


def test_patients_stay_on_their_side(cohort):
    made = cohort(signal=1.0)
    val = made.splits.with_columns(
        split=pl.when(pl.col("patient_key").is_in(["p001", "p004"]))
        .then(pl.lit("val"))
        .otherwise(pl.col("split"))
    )
    shown = evaluate(made, splits=val).predictions
    split = dict(val.select("patient_key", "split").iter_rows())
    assert {split[p] for p in shown.filter(evaluation="cv")["patient_key"]} == {"train"}
    assert {split[p] for p in shown.filter(evaluation="test")["patient_key"]} == {"test"}
    folds = shown.filter(evaluation="cv").group_by("patient_key").agg(pl.col("fold").n_unique())
    assert set(folds["fold"]) == {1}
    assert shown.filter(evaluation="cv")["fold"].null_count() == 0
    assert shown.filter(evaluation="test")["fold"].null_count() == shown.filter(evaluation="test").height


def test_test_labels_change_no_prediction(cohort):
    made = cohort(signal=1.0)
    test = made.splits.filter(split="test")["patient_key"].implode()
    flipped = made.labels.with_columns(
        label=pl.when(pl.col("patient_key").is_in(test)).then(1 - pl.col("label")).otherwise(pl.col("label"))
    )
    columns = ["study_key", "condition", "sequence_set", "evaluation", "probability"]
    assert (
        evaluate(made)
        .predictions.select(columns)
        .equals(evaluate(made, labels=flipped).predictions.select(columns))
    )


def test_ambiguous_labels_are_nowhere(cohort):
    made = cohort(signal=2.0)
    ambiguous = made.labels["study_key"].unique().sort().head(30).implode()
    labels = made.labels.with_columns(
        label=pl.when(pl.col("study_key").is_in(ambiguous) & (pl.col("condition") == "canal"))
        .then(pl.lit(-1, pl.Int8))
        .otherwise(pl.col("label"))
    )
    tables = evaluate(made, labels=labels)
    canal = tables.predictions.filter(condition="canal")
    assert not canal["study_key"].is_in(ambiguous).any()
    assert set(tables.predictions["label"]) == {0, 1}
    edema = tables.predictions.filter(condition="edema")
    assert edema["study_key"].is_in(ambiguous).any()
    assert (
        one(tables.metrics, "canal", "t1", "cv")["n_studies"]
        < one(tables.metrics, "edema", "t1", "cv")["n_studies"]
    )


def test_a_condition_without_positives_keeps_its_row_and_its_reason(cohort):
    row = one(evaluate(cohort(signal=1.0)).metrics, "hemangioma", "all", "test")
    assert row["status"] == "not_evaluable"
    assert row["reason"] == "0 positive patients in train, at least 5 are needed"
    assert row["n_studies"] > 0
    assert row["n_positive"] == 0
    assert all(row[name] is None for name in ("auroc", "auroc_low", "auprc", "brier", "ece"))


def test_positives_are_counted_by_patient_not_by_study(cohort):
    made = cohort(signal=1.0)
    # p000, p004, p008 and p012 have two studies each: eight positive studies of four patients.
    few = pl.col("patient_key").is_in(["p000", "p004", "p008", "p012"]).cast(pl.Int8)
    labels = made.labels.with_columns(
        label=pl.when(pl.col("condition") == "cyst").then(few).otherwise(pl.col("label"))
    )
    row = one(evaluate(made, labels=labels).metrics, "cyst", "t2", "cv")
    assert row["n_positive"] == 8
    assert row["reason"] == "4 positive patients in train, at least 5 are needed"


def test_a_test_set_of_one_class_is_not_evaluable_but_cv_is(cohort):
    made = cohort(signal=2.0)
    test = made.splits.filter(split="test")["patient_key"].implode()
    labels = made.labels.with_columns(
        label=pl.when(pl.col("patient_key").is_in(test)).then(pl.lit(0, pl.Int8)).otherwise(pl.col("label"))
    )
    tables = evaluate(made, labels=labels)
    assert one(tables.metrics, "canal", "all", "cv")["status"] == "evaluated"
    row = one(tables.metrics, "canal", "all", "test")
    assert row["status"] == "not_evaluable"
    assert row["reason"] == "0 positive patients in test, at least 5 are needed"
    assert tables.predictions.filter(condition="canal", evaluation="test").height > 0


def test_studies_lacking_a_route_stay_in_all(cohort):
    made = cohort(signal=1.0)
    lacking = made.vectors["study_key"].unique().sort().head(20).implode()
    vectors = made.vectors.filter(~((pl.col("route") == "t1") & pl.col("study_key").is_in(lacking)))
    metrics = evaluate(made, vectors=vectors).metrics
    counts = {s: one(metrics, "canal", s, "cv")["n_studies"] for s in ("t1", "t2", "other", "all")}
    assert counts["t1"] + 20 == counts["t2"] == counts["all"]
    assert counts["other"] == 0
    assert one(metrics, "canal", "other", "cv")["reason"] == NO_VECTORS


def test_baselines_are_scored_in_the_same_way_and_a_missing_one_is_named(cohort):
    made = cohort(signal=2.0)
    copy = made.vectors.with_columns(encoder=pl.lit("pixel_pca")).select(*BASELINES)
    settings = SETTINGS.model_copy(update={"baselines": ("random_init", "pixel_pca")})
    metrics = evaluate(made, baselines=copy, settings=settings).metrics
    assert metrics.height == 3 * 17 * 4 * 2
    scores = [c for c in METRICS if c != "encoder"]
    assert (
        metrics.filter(encoder="spinefm")
        .select(scores)
        .equals(metrics.filter(encoder="pixel_pca").select(scores))
    )
    absent = metrics.filter(encoder="random_init")
    assert set(absent["status"]) == {"not_evaluable"}
    assert set(absent["reason"]) == {"no study has vectors of this encoder and sequence set"}


def test_the_same_input_in_another_order_gives_the_same_tables(cohort):
    made = cohort(signal=1.0)
    first = evaluate(made)
    again = evaluate(
        made,
        vectors=made.vectors.sample(fraction=1.0, shuffle=True, seed=1),
        labels=made.labels.sample(fraction=1.0, shuffle=True, seed=1),
        splits=made.splits.reverse(),
    )
    assert first.metrics.equals(again.metrics)
    assert first.predictions.equals(again.predictions)


def test_nothing_to_score_gives_rows_without_scores(cohort):
    made = cohort()
    empty = evaluate(made, vectors=pl.DataFrame(schema=STUDIES))
    assert set(empty.metrics["status"]) == {"not_evaluable"}
    assert empty.metrics.height == 17 * 4 * 2
    assert empty.predictions.schema == PREDICTIONS
    unlabelled = evaluate(made, labels=made.labels.clear())
    assert set(unlabelled.metrics["status"]) == {"not_evaluable"}


def test_two_folds_become_three(cohort):
    shown = evaluate(cohort(signal=1.0), settings=SETTINGS.model_copy(update={"folds": 2})).predictions
    assert set(shown.filter(evaluation="cv")["fold"]) == {0, 1, 2}


def test_mixed_model_versions_are_refused(cohort):
    made = cohort()
    mixed = made.vectors.with_columns(
        model_version=pl.when(pl.int_range(pl.len()) == 0)
        .then(pl.lit("old"))
        .otherwise(pl.col("model_version"))
    )
    with pytest.raises(ProbeInputError, match="embeddings/studies, route 't1': model_version has 2 versions"):
        evaluate(made, vectors=mixed)


def test_a_baseline_that_changed_is_refused_beside_its_older_rows(cohort):
    made = cohort()
    copy = made.vectors.with_columns(encoder=pl.lit("pixel_pca")).select(*BASELINES)
    first = (pl.int_range(pl.len()) == 0) & (pl.col("route") == copy["route"][0])
    mixed = copy.with_columns(
        model_version=pl.when(first).then(pl.lit("old")).otherwise(pl.col("model_version"))
    )
    other = copy.with_columns(encoder=pl.lit("random_init"), model_version=pl.lit("another baseline's"))
    with pytest.raises(
        ProbeInputError, match=r"probes/baselines of pixel_pca, route .*: model_version has 2"
    ):
        evaluate(made, baselines=pl.concat([mixed, other]))
    with pytest.raises(ProbeInputError, match=r"probes/baselines of .* has no column model_version"):
        evaluate(made, baselines=copy.drop("model_version"))


def test_contradicting_tables_are_refused(cohort):
    made = cohort()
    with pytest.raises(ProbeInputError, match="two splits"):
        evaluate(made, splits=pl.concat([made.splits, made.splits.with_columns(split=pl.lit("val"))]))
    with pytest.raises(ProbeInputError, match="two labels"):
        evaluate(made, labels=pl.concat([made.labels, made.labels]))
    with pytest.raises(ProbeInputError, match="two vectors"):
        evaluate(made, vectors=pl.concat([made.vectors, made.vectors]))
    with pytest.raises(ProbeInputError, match="1, 0 or -1"):
        evaluate(made, labels=made.labels.with_columns(label=pl.lit(2, pl.Int8)))


def test_an_interval_does_not_shrink_when_every_study_is_there_twice(cohort):
    """The patient is the unit: a second identical study a patient must not make the interval narrower."""
    made = cohort(patients=100, signal=1.0)
    twin = {"study_key": pl.col("study_key") + "x"}
    doubled = evaluate(
        made,
        vectors=pl.concat([made.vectors, made.vectors.with_columns(**twin)]),
        labels=pl.concat([made.labels, made.labels.with_columns(**twin)]),
    )
    single = evaluate(made)
    for condition in ("canal", "edema"):
        before, after = (one(t.metrics, condition, "all", "cv") for t in (single, doubled))
        width = [row["auroc_high"] - row["auroc_low"] for row in (before, after)]
        assert width[1] == pytest.approx(width[0], rel=0.35)
        assert np.isfinite(width).all()


def with_other(made, encoder: str = "synthesizer-conditional"):
    """The cohort with a route other for every third study; val patients are taken from train."""
    third = made.vectors["study_key"].unique().sort().gather_every(3).implode()
    other = made.vectors.filter(pl.col("study_key").is_in(third), route="t1").with_columns(
        route=pl.lit("other"), encoder=pl.lit(encoder), model_version=pl.lit("m-other")
    )
    made.vectors = pl.concat([made.vectors, other])
    train = made.splits.filter(split="train")["patient_key"].sort().gather_every(4).implode()
    made.splits = made.splits.with_columns(
        split=pl.when(pl.col("patient_key").is_in(train)).then(pl.lit("val")).otherwise("split")
    )
    return made


def test_vectors_that_saw_the_train_reports_have_no_cross_validation(cohort):
    made = with_other(cohort(patients=160, signal=1.5))
    copy = made.vectors.with_columns(encoder=pl.lit("pixel_pca")).select(*BASELINES)
    settings = SETTINGS.model_copy(update={"baselines": ("pixel_pca",)})
    tables = evaluate(made, baselines=copy, settings=settings)
    for name in ("other", "all"):
        row = one(tables.metrics, "canal", name, "cv")
        assert (row["status"], row["auroc"]) == ("not_evaluable", None)
        assert row["reason"] == (
            "the reports of the train patients were in the training of the encoder of other: only test is evaluable"
        )
        assert one(tables.metrics, "canal", name, "test")["status"] == "evaluated"
        assert one(tables.metrics, "canal", name, "test")["threshold"] is not None
        shown = tables.predictions.filter(encoder="spinefm", sequence_set=name)
        assert set(shown["evaluation"]) == {"seen", "val", "test"}
        split = dict(made.splits.select("patient_key", "split").iter_rows())
        assert {split[key] for key in shown.filter(evaluation="val")["patient_key"]} == {"val"}
        assert {split[key] for key in shown.filter(evaluation="seen")["patient_key"]} == {"train"}
        assert one(tables.metrics, "canal", name, "cv", "pixel_pca")["status"] == "evaluated"
    for name in ("t1", "t2"):
        assert one(tables.metrics, "canal", name, "cv")["status"] == "evaluated"
        assert set(tables.predictions.filter(sequence_set=name)["evaluation"]) == {"cv", "test"}


def test_other_vectors_of_an_encoder_of_images_alone_keep_their_cross_validation(cohort):
    metrics = evaluate(with_other(cohort(patients=160, signal=1.5), "dinov3-other")).metrics
    assert one(metrics, "canal", "all", "cv")["status"] == "evaluated"


def test_a_synthesizer_of_test_studies_alone_leaves_cross_validation_alone(cohort):
    made = with_other(cohort(patients=160, signal=1.5))
    test = made.splits.filter(split="test")["patient_key"].implode()
    own = made.labels.filter(pl.col("patient_key").is_in(test))["study_key"].unique().implode()
    vectors = made.vectors.filter((pl.col("route") != "other") | pl.col("study_key").is_in(own))
    assert one(evaluate(made, vectors=vectors).metrics, "canal", "all", "cv")["status"] == "evaluated"
