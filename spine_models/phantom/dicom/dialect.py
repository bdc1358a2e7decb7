"""What a maker writes into the acquisition attributes of a header, by form of image.

Belongs here: reading ``dialect.yaml``, choosing among the values that occur, and numbers as each maker prints them.
Does not belong here: names of series (``names``), private elements (``private``), identifiers.

The values follow the makers' DICOM conformance statements and public headers (spine-generic, dcm_qa).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from spine_models.phantom.dicom.scanners import Scanner
from spine_models.phantom.scanner.examination import Acquired
from spine_models.phantom.scanner.protocol import Sequence

_CENTRE_MHZ_PER_T: Final = {"Siemens": 42.41}
_PROTON_MHZ_PER_T: Final = 42.577
_DERIVED: Final = ("SUB", "MPR", "MIP", "FLAIR", "SSFP", "MT")
_VOLUME_TRAIN: Final = 40
"""Echo trains of this length are those of variable-flip volume sequences."""


def form_of(acquired: Acquired) -> str:
    """The form of image, a key of ``dialect.yaml``: the contrast, told apart where makers write it differently."""
    name, sequence = acquired.name, acquired.sequence
    if "ADC" in (acquired.derivation, name):
        return "ADC"
    if acquired.derivation in _DERIVED:
        return str(acquired.derivation)
    if name == "derived":
        return "MPR"
    if name.startswith("Dixon"):
        return "Dixon"
    if name == "localizer":
        return "localizer" if sequence.kind == "gre" else "localizer-se"
    if name in ("T1", "T1+C") and sequence.kind in ("gre", "ir"):
        return "T1-3D" if sequence.kind == "gre" else "T1-FLAIR"
    if name == "T2" and sequence.echo_train >= _VOLUME_TRAIN:
        return "T2-3D"
    return name


@lru_cache(maxsize=1)
def _document() -> dict[str, dict[str, dict[str, Any]]]:
    return yaml.safe_load(Path(__file__).with_name("dialect.yaml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def _template(vendor: str, generation: str, form: str, part: str | None) -> dict[str, tuple[str, ...]]:
    """Alternatives by keyword, with what the form is like and what holds for the generation taken in."""
    maker = _document()[vendor]
    chain = [form]
    while "like" in maker[chain[-1]]:
        chain.append(maker[chain[-1]]["like"])
    merged: dict[str, Any] = {}
    for rows in (maker["any"], *(maker[name] for name in reversed(chain))):
        # A row of a nearer form replaces the general one and its generations alike.
        plain = {key.split("@")[0] for key in rows}
        merged = {k: v for k, v in merged.items() if k.split("@")[0] not in plain} | rows
    if part is not None and "part" in merged:
        merged["ImageType"] = merged["part"][part]
        merged.pop(f"ImageType@{generation}", None)
    chosen = {
        key: merged.get(f"{key}@{generation}", value)
        for key, value in merged.items()
        if "@" not in key and key not in ("like", "part")
    }
    return {key: tuple(v.strip() for v in str(value).split(" | ")) for key, value in chosen.items()}


def acquisition(
    scanner: Scanner, acquired: Acquired, naming: np.random.Generator, rng: np.random.Generator
) -> dict[str, object]:
    """Attributes of one series by keyword.

    Args:
        scanner: of which maker and generation.
        acquired: its contrast and sequence.
        naming: chooses what a site keeps the same for all series of a protocol.
        rng: chooses what differs from one examination to the next.

    Returns:
        Values as pydicom takes them; text with backslashes is already split.
    """
    sequence = acquired.sequence
    template = _template(scanner.vendor, scanner.generation, form_of(acquired), sequence.dixon_part)
    filled = {key: str(naming.choice(values)) for key, values in template.items()}
    style, fat = filled.pop("numbers"), filled.pop("fat")
    train, highest = sequence.echo_train, max(sequence.b_values_s_mm2, default=0)
    values: dict[str, object] = {
        key: _split(text.replace("<etl>", str(train)).replace("<b>", f"{highest:.0f}"))
        for key, text in filled.items()
    }
    if sequence.fat_suppression == "spectral":
        options = [*_listed(values.get("ScanOptions")), *fat.split("\\")]
        values["ScanOptions"] = list(dict.fromkeys(o for o in options if o))
    values.setdefault("MRAcquisitionType", "2D")
    return values | _numbers(scanner, sequence, style, rng)


def number_text(value: float, style: str) -> str:
    """A time or angle as a maker prints it: ``integer``, ``decimal``, ``short`` (one place) or ``long``."""
    if style == "integer":
        return f"{value:.0f}" if value >= 20 else f"{value:.2f}".rstrip("0").rstrip(".")
    if style == "short":
        return f"{value:.1f}"
    return (
        f"{value:.3f}".rstrip("0").rstrip(".")
        if style == "decimal"
        else f"{value:.6f}".rstrip("0").rstrip(".")
    )


def _numbers(scanner: Scanner, sequence: Sequence, style: str, rng: np.random.Generator) -> dict[str, object]:
    per_tesla = _CENTRE_MHZ_PER_T.get(scanner.vendor, _PROTON_MHZ_PER_T)
    flip = sequence.flip_deg
    if sequence.kind in ("se", "ir") and scanner.vendor in ("Siemens", "GE", "UIH"):
        # These makers state the refocusing angle of a spin echo train.
        flip = float(rng.choice((150.0, 160.0, 180.0, 111.0, 125.0, 142.0)))
    if sequence.kind in ("se", "ir") and scanner.vendor in ("Philips", "Canon"):
        flip = 90.0
    train = sequence.echo_train
    if sequence.kind == "epi":
        train = int(rng.choice((1, 31, 47, 61, 81)))
    values: dict[str, object] = {
        "RepetitionTime": number_text(sequence.tr_ms, style),
        "EchoTime": number_text(sequence.te_ms, style),
        "FlipAngle": f"{flip:.0f}",
        "EchoTrainLength": train,
        "NumberOfAverages": str(int(rng.choice((1, 1, 2, 2, 3, 4)))),
        "ImagingFrequency": f"{per_tesla * scanner.field_t + float(rng.normal(0, 0.004)):.6f}",
        "MagneticFieldStrength": f"{scanner.field_t:g}",
        "ImagedNucleus": "1H",
        "EchoNumbers": 1,
        "NumberOfPhaseEncodingSteps": int(rng.choice((192, 224, 256, 269, 320))),
        "PercentSampling": str(int(rng.choice((70, 80, 85, 100)))),
        "PercentPhaseFieldOfView": "100",
        "InPlanePhaseEncodingDirection": str(rng.choice(("ROW", "COL"))),
        "SAR": f"{float(rng.uniform(0.05, 2.4)):.6f}",
        "VariableFlipAngleFlag": "N",
        "AngioFlag": "N",
    }
    if sequence.ti_ms is not None:
        values["InversionTime"] = number_text(sequence.ti_ms, style)
    return values


def _split(text: str) -> object:
    return text.split("\\") if "\\" in text else text


def _listed(value: object) -> list[str]:
    return [] if value is None else [str(v) for v in value] if isinstance(value, list) else [str(value)]
