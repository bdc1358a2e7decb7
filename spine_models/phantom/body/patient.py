"""One patient's spine: sizes drawn around a region's means, findings applied, boxes measured.

Belongs here: drawing the parameters of ``anatomy.Spine``. Does not belong here: shapes or rendering.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from spine_models.domain import Region
from spine_models.phantom.body.anatomy import BUILDS, Build, Neighbour, Spine, Wear
from spine_models.phantom.body.lesions import centre_and_radii
from spine_models.phantom.body.pathology import VARIANTS, VERTEBRAE_OF, Finding, draw_variants

TRANSITIONAL: Final = 0.08
SCOLIOTIC: Final = 0.10
OPERATED: Final = 0.08


def make_spine(
    region: Region, findings: list[Finding], rng: np.random.Generator, *, variants: float = VARIANTS
) -> Spine:
    """Draw a spine with the given findings; the findings' boxes are set.

    Args:
        region: of the spine.
        findings: of the study.
        rng: of the patient's anatomy; draws the same numbers whatever is found.
        variants: probability of a variant of each condition that is not found.
    """
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
    seen_as_normal = draw_variants(region, findings, rng, share=variants)
    for finding in [*seen_as_normal, *findings]:
        if finding.condition == "disc_height":
            n = names.index(finding.level)
            disc_heights[n] = min(disc_heights[n], build.disc_height * finding.graded(0.92, 0.54, 0.38, 0.24))
            dryness[n] = max(dryness[n], finding.graded(0.3, 0.75, 0.88, 0.95))
    transitional = None
    if region is Region.LUMBAR and rng.random() < TRANSITIONAL:
        transitional = "lumbarised S1" if rng.random() < 0.5 else "sacralised L5"
        if transitional == "sacralised L5":
            disc_heights[-1] = min(disc_heights[-1], 0.55 * build.disc_height)
            dryness[-1] = max(dryness[-1], 0.6)
    centres, middles = [], []
    position = 0.0
    for n, height in enumerate(heights):
        centres.append(position - height / 2)
        position -= height
        if n < discs:
            middles.append(position - disc_heights[n] / 2)
            position -= disc_heights[n]
    shift = -position / 2 + float(rng.normal(0, 2))
    centre_s = (np.array(centres) + shift).astype(np.float32)
    disc_s = (np.array(middles) + shift).astype(np.float32)
    neighbours = _neighbours(region, build, float(shift), float(position + shift), transitional, rng)
    curved, operated, which = rng.random() < SCOLIOTIC, rng.random() < OPERATED, rng.random()
    # float32 throughout: a double scalar would turn every field of points into doubles.
    spine = Spine(
        region=region,
        build=build,
        findings=findings,
        levels=levels,
        centre_s=centre_s,
        heights=heights.astype(np.float32),
        disc_s=disc_s,
        disc_heights=disc_heights.astype(np.float32),
        dryness=np.concatenate([dryness, np.clip(rng.normal(0.4, 0.2, len(neighbours)), 0, 1)]),
        bulge=bulge.astype(np.float32),
        lordosis=mean.lordosis * float(rng.normal(1, 0.25)),
        scoliosis=float(rng.choice([-1, 1]) * rng.uniform(3.0, 5.0) if curved else rng.normal(0, 0.8)),
        length=float(-position * 0.72),
        fat_mm=float(rng.uniform(8, 20)),
        texture_seed=int(rng.integers(2**31)),
        neighbours=neighbours,
        wear=_wear(discs, age, findings, names, rng),
        operated=int(which * (discs - 1)) + 1 if operated and region is not Region.THORACIC else None,
        transitional=transitional,
        variants=seen_as_normal,
        sacrum_z=float(disc_s[-1]) if region is Region.LUMBAR else None,
    )
    for finding in findings:
        finding.box_mm = _box(spine, finding)
    return spine


def _neighbours(
    region: Region,
    build: Build,
    top_s: float,
    bottom_s: float,
    transitional: str | None,
    rng: np.random.Generator,
) -> tuple[Neighbour, ...]:
    """Two vertebrae above (none above C2, whose dens is a shape of its own) and two below the named ones."""
    found: list[Neighbour] = []
    edge = top_s
    for _ in range(0 if region is Region.CERVICAL else 2):
        disc, height = build.disc_height * float(rng.normal(0.95, 0.06)), build.body_height * 0.97
        found.append(Neighbour(edge + disc + height / 2, height, 0.97, edge + disc / 2, disc))
        edge += disc + height
    edge = bottom_s
    for n in range(2):
        sacral = region is Region.LUMBAR
        share = (0.8 if transitional == "lumbarised S1" else 0.22) if n == 0 else 0.15
        disc = build.disc_height * (share if sacral else 1.0)
        height = build.body_height * ((0.86, 0.74)[n] if sacral else 1.02)
        scale = (0.78, 0.6)[n] if sacral else 1.03
        found.append(Neighbour(edge - disc - height / 2, height, scale, edge - disc / 2, disc, sacral))
        edge -= disc + height
    return tuple(found)


def _wear(
    discs: int, age: float, findings: list[Finding], names: list[str], rng: np.random.Generator
) -> Wear:
    # Every patient draws the same numbers, so that a later study with other findings has the same anatomy.
    facet = 0.9 + 0.35 * age * rng.random(discs)
    pitted, fat = rng.random(discs), rng.random(discs)
    up, u, v = rng.choice([-1, 1], discs), rng.normal(0, 5, discs), rng.normal(0, 4, discs)
    # Only inflamed endplates are spared: wear that kept away from any finding would betray where there is none.
    inflamed = {names.index(f.level) for f in findings if f.condition == "inflammation"}
    free = [n not in inflamed for n in range(discs)]
    pits = [(n, int(up[n]), float(u[n]), float(v[n])) for n in range(discs) if pitted[n] < 0.05 and free[n]]
    fatty = [n for n in range(discs) if fat[n] < 0.06 * (0.5 + age) and free[n]]
    return Wear(facet.astype(np.float32), tuple(pits), tuple(fatty))


def _box(spine: Spine, finding: Finding) -> tuple[np.ndarray, np.ndarray]:
    (u, v, s), (ru, rv, rs) = centre_and_radii(spine, finding)
    corners = [
        spine.place(u + a * ru, v + b * rv, s + c * rs) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)
    ]
    return np.min(corners, axis=0), np.max(corners, axis=0)
