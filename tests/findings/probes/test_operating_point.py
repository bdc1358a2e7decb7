"""Whose predictions choose the operating threshold, and that a new patient's negatives keep its specificity."""

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings
from spine_models.domain import Split
from spine_models.findings.probes.bootstrap import operating_threshold
from spine_models.findings.probes.evaluate import evaluate_probes
from spine_models.findings.probes.heads import fit_heads, load_heads
from spine_models.findings.probes.judgement import NO_POINT, Judgement, OperatingPoint
from spine_models.findings.probes.studies import StudyLabels

SETTINGS = ProbeSettings(bootstrap=20, regularisation=(1e-2, 1e-1))
SPECIFICITY = SETTINGS.specificity
SEEN_BY = "synthesizer-conditional"


def with_leak(made, *, val: int, leak: float = 4.0, encoder: str = SEEN_BY):
    """Route ``other`` for everybody, whose vectors carry the report of train patients alone, and ``val`` val patients.

    The leak is along a number of its own, by the label of canal: what a train study's own report would add.
    """
    split = dict(made.splits.select("patient_key", "split").iter_rows())
    train = sorted(patient for patient, own in split.items() if own == "train")
    split |= dict.fromkeys(train[:val], "val")
    made.splits = made.splits.with_columns(pl.col("patient_key").replace_strict(split).alias("split"))
    label = dict(made.labels.filter(condition="canal").select("study_key", "label").iter_rows())
    rows = made.vectors.filter(route="t1").to_dicts()
    for row in rows:
        row |= {"route": "other", "encoder": encoder, "model_version": "m-other"}
        told = split[row["patient_key"]] == "train"
        row["vector"] = [
            *row["vector"][:-1],
            row["vector"][-1] + (leak * (label[row["study_key"]] - 0.5) if told else 0.0),
        ]
    made.vectors = pl.concat([made.vectors, pl.DataFrame(rows, schema=made.vectors.schema)])
    return made


def heads_of(made, folder):
    fit_heads(made.vectors, made.labels, made.splits, settings=SETTINGS, out=folder)
    return load_heads(folder)


def kept_specificity(heads, made, threshold: float) -> float:
    """Share of the test patients' negatives of canal that the heads of ``other`` call negative."""
    test = made.splits.filter(split="test")["patient_key"].implode()
    negative = made.labels.filter(pl.col("patient_key").is_in(test), condition="canal", label=0)["study_key"]
    other = made.vectors.filter(pl.col("study_key").is_in(negative.implode()), route="other")
    only = heads.card["layouts"]["other"]
    assert [route for route, _ in only] == ["other"]
    chances = heads.sets["other"].probabilities(np.array(other["vector"].to_list()))
    return float((chances[:, heads.card["conditions"].index("canal")] < threshold).mean())


def told(heads, condition, sequence_set) -> OperatingPoint:
    """What the heads' card says of one head."""
    (head,) = (
        head
        for head in heads.card["heads"]
        if (head["condition"], head["sequence_set"]) == (condition, sequence_set)
    )
    return OperatingPoint(head["threshold"], head["threshold_on"])


def test_the_threshold_of_vectors_that_saw_reports_is_that_of_val_patients_and_keeps_its_specificity(
    cohort, tmp_path
):
    made = with_leak(cohort(patients=400, signal=1.0, test_from=0.5), val=70)
    heads = heads_of(made, tmp_path)
    for name, chosen_on in (("other", "val"), ("all", "val"), ("t1", "cv"), ("t2", "cv")):
        assert told(heads, "canal", name).chosen_on == chosen_on
    predictions = evaluate_probes(made.vectors, None, made.labels, made.splits, settings=SETTINGS).predictions
    predictions = predictions.filter(condition="canal", sequence_set="other")
    chosen = {}
    for part in ("val", "seen"):
        rows = predictions.filter(evaluation=part)
        chosen[part] = operating_threshold(
            rows["label"].to_numpy(), rows["probability"].to_numpy(), SPECIFICITY
        )
    assert told(heads, "canal", "other").threshold == chosen["val"]
    # What train patients held out would have chosen promises nine negatives of ten, and calls far fewer so.
    assert kept_specificity(heads, made, chosen["seen"]) < SPECIFICITY - 0.1
    assert kept_specificity(heads, made, chosen["val"]) > SPECIFICITY - 0.07


