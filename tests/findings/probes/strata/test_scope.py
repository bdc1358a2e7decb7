"""The scope score: uniform on studies like the training, small on others, never a NaN."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import kstest

from spine_models.config import StratumSettings
from spine_models.findings.probes.strata.scope import (
    Ellipsoid,
    attainable,
    fit_route,
    measure_scope,
    scores,
    splits_of_studies,
)
from spine_models.findings.probes.strata.tables import SCOPE

SETTINGS = StratumSettings(bootstrap=50, scope_level=0.05, scope_components=8)
MIX = np.random.default_rng(99).normal(size=(6, 40))


def vectors(rng, n: int, *, route="t1", start=0, shift=0.0, per_patient=1) -> pl.DataFrame:
    """Studies on six directions of forty, with a little noise; ``shift`` leaves those directions."""
    values = rng.normal(size=(n, 6)) @ MIX + 0.1 * rng.normal(size=(n, 40))
    values = values + shift * np.random.default_rng(1).normal(size=40)
    return pl.DataFrame(
        {
            "patient_key": [f"p{start + i // per_patient:04d}" for i in range(n)],
            "study_key": [f"s{start + i:04d}" for i in range(n)],
            "route": [route] * n,
            "vector": values.astype(np.float32).tolist(),
        },
        schema_overrides={"vector": pl.List(pl.Float32)},
    )


def folds(frame: pl.DataFrame, n: int = 5) -> dict[str, int]:
    return {key: i % n for i, key in enumerate(sorted(set(frame["patient_key"].to_list())))}


def fitted(rng, n: int = 200, route: str = "t1", **options):
    frame = vectors(rng, n, route=route, **options)
    return fit_route(frame, folds(frame), SETTINGS)[0]


def test_the_distance_is_the_mahalanobis_distance_where_the_directions_span_all():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    shape = Ellipsoid.of(data, 4)
    centred = data - data.mean(axis=0)
    inverse = np.linalg.inv(centred.T @ centred / 199)
    np.testing.assert_allclose(
        shape.distances(data), np.einsum("ni,ij,nj->n", centred, inverse, centred), rtol=1e-8
    )
    assert shape.residual == 0


def test_wide_and_tall_data_give_the_same_distances():
    rng = np.random.default_rng(2)
    data = rng.normal(size=(60, 30)) @ rng.normal(size=(30, 30))
    padded = np.hstack([data, np.zeros((60, 50))])
    one, two = Ellipsoid.of(data, 6), Ellipsoid.of(padded, 6)
    asked = rng.normal(size=(9, 30))
    np.testing.assert_allclose(
        two.distances(np.hstack([asked, np.zeros((9, 50))])), one.distances(asked), rtol=1e-6
    )


def test_false_alarms_keep_their_level():
    """Over many fits the share of ordinary studies below the level is at most it; scores are about uniform."""
    shares, pooled = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scope = fitted(rng)
        values = np.stack(vectors(rng, 50, start=5000)["vector"].to_numpy())
        found = scope.p_values(values)
        shares.append((found <= 0.05).mean())
        pooled.extend(found[:5])
    assert 0.02 < np.mean(shares) < 0.06
    # Held-out distances are those of slightly smaller fits, so that scores lean to 1, never to 0.
    assert kstest(pooled, "uniform", alternative="greater").pvalue > 0.01


def test_studies_off_the_training_directions_are_out():
    rng = np.random.default_rng(3)
    scope = fitted(rng)
    odd = np.stack(vectors(rng, 30, shift=1.0)["vector"].to_numpy())
    assert (scope.p_values(odd) <= 0.01).all()
    far = 8.0 * np.stack(vectors(rng, 30)["vector"].to_numpy())
    assert (scope.p_values(far) <= 0.05).mean() > 0.8


def test_without_held_out_distances_false_alarms_would_be_many():
    """Why calibration is out of fold: distances of the fitted rows themselves are too small."""
    rng = np.random.default_rng(8)
    wide = rng.normal(size=(60, 300))
    shape = Ellipsoid.of(wide, 64)
    assert np.quantile(shape.distances(wide), 0.95) < np.median(shape.distances(rng.normal(size=(60, 300))))


def test_routes_are_combined_and_one_route_is_enough():
    rng = np.random.default_rng(4)
    scopes = {"t1": fitted(rng), "t2": fitted(rng, route="t2")}
    asked = pl.concat(
        [vectors(rng, 3), vectors(rng, 2, route="t2"), vectors(rng, 1, route="other", start=50)]
    )
    found = scores(asked, scopes)
    assert not found["score"].is_nan().any()
    assert set(found.filter(route="study")["study_key"]) == {"s0000", "s0001", "s0002"}
    of = {(row["study_key"], row["route"]): row["score"] for row in found.iter_rows(named=True)}
    assert of["s0000", "study"] == pytest.approx(min(1.0, 2 * min(of["s0000", "t1"], of["s0000", "t2"])))
    assert of["s0002", "study"] == of["s0002", "t1"]
    assert found["score"].is_between(0, 1, closed="right").all()


def test_a_vector_that_is_not_finite_is_as_odd_as_can_be():
    rng = np.random.default_rng(5)
    broken = vectors(rng, 1).with_columns(vector=pl.lit([float("nan")] * 40, dtype=pl.List(pl.Float32)))
    assert scores(broken, {"t1": fitted(rng)})["score"].to_list() == [pytest.approx(1 / 201)] * 2


def test_few_patients_have_no_scope_and_say_why():
    rng = np.random.default_rng(6)
    few = vectors(rng, 18, per_patient=2)
    assert fit_route(few, folds(few), SETTINGS) == "9 train patients, at least 10 are needed"
    assert fit_route(few.clear(), {}, SETTINGS) == "0 train patients, at least 10 are needed"
    assert scores(few, {}).is_empty()


def test_one_study_a_patient_is_in_the_calibration():
    rng = np.random.default_rng(6)
    frame = vectors(rng, 120, per_patient=3)
    scope, rows = fit_route(frame, folds(frame), SETTINGS)
    assert len(scope.calibration) == rows.height == rows["patient_key"].n_unique() == 40


def test_a_level_below_what_the_patients_can_show_is_not_attainable():
    scope = fitted(np.random.default_rng(0), n=15)
    assert not attainable({"t1": scope}, ["t1"], 0.05)
    assert attainable({"t1": scope}, ["t1"], 1 / 16)
    assert not attainable({"t1": scope}, ["t2"], 0.5)


def test_measured_false_alarms_and_detection():
    rng = np.random.default_rng(7)
    scopes = {"t1": fitted(rng)}
    ordinary, odd = vectors(rng, 100, start=1000), vectors(rng, 20, start=3000, shift=1.0)
    found = scores(pl.concat([ordinary, odd]), scopes)
    groups = {"test": set(ordinary["study_key"]), "outside": set(odd["study_key"]), "flagged": set()}
    table = measure_scope(found, groups, scopes, SETTINGS)
    assert table.schema == SCOPE
    assert table.height == 2 * 3
    rows = {(row["route"], row["studies"]): row for row in table.iter_rows(named=True)}
    assert rows["study", "test"]["share_low"] <= 0.05 <= rows["study", "test"]["share_high"]
    assert rows["study", "outside"]["share"] == 1.0
    assert rows["study", "outside"]["auroc"] > 0.95
    assert rows["study", "flagged"]["reason"] == "no study of this kind has a vector of this route"
    nothing = measure_scope(scores(ordinary, {}), groups, {}, SETTINGS)
    assert set(nothing["reason"]) == {"no route has enough train patients for a scope"}


def test_groups_of_studies_come_from_their_series_and_cohort():
    rows = [
        ("internal-0001", "p1", "a", "test", "lumbar", []),
        ("internal-0001", "p1", "a", "outside", "other", ["noise"]),
        ("internal-0002", "p2", "b", "test", "lumbar", ["motion"]),
        ("internal-0001", "p3", "c", "outside", "other", []),
        ("internal-0001", "p4", "d", "train", "lumbar", ["motion"]),
        ("internal-0001", "p5", "e", "outside", "unknown", []),
        ("rsna-0001", "p6", "f", "test", "lumbar", []),
        ("rsna-0001", "p7", "g", "test", "lumbar", ["motion"]),
        ("rsna-0001", "p8", "h", "train", "lumbar", []),
    ]
    columns = ("batch_key", "patient_key", "study_key", "split", "region")
    schema = dict.fromkeys(columns, pl.String) | {"flags": pl.List(pl.String)}
    quality = pl.DataFrame(rows, schema=schema, orient="row")
    known = {"test": {"a"}, "outside": {"c"}, "flagged": {"b"}, "other_cohort": {"f", "g"}}
    assert splits_of_studies(quality, ["p4"]) == known
    both = {"test": {"a", "f"}, "outside": {"c"}, "flagged": {"b", "g"}, "other_cohort": set()}
    assert splits_of_studies(quality, ["p4", "p8"]) == splits_of_studies(quality, []) == both
