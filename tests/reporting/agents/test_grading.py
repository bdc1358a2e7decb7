"""Severity: said where it was shown to be better than chance on held-out patients, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from spine_models.config.reporting.agents import GradingSettings
from spine_models.corpus.labels.tables import CONSENSUS
from spine_models.findings.embeddings.tables import STUDIES
from spine_models.reporting.agents import AgentsError, fit_grading, load_grading
from spine_models.reporting.agents.grading_fit import balanced_accuracy
from spine_models.reporting.agents.tables import GRADINGS

SETTINGS = GradingSettings(bootstrap=200, regularisation=(0.001, 0.01, 0.1))
GRADES = ("mild", "moderate", "severe")


def cohort(
    patients: int = 120, *, signal: float = 3.0, seed: int = 0, test_patients: int = 30, dim: int = 10
):
    """Canal graded along a number of the vectors, herniation at random, pars always mild; all conditions present."""
    rng = np.random.default_rng(seed)
    vectors, labels, splits, truth = [], [], [], {}
    for n in range(patients):
        split = "test" if n < test_patients else "train"
        splits.append({"patient_key": f"p{n}", "split": split})
        ids = {"patient_key": f"p{n}", "study_key": f"s{n:03d}"}
        grade = int(rng.integers(3))
        truth[ids["study_key"]] = GRADES[grade]
        for route in ("t1", "t2", "other"):
            if route == "t1" and n % 7 == 0:
                continue
            vector = rng.normal(size=dim)
            vector[0] += signal * grade if route == "t2" else 0.0
            encoder = "synthesizer-conditional" if route == "other" else f"dinov3-{route}"
            # The synthesizer's vectors tell the severity outright: the train reports were in its training.
            vector[1] += 50.0 * grade if route == "other" else 0.0
            vectors.append(
                ids | {"route": route, "encoder": encoder, "model_version": f"v-{route}", "vector": vector.tolist()}
                | {"preprocessing_version": "pp"}
            )  # fmt: skip
        for condition, said in (
            ("canal", GRADES[grade]),
            ("herniation", GRADES[int(rng.integers(3))]),
            ("pars", "mild"),
            ("edema", None),
        ):
            labels.append(ids | {"condition": condition, "label": 1, "severity": said})
    fill = lambda rows, schema: pl.DataFrame([{c: r.get(c) for c in schema} for r in rows], schema=schema)  # noqa: E731
    return fill(vectors, STUDIES), fill(labels, CONSENSUS), pl.DataFrame(splits), truth


@pytest.fixture(scope="module")
def made():
    return cohort()


@pytest.fixture(scope="module")
def fitted(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grading")
    vectors, labels, splits, _ = made
    return folder, fit_grading(vectors, labels, splits, settings=SETTINGS, out=folder)


def test_each_condition_is_graded_or_says_why_not(fitted):
    _, found = fitted
    assert found.table.schema == GRADINGS
    assert found.table.height == 17
    told = {row["condition"]: row for row in found.table.iter_rows(named=True)}
    canal = told["canal"]
    assert (canal["status"], canal["reason"], canal["grades"]) == ("used", None, list(GRADES))
    assert canal["low"] > canal["chance"] == pytest.approx(1 / 3)
    assert sum(canal["counts"]) == canal["n_studies"] == canal["n_patients"] == 90
    assert told["herniation"]["status"] == "not_used"
    assert "no better than chance" in told["herniation"]["reason"]
    assert told["herniation"]["low"] <= 1 / 3
    assert (
        told["pars"]["reason"]
        == "fewer than two grades with 8 train patients (mild 90, moderate 0, severe 0)"
    )
    assert told["edema"]["reason"] == "no report of a train patient grades it"
    assert set(found.table["grading_version"]) == {found.card["grading_version"]}


def test_test_patients_are_graded_better_than_chance_and_by_t1_and_t2_alone(made, fitted):
    vectors, _, splits, truth = made
    grading = load_grading(fitted[0])
    test = splits.filter(split="test")["patient_key"].implode()
    said = grading.grade(vectors.filter(pl.col("patient_key").is_in(test)))
    assert {condition for _, condition in said} == {"canal"}
    assert np.mean([said[study, "canal"] == truth[study] for study, _ in said]) > 0.6
    assert set(grading.model_versions) == {"t1", "t2"}
    without = vectors.filter(pl.col("patient_key").is_in(test), pl.col("route") != "other")
    assert grading.grade(without) == said


def test_labels_of_test_patients_change_nothing(made, fitted, tmp_path):
    vectors, labels, splits, _ = made
    test = splits.filter(split="test")["patient_key"].implode()
    told = pl.when(pl.col("patient_key").is_in(test)).then(pl.lit("severe")).otherwise("severity")
    again = fit_grading(vectors, labels.with_columns(severity=told), splits, settings=SETTINGS, out=tmp_path)
    assert again.table.equals(fitted[1].table)


def test_without_a_signal_nothing_is_graded(tmp_path):
    vectors, labels, splits, _ = cohort(signal=0.0, seed=3)
    found = fit_grading(vectors, labels, splits, settings=SETTINGS, out=tmp_path)
    assert set(found.table["status"]) == {"not_used"}
    assert load_grading(tmp_path).grade(vectors) == {}


def test_without_a_graded_report_there_is_an_empty_grading(made, tmp_path):
    vectors, labels, splits, _ = made
    found = fit_grading(vectors, labels.clear(), splits, settings=SETTINGS, out=tmp_path)
    assert set(found.table["reason"]) == {"no report of a train patient grades it"}
    assert load_grading(tmp_path).grade(vectors) == {}


def test_equal_input_gives_equal_files(made, fitted, tmp_path):
    vectors, labels, splits, _ = made
    again = fit_grading(
        vectors.reverse(), labels.reverse(), splits.reverse(), settings=SETTINGS, out=tmp_path
    )
    assert again.card == fitted[1].card
    assert (tmp_path / "grading.safetensors").read_bytes() == (fitted[0] / "grading.safetensors").read_bytes()


def test_another_encoder_and_a_changed_file_are_refused(made, fitted, tmp_path):
    vectors, *_ = made
    folder, _ = fitted
    with pytest.raises(
        AgentsError, match=r"fitted on encoder version v-t1.*materialise agents/grading again"
    ):
        load_grading(folder).grade(vectors.with_columns(model_version=pl.lit("newer")))
    with pytest.raises(AgentsError, match="materialise agents/grading first"):
        load_grading(tmp_path)
    card = json.loads((folder / "card.json").read_text())
    card["conditions"]["canal"]["grades"].reverse()
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "grading.safetensors").write_bytes((folder / "grading.safetensors").read_bytes())
    with pytest.raises(AgentsError, match="does not match its card"):
        load_grading(tmp_path)


def test_balanced_accuracy_is_the_mean_recall_and_draws_whole_patients():
    truth = np.array([0, 0, 0, 0, 1, 1, 2])
    said = np.array([0, 0, 0, 1, 1, 0, 2])
    patients = np.array(list("aabcdde"))
    value, low, high = balanced_accuracy(truth, said, patients, SETTINGS)
    assert value == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert low <= value <= high
    # Both studies of grade 1 are one patient's, so their recall never varies.
    assert high <= (1 + 1 / 2 + 1) / 3 + 1e-9
