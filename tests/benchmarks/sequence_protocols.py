"""Headers drawn from ranges that spine protocols are published with, as seven makers' scanners would write them.

The training set of the header model needs more protocols than any one phantom or consortium has: ranges are those of
the ACR-ASNR-SSR practice parameter for adult spine MRI, of the spine-generic protocol and of the makers' manuals, each
widened by a fifth. Belongs here: what is drawn, with which names and codes, and how a header is damaged. Does not
belong here: the phantom's own headers, which the model is also measured on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sequence_headers import ROW, Example, as_released


@dataclass(frozen=True)
class Protocol:
    """One way to acquire a contrast; ranges ``(low, high)`` in ms, degrees and echoes, drawn on a log scale."""

    contrast: str
    kind: str
    tr: tuple[float, float]
    te: tuple[float, float]
    flip: tuple[float, float] = (90, 180)
    train: tuple[float, float] | None = None
    ti: tuple[float, float] | None = None
    volume: float = 0.0
    fat_suppressed: float = 0.0
    names: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    weight: float = 1.0
    transfer: bool = False


_AGENT = (
    "+C", " +C", " POST", " GD", " POST GAD", " KM", "_gd", " C+", " contrast", " POST CONTRAST", "_km", " +Gd", "",
)  # fmt: skip
_FAT = (" FS", "_fs", " FATSAT", " fat sat", " SPAIR", " SPIR", "_fatsat", " FAT SAT")
_SUFFIX = {
    "in": ("_in", "_in", " InPhase", " IP", " in phase"),
    "opposed": ("_opp", "_opp", " OutPhase", " OP", " opposed"),
    "water": ("_W", "_w", " WATER", " water", " W"),
    "fat": ("_F", "_f", " FAT", " fat", " F"),
}
_PREFIX = {"in": "InPhase: ", "opposed": "OutPhase: ", "water": "WATER: ", "fat": "FAT: "}
_PART_TYPE = {"in": "IN_PHASE", "opposed": "OPP_PHASE", "water": "WATER", "fat": "FAT"}
_PHILIPS_PART = {"in": "IP", "opposed": "OP", "water": "W", "fat": "F"}
_PLANES = ("sag", "SAG", "Sag", "sagittal", "tra", "AX", "Ax", "axial", "cor", "COR", "", "")
_SINGLE = ("vendor", "field_strength_t", "acquisition_type", "scanning_sequence", "has_contrast_agent")
_REGIONS = (
    "LSPINE",
    "L-spine",
    "CSPINE",
    "C-spine",
    "TSPINE",
    "LWS",
    "HWS",
    "lumbar",
    "cervical",
    "thoracic",
    "",
    "",
    "",
)
_STIR_AT = {0.55: 0.7, 1.5: 0.95, 3.0: 1.1}
"""How a fat-nulling inversion time goes with the field, around the drawn one."""
_FIELDS = (0.55, 1.5, 1.5, 3.0, 3.0)
_VENDORS = ("Siemens", "Siemens", "Philips", "Philips", "GE", "GE", "Canon", "Hitachi", "UIH", "other", None)


@lru_cache(maxsize=1)
def protocols() -> tuple[Protocol, ...]:
    """The ways of ``sequence_protocols.yaml``."""
    rows = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    listed = [{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
    return tuple(Protocol(**row) for row in listed)


def drawn_examples(n: int, seed: int, *, damage_rate: float, released: bool = True) -> list[Example]:
    """``n`` headers of all contrasts; a share of them damaged. The same seed gives the same headers."""
    rng = np.random.default_rng([seed, 41])
    weights = np.array([p.weight for p in protocols()])
    chosen = rng.choice(len(protocols()), size=n, p=weights / weights.sum())
    return [_example(protocols()[i], rng, damage_rate, released) for i in chosen]


def damage(row: dict[str, Any], rng: np.random.Generator, other: dict[str, Any]) -> dict[str, Any]:
    """One to four things missing or wrong: names, times or codes that are gone, zero or another series'."""
    row = dict(row)
    for _ in range(int(rng.integers(1, 5))):
        kind = int(rng.integers(10))
        if kind == 0:
            row["series_description"] = None
        elif kind == 1:
            row |= dict.fromkeys(("series_description", "protocol_name", "sequence_name"))
        elif kind == 2:
            row["series_description"] = other["series_description"]
        elif kind == 3:
            row[_pick(rng, ("tr_ms", "te_ms", "ti_ms", "flip_deg", "echo_train_length"))] = None
        elif kind == 4:
            row[_pick(rng, ("tr_ms", "te_ms"))] = 0.0
        elif kind == 5:
            row |= {name: other[name] for name in (("tr_ms", "te_ms") if rng.random() < 0.5 else ("te_ms",))}
        elif kind == 6:
            row |= dict.fromkeys(("scanning_sequence", "sequence_variant", "scan_options", "sequence_name"))
        elif kind == 7:
            row["image_type"] = None
        elif kind == 8:
            row[_pick(rng, _SINGLE)] = None
        else:
            row |= dict.fromkeys(("tr_ms", "te_ms", "ti_ms", "flip_deg", "echo_train_length"))
    return row


