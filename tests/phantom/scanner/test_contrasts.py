"""What every lesion looks like against the tissue that would be there without it, on every sequence."""

from functools import cache

import numpy as np
import pytest

from spine_models.domain import Region, Severity, Side
from spine_models.phantom.body.pathology import Finding
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.acquisition import combine, labels_of, weighted
from spine_models.phantom.scanner.planning import plan_sagittal
from spine_models.phantom.scanner.protocol import sequence_for

LUMBAR, THORACIC, CERVICAL = Region.LUMBAR, Region.THORACIC, Region.CERVICAL
PLACES = {
    "edema": (LUMBAR, "L3", None, Tissue.OEDEMA),
    "inflammation": (LUMBAR, "L3-L4", None, Tissue.OEDEMA),
    "hemangioma": (LUMBAR, "L3", None, Tissue.HAEMANGIOMA),
    "cyst": (LUMBAR, "L3-L4", Side.LEFT, Tissue.CYST),
    "lipomatosis": (LUMBAR, "L3-L4", None, Tissue.FAT),
    "pars": (LUMBAR, "L5", Side.BILATERAL, Tissue.CLEFT),
    "herniation": (LUMBAR, "L4-L5", Side.CENTRAL, Tissue.ANNULUS),
    "fracture": (LUMBAR, "L3", None, Tissue.ANNULUS),
    "extramedullary": (THORACIC, "T8-T9", Side.LEFT, Tissue.TUMOUR),
    "intramedullary": (CERVICAL, "C4-C5", None, Tissue.CORD_TUMOUR),
    "compression": (CERVICAL, "C4-C5", None, Tissue.MYELOPATHY),
}
SEQUENCES = ("T1", "T2", "T2-FS", "STIR", "Dixon-water", "Dixon-fat", "T1+C")
SIGNS = {
    "edema": "-0+++-+",
    "inflammation": "-0+++-+",
    "hemangioma": "++++++.",
    "cyst": "-++++-.",
    "lipomatosis": "+.---+-",
    "pars": "-++++-.",
    "herniation": ".----..",
    "fracture": "----.-.",
    "extramedullary": "+----.+",
    "intramedullary": "-++++.+",
    "compression": "-++++.0",
}
"""By sequence: + brighter than the tissue in whose place it lies, - darker, 0 hardly different, . nothing is expected.

Lesions of the canal are compared with what they displace: mostly fluid for extramedullary masses, disc material and
epidural fat.
"""


@cache
def volumes(condition):
    region, level, side, _ = PLACES[condition]
    severity = Severity.SEVERE if condition == "compression" else Severity.MODERATE
    finding = Finding(condition, level, side, severity)
    ill, plain = (
        make_spine(region, found, np.random.default_rng(5), variants=0) for found in ([finding], [])
    )
    stack = plan_sagittal(ill)
    return ill, labels_of(ill, stack), plain, labels_of(plain, stack)


def solid(mask):
    """Pixels all of whose samples are true."""
    count, size = mask.shape[0], mask.shape[1] // 2
    return mask.reshape(count, size, 2, size, 2).all(axis=(2, 4))


def contrast(condition, name, b_value=0.0):
    """Signal of the lesion over that of the same place without it; means of pure pixels."""
    ill, with_it, plain, without = volumes(condition)
    tissue = PLACES[condition][3]
    where = solid((with_it == tissue) & (without != tissue))
    assert where.sum() >= 6, "the lesion fills no pixel"
    sequence = sequence_for(name, 1.5)
    lesion, normal = (
        combine(*weighted(spine, labels, sequence, 1.5, b_value), sequence)[where].mean()
        for spine, labels in ((ill, with_it), (plain, without))
    )
    return lesion / max(normal, 1e-4)


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("condition", sorted(SIGNS))
def test_a_lesion_is_seen_on_the_sequences_that_show_it(condition, sequence):
    sign = SIGNS[condition][SEQUENCES.index(sequence)]
    ratio = contrast(condition, sequence)
    match sign:
        case "+":
            assert ratio > 1.2
        case "-":
            assert ratio < 0.9
        case "0":
            assert 0.75 < ratio < 1.33
        case _:
            assert np.isfinite(ratio)


def test_oedema_is_far_clearer_with_fat_suppressed_than_on_plain_t2():
    plain = abs(np.log(contrast("edema", "T2")))
    for name in ("T2-FS", "STIR", "Dixon-water"):
        assert np.log(contrast("edema", name)) > 4 * plain


def test_fat_suppression_dims_the_bright_t1_of_fatty_lesions():
    ill, labels, _, _ = volumes("hemangioma")
    where = solid(labels == Tissue.HAEMANGIOMA)
    water, fat = weighted(ill, labels, sequence_for("T1", 1.5), 1.5)
    assert fat[where].mean() > water[where].mean()
    assert contrast("lipomatosis", "STIR") < 0.15


def test_a_mass_in_the_fluid_diffuses_less_than_the_fluid():
    assert contrast("extramedullary", "DWI", 800) > 1.5 * contrast("extramedullary", "DWI")


def test_a_cord_tumour_is_restricted_against_the_cord():
    assert contrast("intramedullary", "DWI", 800) > contrast("intramedullary", "DWI")
