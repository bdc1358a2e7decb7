"""A planted difference is found, none is found where there is none, and every variant sees the same studies."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from spine_models.config import ProbeSettings
from spine_models.findings.ablations.scores import score_ablations
from spine_models.findings.ablations.tables import SCORES, VECTORS
from spine_models.findings.ablations.variants import Question, snapshot_name, step_of
from spine_models.findings.ablations.vectors import stored_studies
from spine_models.findings.probes.evaluate import fit_set, train_folds
from spine_models.findings.probes.scores import auroc, average_precision, patient_draws
from spine_models.findings.probes.studies import ProbeInputError, study_labels

SETTINGS = ProbeSettings(bootstrap=200, regularisation=(1e-2, 1e-1))


def variant(made, name: str, *, noise: float = 0.0, seed: int = 0, question=Question.GRAM) -> pl.DataFrame:
    """The cohort's vectors under a variant's name, with noise of so many deviations."""
    rng = np.random.default_rng(seed)
    vectors = [(np.array(v) + noise * rng.normal(size=len(v))).tolist() for v in made.vectors["vector"]]
    return made.vectors.with_columns(
        question=pl.lit(question.value),
        variant=pl.lit(name),
        model_version=pl.lit("v"),
        vector=pl.Series(vectors, dtype=pl.List(pl.Float32)),
    ).select(*VECTORS)


def scored(made, *frames: pl.DataFrame) -> pl.DataFrame:
    return score_ablations(pl.concat(frames), made.labels, made.splits, settings=SETTINGS)


def row(scores: pl.DataFrame, **where: object) -> dict:
    found = scores.filter(**where).to_dicts()
    assert len(found) == 1
    return found[0]


def test_a_part_that_helps_has_a_gain_above_zero(cohort):
    made = cohort(patients=160, signal=2.0)
    scores = scored(made, variant(made, "with_gram"), variant(made, "without_gram", noise=3.0))
    assert scores.schema == SCORES
    place = {"question": "gram", "sequence_set": "all", "evaluation": "cv", "measure": "auroc"}
    worse = row(scores, variant="without_gram", **place)
    better = row(scores, variant="with_gram", **place)
    assert better["is_reference"]
    assert better["difference"] is None
    assert worse["difference_low"] > 0
    assert worse["relative_gain_low"] > 0
    assert worse["difference"] == pytest.approx(better["value"] - worse["value"])
    assert worse["relative_gain"] == pytest.approx(better["value"] / worse["value"] - 1)
    assert worse["low"] < worse["value"] < worse["high"]
    assert worse["conditions"] == better["conditions"] == 2
    # Both sides by a plain loop: the same draws, AUROCs of scikit-learn, plain means where no class is missing.
    truth = study_labels(made.labels, made.splits)
    frames = {
        "with_gram": variant(made, "with_gram"),
        "without_gram": variant(made, "without_gram", noise=3.0),
    }
    drawn = {}
    for name, frame in frames.items():
        fitted = fit_set(frame, "all", truth, train_folds(truth, SETTINGS), SETTINGS)
        rows = fitted.rows[fitted.train]
        keys, members = np.unique(truth.patient_keys[rows], return_inverse=True)
        draws = patient_draws(len(keys), SETTINGS.bootstrap, (SETTINGS.seed, 0))[:, members]
        known = [c for c in range(17) if np.isfinite(fitted.result.held_out[:, c]).all()]
        drawn[name] = [
            np.mean(
                [
                    roc_auc_score(truth.labels[rows, c], fitted.result.held_out[:, c], sample_weight=weight)
                    for c in known
                ]
            )
            for weight in draws
        ]
    apart = np.array(drawn["with_gram"]) - np.array(drawn["without_gram"])
    assert (worse["difference_low"], worse["difference_high"]) == pytest.approx(
        np.percentile(apart, (2.5, 97.5))
    )
    gains = np.array(drawn["with_gram"]) / np.array(drawn["without_gram"]) - 1
    assert (worse["relative_gain_low"], worse["relative_gain_high"]) == pytest.approx(
        np.percentile(gains, (2.5, 97.5))
    )


def test_the_same_vectors_under_another_name_differ_by_nothing(cohort):
    made = cohort(patients=120, signal=1.0)
    scores = scored(made, variant(made, "with_gram"), variant(made, "without_gram"))
    twin = scores.filter(~pl.col("is_reference"))
    assert twin["difference"].abs().max() < 1e-12
    assert twin["difference_low"].abs().max() < 1e-12


def test_values_are_those_of_the_probes_on_the_common_studies(cohort):
    made = cohort(patients=120, signal=1.0)
    whole = variant(made, "with_gram")
    missing = whole["study_key"].unique().sort()[:10]
    part = variant(made, "without_gram", noise=1.0, seed=3).filter(
        ~pl.col("study_key").is_in(missing.implode())
    )
    place = {"question": "gram", "sequence_set": "t1", "evaluation": "test", "measure": "auroc"}
    found = row(scored(made, whole, part), variant="with_gram", **place)
    truth = study_labels(made.labels, made.splits)
    fitted = fit_set(whole, "t1", truth, train_folds(truth, SETTINGS), SETTINGS)
    studies = fitted.vectors.study_keys[fitted.test]
    held = ~np.isin(studies, missing.to_numpy())
    labels = truth.labels[fitted.rows[fitted.test]][held]
    chances = fitted.result.heads.probabilities(fitted.vectors.values[fitted.test])[held]
    expected = [
        roc_auc_score(labels[:, c], chances[:, c]) for c in range(17) if np.isfinite(chances[:, c]).all()
    ]
    assert found["n_studies"] == held.sum()
    assert found["value"] == pytest.approx(np.mean(expected))


def test_what_was_trained_with_the_reports_is_judged_by_test_patients_alone(cohort):
    made = cohort(patients=120, signal=1.0)
    names = ("tri_modal", "bi_modal", "plain_concatenation")
    scores = scored(made, *(variant(made, name, question=Question.ALIGNMENT) for name in names))
    assert scores["evaluation"].unique().to_list() == ["test"]
    assert scores["variant"].n_unique() == 3


def test_a_question_without_its_reference_or_without_variants_has_no_rows(cohort):
    made = cohort(patients=60)
    assert scored(made, variant(made, "without_gram")).is_empty()
    assert scored(made, variant(made, "with_gram")).is_empty()


def test_too_few_patients_give_a_reason_and_no_number(cohort):
    made = cohort(patients=60, prevalence={"canal": 0.02})
    scores = scored(made, variant(made, "with_gram"), variant(made, "without_gram"))
    assert scores["value"].null_count() == scores.height > 0
    assert scores["reason"].null_count() == 0


def test_a_study_twice_is_refused(cohort):
    made = cohort(patients=60)
    twice = pl.concat([variant(made, "with_gram")] * 2)
    with pytest.raises(ProbeInputError, match="two vectors"):
        scored(made, twice, variant(made, "without_gram"))


def test_a_snapshot_knows_its_step():
    assert step_of(snapshot_name(1500)) == 1500
    assert step_of("anchored") is None
    assert step_of("step_by_step") is None


def test_gates_that_saw_the_train_reports_are_judged_by_test_patients_alone(cohort):
    made = cohort(patients=120, signal=1.0)
    made.vectors = made.vectors.filter(route="t1").with_columns(route=pl.lit("other"))
    names = ("conditional", "scalar")
    scores = scored(made, *(variant(made, name, question=Question.SYNTHESIZER) for name in names))
    assert scores["evaluation"].unique().to_list() == ["test"]
    assert scores["value"].null_count() == 0


def test_a_variant_of_two_models_is_refused(cohort):
    made = cohort(patients=60)
    first = pl.int_range(pl.len()) < 20
    mixed = variant(made, "without_gram").with_columns(
        model_version=pl.when(first).then(pl.lit("v")).otherwise(pl.lit("w"))
    )
    with pytest.raises(ProbeInputError, match=r"ablations/vectors of without_gram.*model_version.*\(v, w\)"):
        scored(made, variant(made, "with_gram"), mixed)
    with pytest.raises(ProbeInputError, match=r"embeddings/studies.*preprocessing_version.*\(p1, p2\)"):
        stored_studies(
            made.vectors.with_columns(
                preprocessing_version=pl.when(first).then(pl.lit("p1")).otherwise(pl.lit("p2"))
            ),
            Question.GRAM,
            "with_gram",
        )


def over_conditions(score, labels, probabilities, chosen, weights) -> tuple[float, np.ndarray]:
    """Plain transcription: every condition's replicates as deviations from its value, then their mean."""
    points, apart = [], []
    for c in chosen:
        used = labels[:, c] >= 0
        points.append(float(score(labels[used, c], probabilities[used, c])[0]))
        apart.append(score(labels[used, c], probabilities[used, c], weights[:, used]) - points[-1])
    stack = np.stack(apart)
    known = np.isfinite(stack)
    total = np.where(known, stack, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return float(np.mean(points)), float(np.mean(points)) + mean


def test_numbers_are_those_of_a_plain_transcription_to_the_last_bit(cohort):
    made = cohort(patients=90, signal=1.0, prevalence={"canal": 0.3, "edema": 0.5, "neuroforaminal": 0.4})
    frames = {
        "with_gram": variant(made, "with_gram"),
        "without_gram": variant(made, "without_gram", noise=2.0),
    }
    scores = scored(made, *frames.values())
    truth = study_labels(made.labels, made.splits)
    fitted = {
        name: fit_set(frame, "t2", truth, train_folds(truth, SETTINGS), SETTINGS)
        for name, frame in frames.items()
    }
    rows = fitted["with_gram"].rows[fitted["with_gram"].test]
    keys, members = np.unique(truth.patient_keys[rows], return_inverse=True)
    weights = patient_draws(len(keys), SETTINGS.bootstrap, (SETTINGS.seed, 1))[:, members].astype(np.float64)
    for measure, score in (("auroc", auroc), ("auprc", average_precision)):
        held = []
        for found in fitted.values():
            chances = found.result.heads.probabilities(found.vectors.values[found.test])
            chosen = [c for c in range(17) if np.isfinite(chances[:, c]).all()]
            assert len(chosen) == 3
            held.append(over_conditions(score, truth.labels[rows], chances, chosen, weights))
        (ours, mine), (theirs, rival) = held
        found = row(
            scores,
            variant="without_gram",
            sequence_set="t2",
            evaluation="test",
            measure=measure,
            question="gram",
        )
        assert (found["value"], found["difference"]) == (theirs, ours - theirs)
        assert (found["low"], found["high"]) == tuple(np.percentile(rival, (2.5, 97.5)))
        apart = tuple(np.percentile(mine - rival, (2.5, 97.5)))
        assert (found["difference_low"], found["difference_high"]) == apart
        gain = tuple(np.percentile(mine / rival - 1, (2.5, 97.5)))
        assert (found["relative_gain_low"], found["relative_gain_high"]) == gain
