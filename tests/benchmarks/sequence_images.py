"""Images with known contrast for training and measuring the pixel model: the phantom's, and the few real ones.

Belongs here: acquiring phantom series, varying what sites and coils vary, reading the public NIfTI files.
Does not belong here: the phantom, the features, fitting.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spine_models.corpus.sequences.pixel_model import PLACES
from spine_models.domain import Plane, Region
from spine_models.phantom.body.pathology import draw_findings
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.scanner.examination import Acquired, Order, examine

REGIONS = (Region.LUMBAR, Region.CERVICAL, Region.THORACIC)
ORDERS = ("T1", "T1+C", "T2", "T2-FS", "STIR", "PD", "T2*", "DWI", "localizer", "Dixon")
FIELDS = (0.55, 1.5, 1.5, 3.0)
REAL = (
    ("sct_testing/t1/t1w.nii.gz", "T1", 0),
    ("sct_testing/t2/t2.nii.gz", "T2", 0),
    ("sct_testing/t2s/t2s.nii.gz", "T2*", 2),
    ("tptbox/sub-mri_label-6_T2w.nii.gz", "T2", 0),
)
"""File, contrast, axis across the slices in left-right, front-back, foot-head order."""


@dataclass(frozen=True)
class Picture:
    """The middle slices of one series as the classifier would see them."""

    slices: tuple[np.ndarray, ...]
    planes: tuple[str, ...]
    truth: str
    patient: int


def phantom_pictures(patients: int, seed: int, *, variants: int = 2) -> list[Picture]:
    """Series of ``patients`` phantom patients in every contrast, each as ``variants`` sites might have taken it."""
    pictures = []
    for patient in range(patients):
        rng = np.random.default_rng([seed, patient, 5])
        region = REGIONS[patient % len(REGIONS)]
        spine = make_spine(region, draw_findings(region, rng), rng)
        plane = (Plane.SAGITTAL, Plane.SAGITTAL, Plane.AXIAL)[int(rng.integers(3))]
        orders = [Order(name, plane) for name in ORDERS]
        for acquired in examine(spine, orders, FIELDS[int(rng.integers(len(FIELDS)))], rng):
            pictures += [_picture(acquired, patient, rng, vary=v > 0) for v in range(variants)]
    return pictures


def _picture(acquired: Acquired, patient: int, rng: np.random.Generator, *, vary: bool) -> Picture:
    frames = acquired.frames
    if acquired.name == "DWI":  # a series holds several weightings, or its trace alone
        highest = max(f.b_value or 0.0 for f in frames)
        trace = tuple(f for f in frames if f.b_value == highest)
        frames = trace if trace and rng.random() < 0.5 else frames
    shift = rng.uniform(-0.15, 0.15) if vary else 0.0
    chosen = [frames[int(np.clip((place + shift) * len(frames), 0, len(frames) - 1))] for place in PLACES]
    images = [varied(f.pixels, rng) if vary else f.pixels.astype(np.float32) for f in chosen]
    return Picture(tuple(images), tuple(_plane(f.grid.iop) for f in chosen), acquired.name, patient)


def _plane(iop: tuple[float, ...]) -> str:
    from spine_models.corpus.geometry import plane_of

    return plane_of(iop).value


def varied(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another field of view, coil, resolution, noise and gain of the same slice."""
    image = pixels.astype(np.float32)
    # Whoever plans a stack puts the spine into it: another field of view has nearly the same middle.
    keep = rng.uniform(0.3, 0.6, 2) if rng.random() < 0.25 else rng.uniform(0.6, 1.0, 2)
    size = np.maximum(40, (keep * image.shape).astype(int))
    free = np.array(image.shape) - size
    top, left = np.clip(free * (0.5 + rng.uniform(-0.25, 0.25, 2)), 0, np.maximum(free, 0)).astype(int)
    image = image[top : top + size[0], left : left + size[1]]
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] / max(image.shape)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    image = image * (1 + strength * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)))
    if rng.random() < 0.4:
        image = (image + np.roll(image, 1, 0) + np.roll(image, 1, 1) + np.roll(image, (1, 1), (0, 1))) / 4
    noise = rng.uniform(0, 0.02) * np.percentile(image, 99)
    image = np.hypot(
        image + rng.normal(0, noise + 1e-6, image.shape), rng.normal(0, noise + 1e-6, image.shape)
    )
    return (np.maximum(image, 0) ** rng.uniform(0.9, 1.12)).astype(np.float32)


def real_pictures(folder: Path) -> list[tuple[str, Picture]]:
    """The four real images of ``real_spine_nifti``, sliced in three places each."""
    found = []
    for name, truth, axis in REAL:
        path = folder / "real_spine_nifti" / name
        if not path.is_file():
            continue
        volume = _in_patient_order(path)
        plane = ("sagittal", "coronal", "axial")[axis]
        slices = [
            np.rot90(np.take(volume, int(place * volume.shape[axis]), axis)) for place in (0.4, 0.5, 0.6)
        ]
        found.append((name, Picture(tuple(s.astype(np.float32) for s in slices), (plane,) * 3, truth, -1)))
    return found


def _in_patient_order(path: Path) -> np.ndarray:
    """A NIfTI-1 volume with axes running left-right, front-back, foot-head, by its sform (signs put right)."""
    raw = gzip.decompress(path.read_bytes())
    order = "<" if int.from_bytes(raw[:4], "little") == 348 else ">"
    shape = np.frombuffer(raw, f"{order}i2", 8, 40)
    code = int(np.frombuffer(raw, f"{order}i2", 1, 70)[0])
    kind = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}[code]
    offset = int(np.frombuffer(raw, f"{order}f4", 1, 108)[0])
    affine = np.frombuffer(raw, f"{order}f4", 12, 280).reshape(3, 4)
    size = tuple(int(n) for n in shape[1:4])
    volume = np.frombuffer(raw, f"{order}{kind}", int(np.prod(size)), offset).reshape(size, order="F")
    axes = [int(np.abs(affine[row, :3]).argmax()) for row in range(3)]
    for row, axis in enumerate(axes):
        # Patient axes run to the right, back and feet here, so that a rotated slice shows front left and head up.
        wanted = (-1, -1, 1)[row]
        if np.sign(affine[row, axis]) != wanted:
            volume = np.flip(volume, axis)
    return np.transpose(volume, axes).astype(np.float32)
