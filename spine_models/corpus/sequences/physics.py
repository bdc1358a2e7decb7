"""What the timing of a header says that a series is, whatever its name.

Belongs here: weightings from TR, TE, TI, flip angle and pulse sequence codes, with the physics they rest on.
Does not belong here: names, and the decision between name and timing (`contrast`).

Fat is nulled at TI = ln 2 x T1 of fat (about 380 ms at 3 T, 260 ms at 1.5 T, 130 ms below 0.1 T), shortened by
finite TR; a T1 FLAIR nulls CSF (T1 about 4 s) at TR 1.5 to 3 s, therefore TI 600 to 1200 ms; a T2 FLAIR at TI
above 1.4 s. A spoiled gradient echo is T1-weighted above its Ernst angle and density-weighted below.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from spine_models.corpus.sequences.text import suppresses_fat
from spine_models.corpus.sequences.verdict import Facts, Verdict, codes
from spine_models.domain import Contrast

_TISSUE_T1_MS: Final = 1000.0
_NOTHING: Final = Verdict(None, 0.0, "no_timing")
_INFERRED_FAMILY: Final = 0.75
"""Factor where the header names no scanning sequence, so that the family is a guess from the flip angle."""


def by_physics(facts: Facts) -> Verdict:
    """The weighting by timing; no conclusion where several are possible or the times are missing."""
    kinds, named = _kinds(facts)
    verdict = _by_family(facts, kinds)
    return verdict if named else replace(verdict, confidence=verdict.confidence * _INFERRED_FAMILY)


def _by_family(facts: Facts, kinds: frozenset[str]) -> Verdict:
    if facts.b_value is not None and facts.b_value > 0:
        return Verdict(Contrast.DWI, 0.95, "b_value")
    if "EP" in kinds:
        return _echo_planar(facts, kinds)
    if facts.te_ms is None or facts.tr_ms is None:
        return _NOTHING
    if "GR" in kinds and "SE" not in kinds:
        return _gradient_echo(facts, kinds)
    if "SE" in kinds:
        return _spin_echo(facts, kinds)
    return _NOTHING


def _kinds(facts: Facts) -> tuple[frozenset[str], bool]:
    """Codes of the scanning sequence and true; where it names none, a guess from the flip angle and false."""
    terms = facts.scanning_sequence.replace("_", "\\") if facts.scanning_sequence else None
    kinds = codes(terms) & {"SE", "GR", "IR", "EP"}
    if kinds - {"IR"} or facts.flip_deg is None or facts.tr_ms is None:
        return kinds, True
    # Spin echoes are excited by about 90 degrees; small angles at short TR are gradient echoes.
    if facts.flip_deg >= 80 and facts.tr_ms >= 300:
        return kinds | {"SE"}, False
    return (kinds | {"GR"} if facts.flip_deg <= 60 else kinds), False


def _echo_planar(facts: Facts, kinds: frozenset[str]) -> Verdict:
    if "GR" in kinds and "SE" not in kinds:
        return Verdict(Contrast.OTHER, 0.6, "gradient_echo_planar")
    if facts.te_ms is not None and facts.te_ms >= 45:
        return Verdict(Contrast.DWI, 0.75, "spin_echo_planar")
    return _NOTHING


def _gradient_echo(facts: Facts, kinds: frozenset[str]) -> Verdict:
    te, tr, flip = facts.te_ms or 0.0, facts.tr_ms or 0.0, facts.flip_deg
    variant = codes((facts.sequence_variant or "").replace("_", "\\"))
    options = (facts.scan_options or "").upper().replace("_", "\\").split("\\")
    if "MTC" in variant or "MT" in options:
        return Verdict(Contrast.MT, 0.9, "magnetization_transfer")
    volume = (facts.acquisition_type or "3D").upper() == "3D"
    if volume and te < 8 and (facts.ti_ms is not None and facts.ti_ms >= 400):
        return Verdict(Contrast.T1, 0.9, "inversion_prepared_gradient_echo")
    if volume and te < 8 and "MP" in variant and tr < 3500:
        return Verdict(Contrast.T1, 0.8, "prepared_gradient_echo")
    if flip is None:
        return _NOTHING
    balanced = "SS" in variant and "SP" not in variant and tr < 12 and flip >= 25
    if balanced and te > 0.35 * tr:
        return Verdict(Contrast.OTHER, 0.6, "balanced_gradient_echo")
    if te >= 9 and flip <= 45:
        return Verdict(Contrast.T2_STAR, 0.85, "late_gradient_echo")
    echoes = facts.echo_train_length or 1
    if tr >= 200 and flip <= 45 and 2 <= echoes <= 12:
        return Verdict(Contrast.T2_STAR, 0.7, "multi_gradient_echo")
    ernst = math.degrees(math.acos(math.exp(-tr / _TISSUE_T1_MS)))
    if te <= 7 and tr < 400 and flip >= 1.2 * ernst:
        return Verdict(Contrast.T1, 0.65, "above_ernst_angle")
    return Verdict(None, 0.3, "density_weighted_gradient_echo")


def _spin_echo(facts: Facts, kinds: frozenset[str]) -> Verdict:
    te, tr, ti = facts.te_ms or 0.0, facts.tr_ms or 0.0, facts.ti_ms
    if ti is not None and ti >= 50 and tr > ti:
        inverted = _inversion_recovery(te, tr, ti)
        if inverted.contrast is not None:
            return inverted
    train, volume = facts.echo_train_length or 1, (facts.acquisition_type or "").upper() == "3D"
    fat = suppresses_fat(facts)
    t2 = Contrast.T2_FAT_SAT if fat else Contrast.T2
    if te <= 40:
        if 150 <= tr <= 1150:
            return Verdict(Contrast.T1, 0.85, "short_tr_short_te")
        if 1150 < tr <= 1500:
            return Verdict(Contrast.T1, 0.55, "medium_tr_short_te")
        return Verdict(Contrast.PD, 0.65, "long_tr_short_te") if tr > 1500 else _NOTHING
    if not volume and train >= 40:
        # Single-shot and echo-planar readouts look alike here, and diffusion weighting does not show.
        return Verdict(None, 0.4, "single_shot")
    if te >= 70 and tr >= 1400:
        return Verdict(t2, 0.88, "long_tr_long_te")
    if volume and te >= 80 and tr >= 900:
        return Verdict(t2, 0.8, "volume_long_te")
    if te >= 55 and tr >= 1500:
        return Verdict(t2, 0.65, "long_tr_medium_te")
    if te < 55 and tr >= 1500:
        return Verdict(Contrast.PD, 0.5, "long_tr_medium_te")
    return _NOTHING


def _inversion_recovery(te: float, tr: float, ti: float) -> Verdict:
    if 70 <= ti <= 300:
        return Verdict(Contrast.STIR, 0.92, "fat_nulled")
    if 400 <= ti <= 1350 and te <= 60:
        return Verdict(Contrast.T1, 0.85, "csf_nulled_short_te")
    if ti >= 1300 and te > 60:
        return Verdict(Contrast.OTHER, 0.85, "csf_nulled_long_te")
    if 300 < ti < 400:
        return Verdict(Contrast.STIR, 0.55, "near_fat_null")
    return _NOTHING
