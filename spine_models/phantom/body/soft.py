"""What surrounds the spine: muscle, fat, vessels, airway, skin.

Belongs here: soft tissue that no finding touches. Does not belong here: the spine (``bones``, ``shapes``).
"""

from __future__ import annotations

import numpy as np

from spine_models.domain import Region
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.tissue import Tissue


def surroundings(spine: Spine, u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Tissue of every point as if there were no spine, int16."""
    b = spine.build
    out = np.full(u.shape, Tissue.SOFT, np.int16)
    field = _field(spine, u, v, s)
    front = v < -b.body_depth / 2 - 1.5 + 0.012 * np.clip(np.abs(u) - 6, 0, 40) ** 2 * (1 + 0.3 * field)
    out[front & (field > 0.35)] = Tissue.FAT
    out[front & (field < -0.9)] = Tissue.MUSCLE
    beside = (np.abs(u) > b.body_width / 2) & ~front
    out[beside] = Tissue.FAT
    out[beside & (field > 0.9)] = Tissue.SOFT
    psoas = ((np.abs(u) - 0.85 * b.body_width) / (0.38 * b.body_width)) ** 2 + (
        (v + 2) / (0.55 * b.body_depth)
    ) ** 2
    out[psoas < 1] = Tissue.MUSCLE
    side = np.clip(np.abs(u) - b.body_width / 2, 0, None)
    back = v > b.body_depth / 2 + 0.10 * side + 1.5 * field * np.clip(side / 10, 0, 1)
    out[back] = Tissue.MUSCLE
    planes = np.sin(0.5 * v - 0.16 * np.abs(u) + 0.9 * field + 0.05 * s)
    out[back & (planes > 0.965 - 0.05 * field)] = Tissue.FAT
    out[back & (np.abs(np.abs(u) - 0.16 * v) < 0.8)] = Tissue.FAT
    out[(np.abs(v + b.body_depth / 2 + 2.5) < 1.6) & (np.abs(u) < 0.55 * b.body_width)] = Tissue.FAT
    aorta = (u - 8) ** 2 + (v + b.body_depth / 2 + 14) ** 2
    cava = (u + 11) ** 2 + (v + b.body_depth / 2 + 13) ** 2
    if spine.region is not Region.CERVICAL:
        out[(aorta < 81) | (cava < 90)] = Tissue.VESSEL
    else:
        airway = (np.abs(u) < 8) & (np.abs(v + b.body_depth / 2 + 13) < 5)
        out[airway] = Tissue.AIR
    skin = b.skin + 2.0 * np.sin(0.02 * s) - 0.0042 * u**2
    out[v > skin - spine.fat_mm] = Tissue.FAT
    out[v > skin - 1.5] = Tissue.SOFT
    out[v > skin] = Tissue.AIR
    return out


def _field(spine: Spine, u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Smooth random field, about unit deviation; the patient's soft tissue pattern."""
    rng = np.random.default_rng(spine.texture_seed + 2)
    total = np.zeros_like(u)
    for _ in range(7):
        a, b, c, phase = (float(w) for w in (*rng.normal(0, 0.085, 3), rng.uniform(0, 2 * np.pi)))
        total += np.sin(a * u + b * v + c * s + phase)
    return total / 1.9
