"""What the levels of a study look like beside one another, and what must not matter to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from spine_models.findings.levelwise.glances import COLUMNS, ROWS, Glance, appearance, rows_of
from spine_models.findings.levelwise.places import PARTS
from spine_models.findings.levelwise.tables import VIEWS
from spine_models.findings.levelwise.views import Seen, compared, look, summary
from spine_models.findings.localization.tokens import LocalizationError, Sources
from tests.findings.levelwise.conftest import HEIGHTS, NAMES, SETTINGS, Seeing, level_model, models

RNG = np.random.default_rng(0)
BOTH = ({"study": "a", "name": "s2"}, {"study": "a", "name": "s1", "route": "t1"})


def glance(tokens: int | None = 3) -> Glance:
    pixels = RNG.random(ROWS * COLUMNS).astype(np.float32)
    return Glance(pixels, None if tokens is None else RNG.normal(size=(2, tokens)).astype(np.float32))


def test_a_summary_takes_mean_and_extremes_over_slices():
    several = [glance() for _ in range(4)]
    tokens, pixels = np.stack([g.tokens for g in several]), np.stack([g.pixels for g in several])
    expected = [tokens[:, 0].mean(0), tokens[:, 1].max(0), pixels.mean(0), pixels.max(0) - pixels.min(0)]
    np.testing.assert_allclose(summary(several), np.concatenate(expected), atol=1e-6)
    one = summary(several[:1])
    assert (one[-ROWS * COLUMNS :] == 0).all()
    assert len(summary([glance(None)])) == 2 * ROWS * COLUMNS


def seen_of(*given: tuple[str, str, str]) -> Seen:
    seen = Seen()
    for level, route, part in given:
        seen.add(level, route, part, glance(3 if route != "other" else None))
    return seen


LEVELS = ("L3", "L3-L4", "L4")
WIDTHS = {"t1": 3, "t2": 3}
T, P = 2 * 3 + 2 * ROWS * COLUMNS, 2 * ROWS * COLUMNS
OF_ROUTE = {"t1": slice(0, T), "t2": slice(T, 2 * T), "other": slice(2 * T, 2 * T + P)}


def test_levels_are_compared_with_their_mean_and_sides_with_the_mean_of_both():
    seen = seen_of(*((level, "t2", part) for level in LEVELS for part in PARTS for _ in range(2)))
    found = compared(seen, LEVELS, WIDTHS)
    assert {vector.dtype for vector in found.values()} == {np.dtype(np.float32)}
    assert {len(vector) for vector in found.values()} == {2 * T + P}
    np.testing.assert_allclose(np.mean([found[level, "centre"] for level in LEVELS], axis=0), 0, atol=1e-6)
    sides = [found[level, part] for level in LEVELS for part in ("left", "right")]
    np.testing.assert_allclose(np.mean(sides, axis=0), 0, atol=1e-6)
    # The difference between the sides is that of the slices themselves.
    own = {place: summary(seen.held[place[0], "t2", place[1]]) for place in found}
    for level in LEVELS:
        np.testing.assert_allclose(
            (found[level, "left"] - found[level, "right"])[OF_ROUTE["t2"]],
            own[level, "left"] - own[level, "right"],
            atol=1e-5,
        )
    # Routes that no series is of say nothing.
    for vector in found.values():
        assert not vector[OF_ROUTE["t1"]].any()
        assert not vector[OF_ROUTE["other"]].any()
        assert vector[OF_ROUTE["t2"]].any()


def test_a_part_without_slices_is_seen_as_the_centre_and_a_level_without_any_as_the_mean():
    seen = seen_of(
        *((level, "t1", "centre") for level in LEVELS),
        *((level, "t2", "left") for level in LEVELS[:2]),
        *((level, "other", part) for level in LEVELS for part in ("centre", "left")),
    )
    found = compared(seen, LEVELS, WIDTHS)
    for level in LEVELS:
        for part in PARTS[1:]:
            np.testing.assert_array_equal(
                found[level, part][OF_ROUTE["t1"]], found[level, "centre"][OF_ROUTE["t1"]]
            )
        # No centre: all slices there are.
        for part in PARTS:
            np.testing.assert_array_equal(
                found[level, part][OF_ROUTE["t2"]], found[level, "left"][OF_ROUTE["t2"]]
            )
        own = {part: summary(seen.glances(level, "other", part)) for part in PARTS}
        np.testing.assert_array_equal(own["right"], own["centre"])
        np.testing.assert_allclose(
            (found[level, "left"] - found[level, "right"])[OF_ROUTE["other"]],
            own["left"] - own["centre"],
            atol=1e-5,
        )
    assert not found["L4", "centre"][OF_ROUTE["t2"]].any()
    assert found["L3", "centre"][OF_ROUTE["t2"]].any()
    assert seen.routes == ["t1", "t2", "other"]


def seen_views(made, *, slices=None, **more) -> pl.DataFrame:
    return look(
        made.slices if slices is None else slices,
        more.pop("models", None) or models(),
        more.pop("sources", None) or made.sources,
        settings=SETTINGS,
    )


def test_a_study_is_seen_as_its_slices_tell(spines):
    made = spines(*BOTH, {"study": "a", "name": "so", "route": "other", "xs": (0.0,)})
    found = seen_views(made)
    assert found.schema == VIEWS
    assert found["level"].to_list() == list(NAMES)
    assert found["z_mm"].to_list() == [0.5 + height for height in HEIGHTS]
    row = found.row(4, named=True)
    assert (row["study_key"], row["patient_key"], row["region"], row["settled"]) == (
        "a",
        "p-a",
        "lumbar",
        True,
    )
    assert row["routes"] == ["t1", "t2", "other"]
    assert [row[f"{part}_slice"] for part in PARTS] == ["s2i3-0000", "s2i6-0000", "s2i0-0000"]
    assert (row["models_version"], row["preprocessing_version"]) == ("loc-a", "p1")
    assert row["model_versions"] == ["t1:m-t1", "t2:m-t2"]
    # The same by plain hands.
    encoder, seen = Seeing(), Seen()
    heights = dict(zip(NAMES, found["z_mm"], strict=True))
    for key, image in made.images.items():
        number = int(key.split("i")[1][0])
        route = {"s2": "t2", "s1": "t1", "so": "other"}[key[:2]]
        part = "centre" if route == "other" else ["right"] * 2 + ["centre"] * 3 + ["left"] * 2
        part = part if isinstance(part, str) else part[number]
        tokens = None if route == "other" else encoder.encode_patches(image[None])[0]
        for level, z_mm in heights.items():
            share = np.array([(48.5 - z_mm) / 96])
            strip = None if tokens is None else rows_of(tokens, share)[0]
            seen.add(level, route, part, Glance(appearance(image, share, 96.0, SETTINGS)[0], strip))
    expected = compared(seen, NAMES, WIDTHS)
    for row in found.iter_rows(named=True):
        for part in PARTS:
            np.testing.assert_allclose(row[part], expected[row["level"], part], atol=1e-5)


def test_neither_order_nor_other_studies_matter(spines):
    # Their slices are read in another order than studies are sorted.
    more = ({"study": "b", "name": "b2"}, {"study": "c", "name": "a2", "flipped": True})
    made = spines(*BOTH, *more)
    every = seen_views(made)
    assert every["study_key"].unique(maintain_order=True).to_list() == ["a", "b", "c"]
    shuffled = made.slices.sample(fraction=1.0, shuffle=True, seed=3)
    assert seen_views(made, slices=shuffled).equals(every)
    for study in ("a", "b", "c"):
        alone = seen_views(made, slices=made.slices.filter(study_key=study))
        assert alone.equals(every.filter(study_key=study))


def test_studies_that_no_level_is_known_of_have_no_row(spines):
    made = spines(
        {"study": "thoracic", "name": "t", "region": "thoracic"},
        {"study": "unknown", "name": "u", "region": "unknown"},
        {"study": "axial", "name": "x", "plane": "axial"},
        {"study": "t1", "name": "o", "route": "t1"},
        {"study": "seen", "name": "s"},
    )
    assert seen_views(made)["study_key"].unique().to_list() == ["seen"]
    for rows in (made.slices.filter(pl.col("study_key") != "seen"), made.slices.clear()):
        empty = seen_views(made, slices=rows)
        assert (empty.height, empty.schema) == (0, VIEWS)
    for levels in (None, level_model(())):
        assert seen_views(made, models=models(levels=levels)).equals(empty)


def test_a_single_level_is_compared_with_nothing_and_has_no_row(spines):
    made = spines({"study": "a", "name": "s"})
    one = level_model()
    ladder = one.ladders["lumbar"]
    for kept, count in ((slice(2, 3), 0), (slice(2, 4), 2)):
        one.ladders["lumbar"] = replace(
            ladder, places=ladder.places[kept], heights_mm=ladder.heights_mm[kept]
        )
        assert seen_views(made, models=models(levels=one)).height == count


def test_a_count_that_no_end_settles_is_unsettled(spines):
    made = spines({"study": "a", "name": "s"})
    free = level_model()
    ladder = free.ladders["lumbar"]
    free.ladders["lumbar"] = replace(ladder, places=ladder.places[:-1], heights_mm=ladder.heights_mm[:-1])
    assert seen_views(made)["settled"].all()
    assert not seen_views(made, models=models(levels=free))["settled"].any()


def test_a_level_is_shown_by_a_slice_that_reaches_it(spines):
    """The middle series shows the lower levels alone; the upper ones are to be seen in another."""
    made = spines(
        {"study": "a", "name": "long", "xs": (0.0, 1.0, 2.0)},
        {"study": "a", "name": "left", "xs": (16.0,), "top_mm": 60.0},
        {"study": "a", "name": "back", "xs": (15.0,), "top_mm": -60.0},
    )
    shown = {row["level"]: row for row in seen_views(made).iter_rows(named=True)}
    assert shown["L2"]["left_slice"] == "lefti0-0000"
    assert shown["L5-S1"]["left_slice"] == "backi0-0000"
    assert shown["L3-L4"]["left_slice"] is None
    assert {row["right_slice"] for row in shown.values()} == {None}
    assert {row["centre_slice"] for row in shown.values()} == {"longi1-0000"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model_versions": {"t2": "older"}}, "fitted on encoder older of route 't2', asked with m-t2"),
        ({"preprocessing_versions": {"t2": "p0"}}, "fitted on preprocessing p0 of route 't2', asked with p1"),
    ],
)
def test_other_versions_are_refused(spines, change, match):
    made = spines(*BOTH)
    with pytest.raises(LocalizationError, match=match):
        seen_views(made, models=models(**change))


def test_a_route_without_an_encoder_is_seen_by_its_pixels(spines):
    made = spines(*BOTH)
    blind = Sources({"t2": Seeing()}, made.sources.shard_roots)
    found = seen_views(made, sources=blind)
    assert found["routes"][0].to_list() == ["t1", "t2"]
    assert found["model_versions"][0].to_list() == ["t2:m-t2"]
    assert {len(vector) for vector in found["centre"]} == {P + T + P}
    with pytest.raises(LocalizationError, match="no shard folder"):
        seen_views(made, sources=Sources({"t2": Seeing()}, {}))