def test_metrics_and_heads_tell_the_same_point(cohort, tmp_path):
    made = with_leak(cohort(patients=160, signal=1.0), val=40)
    heads = heads_of(made, tmp_path)
    metrics = evaluate_probes(made.vectors, None, made.labels, made.splits, settings=SETTINGS).metrics
    assert metrics["threshold"].is_null().equals(metrics["threshold_on"].is_null())
    known = metrics.filter(pl.col("threshold").is_not_null())
    assert set(known.select("sequence_set", "threshold_on").rows()) == {
        ("t1", "cv"), ("t2", "cv"), ("other", "val"), ("all", "val"),
    }  # fmt: skip
    for row in known.rows(named=True):
        point = told(heads, row["condition"], row["sequence_set"])
        assert point == (pytest.approx(row["threshold"]), row["threshold_on"])


@pytest.mark.parametrize(("val", "chosen_on"), [(0, "seen"), (8, "seen"), (40, "val")])
def test_too_few_val_patients_leave_it_to_what_saw_the_reports_and_say_so(cohort, tmp_path, val, chosen_on):
    made = with_leak(cohort(patients=160, signal=1.0), val=val)
    point = told(heads_of(made, tmp_path), "canal", "all")
    assert point.chosen_on == chosen_on
    assert 0 < point.threshold < 1


def test_an_encoder_of_images_alone_keeps_its_train_patients(cohort, tmp_path):
    made = with_leak(cohort(patients=160, signal=1.0), val=40, leak=0.0, encoder="dinov3-other")
    assert told(heads_of(made, tmp_path), "canal", "all").chosen_on == "cv"


def judged(n_val: int, *, val_positives: int = 2, studies_a_patient: int = 1, no_cv: str | None = "saw"):
    """One condition: 20 train studies, then val patients of ``studies_a_patient`` negative studies, then positives."""
    n_negative = n_val * studies_a_patient
    owners = [f"v{i // studies_a_patient}" for i in range(n_negative)] + [
        f"w{i}" for i in range(val_positives)
    ]
    patients = np.array([f"t{i}" for i in range(20)] + owners, dtype=object)
    labels = np.zeros((len(patients), 1), np.int8)
    labels[10:20] = 1
    labels[20 + n_negative :] = 1
    split = np.array([Split.TRAIN] * 20 + [Split.VAL] * len(owners), dtype=object)
    truth = StudyLabels(np.arange(len(patients)).astype(str).astype(object), patients, split, labels)
    chances = np.linspace(0.3, 0.7, len(owners))[:, None]
    own = np.arange(20)
    held_out = np.where(labels[:20] == 1, 0.9, 0.1) + 0.001 * own[:, None]
    made = Judgement(
        "spinefm", "linear", "all", own, own[:0], own % 4, held_out, held_out[:0], [None], no_cv,
        np.arange(20, len(patients)), chances,
    )  # fmt: skip
    return made, truth


def test_val_suffices_from_the_patients_that_a_share_of_them_can_be_told_of():
    point = [judged(n)[0].operating_point(judged(n)[1], 0, 0.9).chosen_on for n in (9, 10, 11)]
    assert point == ["seen", "val", "val"]
    made, truth = judged(19)
    assert made.operating_point(truth, 0, 0.95).chosen_on == "seen"
    made, truth = judged(20)
    assert made.operating_point(truth, 0, 0.95).chosen_on == "val"


def test_patients_count_and_not_their_studies():
    made, truth = judged(5, studies_a_patient=4)
    assert made.operating_point(truth, 0, 0.9).chosen_on == "seen"


def test_the_point_is_that_of_the_plain_definition():
    made, truth = judged(20)
    found = made.operating_point(truth, 0, 0.9)
    negatives = made.validated[:20, 0]
    scored = np.sort(made.validated[:, 0])
    wanted = next(t for t in scored if (negatives < t).mean() >= 0.9)
    assert found == OperatingPoint(pytest.approx(wanted), "val")


def test_without_predictions_there_is_no_point():
    made, truth = judged(0, val_positives=0)
    assert made.operating_point(truth, 0, 0.9).chosen_on == "seen"
    for change in ({"unfit": ["too few"]}, {"val": None, "validated": None}):
        other = Judgement(**{**vars(made), **change})
        assert other.operating_point(truth, 0, 0.9) == NO_POINT
    plain, truth = judged(20, no_cv=None)
    assert plain.operating_point(truth, 0, 0.9).chosen_on == "cv"
