from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from spine_models.config import SequenceSettings
from spine_models.corpus.deid.tables import ANNOTATIONS, INSTANCES
from spine_models.corpus.sequences import CLASSIFIER_VERSION, classify_batch, classify_series
from spine_models.corpus.sequences.tables import DISAGREEMENTS, SERIES

SETTINGS = SequenceSettings()


def instance(series: str = "s1", number: int = 1, **facts: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(INSTANCES.names())
    row |= {
        "batch_key": "internal-0001", "patient_key": "p", "study_key": "st", "series_key": series,
        "instance_key": f"{series}-{number}", "sop_class": "MR", "instance_number": number, "frames": 1,
        "series_description": "t1_tse_sag", "body_part": "LSPINE", "vendor": "Siemens", "field_strength_t": 1.5,
        "scanning_sequence": "SE", "tr_ms": 600.0, "te_ms": 10.0, "flip_deg": 150.0, "has_contrast_agent": False,
        "iop": [0.0, 1, 0, 0, 0, -1], "ipp_mm": [4.0 * number, 0, 0],
    }  # fmt: skip
    return row | facts


def classify(*rows: dict[str, Any], settings: SequenceSettings = SETTINGS) -> list[dict[str, Any]]:
    frame = classify_series(pl.DataFrame(list(rows), schema=INSTANCES), settings=settings)
    assert frame.schema == SERIES
    return frame.to_dicts()


def test_one_row_per_series_with_route_plane_region_and_spacing():
    t2 = {
        "series_description": "t2_tse_tra",
        "tr_ms": 4000.0,
        "te_ms": 100.0,
        "iop": [1.0, 0, 0, 0, 0.95, 0.31],
    }
    rows = classify(*[instance(number=n) for n in (1, 2, 3)], *[instance("s2", n, **t2) for n in (1, 2)])
    assert [row["series_key"] for row in rows] == ["s1", "s2"]
    first, second = rows
    assert (first["contrast"], first["route"], first["plane"], first["region"]) == (
        "T1",
        "t1",
        "sagittal",
        "lumbar",
    )
    assert (first["n_instances"], first["n_slices"], first["slice_spacing_mm"]) == (3, 3, 4.0)
    assert not first["abstained"]
    assert (second["contrast"], second["route"], second["plane"]) == ("T2", "t2", "axial")


def test_no_instances_give_an_empty_table():
    assert classify() == []


def test_below_the_limit_the_contrast_is_null_and_the_route_other():
    unknown = {"series_description": None, "tr_ms": None, "te_ms": None}
    row = classify(instance(**unknown))[0]
    assert (row["contrast"], row["route"], row["abstained"]) == (None, "other", True)
    assert row["decided_by"] == "nobody"
    sure = classify(instance())[0]
    assert 0.9 < sure["confidence"] < 0.999
    assert sure["decided_by"] == "rules"
    strict = classify(
        instance(), settings=SequenceSettings(min_confidence=0.999, min_model_confidence=0.999)
    )[0]
    assert (strict["contrast"], strict["abstained"], strict["route"]) == (None, True, "other")
    assert strict["confidence"] < 0.999


def test_a_contradiction_is_in_both_tables_whoever_is_believed():
    frame = pl.DataFrame([instance(series_description="t2_tse_sag"), instance("s2")], schema=INSTANCES)
    found = classify_batch(frame, settings=SETTINGS)
    series, against = found.series.row(0, named=True), found.disagreements.to_dicts()
    assert found.disagreements.schema == DISAGREEMENTS
    assert series["disagreement"].startswith("text says T2, timing says T1")
    assert {row["series_key"] for row in against} == {"s1"}
    first = next(row for row in against if row["source_a"] == "text")
    assert (first["says_a"], first["source_b"], first["says_b"]) == ("T2", "timing", "T1")
    assert all(row["decision"] == series["contrast"] for row in against)
    assert all(row["decided_by"] == series["decided_by"] for row in against)


def test_an_agent_that_name_and_header_tell_differently_is_a_contradiction_of_its_own():
    frame = pl.DataFrame(
        [instance(series_description="t1_tse_sag pre", has_contrast_agent=True)], schema=INSTANCES
    )
    (row,) = classify_batch(frame, settings=SETTINGS).disagreements.to_dicts()
    assert (row["about"], row["says_a"], row["says_b"]) == (
        "contrast_agent",
        "before contrast agent",
        "an agent",
    )


def test_the_header_model_decides_where_the_rules_cannot():
    """A gradient echo of three echoes without any name, as one maker's export left it."""
    nameless = {"series_description": None, "protocol_name": "sSUM", "scanning_sequence": None, "vendor": "Philips",
                "image_type": "ORIGINAL\\PRIMARY\\M\\FFE\\M\\FFE", "tr_ms": 625.0, "te_ms": 2.1, "flip_deg": 30.0,
                "field_strength_t": 3.0, "has_contrast_agent": None}  # fmt: skip
    row = classify(instance(**nameless))[0]
    assert (row["contrast"], row["decided_by"]) == ("T2*", "header_model")
    assert (row["rule_contrast"], row["header_contrast"]) == (None, "T2*")
    assert row["header_confidence"] == row["confidence"] >= 0.8


@pytest.mark.parametrize(
    ("facts", "agent", "part", "weightings"),
    [
        ({"series_description": "t1_tse_sag +C"}, True, None, None),
        ({"series_description": "t1_tse_sag nativ"}, False, None, None),
        ({"series_description": None, "protocol_name": None, "has_contrast_agent": None}, None, None, None),
        ({"series_description": "t1 vibe dixon_W", "image_type": "DERIVED\\PRIMARY\\WATER"}, False, "water", None),
        ({"series_description": "t2_tse_dixon_sag_opp", "tr_ms": 3500.0, "te_ms": 90.0}, False, "opposed", None),
        ({"series_description": "ep2d_diff", "scanning_sequence": "EP", "te_ms": 80.0, "tr_ms": 4e3, "b_value": 800.0},
         False, None, [800.0]),
    ],
)  # fmt: skip
def test_agent_dixon_part_and_diffusion_weightings(facts, agent, part, weightings):
    row = classify(instance(**facts))[0]
    assert (row["contrast_agent"], row["dixon_part"], row["b_values"]) == (agent, part, weightings)


def test_the_weightings_of_a_series_are_listed_once_and_rising():
    rows = [instance(number=n, series_description="ep2d_diff", scanning_sequence="EP", te_ms=80.0, b_value=b)
            for n, b in enumerate((800.0, 0.0, 400.0, 0.0), 1)]  # fmt: skip
    assert classify(*rows)[0]["b_values"] == [0.0, 400.0, 800.0]


def test_a_region_comes_from_siblings_only_when_they_name_one_part():
    silent = {"series_description": "localizer", "body_part": None}
    lumbar = classify(instance(), instance("s2", **silent))
    assert [(row["region"], row["region_evidence"]) for row in lumbar] == [
        ("lumbar", "body_part"),
        ("lumbar", "study"),
    ]
    two = classify(instance(), instance("s3", body_part="CSPINE"), instance("s2", **silent))
    assert two[1]["region"] == "unknown"
    rows = classify(instance(), instance("s2", **silent | {"study_key": "another"}))
    other = next(row for row in rows if row["series_key"] == "s2")
    assert (other["region"], other["region_evidence"]) == ("unknown", None)


def graded(study: str, *levels: str | None, kind: str = "label") -> list[dict[str, Any]]:
    return [
        dict.fromkeys(ANNOTATIONS.names()) | {"study_key": study, "kind": kind, "level": v} for v in levels
    ]


def test_graded_levels_tell_the_region_of_a_study_that_names_none():
    silent = {"series_description": "t1_tse_sag", "body_part": None}
    studies = ("lumbar", "pointed", "spine", "two parts", "boxed", "named", "open")
    rows = [instance(f"s-{name}", study_key=name, **silent) for name in studies]
    rows[2]["body_part"] = "SPINE"
    rows.append(instance("s-named-2", study_key="named", series_description="knee_sag", body_part="KNEE"))
    told = [
        *graded("lumbar", "L1-L2", "L5-S1"), *graded("lumbar", None, kind="series"),
        *graded("pointed", "L5-S1", kind="point"),
        *graded("spine", "L4-L5", kind="point"), *graded("two parts", "T11-T12", "T12-L1", "L1-L2"),
        *graded("boxed", "L4-L5", kind="box"), *graded("named", "L4-L5"),
    ]  # fmt: skip
    found = classify_batch(
        pl.DataFrame(rows, schema=INSTANCES),
        settings=SETTINGS,
        annotations=pl.DataFrame(told, schema=ANNOTATIONS),
    )
    regions = dict(zip(*found.series.select("series_key", "region").get_columns(), strict=True))
    assert regions == {
        "s-lumbar": "lumbar", "s-pointed": "lumbar", "s-spine": "spine", "s-two parts": "unknown",
        "s-boxed": "unknown", "s-named": "unknown", "s-named-2": "other", "s-open": "unknown",
    }  # fmt: skip
    by_people = found.series.filter(pl.col("region_evidence") == "annotations")["series_key"].to_list()
    assert by_people == ["s-lumbar", "s-pointed"]


def test_a_series_that_mixes_kinds_is_abstained_on():
    parts = [instance(number=n, series_description="t2_dixon", image_type=f"DERIVED\\PRIMARY\\{part}")
             for n, part in enumerate(("WATER", "FAT", "IN_PHASE", "OPP_PHASE"), 1)]  # fmt: skip
    row = classify(*parts)[0]
    assert row["abstained"]
    assert row["rule"].startswith("mixed_series: Dixon-fat")


def test_diffusion_weightings_of_one_series_agree():
    rows = [instance(number=n, series_description="ep2d_diff", scanning_sequence="EP", te_ms=80.0, b_value=b)
            for n, b in enumerate((0.0, 400.0, 800.0), 1)]  # fmt: skip
    assert classify(*rows)[0]["contrast"] == "DWI"


@pytest.mark.parametrize(
    ("image_type", "tiles", "frames", "slices"),
    [("ORIGINAL\\MOSAIC", None, 1, None), ("ORIGINAL\\MOSAIC", 24, 1, 24), ("ORIGINAL", None, 20, 20)],
)
def test_many_slices_in_one_instance(image_type, tiles, frames, slices):
    facts = {"image_type": image_type, "mosaic_tiles": tiles, "frames": frames}
    row = classify(instance(**facts, spacing_between_mm=3.3))[0]
    assert (row["n_slices"], row["slice_spacing_mm"]) == (slices, 3.3)


def test_order_of_rows_does_not_matter():
    rows = [instance("s2", n, te_ms=float(n)) for n in (1, 2)] + [instance("s1", n) for n in (1, 2)]
    frame = pl.DataFrame(rows, schema=INSTANCES)
    assert classify_series(frame, settings=SETTINGS).equals(
        classify_series(frame.reverse(), settings=SETTINGS)
    )
    assert CLASSIFIER_VERSION
