"""MR signal of each tissue by the equation of its sequence, water and fat apart.

Belongs here: relaxation, diffusion, fat fractions, enhancement and signal equations. Does not belong here: where a
tissue lies.

A voxel holds water, with relaxation of its own, and fat, whose relaxation is that of fat everywhere: so fat
suppression, inversion, Dixon parts and the chemical shift follow from one table. T1, T2 and proton density follow
published measurements at 1.5 T and 3 T: cord, muscle and blood (Stanisz et al., MRM 2005), marrow water and fat (de
Bazelaire et al., Radiology 2004; fat at 1.5 T as its STIR null implies), vertebral fat fraction (Kuhn et al., Radiology
2012), disc (Stelzeneder et al., Eur Radiol 2012; Johannessen et al., Spine 2006), CSF (Rooney et al., MRM 2007).
Diffusion: marrow and its lesions (Dietrich et al., Eur J Radiol 2017), cord (Martin et al., NeuroImage Clin 2016),
disc (Kealey et al., Radiology 2005). Lesions are chosen to show the textbook signal.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.protocol import Sequence


@dataclass(frozen=True)
class Relaxation:
    """One tissue.

    Attributes:
        pd: proton density, 0..1, water and fat together.
        t1_15, t1_30: T1 of its water at 1.5 T and 3 T, ms.
        t2, t2_star: of its water, ms.
        adc: diffusion coefficient of its water, 1e-3 mm2/s.
        fat: share of the protons that are fat, 0..1.
        agent_mm: concentration of contrast agent some minutes after injection, mmol/l.
    """

    pd: float
    t1_15: float
    t1_30: float
    t2: float
    t2_star: float
    adc: float
    fat: float = 0.0
    agent_mm: float = 0.0


TABLE: Final[dict[int, Relaxation]] = {
    Tissue.AIR: Relaxation(0.0, 1000, 1000, 50, 20, 0.0),
    Tissue.FAT: Relaxation(0.95, 800, 900, 35, 18, 0.4, fat=0.96),
    Tissue.MUSCLE: Relaxation(0.80, 900, 1100, 32, 20, 1.5, fat=0.04, agent_mm=0.05),
    Tissue.CORTEX: Relaxation(0.06, 600, 700, 5, 1, 0.3),
    Tissue.MARROW: Relaxation(0.62, 950, 1100, 50, 9, 0.45, fat=0.42, agent_mm=0.06),
    Tissue.FATTY_MARROW: Relaxation(0.72, 950, 1100, 45, 9, 0.4, fat=0.74, agent_mm=0.04),
    Tissue.ANNULUS: Relaxation(0.45, 750, 850, 32, 14, 1.2),
    Tissue.CSF: Relaxation(1.0, 4200, 4400, 1400, 400, 3.0),
    Tissue.CORD: Relaxation(0.78, 745, 993, 76, 45, 0.9),
    Tissue.BRAIN: Relaxation(0.78, 800, 1050, 80, 45, 0.8),
    Tissue.ROOT: Relaxation(0.76, 800, 1000, 74, 40, 1.1),
    Tissue.LIGAMENT: Relaxation(0.30, 700, 800, 18, 6, 0.8),
    Tissue.VESSEL: Relaxation(0.07, 1441, 1932, 200, 30, 2.5, agent_mm=0.6),
    Tissue.SOFT: Relaxation(0.75, 750, 850, 42, 20, 1.5, fat=0.15, agent_mm=0.1),
    Tissue.OEDEMA: Relaxation(0.78, 1400, 1600, 66, 30, 1.6, fat=0.10, agent_mm=0.22),
    Tissue.HAEMANGIOMA: Relaxation(0.95, 1100, 1250, 150, 40, 1.4, fat=0.62, agent_mm=0.3),
    Tissue.CYST: Relaxation(0.98, 2900, 3100, 900, 250, 2.7),
    Tissue.TUMOUR: Relaxation(0.82, 1050, 1250, 88, 45, 1.0, agent_mm=0.8),
    Tissue.CORD_TUMOUR: Relaxation(0.90, 1250, 1500, 165, 75, 1.1, agent_mm=0.55),
    Tissue.MYELOPATHY: Relaxation(0.88, 1200, 1450, 140, 70, 1.2),
    Tissue.DISCITIS: Relaxation(0.92, 1900, 2100, 260, 90, 0.8, agent_mm=0.35),
    Tissue.SCAR: Relaxation(0.55, 800, 900, 38, 15, 1.1, agent_mm=0.3),
    Tissue.METAL: Relaxation(0.0, 1000, 1000, 50, 20, 0.0),
    Tissue.HALO: Relaxation(0.45, 800, 900, 22, 1.5, 1.0),
    Tissue.CLEFT: Relaxation(0.80, 1700, 1900, 150, 60, 2.0),
    Tissue.NUCLEUS: Relaxation(0.82, 950, 1150, 115, 60, 1.7),
}
DRY_NUCLEUS: Final = Relaxation(0.50, 780, 880, 40, 18, 1.3)
FAT: Final = Relaxation(1.0, 260, 365, 68, 25, 0.02)
"""Fat itself, as the fat of every tissue behaves."""
FAST_ECHO_FAT_T2_MS: Final = 115.0
"""Fat decays more slowly under a train of refocusing pulses, which undo its J-coupling (Henkelman et al., JMRI 1992)."""
SPECTRAL_SUPPRESSION: Final = 0.07
"""Share of the fat signal that survives spectral saturation."""
RELAXIVITY_15: Final = 4.5
RELAXIVITY_30: Final = 3.9
"""r1 of a macrocyclic gadolinium agent in plasma, 1/(s mmol/l) (Rohrer et al., Invest Radiol 2005)."""


def signal(sequence: Sequence, tissue: Relaxation, field_t: float, b_value: float = 0.0) -> float:
    """Signal of one substance, arbitrary units; negative after an inversion that has not yet recovered.

    Spin echo PD (1 - e^(-TR/T1)) e^(-TE/T2), echo planar the same times e^(-b ADC); inversion recovery
    PD (1 - 2 e^(-TI/T1) + e^(-TR/T1)) e^(-TE/T2); spoiled gradient echo PD sin a (1 - E1) / (1 - cos a E1)
    e^(-TE/T2*), E1 = e^(-TR/T1). Contrast agent adds r1 C to 1/T1 (T1 in s).

    Args:
        sequence: times in ms.
        tissue: of the substance; its fat fraction is not looked at.
        field_t: field strength, T; T1 between and beyond 1.5 and 3 T on the line through both.
        b_value: diffusion weighting, s/mm2.
    """
    t1 = tissue.t1_15 + (field_t - 1.5) / 1.5 * (tissue.t1_30 - tissue.t1_15)
    if sequence.contrast_agent and tissue.agent_mm:
        relaxivity = RELAXIVITY_15 if field_t < 2 else RELAXIVITY_30
        t1 = 1 / (1 / t1 + relaxivity * tissue.agent_mm / 1000)
    e1 = np.exp(-sequence.tr_ms / t1)
    if sequence.kind == "gre":
        angle = np.deg2rad(sequence.flip_deg)
        steady = np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1)
        return float(tissue.pd * steady * np.exp(-sequence.te_ms / tissue.t2_star))
    decay = np.exp(-sequence.te_ms / tissue.t2 - b_value * tissue.adc * 1e-3)
    if sequence.kind == "ir":
        assert sequence.ti_ms is not None
        return float(tissue.pd * (1 - 2 * np.exp(-sequence.ti_ms / t1) + e1) * decay)
    return float(tissue.pd * (1 - e1) * decay)


def mixture(wet: Relaxation, dry: Relaxation, dryness: float) -> Relaxation:
    """Nucleus between hydrated (0) and desiccated (1)."""
    return Relaxation(
        *((1 - dryness) * getattr(wet, f.name) + dryness * getattr(dry, f.name) for f in fields(Relaxation))
    )


def lookup(
    sequence: Sequence, field_t: float, dryness: np.ndarray, b_value: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Signed signal of water and of fat by label, float32 [100 + discs] each; ``dryness`` per disc, 0..1.

    Spectral suppression dims the fat; inversion acts through T1; Dixon parts are left whole here, since water and
    fat must be averaged over the voxel before they are combined.
    """
    water = np.zeros(100 + len(dryness), np.float32)
    fat = np.zeros_like(water)
    fast = sequence.kind != "gre" and sequence.echo_train >= 5
    fat_signal = signal(sequence, replace(FAT, t2=FAST_ECHO_FAT_T2_MS) if fast else FAT, field_t, b_value)
    if sequence.fat_suppression == "spectral":
        fat_signal *= SPECTRAL_SUPPRESSION
    tissues = {label: tissue for label, tissue in TABLE.items() if label < Tissue.NUCLEUS}
    for n, value in enumerate(dryness):
        tissues[Tissue.NUCLEUS + n] = mixture(TABLE[Tissue.NUCLEUS], DRY_NUCLEUS, float(value))
    for label, tissue in tissues.items():
        water[label] = (1 - tissue.fat) * signal(sequence, tissue, field_t, b_value)
        fat[label] = tissue.pd * tissue.fat * fat_signal
    return water, fat
