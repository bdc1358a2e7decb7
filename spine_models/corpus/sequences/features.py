"""Numbers that the header model reads: physics, codes, word concepts and what the rules concluded.

Belongs here: one fixed vector per kind of header, absent values as NaN, so that absence itself is evidence.
Does not belong here: the model (`header_model`), and rules (`text`, `physics`).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

import numpy as np

from spine_models.corpus.sequences.physics import by_physics
from spine_models.corpus.sequences.text import agent_given, by_text, suppresses_fat
from spine_models.corpus.sequences.verdict import Facts, codes, plausible
from spine_models.corpus.sequences.words import group, sequence_words, words_of
from spine_models.domain import Contrast

FEATURES_VERSION: Final = "1"
"""Changes with every change of the vector; a model of another version is refused."""

_NAN: Final = float("nan")
_TISSUE_T1_MS: Final = 1000.0
_NUMBERS: Final = (
    "log_tr", "log_te", "log_ti", "flip", "log_train", "field_t", "log_b", "is_b_zero", "te_over_tr",
    "ti_over_fat_null", "flip_over_ernst", "rows", "columns", "log_pixel", "thickness", "log_frames", "agent",
)  # fmt: skip
_SCANNING: Final = ("SE", "GR", "IR", "EP", "RM")
_VARIANT: Final = ("SK", "MTC", "SS", "SP", "MP", "OSP")
_OPTIONS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (name, re.compile(rf"(?:^|[\\_ ])(?:{pattern})(?:$|[\\_ ])"))
    for name, pattern in (
        ("fat_suppressed", "FS|SFS|FATSAT|FAT_SAT|FSS"),
        ("water_excited", "WE"),
        ("inverted", "IR"),
        ("transfer", "MT|MTC"),
        ("echo_planar", "EPI"),
        ("flow_compensated", "FC"),
        ("gated", "CG|PPG"),
        ("saturated", "SP|SAT1|SAT2|SAT"),
    )
)
_IMAGE_TYPES: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("derived", frozenset({"DERIVED"})),
    ("secondary", frozenset({"SECONDARY"})),
    ("diffusion", frozenset({"DIFFUSION", "TRACEW", "TRACE"})),
    ("adc", frozenset({"ADC", "EADC"})),
    ("localizer", frozenset({"LOCALIZER"})),
    ("spin_echo", frozenset({"SE", "M_SE", "TSE", "M_TSE"})),
    ("field_echo", frozenset({"FFE", "M_FFE"})),
    ("inversion", frozenset({"IR", "M_IR"})),
    ("water", frozenset({"WATER", "W", "WATER_ONLY"})),
    ("fat", frozenset({"FAT", "F", "FAT_ONLY"})),
    ("in_phase", frozenset({"IN_PHASE", "IN PHASE", "INPHASE", "IP"})),
    ("opposed", frozenset({"OPP_PHASE", "OUT_PHASE", "OPPOSED_PHASE", "OPP PHASE", "OUT PHASE", "OP"})),
    ("dixon", frozenset({"DIXON"})),
    ("phase", frozenset({"P", "PHASE", "PHASE MAP"})),
    ("reformatted", frozenset({"MPR", "MIP", "MNIP", "PROJECTION IMAGE", "REFORMATTED", "RESAMPLED", "SUB"})),
    ("mosaic", frozenset({"MOSAIC"})),
)
_STEMS: Final = (
    "tse",
    "tir",
    "fl",
    "me",
    "tfl",
    "spc",
    "ep",
    "ez",
    "re",
    "fse",
    "se",
    "gre",
    "h",
    "fir",
    "merge",
)
_GROUPS: Final = (
    "t1_name", "t2_name", "t2star", "gradient_echo", "balanced", "magnetization_transfer", "dixon",
    "fat_suppression", "diffusion", "adc", "physiology", "agent", "no_agent", "localizer", "calibration", "computed",
)  # fmt: skip
_WORDS: Final = ("t1", "t2", "pd", "stir", "tirm", "flair", "dark", "tse", "ir", "water", "fat", "in", "opp")
_CLAIMS: Final = tuple(contrast.value for contrast in Contrast)

NAMES: Final[tuple[str, ...]] = (
    *_NUMBERS,
    *(f"scanning:{term}" for term in _SCANNING),
    *(f"variant:{term}" for term in _VARIANT),
    *(f"option:{name}" for name, _ in _OPTIONS),
    *(f"image:{name}" for name, _ in _IMAGE_TYPES),
    "volume",
    *(f"stem:{stem}" for stem in _STEMS),
    *(f"{source}:{word}" for source in ("description", "protocol") for word in (*_GROUPS, *_WORDS)),
    "suppresses_fat",
    "after_agent",
    *(f"text_says:{value}" for value in _CLAIMS),
    *(f"timing_says:{value}" for value in _CLAIMS),
)
"""Meaning of each number of the vector."""


def header_features(facts: Facts) -> np.ndarray:
    """The vector ``[len(NAMES)]``, float32, of one kind of header; NaN where the header does not say.

    A group of codes or words is NaN as a whole when its attribute is absent, so that "says nothing of fat
    suppression" and "says that there is none" stay apart.
    """
    facts = plausible(facts)
    text, physics = by_text(facts), by_physics(facts)
    claims = {f"text:{text.contrast}": text.confidence, f"timing:{physics.contrast}": physics.confidence}
    after = agent_given(facts)[0]
    return np.array(
        [
            *_numbers(facts),
            *_terms(facts.scanning_sequence, _SCANNING),
            *_terms(facts.sequence_variant, _VARIANT),
            *_options(facts.scan_options),
            *_image_types(facts.image_type),
            _NAN if facts.acquisition_type is None else float(facts.acquisition_type.upper() == "3D"),
            *_stems(facts.sequence_name),
            *_concepts(facts.series_description),
            *_concepts(facts.protocol_name),
            float(suppresses_fat(facts)),
            float(after),
            *(claims.get(f"text:{value}", 0.0) for value in _CLAIMS),
            *(claims.get(f"timing:{value}", 0.0) for value in _CLAIMS),
        ],
        dtype=np.float32,
    )


def fat_null_ms(field_t: float | None) -> float:
    """Inversion time in ms that nulls fat: ln 2 times its T1, about 165 at 1.5 T and 225 at 3 T."""
    return 165.0 * ((field_t or 1.5) / 1.5) ** 0.45


def _numbers(facts: Facts) -> tuple[float, ...]:
    tr, te, ti, flip = facts.tr_ms, facts.te_ms, facts.ti_ms, facts.flip_deg
    ernst = None
    if tr is not None and tr > 0:
        ernst = math.degrees(math.acos(math.exp(-tr / _TISSUE_T1_MS)))
    agent = facts.has_contrast_agent
    return (
        _log(tr),
        _log(te),
        _log(ti),
        _number(flip),
        _log(facts.echo_train_length),
        _number(facts.field_strength_t),
        _NAN if facts.b_value is None else math.log1p(max(facts.b_value, 0.0)),
        _NAN if facts.b_value is None else float(facts.b_value == 0),
        te / tr if te is not None and tr else _NAN,
        ti / fat_null_ms(facts.field_strength_t) if ti is not None else _NAN,
        flip / ernst if flip is not None and ernst else _NAN,
        _number(facts.rows),
        _number(facts.columns),
        _log(facts.pixel_mm),
        _number(facts.slice_thickness_mm),
        _log(facts.frames),
        _NAN if agent is None else float(agent),
    )


def _number(value: float | None) -> float:
    return _NAN if value is None else float(value)


def _log(value: float | None) -> float:
    return _NAN if value is None or value <= 0 else math.log(value)


@lru_cache(maxsize=4096)
def _terms(value: str | None, wanted: tuple[str, ...]) -> tuple[float, ...]:
    if value is None:
        return (_NAN,) * len(wanted)
    found = codes(value.replace("_", "\\"))
    return tuple(float(term in found) for term in wanted)


@lru_cache(maxsize=4096)
def _options(value: str | None) -> tuple[float, ...]:
    if value is None:
        return (_NAN,) * len(_OPTIONS)
    folded = value.upper()
    return tuple(float(pattern.search(folded) is not None) for _, pattern in _OPTIONS)


@lru_cache(maxsize=4096)
def _image_types(value: str | None) -> tuple[float, ...]:
    if value is None:
        return (_NAN,) * len(_IMAGE_TYPES)
    found = codes(value)
    return tuple(float(bool(found & terms)) for _, terms in _IMAGE_TYPES)


@lru_cache(maxsize=4096)
def _stems(value: str | None) -> tuple[float, ...]:
    if value is None:
        return (_NAN,) * len(_STEMS)
    code = value.casefold().strip().lstrip("*_")
    return tuple(float(code.startswith(stem)) for stem in _STEMS)


@lru_cache(maxsize=8192)
def _concepts(value: str | None) -> tuple[float, ...]:
    if value is None:
        return (_NAN,) * (len(_GROUPS) + len(_WORDS))
    words = words_of(value) | sequence_words(value)
    return (
        *(float(bool(words & group(name))) for name in _GROUPS),
        *(float(word in words) for word in _WORDS),
    )
