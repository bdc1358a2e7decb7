"""Sequences as a protocol sets them: the times, angles and preparations that make a contrast.

Belongs here: one value per scan parameter and its plausible spread among sites. Does not belong here: signal
(``signal``), names that a vendor gives (``dicom``).

Defaults lie in the ranges of the ACR-ASNR-SSR practice parameter for adult spine MRI and of the spine-generic
protocol (Cohen-Adad et al., Nature Protocols 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

Kind = Literal["se", "ir", "gre", "epi"]
FatSuppression = Literal["spectral", "dixon", "inversion"]
DixonPart = Literal["in", "opposed", "water", "fat"]


@dataclass(frozen=True)
class Sequence:
    """One MR sequence; times in ms, flip in degrees, b in s/mm2.

    Attributes:
        name: contrast as ``spine_models.domain.Contrast`` spells it.
        kind: ``se`` (spin or fast spin echo at its effective TE), ``ir`` (inversion recovery, magnitude), ``gre``
            (spoiled gradient echo), ``epi`` (diffusion-weighted spin echo, echo-planar).
        ti_ms: inversion time, of ``ir`` only.
        echo_train: echoes per excitation.
        fat_suppression: how fat is kept from the image, if it is.
        b_values_s_mm2: diffusion weightings, empty without.
        contrast_agent: given gadolinium before.
        dixon_part: which of the four images of a Dixon acquisition, if it is one.
    """

    name: str
    kind: Kind
    tr_ms: float
    te_ms: float
    ti_ms: float | None = None
    flip_deg: float = 90.0
    echo_train: int = 1
    fat_suppression: FatSuppression | None = None
    b_values_s_mm2: tuple[float, ...] = ()
    contrast_agent: bool = False
    dixon_part: DixonPart | None = None


_DIXON: Final = Sequence("Dixon-in", "se", 3700, 92, echo_train=15)
DIXON_PARTS: Final[dict[str, DixonPart]] = {
    "Dixon-in": "in", "Dixon-opposed": "opposed", "Dixon-water": "water", "Dixon-fat": "fat",
}  # fmt: skip

PROTOCOL: Final[dict[str, Sequence]] = {
    "T1": Sequence("T1", "se", 560, 10, echo_train=3),
    "T1+C": Sequence("T1+C", "se", 600, 10, echo_train=3, fat_suppression="spectral", contrast_agent=True),
    "T2": Sequence("T2", "se", 3600, 102, echo_train=17),
    "T2-FS": Sequence("T2-FS", "se", 3900, 84, echo_train=15, fat_suppression="spectral"),
    "STIR": Sequence("STIR", "ir", 4200, 52, 175, echo_train=11, fat_suppression="inversion"),
    "PD": Sequence("PD", "se", 2800, 28, echo_train=7),
    "T2*": Sequence("T2*", "gre", 470, 14, flip_deg=28),
    "DWI": Sequence(
        "DWI", "epi", 4300, 74, echo_train=1, fat_suppression="spectral", b_values_s_mm2=(0.0, 800.0)
    ),
    "localizer": Sequence("localizer", "gre", 9.0, 3.6, flip_deg=20),
} | {
    name: replace(_DIXON, name=name, dixon_part=part, fat_suppression="dixon" if part == "water" else None)
    for name, part in DIXON_PARTS.items()
}
PROTOCOL["ADC"] = replace(PROTOCOL["DWI"], name="ADC")
PROTOCOL["derived"] = replace(PROTOCOL["T2"], name="derived")
_LONGER_AT_3T: Final = {"T1": 1.15, "T1+C": 1.15}
_STIR_TI_MS: Final = ((0.55, 110.0), (1.5, 175.0), (3.0, 245.0))
"""Inversion times that null fat of the T1 in ``relaxation``: T1 ln 2 at a long repetition."""


def sequence_for(name: str, field_t: float, rng: np.random.Generator | None = None) -> Sequence:
    """The protocol's sequence at a field strength.

    Args:
        name: a contrast of `PROTOCOL`.
        field_t: field strength, T.
        rng: draws a site's plausible variation of TR, TE, TI, flip and b; none gives the defaults.

    Raises:
        KeyError: the contrast has no protocol.
    """
    base = PROTOCOL[name]
    if field_t > 2:
        base = replace(base, tr_ms=base.tr_ms * _LONGER_AT_3T.get(name, 1.1))
    elif field_t < 1:
        base = replace(base, tr_ms=base.tr_ms * 0.9)
    if base.ti_ms is not None:
        base = replace(base, ti_ms=float(np.interp(field_t, *zip(*_STIR_TI_MS, strict=True))))
    if rng is None:
        return base
    spread = rng.uniform(-1, 1, 5)
    changes: dict[str, object] = {
        "tr_ms": round(base.tr_ms * (1 + 0.12 * spread[0]), 1),
        "te_ms": round(base.te_ms * (1 + 0.10 * spread[1]), 2),
    }
    if base.ti_ms is not None:
        changes["ti_ms"] = round(base.ti_ms * (1 + 0.03 * spread[2]))
    if base.kind == "gre":
        changes["flip_deg"] = float(round(base.flip_deg * (1 + 0.15 * spread[3])))
    if base.b_values_s_mm2:
        highest = (600.0, 800.0, 1000.0)[int(np.clip((spread[4] + 1) * 1.5, 0, 2))]
        changes["b_values_s_mm2"] = (base.b_values_s_mm2[0], highest)
    return replace(base, **changes)  # type: ignore[arg-type]
