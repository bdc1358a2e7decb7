"""One patient's spine: sizes drawn around a region's means, findings applied, boxes measured.

Belongs here: drawing the parameters of ``anatomy.Spine``. Does not belong here: shapes or rendering.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from spine_models.domain import Region
from spine_models.phantom.body.anatomy import BUILDS, Spine
from spine_models.phantom.body.lesions import centre_and_radii
from spine_models.phantom.body.pathology import VERTEBRAE_OF, Finding


def make_spine(region: Region, findings: list[Finding], rng: np.random.Generator) -> Spine:
    """Draw a spine with the given findings; the findings' boxes are set."""
    mean = BUILDS[region]
    scale = float(rng.normal(1.0, 0.04))
    build = replace(
        mean,
        body_depth=mean.body_depth * scale * float(rng.normal(1, 0.03)),
        body_width=mean.body_width * scale,
        body_height=mean.body_height * scale,
        disc_height=mean.disc_height * float(rng.normal(1, 0.06)),
        canal_depth=mean.canal_depth * float(rng.normal(1, 0.05)),
        canal_width=mean.canal_width * float(rng.normal(1, 0.05)),
    )
    levels = VERTEBRAE_OF[region]
    discs = len(levels) - 1
    heights = build.body_height * rng.normal(1, 0.02, len(levels))
    disc_heights = build.disc_height * np.clip(rng.normal(1, 0.08, discs), 0.75, 1.2)
    age = rng.random()
    dryness = np.clip(rng.normal(0.25 + 0.45 * age, 0.22, discs), 0, 1)
    bulge = np.clip(rng.normal(0.5 + 0.9 * age, 0.5, discs), 0, 2.0)
    names = [f"{a}-{b}" for a, b in pairwise(levels)]
    for finding in findings:
        if finding.condition == "disc_height":
            n = names.index(finding.level)
            disc_heights[n] = build.disc_height * (0.52, 0.38, 0.25)[finding.grade - 1]
            dryness[n] = max(dryness[n], 0.85)
    centres, middles = [], []
    position = 0.0
    for n, height in enumerate(heights):
        centres.append(position - height / 2)
        position -= height
        if n < discs:
            middles.append(position - disc_heights[n] / 2)
            position -= disc_heights[n]
    shift = -position / 2 + float(rng.normal(0, 2))
    # float32 throughout: a double scalar would turn every field of points into doubles.
    spine = Spine(
        region=region,
        build=build,
        findings=findings,
        levels=levels,
        centre_s=(np.array(centres) + shift).astype(np.float32),
        heights=heights.astype(np.float32),
        disc_s=(np.array(middles) + shift).astype(np.float32),
        disc_heights=disc_heights.astype(np.float32),
        dryness=dryness,
        bulge=bulge.astype(np.float32),
        lordosis=mean.lordosis * float(rng.normal(1, 0.25)),
        scoliosis=float(rng.normal(0, 1.0)),
        length=float(-position * 0.72),
        fat_mm=float(rng.uniform(8, 20)),
        texture_seed=int(rng.integers(2**31)),
    )
    for finding in findings:
        finding.box_mm = _box(spine, finding)
    return spine


def _box(spine: Spine, finding: Finding) -> tuple[np.ndarray, np.ndarray]:
    (u, v, s), (ru, rv, rs) = centre_and_radii(spine, finding)
    corners = [
        spine.place(u + a * ru, v + b * rv, s + c * rs) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)
    ]
    return np.min(corners, axis=0), np.max(corners, axis=0)
