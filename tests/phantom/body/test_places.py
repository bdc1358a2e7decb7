from functools import cache

import numpy as np
import pytest

from spine_models.domain import Plane, Region, Severity, Side
from spine_models.phantom.body import shapes
from spine_models.phantom.body.pathology import PREVALENCE, Finding, discs_of, draw_findings, evolve
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.acquisition import labels_of
from spine_models.phantom.scanner.planning import plan_axial, plan_sagittal

REGIONS = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)


def spine_with(condition, level, side=None, region=Region.LUMBAR, severity=Severity.SEVERE, seed=5):
    findings = [Finding(condition, level, side, severity)] if condition else []
    return make_spine(region, findings, np.random.default_rng(seed), variants=0)


@cache
def plain_labels(region, plan):
    """Stack and labels of the same spine without any finding."""
    plain = spine_with(None, None, region=region)
    stack = plan(plain)
    return stack, labels_of(plain, stack)


def drawn(region, count):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield make_spine(region, draw_findings(region, rng), rng)


@pytest.mark.parametrize("region", REGIONS)
def test_every_box_lies_in_the_field_of_view_and_on_a_slice(region):
    for spine in drawn(region, 80):
        stack = plan_sagittal(spine)
        first, pixel = stack.slices[0], stack.slices[0].spacing_mm
        field = pixel * first.matrix
        low = np.array([first.ipp_mm[1] - pixel / 2, first.ipp_mm[2] + pixel / 2 - field])
        xs = np.array([s.ipp_mm[0] for s in stack.slices])
        for finding in spine.findings:
            nearest, farthest = finding.box_mm
            assert np.all(nearest[1:] > low), (finding.condition, finding.level)
            assert np.all(farthest[1:] < low + field), (finding.condition, finding.level)
            half = stack.thickness_mm / 2
            assert np.any((xs + half >= nearest[0]) & (xs - half <= farthest[0])), finding.condition


@pytest.mark.parametrize("region", REGIONS)
def test_points_go_into_the_frame_and_back(region):
    for spine in drawn(region, 5):
        for u, v, s in ((0, 0, 10), (6, 12, -40), (-9, -8, 55)):
            back = spine.frame(spine.place(u, v, s)[None])
            assert np.allclose([float(c[0]) for c in back], [u, v, s], atol=0.35)


@pytest.mark.parametrize("plane", [Plane.SAGITTAL, Plane.AXIAL])
@pytest.mark.parametrize("condition", ["synovial", "cyst"])
def test_left_is_the_patients_left_in_both_planes(condition, plane):
    plan = plan_sagittal if plane is Plane.SAGITTAL else plan_axial
    for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
        spine = spine_with(condition, "L3-L4", side)
        stack = plan(spine)
        labels = labels_of(spine, stack) == Tissue.CYST
        xs = [g.points(2, 0.0)[hit][:, 0] for g, hit in zip(stack.slices, labels, strict=True)]
        assert sign * np.concatenate(xs).mean() > 3


@pytest.mark.parametrize(
    ("condition", "level", "side", "tissue"),
    [
        ("edema", "L3", None, Tissue.OEDEMA),
        ("hemangioma", "L3", None, Tissue.HAEMANGIOMA),
        ("cyst", "L3-L4", Side.LEFT, Tissue.CYST),
        ("synovial", "L3-L4", Side.LEFT, Tissue.CYST),
        ("extramedullary", "L3-L4", Side.LEFT, Tissue.TUMOUR),
        ("pars", "L5", Side.BILATERAL, Tissue.CLEFT),
    ],
)
def test_a_lesion_is_seen_inside_its_box_and_nowhere_else(condition, level, side, tissue):
    spine = spine_with(condition, level, side, severity=Severity.MODERATE)
    stack = plan_sagittal(spine)
    labels = labels_of(spine, stack)
    assert (labels == tissue).sum() > 40
    low, high = spine.findings[0].box_mm
    for grid, image in zip(stack.slices, labels, strict=True):
        found = grid.points(2, stack.thickness_mm)[image == tissue]
        assert np.all((found > low - 2.5) & (found < high + 2.5))


@pytest.mark.parametrize("condition", sorted(PREVALENCE))
def test_each_condition_changes_its_own_place_and_nothing_outside(condition):
    region = Region.CERVICAL if condition in ("intramedullary", "compression") else Region.LUMBAR
    vertebral = condition in ("fracture", "edema", "hemangioma", "pars")
    level = ("C5" if region is Region.CERVICAL else "L4") if vertebral else discs_of(region)[2]
    sided = condition in ("neuroforaminal", "subarticular", "cyst", "synovial", "extramedullary")
    side = Side.LEFT if sided else Side.BILATERAL if condition == "pars" else None
    ill = spine_with(condition, level, side, region=region)
    stack, before = plain_labels(region, plan_axial if condition == "subarticular" else plan_sagittal)
    changed = labels_of(ill, stack) != before
    assert changed.sum() > 80
    low, high = ill.findings[0].box_mm
    # Height loss brings the neighbours nearer, and a column that slides takes its upper part along.
    if condition in ("disc_height", "spondylolisthesis"):
        return
    share = 0
    for grid, image in zip(stack.slices, changed, strict=True):
        points = grid.points(2, stack.thickness_mm)[image]
        share += int(np.all((points > low - 14) & (points < high + 14), axis=1).sum())
    assert share > 0.98 * changed.sum()


