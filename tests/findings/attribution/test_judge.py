"""Judging: maps that know win, maps that do not are at chance, and only test patients are looked at."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from spine_models.config import AttributionSettings, LocalizationSettings
from spine_models.corpus.deid.tables import ANNOTATIONS
from spine_models.findings.attribution.drawn import drawn_slices
from spine_models.findings.attribution.judge import (
    CENTRE,
    RANDOM,
    area,
    centre_map,
    curve_areas,
    descending,
    judge,
)
from spine_models.findings.attribution.sight import Sight, SliceHead
from spine_models.findings.attribution.tables import MEASURED
from spine_models.findings.attribution.terms import AttributionError
from spine_models.findings.embeddings.images import EmbeddingError
from tests.findings.attribution.conftest import slice_head, tiny_encoder

SETTINGS = AttributionSettings(
    max_slices=3,
    curve_steps=4,
    random_orders=2,
    gradient_steps=4,
    bootstrap=20,
    methods=("tokens", "occlusion"),
)


class Glass:
    """An encoder that sees through: the slice's vector is its patches' mean intensities."""

    route, version, dim, patch_px = "t2", "m-t2", 16, 8

    def image(self, array):
        return torch.from_numpy(array.astype(np.float32) / 65535)[None, None]

    def grid(self, image):
        return (4, 4)

    def vectors(self, images, masks=None):
        n = len(images)
        patches = images.reshape(n, 4, 8, 4, 8).mean(dim=(2, 4))
        return patches.reshape(n, 16).numpy().astype(np.float64)


def test_curves_are_those_of_a_slow_transcription(make_slice):
    glass, rng = Glass(), np.random.default_rng(0)
    head = SliceHead("canal", "t2", -1.0, rng.normal(size=16), rng.normal(size=16) * 3)
    image = glass.image(make_slice())
    blurred = image * 0 + 0.25
    order = rng.permutation(16)
    found = curve_areas(glass, head, image, blurred, {"one": order, "other": order[::-1]}, steps=5)
    for name, patches in (("one", order), ("other", order[::-1])):
        deletion, insertion = [], []
        for step in range(6):
            n = round(16 * step / 5)
            gone, come = glass.vectors(image)[0].copy(), glass.vectors(blurred)[0].copy()
            for p in patches[:n]:
                gone[p], come[p] = glass.vectors(blurred)[0][p], glass.vectors(image)[0][p]
            for curve, vector in ((deletion, gone), (insertion, come)):
                logit = -1.0 + sum(
                    (v - c) * w for v, c, w in zip(vector, head.centre, head.weights, strict=True)
                )
                curve.append(1 / (1 + np.exp(-logit)))
        np.testing.assert_allclose(found[name]["deletion"], deletion, atol=1e-6)
        np.testing.assert_allclose(found[name]["insertion"], insertion, atol=1e-6)
        assert area(found[name]["deletion"]) == pytest.approx(np.trapezoid(deletion, dx=0.2), abs=1e-6)


def test_the_order_of_true_contributions_beats_every_other(make_slice):
    """Where patches add up, taking the largest away first lowers the curve as no other order does."""
    glass, rng = Glass(), np.random.default_rng(1)
    head = SliceHead("canal", "t2", 0.0, np.zeros(16), rng.normal(size=16) * 4)
    image = glass.image(make_slice())
    blurred = torch.zeros_like(image)
    true = glass.vectors(image)[0] * head.weights
    orders = {"true": descending(true.reshape(4, 4))}
    orders |= {f"r{i}": rng.permutation(16) for i in range(20)}
    found = curve_areas(glass, head, image, blurred, orders, steps=16)
    areas = {name: (area(own["deletion"]), area(own["insertion"])) for name, own in found.items()}
    assert all(areas["true"][0] < areas[f"r{i}"][0] for i in range(20))
    assert all(areas["true"][1] > areas[f"r{i}"][1] for i in range(20))


def test_one_step_is_everything_or_nothing(make_slice):
    glass = Glass()
    head = SliceHead("canal", "t2", 0.0, np.zeros(16), np.ones(16))
    image = glass.image(make_slice())
    found = curve_areas(glass, head, image, image * 0, {"one": np.arange(16)}, steps=1)["one"]
    assert found["deletion"].tolist() == found["insertion"].tolist()[::-1]
    assert found["insertion"][0] == 0.5


def test_the_centre_is_highest_in_the_middle():
    found = centre_map((4, 6))
    assert found.shape == (4, 6)
    assert found.min() >= 0
    assert found.argmax() == 8
    np.testing.assert_allclose(found, found[::-1, ::-1])


PATIENTS = {"p1": "test", "p2": "test", "p3": "train"}


@pytest.fixture
def cohort_of_slices(make_batch, make_slice):
    """Three patients, of the third of whom nothing may be judged; T2 slices with a box around a disc."""
    members = [
        {"patient": p, "study": f"s-{p}", "series": f"{p}a", "route": "t2", "slice": f"{p}a{i}-0000", "split": split,
         "image": make_slice(10 * n + i)}
        for n, (p, split) in enumerate(PATIENTS.items())
        for i in range(3)
    ]  # fmt: skip
    made = make_batch(members)
    table = made.table.with_columns(
        frame=pl.lit(0, pl.Int32), scale=pl.lit(1.0), pad_top_px=pl.lit(0.0), pad_left_px=pl.lit(0.0),
        size_px=pl.lit(32, pl.Int32), output_spacing_mm=pl.lit(1.0), pixel_spacing_mm=pl.lit([1.0, 1.0]),
    )  # fmt: skip
    box = {"kind": "box", "condition": "canal", "frame": 0, "x": 8.0, "y": 4.0, "w": 16.0, "h": 14.0}
    annotations = pl.DataFrame(
        [box | {"instance_key": key} for key in table["instance_key"]], schema=ANNOTATIONS
    )
    labels = pl.DataFrame(
        [
            {"study_key": f"s-{p}", "condition": condition, "label": int(p != "p2")}
            for p in PATIENTS
            for condition in ("canal", "edema")
        ]
    )
    splits = pl.DataFrame({"patient_key": list(PATIENTS), "split": list(PATIENTS.values())})
    return made.root, table, annotations, labels, splits


def draw(cohort_of_slices, preprocessing="p1", **changes):
    _, table, annotations, labels, splits = cohort_of_slices
    settings = SETTINGS.model_copy(update=changes)
    return drawn_slices(
        table,
        annotations,
        labels,
        splits,
        routes=["t2"],
        preprocessings={"t2": preprocessing, "other": "p9"},
        settings=settings,
        points=LocalizationSettings(),
    )


def test_slices_are_drawn_of_test_patients_a_patient_at_a_time(cohort_of_slices):
    found = draw(cohort_of_slices)
    assert set(found["patient_key"]) == {"p1", "p2"}
    canal = found.filter(condition="canal")
    assert canal["annotated"].all()
    assert sorted(canal.group_by("patient_key").len()["len"]) == [1, 2]
    edema = found.filter(condition="edema")
    assert not edema["annotated"].any()
    assert edema["patient_key"].to_list() == ["p1"] * 3, "not annotated: positive studies alone"
    assert set(found["condition"]) == {"canal", "edema"}
    assert draw(cohort_of_slices, max_slices=2).filter(condition="canal")["patient_key"].n_unique() == 2


def test_the_draw_depends_on_the_seed_and_on_nothing_else(cohort_of_slices):
    root, table, *rest = cohort_of_slices
    one = draw(cohort_of_slices)
    assert draw((root, table.sample(fraction=1.0, shuffle=True, seed=1), *rest)).equals(one)
    others = [draw(cohort_of_slices, seed=seed) for seed in range(1, 6)]
    assert any(other["slice_key"].to_list() != one["slice_key"].to_list() for other in others)


def test_two_splits_of_a_patient_are_refused(cohort_of_slices):
    *others, splits = cohort_of_slices
    twice = pl.concat([splits, splits.with_columns(split=pl.lit("val"))])
    with pytest.raises(AttributionError, match="two splits"):
        draw((*others, twice))


def test_slices_of_another_preprocessing_than_the_heads_are_refused(cohort_of_slices):
    with pytest.raises(
        AttributionError, match="version p2 of route 't2', the slices are of version p1: fit the"
    ):
        draw(cohort_of_slices, preprocessing="p2")


def test_slices_of_two_preprocessings_are_refused_wherever_they_may_be_drawn(cohort_of_slices):
    root, table, *rest = cohort_of_slices

    def of_two(patient: str) -> pl.DataFrame:
        other = pl.when(pl.col("patient_key") == patient).then(pl.lit("p0"))
        return table.with_columns(preprocessing_version=other.otherwise("preprocessing_version"))

    with pytest.raises(
        AttributionError, match="two preprocessing versions, p0 and p1: materialise the shards"
    ):
        draw((root, of_two("p2"), *rest), preprocessing="p0")
    # Nobody looks at slices of train patients here, or at those of a route without heads.
    assert draw((root, of_two("p3"), *rest)).equals(draw(cohort_of_slices))
    assert draw((root, of_two("p2").with_columns(route=pl.lit("t1")), *rest)).is_empty()


def test_every_slice_method_and_measure_is_measured(cohort_of_slices):
    drawn = draw(cohort_of_slices)
    sights = {"t2": Sight(tiny_encoder("t2"))}
    heads = {"t2": {"canal": slice_head()}}
    roots = {"internal-0001": cohort_of_slices[0]}
    said: list[tuple[int, int]] = []
    found = judge(drawn, sights, heads, roots, settings=SETTINGS, progress=lambda *n: said.append(n))
    table = found.measured
    assert table.schema == MEASURED
    assert set(table["condition"]) == {"canal"}, "edema has no head"
    assert said[-1] == (3, 3)
    n = table.group_by("method", "measure").len()
    assert set(n["len"]) <= {2, 3}
    assert set(table["method"]) == {*SETTINGS.methods, CENTRE, RANDOM}
    for measure in ("deletion", "insertion", "pointing", "patch_precision"):
        values = table.filter(measure=measure)
        assert values.group_by("method").len()["len"].to_list() == [3] * 4
        assert values["value"].is_between(0, 1).all()
    assert table.filter(method=RANDOM, measure="mass_lift")["value"].to_list() == [1.0] * 3
    again = judge(drawn, sights, heads, roots, settings=SETTINGS)
    assert again.measured.equals(table)
    total, count = found.curves["occlusion", "deletion"]
    assert (count, len(total)) == (3, 5)
    areas = table.filter(method="occlusion", measure="deletion")["value"]
    assert area(total / count) == pytest.approx(areas.mean())
    assert [example.condition for example in found.examples] == ["canal"]
    assert found.examples[0].boxes[0] == (4, 8, 18, 24)


def test_occlusion_of_true_effects_beats_chance_on_the_encoder_itself(cohort_of_slices):
    """A head that reads the encoder: what a patch's loss says is what deletion measures."""
    drawn = draw(cohort_of_slices)
    sights = {"t2": Sight(tiny_encoder("t2"))}
    heads = {"t2": {"canal": SliceHead("canal", "t2", 0.0, np.zeros(96), slice_head().weights * 20)}}
    found = judge(drawn, sights, heads, {"internal-0001": cohort_of_slices[0]}, settings=SETTINGS).measured
    mean = dict(found.filter(measure="deletion").group_by("method").agg(pl.col("value").mean()).iter_rows())
    assert mean["occlusion"] < mean[RANDOM]


def test_nothing_drawn_measures_nothing_and_other_pixels_are_refused(cohort_of_slices):
    drawn = draw(cohort_of_slices)
    sights, heads = {"t2": Sight(tiny_encoder("t2"))}, {"t2": {"canal": slice_head()}}
    roots = {"internal-0001": cohort_of_slices[0]}
    assert judge(drawn.clear(), sights, heads, roots, settings=SETTINGS).measured.schema == MEASURED
    assert judge(drawn, sights, {}, roots, settings=SETTINGS).measured.is_empty()
    with pytest.raises(EmbeddingError, match="not the one in the slice table"):
        judge(drawn.with_columns(pixel_hash=pl.lit("x")), sights, heads, roots, settings=SETTINGS)
