"""Means and intervals of judged slices, and the reasons where there are none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import AttributionSettings
from spine_models.domain import condition_keys
from spine_models.findings.attribution.scores import (
    ALL,
    NO_BOX,
    NO_HEAD,
    NO_SLICE,
    ONE_PATIENT,
    saliency_scores,
)
from spine_models.findings.attribution.tables import MEASURED, SCORES
from spine_models.findings.probes.scores import patient_draws

SETTINGS = AttributionSettings(bootstrap=200, methods=("tokens",))


def measured(values, *, condition="canal", measures=("deletion", "insertion")):
    """Rows of (patient, slice, method's value, chance, centre)."""
    return pl.DataFrame(
        [
            {"condition": condition, "patient_key": p, "study_key": p, "slice_key": s, "route": "t2",
             "sequence_set": "t2", "annotated": True, "method": method, "measure": measure, "value": value}
            for p, s, *given in values
            for method, value in zip(("tokens", "random", "centre"), given, strict=True)
            for measure in measures
        ],
        schema=MEASURED,
    )  # fmt: skip


VALUES = [
    ("p1", "a", 0.2, 0.5, 0.4),
    ("p1", "b", 0.3, 0.4, 0.4),
    ("p2", "c", 0.6, 0.5, 0.7),
    ("p3", "d", 0.1, 0.3, 0.1),
]


def test_means_intervals_and_paired_differences_are_those_of_a_slow_transcription():
    found = saliency_scores(measured(VALUES), ("canal", "edema"), settings=SETTINGS)
    assert found.schema == SCORES
    row = found.filter(condition="canal", measure="deletion").row(0, named=True)
    number = condition_keys().index("canal")
    draws = patient_draws(3, 200, (0, number))
    for name, gain in (
        ("", lambda v: v[2]),
        ("over_chance", lambda v: v[3] - v[2]),
        ("over_centre", lambda v: v[4] - v[2]),
    ):
        replicates = []
        for draw in draws:
            drawn = [gain(v) for v in VALUES for _ in range(draw[int(v[0][1]) - 1])]
            replicates.append(np.mean(drawn))
        low, high = np.percentile(replicates, (2.5, 97.5))
        names = ("value", "low", "high") if not name else (name, f"{name}_low", f"{name}_high")
        assert row[names[0]] == pytest.approx(np.mean([gain(v) for v in VALUES]))
        assert row[names[1]] == pytest.approx(low)
        assert row[names[2]] == pytest.approx(high)
    assert (row["n"], row["n_patients"], row["status"], row["reason"]) == (4, 3, "evaluated", None)
    assert row["chance"] == pytest.approx(0.425)
    assert row["centre"] == pytest.approx(0.4)


def test_less_is_better_in_deletion_and_more_in_everything_else():
    found = saliency_scores(measured(VALUES), ("canal",), settings=SETTINGS).filter(condition="canal")
    gains = dict(found.select("measure", "over_chance").iter_rows())
    assert gains["deletion"] == pytest.approx(-gains["insertion"])
    assert gains["deletion"] > 0


def test_where_there_is_no_number_there_is_a_reason():
    found = saliency_scores(measured(VALUES), ("canal", "edema"), settings=SETTINGS)
    assert found.height == 18 * 5
    reasons = {(r["condition"], r["measure"]): r["reason"] for r in found.iter_rows(named=True)}
    assert reasons["canal", "pointing"] == NO_BOX
    assert reasons["edema", "deletion"] == NO_SLICE
    assert reasons["pars", "deletion"] == NO_HEAD
    empty = saliency_scores(measured([]), (), settings=SETTINGS)
    assert set(empty["status"]) == {"not_evaluable"}
    assert empty["reason"].is_not_null().all()


def test_one_patient_has_a_value_and_no_interval():
    found = saliency_scores(measured(VALUES[:2]), ("canal",), settings=SETTINGS)
    row = found.filter(condition="canal", measure="deletion").row(0, named=True)
    assert (row["value"], row["low"], row["reason"]) == (pytest.approx(0.25), None, ONE_PATIENT)
    assert row["over_chance"] == pytest.approx(0.2)
    assert row["over_chance_low"] is None


def test_all_conditions_together_take_every_slice():
    both = pl.concat([measured(VALUES), measured(VALUES[:1], condition="edema")])
    row = saliency_scores(both, ("canal", "edema"), settings=SETTINGS).filter(
        condition=ALL, measure="deletion"
    )
    assert row["n"].item() == 5
    assert row["value"].item() == pytest.approx((0.2 + 0.3 + 0.6 + 0.1 + 0.2) / 5)


def test_a_slice_that_one_method_cannot_be_measured_on_is_left_out_of_its_mean():
    table = measured(VALUES, measures=("mass_lift",)).filter(
        ~((pl.col("slice_key") == "d") & (pl.col("method") == "tokens"))
    )
    row = saliency_scores(table, ("canal",), settings=SETTINGS).filter(condition="canal", measure="mass_lift")
    assert row["n"].item() == 3
    assert row["value"].item() == pytest.approx((0.2 + 0.3 + 0.6) / 3)
    assert row["chance"].item() == pytest.approx((0.5 + 0.4 + 0.5) / 3)
