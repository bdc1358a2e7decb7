"""The region of a study and whether it can be read."""

from __future__ import annotations

import pytest

from spine_models.domain import Contrast, Plane, Region, Route
from spine_models.reporting.agents.examination import SeriesFacts, examination_of, examinations


def facts(region: str, contrast: str | None = "T2", route: str = "t2") -> SeriesFacts:
    known = Contrast(contrast) if contrast else None
    return SeriesFacts(f"s-{region}-{contrast}", known, Plane.SAGITTAL, Region(region), Route(route), 1.5)


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        (["lumbar", "lumbar"], Region.LUMBAR),
        (["lumbar", "unknown", "spine"], Region.LUMBAR),
        (["cervical", "lumbar"], Region.SPINE),
        (["spine", "unknown"], Region.SPINE),
        (["lumbar", "other"], Region.LUMBAR),
        (["other", "other"], Region.OTHER),
        (["other", "unknown"], Region.UNKNOWN),
        (["unknown"], Region.UNKNOWN),
        ([], Region.UNKNOWN),
    ],
)
def test_region_of_a_study(regions: list[str], expected: Region) -> None:
    assert examination_of(tuple(facts(region) for region in regions)).region == expected


def test_a_localizer_votes_only_where_there_is_nothing_else() -> None:
    scout = facts("thoracic", "localizer", "other")
    assert examination_of((scout, facts("lumbar"))).parts == (Region.LUMBAR,)
    assert examination_of((scout,)).region == Region.THORACIC


def test_readable_needs_a_series_with_an_encoder() -> None:
    assert examination_of((facts("lumbar"),)).readable
    assert not examination_of((facts("lumbar", "PD", "other"), facts("lumbar", None, "other"))).readable


def test_studies_are_kept_apart(archive) -> None:
    tables = archive(
        {"a": [("T1", "sagittal", "t1")], "b": [("PD", "axial", "other"), (None, "axial", "other")]},
        region={"a": "cervical", "b": "unknown"},
    )
    found = examinations(tables.series)
    assert found["a"].region == Region.CERVICAL
    assert [s.contrast for s in found["b"].series] == [Contrast.PD, None]
