"""MR signal of each tissue by the equation of its sequence.

Belongs here: relaxation times, proton densities and signal equations. Does not belong here: where a tissue lies.

T1, T2 and proton density follow published measurements at 1.5 T and 3 T: cord, muscle and blood (Stanisz et al.,
MRM 2005), marrow, fat and paravertebral muscle (de Bazelaire et al., Radiology 2004; fat at 1.5 T as its STIR null
implies), disc (Stelzeneder et al., Eur Radiol 2012; Johannessen et al., Spine 2006 for nucleus and annulus), CSF
(Rooney et al., MRM 2007). Lesions are mixtures chosen to show the textbook signal: oedema dark on T1 and bright on
STIR, haemangioma bright on T1 and T2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.protocol import Sequence


@dataclass(frozen=True)
class Relaxation:
    """Proton density (0..1), T1 at 1.5 T and 3 T, T2 and T2* in ms."""

    pd: float
    t1_15: float
    t1_30: float
    t2: float
    t2_star: float


TABLE: Final[dict[int, Relaxation]] = {
    Tissue.AIR: Relaxation(0.0, 1000, 1000, 50, 20),
    Tissue.FAT: Relaxation(0.95, 260, 365, 68, 25),
    Tissue.MUSCLE: Relaxation(0.80, 856, 898, 29, 18),
    Tissue.CORTEX: Relaxation(0.06, 600, 700, 5, 1),
    Tissue.MARROW: Relaxation(0.62, 549, 586, 49, 9),
    Tissue.ANNULUS: Relaxation(0.45, 750, 850, 32, 14),
    Tissue.CSF: Relaxation(1.0, 4200, 4400, 1400, 400),
    Tissue.CORD: Relaxation(0.78, 745, 993, 76, 45),
    Tissue.ROOT: Relaxation(0.76, 800, 1000, 74, 40),
    Tissue.LIGAMENT: Relaxation(0.30, 700, 800, 18, 6),
    Tissue.VESSEL: Relaxation(0.07, 1441, 1932, 200, 30),
    Tissue.SOFT: Relaxation(0.75, 700, 800, 42, 20),
    Tissue.OEDEMA: Relaxation(0.78, 1400, 1600, 105, 40),
    Tissue.HAEMANGIOMA: Relaxation(0.95, 330, 360, 130, 25),
    Tissue.CYST: Relaxation(0.98, 2900, 3100, 900, 250),
    Tissue.TUMOUR: Relaxation(0.85, 1050, 1250, 105, 50),
    Tissue.MYELOPATHY: Relaxation(0.88, 1200, 1450, 150, 70),
    Tissue.NUCLEUS: Relaxation(0.82, 950, 1150, 115, 60),
}
DRY_NUCLEUS: Final = Relaxation(0.50, 780, 880, 40, 18)


def signal(sequence: Sequence, tissue: Relaxation, field_t: float) -> float:
    """Signal of one tissue, arbitrary units, 0 or more.

    Spin echo PD (1 - e^(-TR/T1)) e^(-TE/T2); inversion recovery |PD (1 - 2 e^(-TI/T1) + e^(-TR/T1))| e^(-TE/T2);
    spoiled gradient echo PD sin a (1 - E1) / (1 - cos a E1) e^(-TE/T2*), E1 = e^(-TR/T1).
    """
    t1 = np.interp(field_t, [1.5, 3.0], [tissue.t1_15, tissue.t1_30])
    e1 = np.exp(-sequence.tr_ms / t1)
    if sequence.kind == "gre":
        angle = np.deg2rad(sequence.flip_deg)
        steady = np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1)
        return float(tissue.pd * steady * np.exp(-sequence.te_ms / tissue.t2_star))
    decay = np.exp(-sequence.te_ms / tissue.t2)
    if sequence.kind == "ir":
        assert sequence.ti_ms is not None
        return float(tissue.pd * abs(1 - 2 * np.exp(-sequence.ti_ms / t1) + e1) * decay)
    return float(tissue.pd * (1 - e1) * decay)


def mixture(wet: Relaxation, dry: Relaxation, dryness: float) -> Relaxation:
    """Nucleus between hydrated (0) and desiccated (1)."""
    values = [
        (1 - dryness) * getattr(wet, f) + dryness * getattr(dry, f) for f in Relaxation.__dataclass_fields__
    ]
    return Relaxation(*values)


def lookup(sequence: Sequence, field_t: float, dryness: np.ndarray) -> np.ndarray:
    """Signal by label, float32 [100 + discs]; ``dryness`` per disc, 0..1."""
    table = np.zeros(100 + len(dryness), np.float32)
    for label, tissue in TABLE.items():
        if label < 100:
            table[label] = signal(sequence, tissue, field_t)
    for n, value in enumerate(dryness):
        table[100 + n] = signal(sequence, mixture(TABLE[Tissue.NUCLEUS], DRY_NUCLEUS, float(value)), field_t)
    return table
