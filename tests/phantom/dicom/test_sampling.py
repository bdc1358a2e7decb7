"""Sampled headers: every contrast, maker and fault occurs, the same seed gives the same, and the truth is in them."""

from collections import Counter

import pytest

from spine_models.corpus.geometry import plane_of
from spine_models.corpus.header import acquisition_facts, vendor_of
from spine_models.domain import Contrast
from spine_models.phantom.dicom.damage import FAULTS
from spine_models.phantom.dicom.sampling import sample_headers


@pytest.fixture(scope="module")
def sample():
    return list(sample_headers(1500, seed=5, damage_rate=0.3))


def test_every_contrast_maker_and_fault_occurs(sample):
    truths = [truth for _, truth in sample]
    assert {t["contrast"] for t in truths} == {c.value for c in Contrast}
    assert {t["vendor"] for t in truths} == {"Siemens", "GE", "Philips", "Canon", "UIH"}
    faults = Counter(f for t in truths for f in t["damage"])
    assert set(faults) == set(FAULTS)
    assert 0.25 < sum(bool(t["damage"]) for t in truths) / len(truths) < 0.35


def test_same_seed_same_headers():
    first, second = (
        [(ds.to_json(), t) for ds, t in sample_headers(25, seed=9, damage_rate=0.5)] for _ in range(2)
    )
    assert first == second
    assert first != [(ds.to_json(), t) for ds, t in sample_headers(25, seed=10, damage_rate=0.5)]


def test_no_pixels_and_no_shared_elements(sample):
    assert not any("PixelData" in ds for ds, _ in sample)
    ids = [id(ds["SeriesInstanceUID"]) for ds, _ in sample]
    assert len(set(ids)) == len(ids)


def test_geometry_and_b_value_say_what_the_truth_says(sample):
    for ds, truth in sample:
        facts = acquisition_facts(ds)
        assert plane_of(facts["iop"]).value == truth["plane"]
        if truth["contrast"] == "DWI" and truth["vendor"] != "Canon":
            states = truth["vendor"] == "UIH" or facts["b_value"] == truth["b_value"]
            assert states, (truth, facts["b_value"])
        if truth["contrast"] != "DWI":
            assert not facts["b_value"]


def test_an_undamaged_header_tells_of_contrast_agent(sample):
    told = [
        ("ContrastBolusAgent" in ds, truth)
        for ds, truth in sample
        if truth["contrast"] == "T1+C" and not truth["damage"]
    ]
    assert 0.3 < sum(has for has, _ in told) / len(told) < 0.95


def test_makers_are_recognised(sample):
    for ds, truth in sample:
        if "no_manufacturer" in truth["damage"]:
            assert vendor_of(ds.Manufacturer) is None
        elif truth["vendor"] != "UIH":
            assert vendor_of(ds.Manufacturer) == truth["vendor"]