def _example(protocol: Protocol, rng: np.random.Generator, damage_rate: float, released: bool) -> Example:
    row = _row(protocol, rng)
    damaged = bool(rng.random() < damage_rate)
    if damaged:
        row = damage(row, rng, _row(protocols()[int(rng.integers(len(protocols())))], rng))
    vendor = row["vendor"] or "not named"
    group = f"drawn-{vendor}-{int(rng.integers(4))}"
    return Example(as_released(row) if released else row, protocol.contrast, group, vendor, "drawn", damaged)


def _row(p: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    vendor = _pick(rng, _VENDORS)
    part = p.contrast.removeprefix("Dixon-") if p.contrast.startswith("Dixon") else None
    fat = rng.random() < p.fat_suppressed
    name = _name(p, part, fat, rng)
    field = float(_pick(rng, _FIELDS))
    codes = _codes(p, vendor, fat, rng)
    volume = rng.random() < p.volume
    matrix = int(
        _pick(rng, (96, 112, 128, 160, 192, 256) if p.kind == "EP" else (192, 256, 320, 384, 448, 512))
    )
    fov = float(rng.uniform(120, 320))
    given = p.contrast == "T1+C" or (p.contrast == "derived" and "SUB" in name.upper() and rng.random() < 0.6)
    stray = p.contrast in ("T2", "T2-FS", "STIR") and rng.random() < 0.01
    return (
        dict.fromkeys(ROW)
        | codes
        | _times(p, field, rng)
        | _names(p, name, fat, rng)
        | {
            "vendor": vendor,
            "field_strength_t": field,
            "rows": matrix,
            "columns": matrix,
            "frames": 1,
            "pixel_spacing_mm": [round(fov / matrix, 4)] * 2,
            "slice_thickness_mm": round(float(rng.uniform(0.8, 1.6) if volume else rng.uniform(2.5, 6)), 1),
            "b_value": _b_value(p, rng),
            "sequence_name": _pick(rng, p.stems) if vendor in ("Siemens", "GE", "UIH") and p.stems else None,
            "image_type": _image_type(p, part, vendor, rng),
            "acquisition_type": "3D" if volume else "2D",
            "has_contrast_agent": bool(given and rng.random() < 0.75) or stray,
        }
    )


def _codes(p: Protocol, vendor: str | None, fat: bool, rng: np.random.Generator) -> dict[str, str | None]:
    """The codes of sequence, variant and options."""
    kinds = {"SE": ["SE"], "GR": ["GR"], "EP": ["EP", "SE"] if rng.random() < 0.6 else ["EP"]}[p.kind]
    if p.kind == "EP" and vendor == "Philips":
        kinds = ["SE"]
    if p.ti is not None and rng.random() < 0.85:
        kinds.append("IR")
    transfer = bool(p.transfer and rng.random() < 0.5)
    shares = {"FS": 0.9 * fat, "PFP": 0.2, "SAT1": 0.2, "IR": 0.5 * (p.ti is not None), "MT": 0.8 * transfer}
    options = [option for option, share in shares.items() if rng.random() < share]
    if vendor == "GE":
        options = [o if o in ("FS", "PFP") else f"{o.rstrip('1')}_GEMS" for o in options]
        options += ["FAST_GEMS", "EDR_GEMS"][: int(rng.integers(3))]
    usual = {"SE": ["SK", "SP"], "GR": ["SP"], "EP": ["SK", "SP"]}[p.kind][: int(rng.integers(1, 3))]
    variant = ["MTC"] * transfer + usual + ["MP"] * (p.kind == "GR" and p.ti is not None)
    listed = {"scanning_sequence": kinds, "sequence_variant": variant, "scan_options": options}
    return {name: "\\".join(terms) or None for name, terms in listed.items()}


def _times(p: Protocol, field: float, rng: np.random.Generator) -> dict[str, float | None]:
    ti = None
    if p.ti is not None and rng.random() > 0.08:
        ti = _draw(p.ti, rng) * (_STIR_AT[field] if p.contrast == "STIR" else 1)
    train: int | None = 1
    if p.train is not None:
        train = round(_draw(p.train, rng))
    elif rng.random() < 0.5:
        train = None
    times = {"tr_ms": _draw(p.tr, rng), "te_ms": _draw(p.te, rng), "ti_ms": ti}
    return times | {"flip_deg": float(round(_draw(p.flip, rng))), "echo_train_length": train}


def _names(p: Protocol, name: str, fat: bool, rng: np.random.Generator) -> dict[str, str | None]:
    """Series and protocol name: either may be absent, the protocol may be the exam's or another spelling."""
    written = rng.random()
    protocol = None
    if written >= 0.1:
        exam = _pick(rng, _REGIONS)
        step = f"{exam} {_name(p, None, fat, rng)}" if rng.random() < 0.6 else exam or None
        protocol = name if rng.random() < 0.5 else step
    return {"series_description": name if written < 0.93 else None, "protocol_name": protocol}


def _name(p: Protocol, part: str | None, fat: bool, rng: np.random.Generator) -> str:
    name = _pick(rng, p.names)
    if p.contrast == "T1+C":
        name += _pick(rng, _AGENT)
    if fat and p.kind == "SE" and rng.random() < 0.9:
        name += _pick(rng, _FAT)
    plane, region = _pick(rng, _PLANES), _pick(rng, _REGIONS)
    pieces = [name, plane] if rng.random() < 0.5 else [plane, name]
    if rng.random() < 0.3:
        pieces.append(region)
    joined = _pick(rng, (" ", "_", " ")).join(piece for piece in pieces if piece)
    if part is not None:
        joined = _PREFIX[part] + joined if rng.random() < 0.3 else joined + _pick(rng, _SUFFIX[part])
    return joined


def _image_type(p: Protocol, part: str | None, vendor: str | None, rng: np.random.Generator) -> str:
    if p.contrast == "ADC":
        return _pick(
            rng, ("DERIVED\\PRIMARY\\DIFFUSION\\ADC", "DERIVED\\PRIMARY\\ADC", "DERIVED\\SECONDARY\\ADC")
        )
    if p.contrast == "derived":
        kinds = (
            "SECONDARY\\MPR",
            "SECONDARY\\PROJECTION IMAGE",
            "SECONDARY\\REFORMATTED",
            "PRIMARY\\SUB",
            "SECONDARY\\OTHER",
        )
        return f"DERIVED\\{_pick(rng, kinds)}"
    if p.contrast == "DWI":
        kinds = ("DIFFUSION\\NONE", "DIFFUSION\\TRACEW", "M\\SE", "OTHER", "DIFFUSION\\NONE\\ND\\MOSAIC")
        chosen = _pick(rng, kinds)
        return f"{'DERIVED' if chosen.endswith('TRACEW') else 'ORIGINAL'}\\PRIMARY\\{chosen}"
    if part is not None and rng.random() < 0.75:
        return (
            f"DERIVED\\PRIMARY\\{_PHILIPS_PART[part]}\\{_PHILIPS_PART[part]}"
            if vendor == "Philips"
            else f"{_pick(rng, ('ORIGINAL', 'DERIVED'))}\\PRIMARY\\M\\DIXON\\{_PART_TYPE[part]}"
        )
    if vendor == "GE":
        return "ORIGINAL\\PRIMARY\\OTHER"
    if p.contrast == "localizer" and rng.random() < 0.3:
        return "ORIGINAL\\PRIMARY\\LOCALIZER"
    if vendor == "Philips":
        kind = "IR" if p.ti is not None and p.kind == "SE" else "FFE" if p.kind == "GR" else "SE"
        return (
            f"ORIGINAL\\PRIMARY\\M_{kind}\\M\\{kind}"
            if rng.random() < 0.6
            else f"ORIGINAL\\PRIMARY\\M\\{kind}\\M\\{kind}"
        )
    return _pick(
        rng,
        (
            "ORIGINAL\\PRIMARY\\M\\ND",
            "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D",
            "ORIGINAL\\PRIMARY\\M",
            "ORIGINAL\\PRIMARY",
        ),
    )


def _b_value(p: Protocol, rng: np.random.Generator) -> float | None:
    if p.contrast not in ("DWI", "ADC") or rng.random() < 0.4:
        return None
    return 0.0 if p.contrast == "ADC" else float(_pick(rng, (0, 50, 400, 500, 600, 800, 1000)))


def _draw(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = np.log(bounds[0]), np.log(bounds[1])
    return round(float(np.exp(rng.uniform(low, high))), 2)


def _pick(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]
