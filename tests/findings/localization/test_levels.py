"""Ladders: heights that were planted are learned, a shift is read, and what cannot be known is called uncertain."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from spine_models.config import LocalizationSettings
from spine_models.domain import DISCS_OF_REGION, Region
from spine_models.findings.localization import level_fit, levels
from spine_models.findings.localization.level_scores import score_levels
from spine_models.findings.localization.levels import LevelModel, View
from spine_models.findings.localization.targets import LEVELS
from tests.findings.localization.conftest import SETTINGS

DISCS = DISCS_OF_REGION[Region.LUMBAR]
STEP = 34.0


def known(studies=60, *, spread=25.0, noise=1.0, seed=0, per_study=3):
    """Lumbar discs 34 mm apart, the whole ladder moved by up to ``spread``; the first feature tells by how much."""
    rng = np.random.default_rng(seed)
    rows, features, shifts = [], {}, {}
    for n in range(studies):
        shift = rng.uniform(-spread, spread)
        study = f"s{n:03d}"
        shifts[study] = shift
        features[study] = np.append(shift / 10 + rng.normal() * 0.02, rng.normal(size=4)).astype(np.float32)
        for place in rng.permutation(len(DISCS))[:per_study]:
            rows.append(
                {
                    "patient_key": f"p{n:03d}", "study_key": study, "split": "train" if n % 3 else "test",
                    "region": "lumbar", "place": LEVELS[DISCS[place]], "level": DISCS[place],
                    "height_mm": STEP * (2 - place) + shift + rng.normal() * noise,
                }
            )  # fmt: skip
    return pl.DataFrame(rows), features, shifts


def fitted(frame, features, **changes):
    settings = LocalizationSettings(**(SETTINGS.model_dump() | changes))
    return level_fit.fit_levels(frame, features, (), settings, route="t2")


def view(features=None, region="lumbar", edge_mm=300.0):
    return View(region, 0.0, 0.0, edge_mm, features)


def test_rungs_are_learned_whatever_levels_a_study_annotates():
    frame, features, _ = known(spread=10.0)
    ladder = fitted(frame, features).ladders["lumbar"]
    at = dict(zip(ladder.places, ladder.heights_mm, strict=True))
    steps = -np.diff([at[LEVELS[disc]] for disc in DISCS])
    np.testing.assert_allclose(steps, STEP, atol=3)
    assert at[LEVELS["L4"]] == pytest.approx((at[LEVELS["L3-L4"]] + at[LEVELS["L4-L5"]]) / 2)
    assert at[LEVELS["T12-L1"]] > at[LEVELS["L1-L2"]]


def test_a_shift_that_the_slice_shows_beats_the_mean_ladder():
    frame, features, _ = known()
    model = fitted(frame, features)
    ladder = model.ladders["lumbar"]
    assert ladder.shift is not None
    assert ladder.spread_mm < 0.5 * ladder.prior_mm
    targets = frame.with_columns(z_mm=pl.col("height_mm"), condition=pl.lit("canal"))
    views = {key: view(value) for key, value in features.items()}
    scores = score_levels(model, targets, views, settings=SETTINGS).filter(region="lumbar")
    exact = dict(scores.select("method", "exact").iter_rows())
    assert exact["model"] > 0.95
    assert exact["model"] > exact["position_prior"] + 0.1
    assert scores["n_patients"].to_list() == [20, 20]


def test_features_that_tell_nothing_leave_the_mean_ladder():
    frame, features, _ = known(spread=3.0)
    rng = np.random.default_rng(5)
    noise = {key: rng.normal(size=5).astype(np.float32) for key in features}
    ladder = fitted(frame, noise, ridges=(1e-6,)).ladders["lumbar"]
    assert ladder.shift is None
    assert ladder.spread_mm == ladder.prior_mm


def test_probabilities_follow_the_distance_and_name_the_alternatives():
    frame, features, _ = known(spread=12.0, noise=6.0)
    model = fitted(frame, {key: np.zeros(5, np.float32) for key in features})
    ladder = model.ladders["lumbar"]
    at = dict(zip(ladder.places, ladder.heights_mm, strict=True))
    on = model.level(view(np.zeros(5, np.float32)), "canal", at[LEVELS["L3-L4"]])
    assert (on.level, on.uncertain) == ("L3-L4", False)
    between = model.level(
        view(np.zeros(5, np.float32)), "canal", (at[LEVELS["L3-L4"]] + at[LEVELS["L4-L5"]]) / 2
    )
    assert between.uncertain
    assert {between.level, *between.alternatives} >= {"L3-L4", "L4-L5"}
    assert between.confidence == pytest.approx(0.5, abs=0.02)


def test_conditions_of_vertebrae_are_named_by_vertebra():
    frame, features, _ = known(spread=1.0)
    model = LevelModel(fitted(frame, features).ladders, ("fracture",), 0.7, "t2")
    ladder = model.ladders["lumbar"]
    height = float(ladder.heights_mm[ladder.places == LEVELS["L3"]][0])
    assert model.level(view(), "fracture", height).level == "L3"
    assert "-" in model.level(view(), "canal", height).level


def test_without_the_sacrum_in_the_field_of_view_the_count_is_not_settled():
    frame, features, _ = known(spread=1.0)
    model = fitted(frame, features)
    height = float(model.ladders["lumbar"].heights_mm[model.ladders["lumbar"].places == LEVELS["L2-L3"]][0])
    assert not model.level(view(), "canal", height).uncertain
    cut = model.level(view(edge_mm=100.0), "canal", height)
    assert (cut.level, cut.uncertain) == ("L2-L3", True)


def test_nothing_is_said_of_an_unknown_region_no_view_and_no_place():
    frame, features, _ = known()
    model = fitted(frame, features)
    for asked in ((None, 0.0), (view(region="unknown"), 0.0), (view(), None), (view(), float("nan"))):
        found = model.level(asked[0], "canal", asked[1])
        assert (found.level, found.uncertain) == (None, True)


def test_too_few_patients_give_no_ladder_and_a_reason():
    frame, features, _ = known(studies=5)
    model = fitted(frame, features)
    assert model.ladders == {}
    targets = frame.with_columns(z_mm=pl.col("height_mm"), condition=pl.lit("canal"))
    scores = score_levels(model, targets, {}, settings=SETTINGS)
    assert set(scores["status"]) == {"not_evaluable"}
    assert scores["reason"].is_not_null().all()


def test_region_of_levels_is_that_of_most():
    assert levels.region_of(["L4-L5", "L5-S1", "T12-L1"]) == "lumbar"
    assert levels.region_of(["C5", "C6-C7"]) == "cervical"
    assert levels.region_of([]) is None


def test_a_view_is_the_middle_slice_of_the_longest_sagittal_series(world):
    rows = level_fit.view_rows(world.slices, "t2")
    assert rows.height == world.slices["study_key"].n_unique()
    assert set(rows["slice_index"]) == {3}
    assert rows["z_mm"].unique().to_list() == [48.5 - 48.0]
    assert rows["edge_mm"].unique().to_list() == [96.0]
    assert set(rows["study_region"]) == {"lumbar"}
    assert level_fit.view_rows(world.slices, "t1").is_empty()


def test_view_features_keep_height_and_average_depth():
    tokens = np.arange(20 * 8 * 2, dtype=np.float32).reshape(20, 8, 2)
    found = level_fit.view_features(tokens)
    assert found.shape == (16 * 4 * 2,)
    np.testing.assert_allclose(level_fit.view_features(np.ones((3, 3, 2))), 1)
