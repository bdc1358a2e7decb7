from copy import deepcopy

import numpy as np

from spine_models.domain import Region, Severity, condition_keys
from spine_models.phantom.body.pathology import PREVALENCE, VERTEBRAE_OF, discs_of, draw_findings, evolve

REGIONS = (Region.CERVICAL, Region.THORACIC, Region.LUMBAR)
STAYING = {"disc_height", "spondylolisthesis", "pars", "hemangioma", "fracture"}


def courses(count):
    for region in REGIONS:
        for seed in range(count):
            rng = np.random.default_rng([seed, 1])
            before = draw_findings(region, rng)
            yield region, before, evolve(before, region, rng)


def test_all_conditions_are_planted():
    assert set(PREVALENCE) == set(condition_keys())
    met = {f.condition for _, before, _ in courses(120) for f in before}
    assert met == set(condition_keys())


def test_levels_belong_to_the_region_and_no_condition_comes_twice():
    for region, before, after in courses(150):
        for findings in (before, after):
            names = [f.condition for f in findings]
            assert len(names) == len(set(names))
            for f in findings:
                assert f.level in (*VERTEBRAE_OF[region], *discs_of(region)), f


def test_the_same_seed_gives_the_same_findings_and_course():
    one, two = list(courses(20)), list(courses(20))
    assert [(b, a) for _, b, a in one] == [(b, a) for _, b, a in two]


def test_follow_ups_show_progression_and_regression_and_new_findings():
    steps = {"worse": 0, "better": 0, "gone": 0, "new": 0}
    for _, before, after in courses(200):
        later = {f.condition: f for f in after}
        for f in before:
            if f.condition not in later:
                steps["gone"] += 1
            elif later[f.condition].grade > f.grade:
                steps["worse"] += 1
            elif later[f.condition].grade < f.grade:
                steps["better"] += 1
        steps["new"] += len(set(later) - {f.condition for f in before})
    assert min(steps.values()) > 30, steps


def test_what_does_not_heal_never_shrinks_and_keeps_its_place():
    for _, before, after in courses(200):
        later = {f.condition: f for f in after}
        for f in before:
            if f.condition in STAYING:
                assert later[f.condition].grade >= f.grade
            if f.condition not in later:
                continue
            there = (later[f.condition].level, later[f.condition].side) == (f.level, f.side)
            # A mild one may resolve while a new one comes elsewhere; a compression brings its own stenosis.
            brought = f.condition == "canal" and "compression" in later
            assert there or brought or (f.grade == 1 and f.condition not in STAYING)


def test_evolve_leaves_its_input_alone():
    before = draw_findings(Region.LUMBAR, np.random.default_rng(3))
    kept = deepcopy(before)
    evolve(before, Region.LUMBAR, np.random.default_rng(4))
    assert before == kept


def companions_missing(findings):
    by = {f.condition: f for f in findings}
    tight = "compression" not in by or by.get("canal", by["compression"]).severity is Severity.SEVERE
    tight &= "compression" not in by or "canal" in by
    return not tight or ("inflammation" in by and "edema" not in by)


def test_a_first_study_has_the_companions_that_its_images_show():
    assert not any(companions_missing(before) for _, before, _ in courses(300))


def test_a_follow_up_has_the_companions_that_its_images_show():
    assert not any(companions_missing(after) for _, _, after in courses(300))