def test_a_slip_moves_the_vertebra_and_not_the_skin():
    plain, slipped = spine_with(None, None), spine_with("spondylolisthesis", "L4-L5")
    stack = plan_sagittal(plain)
    a, b = labels_of(plain, stack), labels_of(slipped, stack)
    assert (a[3] != b[3]).mean() > 0.005
    assert np.array_equal(a == Tissue.AIR, b == Tissue.AIR)


def test_a_lesion_of_the_cord_swells_it():
    spine = spine_with("intramedullary", "C4-C5", region=Region.CERVICAL)
    stack, before = plain_labels(Region.CERVICAL, plan_sagittal)
    after = labels_of(spine, stack)
    near = np.isin(after, (Tissue.CORD, Tissue.CORD_TUMOUR)).sum()
    assert near > 1.03 * (before == Tissue.CORD).sum()
    lesion = after == Tissue.CORD_TUMOUR
    assert np.isin(before[lesion], (Tissue.CORD, Tissue.CSF)).all()


@pytest.mark.parametrize("region", [Region.CERVICAL, Region.THORACIC])
def test_an_extramedullary_mass_lies_beside_the_cord_never_in_it(region, monkeypatch):
    level = discs_of(region)[2]
    spine = spine_with("extramedullary", level, Side.LEFT, region=region)
    stack = plan_sagittal(spine)
    tumour = labels_of(spine, stack) == Tissue.TUMOUR
    monkeypatch.setattr(shapes, "place_lesions", lambda shape, out: None)
    displaced = labels_of(spine, stack)
    assert tumour.any()
    assert not (displaced[tumour] == Tissue.CORD).any()


def test_an_extramedullary_mass_pushes_the_cord_to_the_other_side():
    spine = spine_with("extramedullary", "C4-C5", Side.LEFT, region=Region.CERVICAL)
    level = spine.disc_s[spine.disc_index("C4-C5")]
    points = np.array([spine.place(u, 15.5, level) for u in np.arange(-9, 9, 0.25)])
    cord = shapes.label(spine, points[None])[0] == Tissue.CORD
    assert points[cord][:, 0].mean() < -1


def test_variants_of_anatomy_all_occur():
    spines = list(drawn(Region.LUMBAR, 250))
    assert {s.transitional for s in spines} == {None, "lumbarised S1", "sacralised L5"}
    assert 5 < sum(abs(s.scoliosis) > 3 for s in spines) < 60
    assert 5 < sum(s.operated is not None for s in spines) < 45
    assert any(s.wear.pits for s in spines)
    assert any(s.wear.fatty for s in spines)


def test_an_operated_level_has_scar_for_an_arch_and_others_have_not():
    spine = next(s for s in drawn(Region.LUMBAR, 400) if s.operated is not None)
    stack = plan_sagittal(spine)
    scar = np.stack([g.points(2, stack.thickness_mm) for g in stack.slices])[
        labels_of(spine, stack) == Tissue.SCAR
    ]
    level = spine.place(0.0, 0.0, float(spine.disc_s[spine.operated]))
    assert len(scar) > 300
    assert abs(float(scar[:, 2].mean()) - level[2]) < spine.build.body_height


def visits(count):
    for seed in range(count):
        now = draw_findings(Region.LUMBAR, np.random.default_rng(seed))
        later = evolve(now, Region.LUMBAR, np.random.default_rng(seed + 9))
        yield tuple(make_spine(Region.LUMBAR, f, np.random.default_rng(seed)) for f in (now, later))


def test_a_follow_up_shows_the_same_person():
    for one, two in visits(60):
        assert np.array_equal(one.heights, two.heights)
        assert (one.scoliosis, one.fat_mm, one.texture_seed) == (two.scoliosis, two.fat_mm, two.texture_seed)
        assert one.transitional == two.transitional


def test_an_operation_stays_where_it_was_done():
    seed = next(n for n, s in enumerate(operable(200)) if s.operated is not None)
    before = make_spine(Region.LUMBAR, [], np.random.default_rng(seed))
    level = before.discs[before.operated]
    later = [Finding("herniation", level, Side.LEFT, Severity.MILD)]
    assert make_spine(Region.LUMBAR, later, np.random.default_rng(seed)).operated == before.operated


def operable(count):
    return (make_spine(Region.LUMBAR, [], np.random.default_rng(seed)) for seed in range(count))
