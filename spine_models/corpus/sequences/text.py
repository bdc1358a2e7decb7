"""What the names in a header claim that a series is.

Belongs here: descriptions, protocol and sequence names, image type and contrast agent, in order of authority.
Does not belong here: timing (`physics`), or what to do when the two differ (`contrast`).
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.sequences.verdict import Facts, Verdict, codes
from spine_models.corpus.sequences.words import group, sequence_words, words_of
from spine_models.domain import Contrast

EXPLICIT: Final = 0.88
"""Confidence of a written weighting; a name that only implies one has `IMPLIED`."""
IMPLIED: Final = 0.72
FALLBACK: Final = 0.8
"""Factor for a protocol name where the series has no description of its own: it may be that of the exam."""

_NOTHING: Final = Verdict(None, 0.0, "no_text")
_COMPUTED_TYPES: Final = re.compile(
    r"MPR|\bMIP\b|MNIP|PROJECTION|SUBTRACT|\bSUB\b|MSUB|REFORMAT|RESAMPLED|CURVED|COLFA|\bFA\b|_MAP\b|\bMAP\b|TENSOR"
)
_FAT_SUPPRESSION_OPTIONS: Final = re.compile(r"(?:^|[\\_ ])(?:FS|SFS|FATSAT|FAT_SAT|FSS|WE)(?:$|[\\_ ])")
_DIXON_TYPES: Final[tuple[tuple[frozenset[str], str], ...]] = (
    (frozenset({"WATER", "W", "WATER_ONLY"}), "water"),
    (frozenset({"FAT", "F", "FAT_ONLY"}), "fat"),
    (frozenset({"IN_PHASE", "IN PHASE", "INPHASE", "IP"}), "in"),
    (frozenset({"OPP_PHASE", "OUT_PHASE", "OPPOSED_PHASE", "OPP PHASE", "OUT PHASE", "OP"}), "opp"),
)
_DIXON_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("inphase", "in"),
    ("outphase", "opp"),
    ("oppphase", "opp"),
    ("opposed", "opp"),
    ("opp", "opp"),
    ("in", "in"),
    ("water_word", "water"),
    ("fat_word", "fat"),
)
_DIXON_CONTRAST: Final = {
    "water": Contrast.DIXON_WATER,
    "fat": Contrast.DIXON_FAT,
    "in": Contrast.DIXON_IN,
    "opp": Contrast.DIXON_OPPOSED,
}


def by_text(facts: Facts) -> Verdict:
    """The claim of the description, else of the protocol name, with the codes of image type and sequence.

    A header without any known name gives no conclusion. The contrast agent counts only for T1, whose family it
    changes.
    """
    code_words = sequence_words(facts.sequence_name or "")
    for name, words, factor in (
        ("description", words_of(facts.series_description or ""), 1.0),
        ("protocol", words_of(facts.protocol_name or ""), FALLBACK),
        ("sequence_name", code_words, FALLBACK),
    ):
        found = _claim(words, facts)
        if found.contrast is not None:
            return Verdict(found.contrast, found.confidence * factor, f"{name}:{found.rule}")
    return _NOTHING


def suppresses_fat(facts: Facts) -> bool:
    """Whether a name or a scan option says that fat is suppressed (spectrally or by water excitation)."""
    words = words_of(facts.series_description or facts.protocol_name or "")
    if words & group("fat_suppression") or (words & group("fat_word") and words & group("saturation")):
        return True
    return _FAT_SUPPRESSION_OPTIONS.search((facts.scan_options or "").upper()) is not None


def agent_given(facts: Facts) -> tuple[bool, str | None]:
    """Whether the image was taken after contrast agent, and in which way name and header contradict."""
    text = facts.series_description or facts.protocol_name or ""
    words = words_of(text)
    after = bool(words & group("agent")) or ("contrast" in words and not words & group("negation"))
    after |= "post" in words and not words & group("after_surgery")
    before = bool(words & group("no_agent")) or words >= {"no", "contrast"} or words >= {"non", "contrast"}
    if before and not after and facts.has_contrast_agent:
        return False, "text says before contrast agent, header names an agent"
    if before and after:  # the name of an exam with and without: only the header can tell
        return bool(facts.has_contrast_agent), None
    return (after or bool(facts.has_contrast_agent)) and not before, None


def _claim(words: frozenset[str], facts: Facts) -> Verdict:
    types = codes(facts.image_type)
    special = _special(words, types)
    if special is not None:
        return special
    dixon = _dixon(words, types)
    if dixon is not None:
        return dixon
    weighting = words & {"t1", "t2", "pd"}
    if words >= {"proton", "density"} or words & {"pdw", "dp"}:
        weighting |= {"pd"}
    if words & group("magnetization_transfer") and not weighting & {"t1", "t2"}:
        return Verdict(Contrast.MT, EXPLICIT, "mt")
    late = (
        words & group("t2star")
        or ("t2" in words and words & group("gradient_echo"))
        or words >= {"gre", "me"}
    )
    if late and "t1" not in words:
        return Verdict(Contrast.T2_STAR, EXPLICIT, "t2star")
    if "t1" in weighting and "t2" not in weighting:
        return _t1(facts, EXPLICIT, "t1")
    if "stir" in words or "tirm" in words or "tir" in words:
        if ("flair" in words or words >= {"dark", "fluid"}) and "stir" not in words:
            return Verdict(Contrast.OTHER, EXPLICIT, "flair")
        return Verdict(Contrast.STIR, EXPLICIT, "stir")
    if "flair" in words:
        return Verdict(Contrast.OTHER, EXPLICIT if "t2" in words else IMPLIED, "flair")
    if words & group("balanced"):
        return Verdict(Contrast.OTHER, IMPLIED, "balanced")
    if weighting == {"t2"}:
        fat = suppresses_fat(facts)
        return Verdict(Contrast.T2_FAT_SAT if fat else Contrast.T2, EXPLICIT, "t2_fs" if fat else "t2")
    if weighting == {"pd"}:
        return Verdict(Contrast.PD, EXPLICIT, "pd")
    if len(weighting) > 1:
        return Verdict(None, 0.0, "several_weightings")
    if words & group("t1_name"):
        return _t1(facts, IMPLIED, "t1_name")
    if words & group("t2_name"):
        fat = suppresses_fat(facts)
        return Verdict(Contrast.T2_FAT_SAT if fat else Contrast.T2, IMPLIED, "t2_name")
    return _NOTHING


def _special(words: frozenset[str], types: frozenset[str]) -> Verdict | None:
    """Kinds of image that are not a weighting, which outrank every weighting in the same name."""
    joined = " ".join(sorted(types))
    if words & group("localizer") or "LOCALIZER" in types:
        return Verdict(Contrast.LOCALIZER, 0.95, "localizer")
    if words & group("calibration"):
        return Verdict(Contrast.OTHER, IMPLIED, "calibration")
    if words & group("adc") or types & {"ADC", "EADC"}:
        return Verdict(Contrast.ADC, 0.95, "adc")
    if words & group("computed") or _COMPUTED_TYPES.search(joined):
        return Verdict(Contrast.DERIVED, 0.92, "computed")
    if words & group("diffusion") or types & {"TRACEW", "DIFFUSION"}:
        return Verdict(Contrast.DWI, 0.93, "diffusion")
    if words & group("physiology"):
        return Verdict(Contrast.OTHER, EXPLICIT, "physiology")
    if types & {"P", "PHASE MAP", "PHASE"} and not types & {"M", "M_FFE", "M_SE"}:
        return Verdict(Contrast.OTHER, EXPLICIT, "phase_image")
    return None


def dixon_part(facts: Facts) -> str | None:
    """``in``, ``opposed``, ``water`` or ``fat`` by image type or name; null where no part of a Dixon is named."""
    words = words_of(facts.series_description or facts.protocol_name or "")
    part, _ = _dixon_part(words, codes(facts.image_type))
    return "opposed" if part == "opp" else part


def _dixon_part(words: frozenset[str], types: frozenset[str]) -> tuple[str | None, bool]:
    """The part, or null, and whether the names say Dixon."""
    part = next((name for terms, name in _DIXON_TYPES if types & terms), None)
    suppressed = words & group("fat_suppression") or words & group("saturation")
    for named, name in _DIXON_WORDS:
        if part is None and words & (group(named) if named.endswith("_word") else {named}) and not suppressed:
            part = name
    is_dixon = bool(words & group("dixon")) or "DIXON" in types or ("flex" in words and part is not None)
    if not (is_dixon or "phase" in words or types & {"WATER", "FAT", "IN_PHASE", "OPP_PHASE"}):
        return None, is_dixon
    return part, is_dixon


def _dixon(words: frozenset[str], types: frozenset[str]) -> Verdict | None:
    """Water, fat, in and opposed phase; a T1-weighted Dixon is a T1, since the T2 encoder is not for it."""
    part, is_dixon = _dixon_part(words, types)
    if is_dixon and "ff" in words:
        return Verdict(Contrast.DERIVED, EXPLICIT, "fat_fraction")
    if part is None:
        return None
    if "t1" in words or words & group("t1_name"):
        contrast = Contrast.OTHER if part == "fat" else Contrast.T1
        return Verdict(contrast, IMPLIED, f"dixon_t1_{part}")
    return Verdict(_DIXON_CONTRAST[part], EXPLICIT, f"dixon_{part}")


def _t1(facts: Facts, confidence: float, rule: str) -> Verdict:
    given, _ = agent_given(facts)
    return Verdict(
        Contrast.T1_CONTRAST if given else Contrast.T1, confidence, f"{rule}_agent" if given else rule
    )
