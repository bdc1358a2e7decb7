from __future__ import annotations

import pytest

from spine_models.corpus.labels.rules.levels import find_levels, region_of
from spine_models.domain import DISCS, VERTEBRAE, Region


def names(text: str, kind: str = "disc", region: Region | None = None) -> list[str]:
    return [name for group in find_levels(text.lower(), region) for name in group.names(kind)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("l4-5", ["L4-L5"]),
        ("l4-l5", ["L4-L5"]),
        ("l4/5", ["L4-L5"]),
        ("l4/l5", ["L4-L5"]),
        ("l4 - l5", ["L4-L5"]),
        ("l5-s1", ["L5-S1"]),
        ("l5/1", ["L5-S1"]),
        ("c7-t1", ["C7-T1"]),
        ("t12-l1", ["T12-L1"]),
        ("t9-10", ["T9-T10"]),
        ("d11-d12", ["T11-T12"]),
        ("l-3-l4", ["L3-L4"]),
        ("l4 on l5", ["L4-L5"]),
        ("l4-5 and l5-s1", ["L4-L5", "L5-S1"]),
        ("c4-5, c5-6 and c6-7", ["C4-C5", "C5-C6", "C6-C7"]),
        ("l2-3 through l5-s1", ["L2-L3", "L3-L4", "L4-L5", "L5-S1"]),
        ("c3-c6", ["C3-C4", "C4-C5", "C5-C6"]),
        ("the t12 vertebral body", ["T12"]),
        ("at t1 there is", ["T1"]),
        ("t1 and t2 hyperintense", []),
        ("on t2-weighted images", []),
        ("sagittal t1, t2 and stir images", []),
        ("bright on t1", []),
        ("the traversing s1 nerve root", []),
        ("both l5 roots", []),
        ("measuring 5 mm", []),
        ("c-spine", []),
        ("l4-5 mm", ["L4"]),
        ("ct 10", []),
        ("grade 1", []),
    ],
)
def test_levels_as_reports_write_them(text, expected):
    assert names(text) == expected


def test_a_range_of_bodies():
    assert names("t7 through t9", "vertebra") == ["T7", "T8", "T9"]
    assert names("l1-l2", "vertebra") == ["L1", "L2"]


def test_all_levels_of_the_region():
    assert names("at all levels", region=Region.CERVICAL) == [d for d in DISCS if d.startswith("C")]
    assert names("at every lumbar level") == [d for d in DISCS if d.startswith("L")]
    assert names("at all levels") == []


def test_every_disc_and_body_has_its_own_name():
    assert [names(disc.lower()) for disc in DISCS] == [[disc] for disc in DISCS]
    bodies = [v for v in VERTEBRAE if v not in ("T1", "T2")]
    assert [names(f"the {body.lower()} vertebra") for body in bodies] == [[body] for body in bodies]


def test_the_region_is_the_one_named_most():
    assert region_of("mri lumbar spine. lumbar lordosis. thoracic cord") is Region.LUMBAR
    assert region_of("cervical and lumbar spine") is None
    assert region_of("spine") is None
