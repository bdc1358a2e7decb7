from __future__ import annotations

import pytest

from spine_models.corpus.sequences.region import region_of
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
