"""Pictures drawn with more spread than any phantom hospital has: tissues, protocols and coils vary beyond its own.

The pixel model must hold on scanners that nobody drew, so it is taught on the phantom's anatomy with relaxation times,
fat shares, diffusivities and timing drawn anew for every series (domain randomisation), and measured on the phantom's
own series and on real images. Belongs here: the drawing. Does not belong here: the phantom, the features, fitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from sequence_images import REGIONS, Picture, varied
from sequence_protocols import Protocol, protocols

from spine_models.domain import Plane
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.pathology import draw_findings
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.acquisition import labels_of
from spine_models.phantom.scanner.planning import plan_axial, plan_sagittal
from spine_models.phantom.scanner.relaxation import (
    DRY_NUCLEUS,
    FAT,
    RELAXIVITY_15,
    TABLE,
    Relaxation,
    mixture,
)

CONTRASTS = (
    "T1", "T1+C", "T2", "T2-FS", "STIR", "PD", "T2*", "DWI", "ADC", "localizer", "derived",
    "Dixon-in", "Dixon-opposed", "Dixon-water", "Dixon-fat",
)  # fmt: skip
SLICES = 3


@dataclass(frozen=True)
class _Signals:
    """Water and fat signal by label ``[labels]``, float32."""

    water: np.ndarray
    fat: np.ndarray


def drawn_pictures(patients: int, seed: int) -> list[Picture]:
    """One picture of every contrast of each of ``patients`` phantom spines; the same seed gives the same pictures."""
    pictures = []
    for patient in range(patients):
        rng = np.random.default_rng([seed, patient, 19])
        region = REGIONS[patient % len(REGIONS)]
        spine = make_spine(region, draw_findings(region, rng), rng)
        plane = (Plane.SAGITTAL, Plane.SAGITTAL, Plane.AXIAL)[int(rng.integers(3))]
        labels = {p: _labels(spine, p, rng) for p in (Plane.SAGITTAL, Plane.AXIAL)}
        for contrast in CONTRASTS:
            pictures.append(_picture(contrast, spine, plane, labels, patient, rng))
    return pictures


def _labels(spine: Spine, plane: Plane, rng: np.random.Generator) -> np.ndarray:
    stack = plan_sagittal(spine) if plane is Plane.SAGITTAL else plan_axial(spine)
    middle = len(stack.slices) / 2
    at = np.clip(
        middle + rng.uniform(-0.25, 0.25, SLICES) * len(stack.slices), 0, len(stack.slices) - 1
    ).astype(int)
    return labels_of(spine, replace(stack, slices=tuple(stack.slices[i] for i in sorted(at))))


def _picture(
    contrast: str,
    spine: Spine,
    plane: Plane,
    labels: Mapping[Plane, np.ndarray],
    patient: int,
    rng: np.random.Generator,
) -> Picture:
    ways = [p for p in protocols() if p.contrast == contrast]
    way = ways[int(rng.choice(len(ways), p=np.array([p.weight for p in ways]) / sum(p.weight for p in ways)))]
    planes = [plane] * SLICES
    if contrast == "localizer":
        planes = [Plane.SAGITTAL, Plane.AXIAL, Plane.SAGITTAL] if rng.random() < 0.7 else planes
    table = _table(contrast, way, spine, rng)
    coarse = rng.random() < {"DWI": 0.9, "ADC": 0.9, "localizer": 0.6}.get(contrast, 0.05)
    images = [_acquired(table[labels[p][i]], contrast, p, coarse, rng) for i, p in enumerate(planes)]
    if contrast == "derived":
        images = _derived(images, table, labels[plane], rng)
    if rng.random() < 0.75:
        images = [varied(image, rng) for image in images]
    return Picture(tuple(images), tuple(p.value for p in planes), contrast, patient)


def _table(contrast: str, way: Protocol, spine: Spine, rng: np.random.Generator) -> np.ndarray:
    """Signal by label after preparation, weighting and what was suppressed or separated."""
    field = float(rng.choice([0.55, 1.5, 1.5, 3.0]))
    timing = {
        "tr": float(np.exp(rng.uniform(*np.log(way.tr)))),
        "te": float(np.exp(rng.uniform(*np.log(way.te)))),
        "flip": float(rng.uniform(*way.flip)) if way.kind == "GR" else 90.0,
        "ti": float(np.exp(rng.uniform(*np.log(way.ti)))) if way.ti else None,
    }
    tissues = _tissues(spine, rng)
    if contrast == "STIR":  # the inversion time that nulls the fat of this body, within a few percent
        timing["ti"] = np.log(2) * _t1(FAT, field) * rng.uniform(0.88, 1.06)
    signals = _signals(contrast, way, timing, tissues, field, rng)
    residual = rng.uniform(0.02, 0.25)
    if contrast == "ADC":
        return signals.water
    if contrast == "Dixon-opposed":
        return np.abs(signals.water - signals.fat)
    if contrast in ("Dixon-water", "DWI", "T2-FS") or (rng.random() < way.fat_suppressed):
        return signals.water + residual * signals.fat * (contrast != "Dixon-water")
    return signals.fat if contrast == "Dixon-fat" else signals.water + signals.fat


def _tissues(spine: Spine, rng: np.random.Generator) -> dict[int, Relaxation]:
    """This body's tissues: the table with about a tenth of spread, discs as dry as they are."""

    def spread(tissue: Relaxation) -> Relaxation:
        factors = dict(zip((f.name for f in fields(Relaxation)), np.exp(rng.normal(0, 0.12, 8)), strict=True))
        values = {name: getattr(tissue, name) * factor for name, factor in factors.items()}
        return Relaxation(**values | {"fat": min(values["fat"], 1.0)})

    tissues = {int(label): spread(tissue) for label, tissue in TABLE.items() if label < Tissue.NUCLEUS}
    wet = TABLE[Tissue.NUCLEUS]
    discs = {Tissue.NUCLEUS + n: mixture(wet, DRY_NUCLEUS, float(d)) for n, d in enumerate(spine.dryness)}
    return tissues | {int(label): spread(tissue) for label, tissue in discs.items()}


