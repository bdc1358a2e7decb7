from functools import cache

import numpy as np
import pytest

from spine_models.domain import Plane, Region, Severity, Side
from spine_models.phantom.body.pathology import PREVALENCE, Finding, discs_of, draw_findings
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.scanner.acquisition import acquire, labels_of
from spine_models.phantom.scanner.planning import plan_axial, plan_sagittal
from spine_models.phantom.scanner.relaxation import Tissue
from spine_models.phantom.vendors import sequence_for


def spine_with(condition, level, side=None, region=Region.LUMBAR, severity=Severity.SEVERE, seed=5):
    findings = [Finding(condition, level, side, severity)] if condition else []
    return make_spine(region, findings, np.random.default_rng(seed))


@cache
def plain_labels(region, plan):
    """Stack and labels of the same spine without any finding."""
    plain = spine_with(None, None, region=region)
    stack = plan(plain)
    return stack, labels_of(plain, stack)


def patient_x(stack, mask):
    """Mean x in mm of the true voxels of supersampled labels."""
    xs = []
    for grid, hit in zip(stack.slices, mask, strict=True):
        points = grid.points(2, 0.0)
        xs.append(points[hit][:, 0])
    return float(np.concatenate(xs).mean())


@pytest.mark.parametrize("plane", [Plane.SAGITTAL, Plane.AXIAL])
@pytest.mark.parametrize("condition", ["synovial", "cyst"])
def test_left_is_the_patients_left_in_both_planes(condition, plane):
    plan = plan_sagittal if plane is Plane.SAGITTAL else plan_axial
    for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
        spine = spine_with(condition, "L3-L4", side)
        stack = plan(spine)
        assert sign * patient_x(stack, labels_of(spine, stack) == Tissue.CYST) > 3


@pytest.mark.parametrize("region", [Region.CERVICAL, Region.THORACIC, Region.LUMBAR])
def test_every_lesion_lies_inside_the_sagittal_stack(region):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        spine = make_spine(region, draw_findings(region, rng), rng)
        stack = plan_sagittal(spine)
        first, last = stack.slices[0], stack.slices[-1]
        field = first.spacing_mm * first.matrix
        low = np.array([first.ipp_mm[0] - 2.2, first.ipp_mm[1], first.ipp_mm[2] - field])
        high = np.array([last.ipp_mm[0] + 2.2, first.ipp_mm[1] + field, first.ipp_mm[2]])
        for finding in spine.findings:
            centre = np.mean(finding.box_mm, axis=0)
            assert np.all((low < centre) & (centre < high)), (finding.condition, finding.level)
            assert finding.box_mm[0][2] > low[2], finding
            assert finding.box_mm[1][2] < high[2], finding


@pytest.mark.parametrize(
    ("condition", "level", "tissue"),
    [
        ("edema", "L3", Tissue.OEDEMA),
        ("hemangioma", "L3", Tissue.HAEMANGIOMA),
        ("cyst", "L3-L4", Tissue.CYST),
        ("synovial", "L3-L4", Tissue.CYST),
        ("extramedullary", "L3-L4", Tissue.TUMOUR),
        ("inflammation", "L3-L4", Tissue.OEDEMA),
    ],
)
def test_a_lesion_is_seen_inside_its_box_and_nowhere_else(condition, level, tissue):
    side = Side.LEFT if condition in ("cyst", "synovial", "extramedullary") else None
    spine = spine_with(condition, level, side, severity=Severity.MODERATE)
    stack = plan_sagittal(spine)
    labels = labels_of(spine, stack)
    assert (labels == tissue).sum() > 60
    low, high = spine.findings[0].box_mm
    for grid, image in zip(stack.slices, labels, strict=True):
        found = grid.points(2, stack.thickness_mm)[image == tissue]
        assert np.all((found > low - 2.5) & (found < high + 2.5))


def test_a_slip_moves_the_vertebra_and_not_the_skin():
    plain, slipped = spine_with(None, None), spine_with("spondylolisthesis", "L4-L5")
    stack = plan_sagittal(plain)
    a, b = labels_of(plain, stack), labels_of(slipped, stack)
    middle = a.shape[0] // 2
    assert (a[middle] != b[middle]).mean() > 0.005
    air_a, air_b = a == Tissue.AIR, b == Tissue.AIR
    assert np.array_equal(air_a, air_b)


@pytest.mark.parametrize("condition", sorted(PREVALENCE))
def test_each_condition_changes_the_anatomy_it_names(condition):
    region = Region.CERVICAL if condition in ("intramedullary", "compression") else Region.LUMBAR
    vertebral = condition in ("fracture", "edema", "hemangioma")
    discs = discs_of(region)
    level = ("C5" if region is Region.CERVICAL else "L3") if vertebral else discs[2]
    side = (
        Side.LEFT
        if condition in ("neuroforaminal", "subarticular", "cyst", "synovial", "extramedullary")
        else None
    )
    ill = spine_with(condition, level, side, region=region)
    plane = plan_axial if condition == "subarticular" else plan_sagittal
    stack, before = plain_labels(region, plane)
    changed = (labels_of(ill, stack) != before).sum()
    assert changed > 80, condition


def test_the_same_seed_gives_the_same_image_and_noise_is_there():
    spine = spine_with(None, None)
    stack = plan_sagittal(spine)
    labels = labels_of(spine, stack)
    sequence = sequence_for("T2", 1.5)
    one, two, other = (
        acquire(spine, stack, labels, sequence, 1.5, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.max() <= 4095
    air = one[0][:, -6:]
    assert 0 < air.std() < 60
