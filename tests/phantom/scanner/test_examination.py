import numpy as np
import pytest

from spine_models.corpus.geometry import plane_of
from spine_models.domain import Plane, Region, Severity, Side
from spine_models.phantom.body.pathology import Finding
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.acquisition import (
    Conditions,
    combine,
    degrade,
    draw_conditions,
    labels_of,
    weighted,
)
from spine_models.phantom.scanner.examination import Order, examine
from spine_models.phantom.scanner.planning import plan_sagittal
from spine_models.phantom.scanner.protocol import sequence_for
from spine_models.phantom.scanner.relaxation import TABLE

SAGITTAL = Plane.SAGITTAL


@pytest.fixture(scope="module")
def spine():
    found = [Finding("hemangioma", "L3", None, Severity.SEVERE)]
    return make_spine(Region.LUMBAR, found, np.random.default_rng(5), variants=0)


@pytest.fixture(scope="module")
def series(spine):
    names = ("T1", "T2", "Dixon", "DWI", "T1+C")
    orders = [
        Order("localizer", Plane.OBLIQUE),
        *(Order(n, SAGITTAL) for n in names),
        Order("T2", Plane.AXIAL),
    ]
    return examine(spine, [*orders, Order("derived", SAGITTAL)], 1.5, np.random.default_rng(1))


def named(series, name):
    return next(s for s in series if s.name == name)


def pixels(one):
    return np.stack([f.pixels for f in one.frames]).astype(float)


def test_orders_yield_their_series_in_order(series):
    dixon = ["Dixon-in", "Dixon-opposed", "Dixon-water", "Dixon-fat"]
    expected = ["localizer", "T1", "T2", *dixon, "DWI", "ADC", "T1+C", "T2", "derived"]
    assert [s.name for s in series] == expected
    assert len({s.dixon_group for s in series if s.name in dixon}) == 1
    assert all(s.dixon_group is None for s in series if s.name not in dixon)


def test_stored_integers_fit_their_bits_and_geometry_names_the_plane(series):
    for one in series:
        for frame in one.frames:
            assert frame.pixels.dtype == np.uint16
            assert frame.pixels.max() < 2**one.bits_stored
            assert frame.pixels.shape == (frame.grid.matrix, frame.grid.matrix)
        if one.name != "localizer":
            assert {plane_of(f.grid.iop) for f in one.frames} == {one.plane}
    planes = {plane_of(f.grid.iop) for f in named(series, "localizer").frames}
    assert planes == {Plane.SAGITTAL, Plane.AXIAL, Plane.CORONAL}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(spine):
    orders = [Order("T2", SAGITTAL), Order("DWI", SAGITTAL)]
    one, two, other = (examine(spine, orders, 3.0, np.random.default_rng(s)) for s in (1, 1, 2))
    for a, b, c in zip(one, two, other, strict=True):
        assert np.array_equal(pixels(a), pixels(b))
        assert not np.array_equal(pixels(a), pixels(c))


def test_dixon_parts_are_sum_difference_water_and_fat(spine):
    labels = labels_of(spine, plan_sagittal(spine))
    parts = {}
    for part in ("in", "opposed", "water", "fat"):
        sequence = sequence_for(f"Dixon-{part}", 1.5)
        parts[part] = combine(*weighted(spine, labels, sequence, 1.5), sequence)
    assert np.allclose(parts["in"], parts["water"] + parts["fat"], atol=1e-4)
    assert np.allclose(parts["opposed"], np.abs(parts["water"] - parts["fat"]), atol=1e-4)
    # Voxels that hold water and fat in equal parts cancel: the dark lines around organs.
    assert (parts["opposed"] < 0.2 * parts["in"]).mean() > 0.01


def test_the_adc_map_gives_back_the_tables_coefficients(spine, series):
    adc = pixels(named(series, "ADC"))
    labels = labels_of(spine, plan_sagittal(spine))
    count, size = len(adc), adc.shape[1]
    fluid = (labels == Tissue.CSF).reshape(count, size, 2, size, 2).all(axis=(2, 4))
    assert fluid.sum() > 100
    measured = np.median(adc[fluid & (adc > 0)])
    # Noise lifts the weakest signals, so that fast diffusion reads low.
    assert 0.55 * TABLE[Tissue.CSF].adc * 1000 < measured < 1.1 * TABLE[Tissue.CSF].adc * 1000


def test_diffusion_frames_carry_their_weighting(series):
    dwi = named(series, "DWI")
    values = [f.b_value for f in dwi.frames]
    assert sorted(set(values)) == sorted(dwi.sequence.b_values_s_mm2)
    low, high = (np.mean([f.pixels for f in dwi.frames if f.b_value == b]) for b in sorted(set(values)))
    assert low > 1.3 * high


def test_derived_series_need_a_source(spine):
    rng = np.random.default_rng(0)
    assert examine(spine, [Order("derived", SAGITTAL)], 1.5, rng) == []
    kinds = set()
    for seed in range(5):
        done = examine(
            spine, [Order("T2", SAGITTAL), Order("derived", SAGITTAL)], 1.5, np.random.default_rng(seed)
        )
        kinds.add(done[-1].derivation)
    assert kinds == {"MIP", "MPR"}


def test_enhanced_minus_plain_is_a_subtraction(series):
    assert named(series, "derived").derivation == "SUB"
    assert named(series, "T1+C").sequence.contrast_agent


def test_motion_blurs_and_is_told():
    spine = make_spine(Region.LUMBAR, [], np.random.default_rng(5))
    stack = plan_sagittal(spine)
    sequence = sequence_for("T2", 1.5)
    ideal = combine(*weighted(spine, labels_of(spine, stack), sequence, 1.5), sequence)
    flat = np.ones((1, 1, 1), np.float32)
    still, moved = (
        degrade(ideal, Conditions(flat, 1e-6, 0.0, m, 1400.0), np.random.default_rng(2)) for m in (0.0, 0.3)
    )
    errors = np.abs(moved - still).mean() / still.mean()
    assert errors > 0.02
    scores = [draw_conditions(stack, 160, 1.5, np.random.default_rng(s)).motion for s in range(200)]
    assert 0.03 < np.mean(np.array(scores) > 0) < 0.2
    assert max(scores) <= 0.3


def test_a_low_field_is_noisier():
    spine = make_spine(Region.LUMBAR, [], np.random.default_rng(5))
    stack = plan_sagittal(spine)
    low, high = (
        np.mean([draw_conditions(stack, 160, f, np.random.default_rng(s)).noise for s in range(60)])
        for f in (0.55, 3.0)
    )
    assert low > 1.8 * high


def test_a_plane_without_a_plan_is_refused(spine):
    with pytest.raises(ValueError, match="coronal"):
        examine(spine, [Order("T2", Plane.CORONAL)], 1.5, np.random.default_rng(0))


def test_sides_stay_apart_in_the_images():
    for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
        found = [Finding("cyst", "L3-L4", side, Severity.SEVERE)]
        spine, plain = (
            make_spine(Region.LUMBAR, f, np.random.default_rng(5), variants=0) for f in (found, [])
        )
        one, two = (
            pixels(examine(s, [Order("T2", SAGITTAL)], 1.5, np.random.default_rng(1))[0])
            for s in (spine, plain)
        )
        by_slice = np.abs(one - two).mean(axis=(1, 2))
        assert sign * (by_slice[4:].sum() - by_slice[:3].sum()) > 0
