"""Ranked places of a batch and the boxes that show them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from spine_models.config import LocalizationSettings
from spine_models.findings.levelwise.components import Components
from spine_models.findings.levelwise.heads import PLAIN, SIDED, Head, LevelHeads
from spine_models.findings.levelwise.judge import SQUARE, judge
from spine_models.findings.levelwise.places import PARTS, sagittal_slices
from spine_models.findings.levelwise.tables import FINDINGS
from spine_models.findings.levelwise.targets import Kind
from spine_models.findings.levelwise.views import look
from spine_models.findings.localization.tokens import LocalizationError
from tests.findings.levelwise.conftest import HEIGHTS, NAMES, SETTINGS, models

BOX = np.array([0.6, 0.9, 0.2, 0.1])


def shown(count: int) -> LocalizationSettings:
    return LocalizationSettings(
        **(SETTINGS.model_dump() | {"levelwise": SETTINGS.levelwise.model_dump() | {"shown": count}})
    )


@pytest.fixture
def batch(spines):
    """Two studies with sides, one in which no slice lies on the left, and one that nothing is known of."""
    made = spines(
        {"study": "a", "name": "a2"},
        {"study": "b", "name": "b2", "flipped": True},
        {"study": "c", "name": "c2", "xs": (-24.0, -16.0, 0.0, 2.0, 4.0)},
        {"study": "d", "name": "d2", "region": "thoracic"},
    )
    return made, look(made.slices, models(), made.sources, settings=SETTINGS)


def random_heads(views: pl.DataFrame, seed: int = 0, threshold: float = 0.6) -> LevelHeads:
    """Heads that see the first numbers of the vectors, with random weights."""
    rng = np.random.default_rng(seed)
    width = 3 * len(views["centre"][0])

    def seen() -> Components:
        directions = rng.normal(size=(width, 4)).astype(np.float32) / 5
        return Components(np.zeros(width, np.float32), np.ones(width, np.float32), directions)

    kinds = {"canal": Kind(False, False), "neuroforaminal": Kind(False, True), "fracture": Kind(True, False)}
    return LevelHeads(
        heads={c: Head(kind, rng.normal(size=8), 0.0, 1.0, 0.0, threshold) for c, kind in kinds.items()},
        components={PLAIN: seen(), SIDED: seen()},
        models_version="loc-a",
        model_versions=["t1:m-t1", "t2:m-t2"],
        preprocessing=["p1"],
        version="heads-l",
    )


def judged(batch, heads=None, *, slices=None, settings=SETTINGS, **more) -> pl.DataFrame:
    made, views = batch
    return judge(
        more.pop("views", views),
        made.slices if slices is None else slices,
        heads or random_heads(views),
        models(mean_boxes={("canal", "sagittal"): BOX}),
        settings=settings,
    )


@pytest.mark.parametrize("count", [1, 3, 99])
def test_flagged_places_and_the_most_probable_ones_in_order(batch, count):
    _, views = batch
    heads = random_heads(views)
    found = judged(batch, heads, settings=shown(count))
    assert found.schema == FINDINGS
    said = heads.predict(views)
    assert 0 < said["flagged"].sum() < said.height
    for study in ("a", "b", "c"):
        for condition in heads.heads:
            own = said.filter(study_key=study, condition=condition).sort("probability", descending=True)
            kept = max(int(own["flagged"].sum()), min(count, own.height))
            rows = found.filter(study_key=study, condition=condition)
            assert rows["rank"].to_list() == list(range(1, kept + 1))
            names = ["level", "side", "probability", "flagged"]
            assert rows.select(names).equals(own.head(kept).select(names))
            assert rows["flagged"].to_list() == sorted(rows["flagged"], reverse=True)
    assert found.equals(found.sort("study_key", "condition", "rank"))
    assert set(found["study_key"]) == {"a", "b", "c"}
    assert set(found["patient_key"]) == {"p-a", "p-b", "p-c"}
    assert set(found.select("models_version", "heads_version").rows()) == {("loc-a", "heads-l")}


def test_a_box_lies_at_its_levels_height_inside_the_image_on_its_side(batch):
    made, _ = batch
    found = judged(batch, settings=shown(99))
    heights = {level: 0.5 + height for level, height in zip(NAMES, HEIGHTS, strict=True)}
    at = {
        row["slice_key"]: row for row in sagittal_slices(made.slices, ["a", "b", "c"]).iter_rows(named=True)
    }
    for row in found.iter_rows(named=True):
        on = at[row["slice_key"]]
        assert on["study_key"] == row["study_key"]
        assert on["series_key"] == row["series_key"]
        wanted = heights[row["level"]]
        edge = 0.1 if row["condition"] == "canal" else SQUARE
        share = (wanted - on["top_mm"]) / (on["bottom_mm"] - on["top_mm"])
        assert row["y"] == pytest.approx(96 * max(0.0, share - edge / 2), abs=0.02)
        assert row["y"] + row["h"] == pytest.approx(96 * min(1.0, share + edge / 2), abs=0.02)
        assert 0 <= row["x"] < row["x"] + row["w"] <= 96
        assert 0 <= row["y"] < row["y"] + row["h"] <= 96
        if share > edge / 2 and share < 1 - edge / 2:
            assert row["centre_mm"][2] == pytest.approx(wanted, abs=0.02)
        assert row["centre_mm"][0] == pytest.approx(on["x_mm"])
        if row["side"] is None:
            assert abs(on["x_mm"]) <= 4
        elif row["study_key"] != "c" or row["side"] == "right":
            assert on["x_mm"] * (1 if row["side"] == "left" else -1) >= 8
        else:
            # No slice lies there: the middle one.
            assert on["x_mm"] in (0.0, 2.0)
    canal = found.filter(condition="canal", study_key="a")
    assert set(canal["x"].round(6)) == {round(96 * (0.6 - 0.1), 6)}
    assert set(canal["w"].round(6)) == {round(96 * 0.2, 6)}
    assert set(found.filter(condition="fracture")["w"].round(6)) == {round(96 * SQUARE, 6)}


def test_a_study_without_a_slice_near_its_midline_is_shown_on_a_side(batch):
    _, views = batch
    aside = views.with_columns(centre_slice=pl.lit(None, dtype=pl.String))
    found = judged(batch, views=aside, settings=shown(99)).filter(study_key="a", condition="canal")
    assert set(found["slice_key"]) == {views.filter(study_key="a")["left_slice"][0]}


def test_a_count_that_is_not_settled_is_uncertain(batch):
    _, views = batch
    free = views.with_columns(settled=pl.col("study_key") != "b")
    found = judged(batch, views=free)
    assert (found["level_uncertain"] == (found["study_key"] == "b")).all()


def test_slices_that_are_not_given_are_refused(batch):
    made, views = batch
    lacking = made.slices.filter(~pl.col("slice_key").is_in(views["centre_slice"].unique().implode()))
    with pytest.raises(LocalizationError, match="name slices that shards/slices lacks: materialise"):
        judged(batch, slices=lacking)


def test_views_of_other_heads_are_refused(batch):
    _, views = batch
    with pytest.raises(LocalizationError, match="fitted on localization older, asked with loc-a"):
        judged(batch, replace(random_heads(views), models_version="older"))


def test_without_views_or_heads_there_is_nothing(batch):
    made, views = batch
    heads = random_heads(views)
    for found in (
        judged(batch, heads, views=views.clear()),
        judged(batch, heads, views=views.clear(), slices=made.slices.clear()),
        judged(batch, replace(heads, heads={})),
    ):
        assert (found.height, found.schema) == (0, FINDINGS)


def test_neither_order_nor_other_studies_matter(batch):
    made, views = batch
    heads = random_heads(views)
    every = judged(batch, heads)
    assert judged(batch, heads, slices=made.slices.reverse()).equals(every)
    for study in ("a", "b", "c"):
        alone = judged(batch, heads, views=views.filter(study_key=study))
        expected = every.filter(study_key=study)
        assert alone.drop("probability").equals(expected.drop("probability"))
        np.testing.assert_allclose(alone["probability"], expected["probability"], atol=1e-6)
    assert {f"{part}_slice" for part in PARTS} <= set(views.columns)
