"""Means over the same conditions, paired differences on the same studies, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from spine_models.config import ProbeSettings
from spine_models.findings.probes.delong import delong
from spine_models.findings.probes.evaluate import evaluate_probes
from spine_models.findings.probes.scores import patient_draws
from spine_models.findings.probes.tables import BASELINES, COMPARISONS, SUMMARY

SETTINGS = ProbeSettings(bootstrap=120, regularisation=(1e-2,), baselines=("random_init", "pixel_pca"))


def noisy(vectors: pl.DataFrame, encoder: str, noise: float, seed: int = 0) -> pl.DataFrame:
    """The same vectors as a baseline, with noise on top."""
    rng = np.random.default_rng(seed)
    moved = [(np.array(v) + noise * rng.normal(size=len(v))).tolist() for v in vectors["vector"]]
    column = pl.Series("vector", moved, dtype=pl.List(pl.Float32))
    return vectors.with_columns(column, encoder=pl.lit(encoder)).select(*BASELINES)


@pytest.fixture(scope="module")
def made():
    from tests.findings.conftest import make_cohort

    return make_cohort(patients=120, signal=1.5)


@pytest.fixture(scope="module")
def baselines(made):
    return pl.concat([noisy(made.vectors, "random_init", 5.0), noisy(made.vectors, "pixel_pca", 1.0)])


@pytest.fixture(scope="module")
def tables(made, baselines):
    return evaluate_probes(made.vectors, baselines, made.labels, made.splits, settings=SETTINGS)


def pick(frame: pl.DataFrame, **where) -> dict:
    condition = where.pop("condition", "-")
    rows = frame.filter(**where)
    if condition != "-":
        rows = rows.filter(pl.col("condition").eq_missing(pl.lit(condition, pl.String)))
    assert rows.height == 1, rows
    return rows.to_dicts()[0]


ALL_TEST = {"sequence_set": "all", "evaluation": "test"}


def test_the_summary_is_the_mean_of_the_metrics(tables):
    assert tables.summary.schema == SUMMARY
    assert tables.summary.height == 3 * 4 * 2
    row = pick(tables.summary, encoder="spinefm", **ALL_TEST)
    assert row["conditions"] == ["canal", "edema"]
    assert row["n_conditions"] == 2
    metrics = tables.metrics.filter(encoder="spinefm", status="evaluated", **ALL_TEST)
    assert row["auroc"] == pytest.approx(metrics["auroc"].mean())
    assert row["auprc"] == pytest.approx(metrics["auprc"].mean())
    assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
    assert row["n_studies"] == metrics["n_studies"].max()
    none = pick(tables.summary, encoder="spinefm", sequence_set="other", evaluation="cv")
    assert (none["status"], none["reason"]) == (
        "not_evaluable", "no study has vectors of this encoder and sequence set",
    )  # fmt: skip


def test_differences_are_paired_by_patient(tables, made):
    """The interval of a difference, by resampling patients by hand."""
    shown = {
        encoder: tables.predictions.filter(encoder=encoder, **ALL_TEST).sort("study_key")
        for encoder in ("spinefm", "pixel_pca")
    }
    patients = np.unique(made.splits.filter(split="test")["patient_key"].to_numpy())
    draws = patient_draws(len(patients), 120, (0, 1))
    values, areas = {}, {}
    for encoder, frame in shown.items():
        parts = [frame.filter(condition=condition) for condition in ("canal", "edema")]
        for metric, score in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
            of = []
            for draw in [np.ones(len(patients)), *draws]:
                weights = [draw[np.searchsorted(patients, p["patient_key"].to_numpy())] for p in parts]
                of.append(
                    [
                        score(p["label"], p["probability"], sample_weight=w)
                        for p, w in zip(parts, weights, strict=True)
                    ]
                )
            values[encoder, metric] = np.array(of)
        areas[encoder] = parts[0]
    for metric in ("auroc", "auprc"):
        first, second = (values[encoder, metric] for encoder in ("spinefm", "pixel_pca"))
        for condition, take in ((None, lambda v: v.mean(axis=1)), ("canal", lambda v: v[:, 0])):
            row = pick(
                tables.comparisons, encoder="spinefm", against="pixel_pca", metric=metric, condition=condition,
                **ALL_TEST,
            )  # fmt: skip
            mine, other = take(first), take(second)
            differences, gains = mine - other, mine / other - 1
            assert (row["value"], row["against_value"]) == pytest.approx((mine[0], other[0]))
            low, high = np.percentile(differences[1:], [2.5, 97.5])
            assert (row["difference"], row["difference_low"], row["difference_high"]) == pytest.approx(
                (differences[0], low, high), abs=1e-9
            )
            low, high = np.percentile(gains[1:], [2.5, 97.5])
            assert (row["relative_gain"], row["relative_gain_low"], row["relative_gain_high"]) == (
                pytest.approx((gains[0], low, high), abs=1e-9)
            )
            tail = min((differences[1:] <= 0).sum(), (differences[1:] >= 0).sum())
            assert row["p_bootstrap"] == pytest.approx(min(1, 2 * (1 + tail) / 121))
    canal = {name: frame.filter(condition="canal") for name, frame in shown.items()}
    row = pick(
        tables.comparisons, encoder="spinefm", against="pixel_pca", metric="auroc", condition="canal", **ALL_TEST
    )  # fmt: skip
    expected = delong(
        canal["spinefm"]["label"].to_numpy(),
        canal["spinefm"]["probability"].to_numpy(),
        canal["pixel_pca"]["probability"].to_numpy(),
        np.unique(canal["spinefm"]["patient_key"].to_numpy(), return_inverse=True)[1],
    )
    assert row["p_delong"] == pytest.approx(expected[2])


def test_the_best_baseline_is_the_one_of_the_highest_mean(tables):
    rows = tables.comparisons.filter(pl.col("condition").is_null() & (pl.col("sequence_set") == "all"))
    for (evaluation, metric), part in rows.group_by("evaluation", "metric"):
        best = part.filter("best_baseline")
        assert best["against"].to_list() == ["pixel_pca"], (evaluation, metric)
        assert best["against_value"][0] == part["against_value"].max()


def test_every_condition_and_pair_has_its_row_or_its_reason(tables):
    assert tables.comparisons.schema == COMPARISONS
    # Two baselines; a mean and 17 conditions; two metrics; four sets; two evaluations.
    assert tables.comparisons.height == 2 * 18 * 2 * 4 * 2
    row = pick(
        tables.comparisons, encoder="spinefm", against="pixel_pca", metric="auroc", condition="pars", **ALL_TEST
    )  # fmt: skip
    assert (row["status"], row["difference"]) == ("not_evaluable", None)
    assert row["reason"] == "0 positive patients in train, at least 5 are needed"
    absent = tables.comparisons.filter(status="not_evaluable")
    assert absent["reason"].null_count() == 0
    assert tables.comparisons.filter(status="evaluated")["difference"].is_not_null().all()


def test_the_same_vectors_differ_in_nothing(made):
    copy = noisy(made.vectors, "pixel_pca", 0.0)
    settings = SETTINGS.model_copy(update={"baselines": ("pixel_pca",)})
    found = evaluate_probes(made.vectors, copy, made.labels, made.splits, settings=settings).comparisons
    for row in found.filter(status="evaluated").iter_rows(named=True):
        assert (row["difference"], row["difference_low"], row["difference_high"]) == (0, 0, 0)
        assert row["p_bootstrap"] == 1.0
        assert row["p_delong"] in (None, 1.0)


def test_encoders_are_compared_on_the_studies_that_both_have(made, baselines, tables):
    studies = made.vectors["study_key"].unique().sort()
    gone = studies.gather_every(5).implode()
    kept = baselines.filter(~pl.col("study_key").is_in(gone))
    found = evaluate_probes(made.vectors, kept, made.labels, made.splits, settings=SETTINGS)
    where = {"encoder": "spinefm", "against": "pixel_pca", "metric": "auroc", "condition": "canal"} | ALL_TEST
    row = pick(found.comparisons, **where)
    both = found.predictions.filter(
        ~pl.col("study_key").is_in(gone), encoder="spinefm", condition="canal", **ALL_TEST
    )
    assert row["n_studies"] == both.height < pick(tables.comparisons, **where)["n_studies"]
    assert row["value"] == pytest.approx(roc_auc_score(both["label"], both["probability"]))


def test_an_encoder_that_lacks_a_condition_takes_it_from_all(made, baselines):
    """Few studies of one encoder carry no probe of the rarer condition: no mean may rest on it."""
    positive = made.labels.filter(condition="edema", label=1)["study_key"].implode()
    lacking = baselines.filter(~((pl.col("encoder") == "pixel_pca") & pl.col("study_key").is_in(positive)))
    found = evaluate_probes(made.vectors, lacking, made.labels, made.splits, settings=SETTINGS).summary
    rows = found.filter(sequence_set="all", evaluation="cv")
    assert rows["conditions"].to_list() == [["canal"]] * 3


def aligned_of(vectors: pl.DataFrame) -> pl.DataFrame:
    rows = vectors.select("study_key", "model_version", "vector", modality="route")
    whole = rows.filter(modality="t1").with_columns(modality=pl.lit("study"), model_version=pl.lit("s"))
    return pl.concat([rows, whole, whole.with_columns(modality=pl.lit("report"))])


def test_aligned_vectors_are_evaluable_on_test_alone(made, baselines):
    found = evaluate_probes(
        made.vectors, baselines, made.labels, made.splits, settings=SETTINGS, aligned=aligned_of(made.vectors)
    )
    mine = found.metrics.filter(encoder="spinefm_aligned", condition="canal")
    cv = mine.filter(evaluation="cv", sequence_set="all").to_dicts()[0]
    assert cv["reason"].startswith("the reports of the train patients were in the alignment's training")
    assert cv["threshold"] is None
    assert found.predictions.filter(encoder="spinefm_aligned", evaluation="cv").is_empty()
    test = mine.filter(evaluation="test")
    assert dict(test.select("sequence_set", "status").iter_rows()) == {
        "t1": "evaluated", "t2": "evaluated", "other": "not_evaluable", "all": "evaluated",
    }  # fmt: skip
    # The others are compared in cross-validation as if it were not there.
    assert pick(found.summary, encoder="spinefm", sequence_set="all", evaluation="cv")["n_conditions"] == 2
    pairs = found.comparisons.filter(metric="auroc", **ALL_TEST).filter(pl.col("condition").is_null())
    assert pairs.select("encoder", "against").rows() == [
        ("spinefm", "spinefm_aligned"), ("spinefm", "random_init"), ("spinefm", "pixel_pca"),
        ("spinefm_aligned", "random_init"), ("spinefm_aligned", "pixel_pca"),
    ]  # fmt: skip
    cv = pick(
        found.comparisons, encoder="spinefm", against="spinefm_aligned", metric="auroc", condition=None,
        sequence_set="all", evaluation="cv",
    )  # fmt: skip
    assert cv["status"] == "not_evaluable"
    assert "only test is evaluable" in cv["reason"]
