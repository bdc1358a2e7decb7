"""Abstention: the promised coverage, in simulation and against the plain definition; who calibrates."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from spine_models.config import StratumSettings
from spine_models.findings.probes.strata.conformal import (
    ABSTAIN,
    Threshold,
    calibrate,
    calibration_rows,
    decide,
    edges,
    measure,
    uncovered,
)
from spine_models.findings.probes.strata.tables import CONFORMAL
from spine_models.findings.probes.studies import ROUTES_OF_SET, ProbeInputError
from spine_models.findings.probes.tables import PREDICTIONS

SETTINGS = StratumSettings(bootstrap=20)


def p_value(of_class: np.ndarray, one: float, sign: int) -> float:
    """The definition: share of calibration studies at least as unlike the class, the study itself included."""
    return (1 + sum(sign * other <= sign * one for other in of_class)) / (len(of_class) + 1)


def simulated(rng: np.random.Generator, n: int, prevalence: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    labels = (rng.random(n) < prevalence).astype(int)
    return labels, 1 / (1 + np.exp(-rng.normal(1.2 * (2 * labels - 1), 1.0)))


def table(
    evaluation: str, labels, chances, *, patients=None, condition="canal", sequence_set="t2"
) -> pl.DataFrame:
    n = len(labels)
    owners = [f"{evaluation}-{i:05d}" for i in range(n)] if patients is None else patients
    given = {
        "study_key": [f"{evaluation}-s{i:05d}" for i in range(n)],
        "patient_key": owners,
        "condition": [condition] * n,
        "encoder": ["spinefm"] * n,
        "sequence_set": [sequence_set] * n,
        "evaluation": [evaluation] * n,
        "fold": [0 if evaluation == "cv" else None] * n,
        "label": list(labels),
        "probability": list(chances),
    }
    if "head" in PREDICTIONS:
        given["head"] = ["linear"] * n
    return pl.DataFrame(given, schema=PREDICTIONS)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.23])
@pytest.mark.parametrize("ties", [False, True])
def test_the_edges_are_the_definition(alpha, ties):
    rng = np.random.default_rng(4)
    labels, chances = simulated(rng, 120)
    chances = np.round(chances, 1) if ties else chances
    threshold = Threshold("canal", "t2", alpha, 1, 1, *edges(labels, chances, alpha))
    asked = np.concatenate([np.linspace(0, 1, 57), chances[:20]])
    present, absent = threshold.sets(asked)
    for i, one in enumerate(asked):
        assert present[i] == (p_value(chances[labels == 1], one, 1) > alpha)
        assert absent[i] == (p_value(chances[labels == 0], one, -1) > alpha)


@pytest.mark.parametrize("alpha", [0.1, 0.2])
def test_coverage_of_either_class_holds_over_many_draws(alpha):
    """Mean coverage of n calibration studies is between 1 - alpha and 1 - alpha + 1 / (n + 1)."""
    rng = np.random.default_rng(7)
    hits, totals = np.zeros(2), np.zeros(2)
    exact = np.zeros(2)
    for _ in range(400):
        labels, chances = simulated(rng, 100)
        threshold = Threshold("canal", "t2", alpha, 1, 1, *edges(labels, chances, alpha))
        # One test study a class and draw: independent trials, so the binomial holds.
        for value in (0, 1):
            shown = simulated(rng, 40)
            chance = shown[1][shown[0] == value][:1]
            if len(chance):
                hits[value] += threshold.sets(chance)[1 - value][0]
                totals[value] += 1
                n = (labels == value).sum()
                exact[value] += 1 - np.floor(alpha * (n + 1)) / (n + 1)
    for value in (0, 1):
        low, high = binom.interval(0.999, totals[value], exact[value] / totals[value])
        assert low <= hits[value] <= high
    # The bounds are narrow enough to notice coverage that is missed by five points.
    assert not low <= (1 - alpha - 0.08) * totals[1] <= high


def test_measured_coverage_agrees_with_the_promise_on_test_patients():
    rng = np.random.default_rng(1)
    cv, test = simulated(rng, 1500), simulated(rng, 1500)
    predictions = pl.concat([table("cv", *cv), table("test", *test)])
    thresholds = calibrate(predictions, SETTINGS)
    assert [(one.condition, one.sequence_set) for one in thresholds] == [("canal", "t2")]
    measured = measure(predictions, thresholds, SETTINGS)
    assert measured.schema == CONFORMAL
    assert measured.height == 17 * len(ROUTES_OF_SET)
    row = measured.filter(status="evaluated").row(0, named=True)
    for side in ("positive", "negative"):
        assert row[f"coverage_{side}_low"] <= 0.9 <= row[f"coverage_{side}_high"]
    assert row["n_positive"] + row["n_negative"] == 1500
    present, absent = thresholds[0].sets(test[1])
    decided = present != absent
    assert row["abstained"] == pytest.approx(1 - decided.mean())
    assert row["accuracy"] == pytest.approx((present == (test[0] == 1))[decided].mean())
    assert uncovered(measured).is_empty()
    rest = measured.filter(status="not_evaluable")
    assert set(rest["reason"]) == {"no held-out probabilities: too few patients for a head"}


def test_a_shifted_test_set_is_found_out():
    rng = np.random.default_rng(2)
    cv, (labels, chances) = simulated(rng, 800), simulated(rng, 800)
    predictions = pl.concat([table("cv", *cv), table("test", labels, chances * 0.5)])
    measured = measure(predictions, calibrate(predictions, SETTINGS), SETTINGS)
    assert measured.filter(status="evaluated")["coverage_positive_high"].item() < 0.9
    assert uncovered(measured)["side"].to_list() == ["positive"]


def test_chance_alone_is_hardly_ever_called_a_failure():
    """Small calibration sets move coverage far; the bound knows of it."""
    alarms, below = 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        predictions = pl.concat([table("cv", *simulated(rng, 60)), table("test", *simulated(rng, 60))])
        measured = measure(predictions, calibrate(predictions, SETTINGS), SETTINGS)
        alarms += uncovered(measured).height
        below += (measured["coverage_positive"] < 0.8).sum()
    assert alarms <= 2
    assert below > 5


def test_a_smaller_error_rate_never_abstains_less():
    labels, chances = simulated(np.random.default_rng(3), 400)
    shares = []
    for alpha in (0.02, 0.05, 0.1):
        threshold = Threshold("canal", "t2", alpha, 99, 99, *edges(labels, chances, alpha))
        shares.append(np.mean([d == ABSTAIN for d in decide(threshold, chances)[0]]))
    assert shares[0] >= shares[1] >= shares[2]
    assert shares[0] > shares[2]


def test_too_few_positives_always_abstain_and_say_so():
    labels = np.array([1] * 8 + [0] * 100)
    chances = np.linspace(1, 0, 108)
    predictions = pl.concat([table("cv", labels, chances), table("test", labels, chances)])
    (threshold,) = calibrate(predictions, SETTINGS)
    reason = "8 positive calibration patients, at least 9 are needed for an error rate of 0.1"
    assert threshold.present_from is None
    assert decide(threshold, np.array([0.0, 1.0])) == ([ABSTAIN] * 2, [reason] * 2)
    row = (
        measure(predictions, [threshold], SETTINGS)
        .filter(pl.col("abstained").is_not_null())
        .row(0, named=True)
    )
    assert (row["status"], row["reason"], row["abstained"]) == (
        "not_evaluable",
        f"always abstains: {reason}",
        1.0,
    )
    nine = np.append(1, labels)
    (enough,) = calibrate(table("cv", nine, np.append(1.0, chances)), SETTINGS)
    assert enough.reason is None


def test_both_and_neither_abstain_for_different_reasons():
    overlapping = Threshold("canal", "t2", 0.1, 50, 50, 0.3, 0.6)
    decisions, reasons = decide(overlapping, np.array([0.1, 0.45, 0.9]))
    assert decisions == ["absent", "abstain", "present"]
    assert reasons[0] is reasons[2] is None
    assert "neither present nor absent can be ruled out" in reasons[1]
    apart = Threshold("canal", "t2", 0.1, 50, 50, 0.6, 0.3)
    decisions, reasons = decide(apart, np.array([0.1, 0.45, 0.9]))
    assert decisions == ["absent", "abstain", "present"]
    assert "unusual" in reasons[1]


def test_one_study_a_patient_calibrates():
    """A patient with a hundred studies must not outweigh a hundred patients."""
    rng = np.random.default_rng(5)
    labels, chances = simulated(rng, 200)
    owners = [f"p{i}" for i in range(100)] + ["crowd"] * 100
    rows = table("cv", labels, chances, patients=owners)
    ((_, _, drawn),) = calibration_rows(rows, SETTINGS)
    assert drawn.height == drawn["patient_key"].n_unique() == 101
    again = calibration_rows(rows.sample(fraction=1.0, shuffle=True, seed=3), SETTINGS)[0][2]
    assert again.equals(drawn)
    other = calibration_rows(rows, SETTINGS.model_copy(update={"seed": 1}))[0][2]
    assert (
        other.filter(patient_key="crowd")["study_key"][0] != drawn.filter(patient_key="crowd")["study_key"][0]
    )


def test_a_test_patient_never_calibrates():
    rows = table("cv", [0, 1] * 20, np.linspace(0, 1, 40))
    both = pl.concat([rows, rows.head(1).with_columns(evaluation=pl.lit("test"))])
    with pytest.raises(ProbeInputError, match="out of fold and as a test patient"):
        calibrate(both, SETTINGS)


def test_only_our_own_linear_heads_calibrate():
    rows = table("cv", [0, 1] * 20, np.linspace(0, 1, 40))
    assert calibrate(rows.with_columns(encoder=pl.lit("pixel_pca")), SETTINGS) == []
    assert calibrate(rows.clear(), SETTINGS) == []
    assert measure(rows.clear(), [], SETTINGS).height == 17 * len(ROUTES_OF_SET)


def test_vectors_that_saw_reports_are_guarded_by_val_patients_where_these_suffice():
    rng = np.random.default_rng(7)
    seen, few, many = (simulated(rng, n) for n in (200, 12, 120))
    calibrated = {}
    for name, val in (("few", few), ("many", many)):
        rows = pl.concat([table("seen", *seen), table("val", *val), table("test", *simulated(rng, 50))])
        (threshold,) = calibrate(rows, SETTINGS)
        calibrated[name] = threshold
        measured = measure(rows, [threshold], SETTINGS).filter(status="evaluated")
        assert measured["calibrated_on"].to_list() == [threshold.calibrated_on]
    assert [one.calibrated_on for one in calibrated.values()] == ["seen", "val"]
    labels, chances = many
    expected = edges(labels, chances, SETTINGS.alpha)
    assert (calibrated["many"].present_from, calibrated["many"].absent_to) == expected
    assert calibrated["few"].n_positive + calibrated["few"].n_negative == 200
    honest = pl.concat([table("cv", *seen), table("val", *many)])
    assert calibrate(honest, SETTINGS)[0].calibrated_on == "cv"