def _t1(tissue: Relaxation, field: float, agent: bool = False) -> float:
    t1 = float(np.interp(field, [0.55, 1.5, 3.0], [0.72 * tissue.t1_15, tissue.t1_15, tissue.t1_30]))
    return 1 / (1 / t1 + RELAXIVITY_15 * tissue.agent_mm / 1000) if agent else t1


def _signals(
    contrast: str, way: Protocol, timing: Mapping[str, float | None], tissues: Mapping[int, Relaxation], field: float,
    rng: np.random.Generator,
) -> _Signals:  # fmt: skip
    water, fat = np.zeros((2, max(tissues) + 1), dtype=np.float32)
    b_value = float(rng.choice([0, 50, 400, 600, 800, 1000])) if contrast == "DWI" else 0.0
    agent = contrast == "T1+C" or (contrast == "derived" and rng.random() < 0.3)
    of_fat = _weighted(way, timing, _t1(FAT, field), FAT) * rng.uniform(1.0, 1.5 if way.train else 1.05)
    for label, tissue in tissues.items():
        if contrast == "ADC":
            water[label] = tissue.adc if tissue.pd > 0.15 else rng.uniform(0, 0.6)
            continue
        own = _weighted(way, timing, _t1(tissue, field, agent), tissue) * np.exp(-b_value * tissue.adc / 1000)
        water[label] = tissue.pd * (1 - tissue.fat) * own
        fat[label] = tissue.pd * tissue.fat * of_fat
    return _Signals(water, fat)


def _weighted(way: Protocol, timing: Mapping[str, float | None], t1: float, tissue: Relaxation) -> float:
    tr, te, ti = timing["tr"], timing["te"], timing["ti"]
    assert tr is not None
    assert te is not None
    if way.kind == "GR":
        if (
            ti is not None
        ):  # magnetisation-prepared: longitudinal recovery after inversion, read by small angles
            return abs(1 - 1.9 * np.exp(-ti / t1)) * np.exp(-te / tissue.t2_star)
        angle, e1 = np.deg2rad(timing["flip"] or 20.0), np.exp(-tr / t1)
        return np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1) * np.exp(-te / tissue.t2_star)
    decay = np.exp(-te / tissue.t2)
    if ti is not None:
        return abs(1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1)) * decay
    return (1 - np.exp(-tr / t1)) * decay


def _acquired(
    fine: np.ndarray, contrast: str, plane: Plane, coarse: bool, rng: np.random.Generator
) -> np.ndarray:
    """Partial volume, coil, resolution, noise and ghosts of one slice from its supersampled signal ``[2n, 2n]``."""
    size = fine.shape[0] // 2
    image = fine.reshape(size, 2, size, 2).mean(axis=(1, 3))
    grain = np.repeat(np.repeat(rng.normal(0, 1, (size // 4 + 1,) * 2), 4, 0), 4, 1)[:size, :size]
    image = image * (1 + rng.uniform(0.02, 0.1) * grain)
    if contrast != "ADC":
        depth = np.linspace(0, 1, size)
        fall = rng.uniform(0.35, 0.9) + rng.uniform(0.3, 1.0) * depth ** rng.uniform(0.8, 2.0)
        image = image * (fall[None, :] if plane is Plane.SAGITTAL else fall[:, None])
    if coarse:
        step = 2
        image = image[: size // step * step, : size // step * step]
        image = image.reshape(size // step, step, size // step, step).mean(axis=(1, 3))
    bright = float(np.percentile(image, 99.5)) + 1e-6
    noise = bright * rng.uniform(0.006, 0.03) * (2.0 if contrast == "DWI" else 1.0)
    image = image + rng.uniform(0, 0.03) * np.roll(image, image.shape[0] // 3, axis=int(rng.integers(2)))
    if contrast == "ADC" and rng.random() < 0.6:
        image = np.where(image > 0.2, np.maximum(image + rng.normal(0, noise, image.shape), 0), 0)
    else:
        image = np.hypot(image + rng.normal(0, noise, image.shape), rng.normal(0, noise, image.shape))
    return np.round(image * rng.uniform(400, 3500) / bright).astype(np.float32)


def _derived(
    images: list[np.ndarray], table: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """A projection, a reformat or a subtraction, as workstations make them."""
    kind = int(rng.integers(3))
    if kind == 0:
        return [np.maximum.reduce(images)] * SLICES
    if kind == 1:
        return [
            (image + np.roll(image, 1, 0) + np.roll(image, 1, 1) + np.roll(image, -1, 0)) / 4
            for image in images
        ]
    after = table.copy()
    for label, tissue in TABLE.items():
        if label < len(after):
            after[label] *= 1 + 1.5 * tissue.agent_mm * rng.uniform(0.5, 1.5)
    size = labels.shape[1] // 2
    out = []
    for one in labels:
        difference = (after[one] - table[one]).reshape(size, 2, size, 2).mean(axis=(1, 3))
        scale = float(table.max()) + 1e-6
        noise = rng.normal(0, 0.02, difference.shape)
        out.append(np.maximum(np.round((difference / scale + noise) * 1500), 0).astype(np.float32))
    return out
