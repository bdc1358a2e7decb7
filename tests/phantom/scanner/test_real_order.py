"""Tissues rank in the phantom as they rank in real images: spinalcordtoolbox's neck and TPTBox's back.

The masks say where cord, bone, disc and canal are. What no mask names is found beside them: fluid is the ring round the
cord mask on T2-weighted images, muscle is not named and not compared.
"""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from spine_models.domain import Region
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.acquisition import combine, labels_of, weighted
from spine_models.phantom.scanner.planning import plan_sagittal
from spine_models.phantom.scanner.protocol import sequence_for


def _folder():
    named = os.environ.get("SPINE_REAL_DATA")
    places = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    return next((p / "real_spine_nifti" for p in places if (p / "real_spine_nifti").is_dir()), None)


REAL = _folder()
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(REAL is None, reason="the real images (real_spine_nifti) are not beside the checkout"),
]
TYPES = {2: "u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 256: "i1", 512: "<u2"}


def volume(name):
    """Voxels of a NIfTI-1 file."""
    data = gzip.decompress((REAL / f"{name}.nii.gz").read_bytes())
    rank, *sizes = struct.unpack("<8h", data[40:56])
    kind, start = struct.unpack("<h", data[70:72])[0], int(struct.unpack("<f", data[108:112])[0])
    shape = sizes[:rank]
    return (
        np.frombuffer(data, TYPES[kind], int(np.prod(shape)), start).reshape(shape, order="F").astype(float)
    )


def phantom(name, region, tissues):
    """Median ideal signal of pure pixels of each tissue."""
    spine = make_spine(region, [], np.random.default_rng(5))
    labels = labels_of(spine, plan_sagittal(spine))
    sequence = sequence_for(name, 3.0)
    image = combine(*weighted(spine, labels, sequence, 3.0), sequence)
    count, size = len(labels), labels.shape[1] // 2
    found = {}
    for key, members in tissues.items():
        pure = np.isin(labels, members).reshape(count, size, 2, size, 2).all(axis=(2, 4))
        assert pure.sum() > 30, key
        found[key] = float(np.median(image[pure]))
    return found


def order(signals):
    return sorted(signals, key=signals.get)


def test_lumbar_t2_ranks_cortex_disc_bone_and_canal_alike():
    image, mask = (volume(f"tptbox/sub-mri_{n}") for n in ("label-6_T2w", "seg-subreg_label-6_msk"))
    names = {"endplate": 62, "disc": 100, "bone": 49, "canal": 61}
    real = {key: float(np.median(image[mask == value])) for key, value in names.items()}
    discs = (*(Tissue.NUCLEUS + n for n in range(5)), Tissue.ANNULUS)
    tissues = {
        "endplate": (Tissue.CORTEX,),
        "disc": discs,
        "bone": (Tissue.MARROW,),
        "canal": (Tissue.CSF, Tissue.ROOT),
    }
    assert (
        order(phantom("T2", Region.LUMBAR, tissues)) == order(real) == ["endplate", "disc", "bone", "canal"]
    )


def cord_and_ring(image, mask):
    """Medians inside the cord, eroded, and of the fluid ring around it."""
    cord = mask > 0
    ring = binary_dilation(cord, iterations=3) & ~binary_dilation(cord, iterations=1)
    return {
        "cord": float(np.median(image[binary_erosion(cord)])),
        "fluid": float(np.percentile(image[ring], 75)),
    }


NECK = {"cord": (Tissue.CORD,), "fluid": (Tissue.CSF,)}


def test_cervical_t2_has_fluid_brighter_than_cord():
    real = cord_and_ring(volume("sct_testing/t2/t2"), volume("sct_testing/t2/t2_seg-manual"))
    assert order(phantom("T2", Region.CERVICAL, NECK)) == order(real) == ["cord", "fluid"]


def test_cervical_t1_has_fluid_darker_than_cord():
    image, mask = volume("sct_testing/t1/t1w"), volume("sct_testing/t1/t1w_seg-manual") > 0
    ring = binary_dilation(mask, iterations=3) & ~binary_dilation(mask, iterations=1)
    real = {
        "cord": float(np.median(image[binary_erosion(mask)])),
        "fluid": float(np.median(image[ring])),
    }
    assert order(phantom("T1", Region.CERVICAL, NECK)) == order(real) == ["fluid", "cord"]


def test_cervical_t2_star_has_fluid_brighter_than_cord():
    image, mask = volume("sct_testing/t2s/t2s"), volume("sct_testing/t2s/t2s_gmseg_manual") > 0
    # The mask is the grey matter, two millimetres inside the cord's edge; fluid lies six to nine pixels out.
    inside = binary_dilation(mask, np.ones((3, 3, 1)), iterations=1)
    out = binary_dilation(mask, np.ones((3, 3, 1)), iterations=11)
    out &= ~binary_dilation(mask, np.ones((3, 3, 1)), iterations=7)
    real = {"cord": float(np.median(image[inside])), "fluid": float(np.percentile(image[out], 75))}
    assert order(phantom("T2*", Region.CERVICAL, NECK)) == order(real) == ["cord", "fluid"]
