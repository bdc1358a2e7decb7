"""How a series, its protocol and its body part are named, in the maker's way or the site's language.

Belongs here: reading ``names.yaml`` and composing names. Does not belong here: acquisition attributes (``dialect``),
identifiers that people write into names (``records``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from spine_models.domain import Plane, Region
from spine_models.phantom.dicom.dialect import form_of
from spine_models.phantom.dicom.scanners import Scanner
from spine_models.phantom.scanner.examination import Acquired

AGENT_IN_NAME: Final = 0.85
"""Share of series after contrast agent whose name says so; the others are told by the header alone."""
_REGION_IN_NAME: Final = 0.25
_NATIVE_IN_NAME: Final = 0.3
_DIXON_WORD: Final = {"in": "in", "opposed": "opposed", "water": "water", "fat": "fat_part"}
_LONGEST: Final = 64
_EXAM: Final = {"en": "ROUTINE", "de": "Standard", "fr": "STANDARD", "es": "RUTINA", "it": "STANDARD"}
_NEUTRAL: Final = (Plane.SAGITTAL, Plane.AXIAL, Plane.CORONAL)


@dataclass(frozen=True)
class Names:
    """What the header calls a series; ``protocol`` and ``body_part`` are null where the site leaves them out."""

    description: str
    protocol: str | None
    body_part: str | None
    says_agent: bool


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, Any]:
    """The words of ``names.yaml``."""
    return yaml.safe_load(Path(__file__).with_name("names.yaml").read_text(encoding="utf-8"))


def name_series(
    scanner: Scanner,
    acquired: Acquired,
    region: Region,
    naming: np.random.Generator,
    rng: np.random.Generator,
) -> Names:
    """Names of one series.

    Args:
        scanner: whose maker and site.
        acquired: contrast, plane, Dixon part and derivation.
        region: part of the spine.
        naming: chooses what a site keeps the same for all series of a protocol.
        rng: chooses what the technologist of the day does.
    """
    habits, form = scanner.habits, form_of(acquired)
    words = vocabulary()["languages"][habits.language]
    plane = acquired.plane if acquired.plane in _NEUTRAL else Plane.SAGITTAL
    own = habits.style == "vendor" or (habits.style != "terse" and naming.random() < 0.3)
    base = (_makers if own else _sites)(scanner, acquired, form, plane, words, naming)
    agent = acquired.sequence.contrast_agent and form not in ("MPR", "MIP")
    says_agent = agent and rng.random() < AGENT_IN_NAME
    step, part = base, acquired.sequence.dixon_part
    if part is not None and form == "Dixon" and not own:
        base = f"{step} {_pick(words[_DIXON_WORD[part]], naming)}"
    description = base
    if says_agent:
        word = _pick(words["post"], naming)
        glued = "_" in base and " " not in base
        description = f"{base}_{word.replace(' ', '_')}" if glued else f"{base} {word}"
    elif form == "T1" and naming.random() < _NATIVE_IN_NAME:
        description = f"{base} {_pick(words['native'], naming)}".strip()
    if habits.style == "long" or naming.random() < _REGION_IN_NAME:
        part = _pick(words[region.value], naming) if region.value in words else ""
        description = f"{description} {part}" if naming.random() < 0.6 else f"{part} {description}"
    description = _cased(description.strip(), habits.case)
    if habits.style == "numbered":
        description = f"{int(rng.integers(1, 12))} {description}"
    protocol = _protocol(scanner, step, form, region, words, naming)
    return Names(description[:_LONGEST], protocol, _body_part(scanner, region), says_agent)


def _makers(
    scanner: Scanner, acquired: Acquired, form: str, plane: Plane, words: Any, naming: np.random.Generator
) -> str:
    maker = vocabulary()["makers"][scanner.vendor]
    key = form.removesuffix("-se")
    if key == "T1+C" and acquired.sequence.fat_suppression is None:
        key = "T1"
    template = _pick(maker[key], naming)
    short = maker["plane"][plane.value]
    part = acquired.sequence.dixon_part
    highest = max(acquired.sequence.b_values_s_mm2, default=0)
    filled = {"p": short, "P": short.upper(), "Pt": short.capitalize(), "b": f"{highest:.0f}"}
    filled |= {"mx": str(naming.choice((256, 320, 384, 448))), "part": maker["part"][part] if part else ""}
    return re.sub(r"<(\w+)>", lambda match: filled[match[1]], template)


def _sites(
    scanner: Scanner, acquired: Acquired, form: str, plane: Plane, words: Any, naming: np.random.Generator
) -> str:
    key = form.removesuffix("-se")
    if key == "localizer":
        return _pick(words["localizer"], naming)
    weighting, sequence = vocabulary()["weighting"], acquired.sequence
    stem = {"T1+C": "T1", "T2-FS": "T2", "SUB": "T1"}.get(key, key)
    name = _pick(weighting[stem], naming).replace("<b>", f"{max(sequence.b_values_s_mm2, default=0):.0f}")
    orientation = _pick(words[plane.value], naming)
    order = naming.random()
    if sequence.fat_suppression == "spectral" and key not in ("DWI", "ADC", "SUB"):
        name = f"{name} {_pick(words['fat'], naming)}"
    said = f"{orientation} {name}" if order < 0.5 else f"{name} {orientation}"
    if key == "SUB":
        said = (
            f"{_pick(words['sub'], naming)} {said}"
            if order < 0.5
            else f"{said} {_pick(words['sub'], naming)}"
        )
    return said


def _protocol(
    scanner: Scanner, base: str, form: str, region: Region, words: Any, naming: np.random.Generator
) -> str | None:
    """Siemens and UIH repeat the step, GE and Canon name the exam, Philips adds its mark of work in progress."""
    chosen = naming.random()
    part = _pick(words[region.value], naming) if region.value in words else "SPINE"
    if scanner.vendor in ("GE", "Canon"):
        exam = f"{part} {_EXAM.get(scanner.habits.language, 'STANDARD')}"
        return exam if chosen < 0.75 else (None if chosen < 0.85 else base)
    step = re.sub(r"[_ ](ADC|TRACEW|in|opp|W|F|IP|OP|SUB|sub)$", "", base)
    if scanner.vendor == "Philips":
        return f"WIP {step}" if chosen < 0.3 else step
    return f"{part}/{step}"[:_LONGEST] if chosen < 0.15 else step


def _body_part(scanner: Scanner, region: Region) -> str | None:
    habit, table = scanner.habits.body_part, vocabulary()["body_part"]
    if habit == "absent" or region.value not in table["code"]:
        return None
    rows = table["local"][scanner.habits.language] if habit == "local" else table[habit]
    return str(rows[region.value])


def _cased(text: str, case: str) -> str:
    return text.upper() if case == "upper" else text.lower() if case == "lower" else text


def _pick(items: list[str], rng: np.random.Generator) -> str:
    return str(items[int(rng.integers(len(items)))])
