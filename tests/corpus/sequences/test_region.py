from __future__ import annotations

import pytest

from spine_models.corpus.sequences.region import region_of, region_with_evidence
from spine_models.domain import Region as R

NAMES = {
    R.CERVICAL: [
        "CSPINE",
        "C-SPINE",
        "C_SPINE",
        "C SPINE",
        "HWS",
        "cervical",
        "Halswirbelsäule",
        "cspine t2",
        "CERV",
    ],
    R.THORACIC: ["TSPINE", "T-SPINE", "BWS", "D-SPINE", "Thoracic spine", "columna dorsal", "torácica"],
    R.LUMBAR: [
        "LSPINE",
        "L-SPINE",
        "LWS",
        "LSSPINE",
        "L-S SPINE",
        "t2_tse_sag_lspine",
        "rachis lombaire",
        "Lumbosacral",
    ],
    R.SPINE: [
        "SPINE",
        "WHOLE SPINE",
        "CTSPINE",
        "TLSPINE",
        "thoracolumbar",
        "cervicothoracic",
        "SACRUM",
        "Wirbelsäule",
    ],
    R.OTHER: ["BRAIN", "HEAD", "KNEE", "SI JOINTS", "Sacroiliac", "SHOULDER", "PELVIS"],
    R.UNKNOWN: ["t2_tse_sag", "NECK", "SAG T1", "", "dc_lspiner"],
}


@pytest.mark.parametrize(
    ("region", "name"), [(region, name) for region, names in NAMES.items() for name in names]
)
def test_regions_in_the_words_of_several_sites(region, name):
    assert region_of(name, None, None) is region
    assert region_of(None, None, name) is region


def test_the_most_specific_name_wins():
    assert region_of("SAG T2 LUMBAR", None, "CSPINE") is R.LUMBAR
    assert region_of("SAG T2", "C-spine routine", "SPINE") is R.CERVICAL
    assert region_of("t2 cspine", None, "HEAD") is R.CERVICAL
    assert region_of("t2", None, "HEAD") is R.OTHER
    assert region_of("whole spine", None, "HEAD") is R.SPINE
    assert region_of(None, None, None) is R.UNKNOWN


@pytest.mark.parametrize(
    ("name", "region"),
    [("AX T2 L3-S1", R.LUMBAR), ("T2 tra C4/5 C5-C7", R.CERVICAL), ("T4-T9 ax", R.THORACIC),
     ("T1 T2 routine", R.UNKNOWN), ("t1_t2", R.UNKNOWN), ("C2-T1", R.CERVICAL), ("T1-T2 weighted", R.UNKNOWN)],
)  # fmt: skip
def test_levels_name_a_region_but_weightings_do_not(name, region):
    assert region_of(name, None, None) is region


def test_the_evidence_is_the_name_that_gave_the_region():
    assert region_with_evidence("t2", "C-spine", "SPINE") == (R.CERVICAL, "protocol")
    assert region_with_evidence("ax L4-S1", None, "SPINE") == (R.LUMBAR, "levels")
    assert region_with_evidence("t2", None, "SPINE") == (R.SPINE, "body_part")
    assert region_with_evidence("t2", None, None) == (R.UNKNOWN, None)
