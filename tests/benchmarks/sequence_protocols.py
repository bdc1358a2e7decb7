"""Headers drawn from ranges that spine protocols are published with, as seven makers' scanners would write them.

The training set of the header model needs more protocols than any one phantom or consortium has: ranges are those of
the ACR-ASNR-SSR practice parameter for adult spine MRI, of the spine-generic protocol and of the makers' manuals, each
widened by a fifth. Belongs here: what is drawn, with which names and codes, and how a header is damaged. Does not
belong here: the phantom's own headers, which the model is also measured on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
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


SE, GE = "SE", "GR"
_T1 = ("t1_tse", "T1 FSE", "T1W_TSE", "T1", "t1w", "T1 SE", "sT1W_TSE", "T1 TSE", "T1 weighted", "t1_se", "T1WI", "FSE T1")
_T2 = ("t2_tse", "T2 FSE", "T2W_TSE", "T2", "t2w", "T2 FRFSE", "sT2W_TSE", "T2 TSE", "T2 weighted", "T2WI", "T2 PROPELLER",
       "t2_blade", "FSE T2")  # fmt: skip
_AGENT = ("+C", " +C", " POST", " GD", " POST GAD", " KM", "_gd", " C+", " contrast", " POST CONTRAST", "_km", " +Gd", "")
_FAT = (" FS", "_fs", " FATSAT", " fat sat", " SPAIR", " SPIR", "_fatsat", " FAT SAT", " DIXON W")
PROTOCOLS = (
    Protocol("T1", SE, (330, 950), (6, 24), train=(1, 6), names=_T1, stems=("*tse2d1_3", "*se2d1", "fse"), weight=3),
    Protocol("T1", SE, (1400, 3200), (7, 30), train=(3, 10), ti=(600, 1250), names=("T1 FLAIR", "t1_tirm", "T1 IR TSE",
             "T1 FLAIR FSE", "T1W_IR"), stems=("*tir2d1_5", "fir")),
    Protocol("T1", GE, (1500, 2600), (1.8, 5), (6, 14), ti=(700, 1150), volume=1, names=("t1_mprage", "T1w", "MPRAGE",
             "T1 3D MPRAGE", "T1_TFE"), stems=("*tfl3d1", "*tfl3d1_16")),
    Protocol("T1", GE, (4, 12), (1.3, 5.5), (8, 14), ti=(400, 1100), volume=1, names=("T1w", "SAG BRAVO", "T1W_3D_TFE",
             "T1 BRAVO", "T1 3D TFE"), stems=("", "bravo", "efgre3d")),
    Protocol("T1", GE, (4, 40), (1.2, 5), (10, 35), volume=0.9, names=("t1_vibe", "T1 LAVA", "T1 SPGR", "t1_fl3d",
             "T1 THRIVE", "GRE-T1w", "T1 FFE", "T1_FFE"), stems=("*fl3d1", "efgre3d")),
    Protocol("T1+C", SE, (380, 1000), (6, 24), train=(1, 6), fat_suppressed=0.75, names=_T1, stems=("*tse2d1_3", "fse"),
             weight=2),
    Protocol("T1+C", GE, (4, 12), (1.2, 5), (8, 30), volume=1, fat_suppressed=0.5, names=("t1_vibe", "T1 LAVA", "T1 3D"),
             stems=("*fl3d1", "efgre3d")),
    Protocol("T2", SE, (2200, 7200), (75, 140), train=(8, 36), names=_T2, stems=("*tse2d1_17", "fse", "frfse"), weight=3),
    Protocol("T2", SE, (900, 3600), (75, 180), (80, 180), train=(30, 130), volume=1, names=("T2 SPACE", "t2_spc", "T2 CUBE",
             "VISTA T2", "T2w", "T2 3D", "T2_VIEW"), stems=("*spcR_100", "*spc3d1", "cube")),
    Protocol("T2", SE, (900, 20000), (60, 1100), train=(80, 260), names=("T2 HASTE", "MYELO", "T2 SSFSE", "myelo haste",
             "SSH T2"), stems=("*h2d1_256", "ssfse"), weight=0.5),
    Protocol("T2-FS", SE, (2400, 7200), (55, 120), train=(8, 30), fat_suppressed=1, names=_T2, stems=("*tse2d1_15", "fse"),
             weight=2),
    Protocol("STIR", SE, (2400, 8000), (25, 95), train=(5, 24), ti=(90, 270), names=("STIR", "t2_tirm", "STIR FSE", "TIRM",
             "STIR_TSE", "T2 STIR", "STIR TSE", "FSE STIR", "IR STIR"), stems=("*tir2d1_11", "fir"), weight=3),
    Protocol("PD", SE, (1700, 4200), (8, 40), train=(2, 10), fat_suppressed=0.35, names=("PD TSE", "PDW", "pd_tse", "PD FSE",
             "PD", "proton density", "PDW_TSE", "FSE PD"), stems=("*tse2d1_7", "fse"), weight=2),
    Protocol("T2*", GE, (180, 900), (8, 28), (5, 40), train=(1, 6), names=("t2_me2d", "MERGE", "mFFE", "MEDIC", "T2* GRE",
             "t2star", "T2_FFE", "T2 GRE", "GRE-ME", "T2* FFE", "SWI", "GRE"), stems=("*me2d1r4", "*fl2d1", "merge"), weight=2),
    Protocol("T2*", GE, (350, 900), (1.8, 9), (15, 40), train=(3, 6), names=("GRE-ME", "mFFE", "MERGE", "t2_me2d", "SUM"),
             stems=("*me2d1r3", "merge", "")),
    Protocol("T2*", GE, (20, 60), (8, 28), (5, 20), volume=1, names=("t2_me3d", "MERGE 3D", "SWI", "SWAN", "3D mFFE"),
             stems=("*me3d1", "*swi3d1r"), weight=0.6),
    Protocol("DWI", "EP", (600, 9500), (48, 115), (90, 90), train=(1, 70), fat_suppressed=0.8, names=("ep2d_diff", "DWI",
             "DWI b800", "DWI_SSh", "RESOLVE", "DIFF", "DTI", "ez2d_diff"), stems=("*ep_b0", "*ep_b800", "*ez_b800", "*re_b50",
             "epi"), weight=2),
    Protocol("ADC", "EP", (600, 9500), (48, 115), (90, 90), train=(1, 70), names=("ADC", "ep2d_diff_ADC", "dADC", "ADC map",
             "DWI_ADC", "Apparent Diffusion ADC"), stems=("*ep_b0", "*ep_b0_800", "epi")),
    Protocol("MT", GE, (25, 120), (1.6, 5), (5, 12), volume=0.9, names=("GRE-MT1", "GRE-MT0", "GRE-MT", "MT on", "MT off",
             "mtc"), stems=("*fl3d1", "efgre3d"), transfer=True),
    Protocol("localizer", GE, (3, 25), (1.2, 7), (8, 60), names=("localizer", "3-pl Loc", "Survey", "LOC", "Scout",
             "3 plane loc", "localizer haste", "AAHScout", "Localiser", "Plan Scan"), stems=("*fl2d1", "fgre", "*tfi2d1"),
             weight=1.5),
    Protocol("localizer", SE, (400, 3000), (60, 110), train=(60, 200), names=("localizer haste", "SSFSE LOC", "LOC"),
             stems=("*h2d1_128", "ssfse"), weight=0.4),
    Protocol("derived", SE, (350, 6000), (7, 130), train=(2, 60), volume=0.5, names=("t2_spc_MPR", "MPR", "T2 MPR", "T1 SUB",
             "MIP", "subtraction", "Sub T1", "T2 reformatted", "CURVED MPR", "MPR Range"), stems=("*spcR_100", "*tse2d1_9",
             "fse", ""), weight=1.5),
    Protocol("other", SE, (6000, 11000), (75, 150), train=(10, 40), ti=(1700, 2700), names=("T2 FLAIR", "t2_tirm_dark-fluid",
             "FLAIR"), stems=("*tir2d1_16", "fir"), weight=0.5),
    Protocol("other", GE, (3, 9), (1.2, 4), (30, 75), volume=0.9, names=("FIESTA", "t2_ciss3d", "TRUFI", "bFFE", "CISS",
             "fiesta-c"), stems=("*ci3d1", "*tfi3d1", "fiesta"), weight=0.5),
    Protocol("other", GE, (15, 40), (2.5, 8), (15, 30), volume=0.9, names=("TOF", "MRA TOF 3D"), stems=("*fl3d1r",), weight=0.3),
) + tuple(
    Protocol(f"Dixon-{part}", SE, (2200, 6000), (55, 115), train=(7, 25), fat_suppressed=0.0,
             names=("t2_tse_dixon", "T2 mDIXON", "T2 IDEAL", "T2 FLEX", "T2W_mDIXON", "T2 DIXON"), stems=("*tse2d1_15", "fse"),
             weight=0.8)
    for part in ("in", "opposed", "water", "fat")
)  # fmt: skip
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
_REGIONS = ("LSPINE", "L-spine", "CSPINE", "C-spine", "TSPINE", "LWS", "HWS", "lumbar", "cervical", "thoracic", "", "", "")
_FIELDS = (0.55, 1.5, 1.5, 3.0, 3.0)
_VENDORS = ("Siemens", "Siemens", "Philips", "Philips", "GE", "GE", "Canon", "Hitachi", "UIH", "other", None)


def drawn_examples(n: int, seed: int, *, damage_rate: float, released: bool = True) -> list[Example]:
    """``n`` headers of all contrasts; a share of them damaged. The same seed gives the same headers."""
    rng = np.random.default_rng([seed, 41])
    weights = np.array([p.weight for p in PROTOCOLS])
    chosen = rng.choice(len(PROTOCOLS), size=n, p=weights / weights.sum())
    return [_example(PROTOCOLS[i], rng, damage_rate, released) for i in chosen]


def damage(row: dict[str, Any], rng: np.random.Generator, other: dict[str, Any]) -> dict[str, Any]:
    """One to four things missing or wrong: names gone or another series', times gone, zero or another series', codes gone."""
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
            row[_pick(rng, ("vendor", "field_strength_t", "acquisition_type", "scanning_sequence", "has_contrast_agent"))] = None
        else:
            row |= dict.fromkeys(("tr_ms", "te_ms", "ti_ms", "flip_deg", "echo_train_length"))
    return row


def _example(protocol: Protocol, rng: np.random.Generator, damage_rate: float, released: bool) -> Example:
    row = _row(protocol, rng)
    damaged = bool(rng.random() < damage_rate)
    if damaged:
        row = damage(row, rng, _row(PROTOCOLS[int(rng.integers(len(PROTOCOLS)))], rng))
    vendor = row["vendor"] or "not named"
    group = f"drawn-{vendor}-{int(rng.integers(4))}"
    return Example(as_released(row) if released else row, protocol.contrast, group, vendor, "drawn", damaged)


def _row(p: Protocol, rng: np.random.Generator) -> dict[str, Any]:
    vendor, part = _pick(rng, _VENDORS), p.contrast.removeprefix("Dixon-") if p.contrast.startswith("Dixon") else None
    fat = rng.random() < p.fat_suppressed
    name = _name(p, part, fat, rng)
    field = float(_pick(rng, _FIELDS))
    kinds = {"SE": ["SE"], "GR": ["GR"], "EP": ["EP", "SE"] if rng.random() < 0.6 else ["EP"]}[p.kind]
    if p.kind == "EP" and vendor == "Philips":
        kinds = ["SE"]
    if p.ti is not None and rng.random() < 0.85:
        kinds.append("IR")
    transfer = p.transfer and rng.random() < 0.5
    volume = rng.random() < p.volume
    matrix = int(_pick(rng, (192, 256, 320, 384, 448, 512)))
    if p.kind == "EP":
        matrix = int(_pick(rng, (96, 112, 128, 160, 192, 256)))
    fov = float(rng.uniform(120, 320))
    options = [o for o, share in (("FS", 0.9 * fat), ("PFP", 0.2), ("SAT1", 0.2), ("IR", 0.5 * (p.ti is not None)), ("MT", 0.8 * transfer)) if rng.random() < share]
    if vendor == "GE":
        options = [o if o in ("FS", "PFP") else f"{o.rstrip('1')}_GEMS" for o in options] + ["FAST_GEMS", "EDR_GEMS"][: int(rng.integers(3))]
    variant = (["MTC"] if transfer else []) + {"SE": ["SK", "SP"], "GR": ["SP"], "EP": ["SK", "SP"]}[p.kind][: int(rng.integers(1, 3))]
    if p.kind == "GR" and p.ti is not None:
        variant.append("MP")
    given = p.contrast == "T1+C" or (p.contrast == "derived" and "SUB" in name.upper() and rng.random() < 0.6)
    row: dict[str, Any] = dict.fromkeys(ROW)
    written = rng.random()
    return row | {
        "vendor": vendor, "field_strength_t": field, "rows": matrix, "columns": matrix, "frames": 1,
        "pixel_spacing_mm": [round(fov / matrix, 4)] * 2,
        "slice_thickness_mm": round(float(rng.uniform(0.8, 1.6) if volume else rng.uniform(2.5, 6)), 1),
        "tr_ms": _draw(p.tr, rng), "te_ms": _draw(p.te, rng),
        "ti_ms": None if p.ti is None or rng.random() < 0.08 else _draw(p.ti, rng) * (1 if p.contrast != "STIR" else {0.55: 0.7, 1.5: 0.95, 3.0: 1.1}[field]),
        "flip_deg": float(round(_draw(p.flip, rng))),
        "echo_train_length": None if p.train is None and rng.random() < 0.5 else 1 if p.train is None else int(round(_draw(p.train, rng))),
        "b_value": _b_value(p, rng),
        "scanning_sequence": "\\".join(kinds), "sequence_variant": "\\".join(variant) or None,
        "scan_options": "\\".join(options) or None, "sequence_name": _pick(rng, p.stems) if vendor in ("Siemens", "GE", "UIH") and p.stems else None,
        "image_type": _image_type(p, part, vendor, rng), "acquisition_type": "3D" if volume else "2D",
        "has_contrast_agent": bool(given and rng.random() < 0.75) or (p.contrast in ("T2", "T2-FS", "STIR") and rng.random() < 0.01),
        "series_description": name if written < 0.93 else None,
        "protocol_name": None if written < 0.1 else name if rng.random() < 0.5 else f"{_pick(rng, _REGIONS)} {_name(p, None, fat, rng)}" if rng.random() < 0.6 else _pick(rng, _REGIONS) or None,
    }  # fmt: skip


def _name(p: Protocol, part: str | None, fat: bool, rng: np.random.Generator) -> str:
    name = _pick(rng, p.names)
    if p.contrast == "T1+C":
        name += _pick(rng, _AGENT)
    if fat and p.kind == "SE" and rng.random() < 0.9:
        name += _pick(rng, _FAT[:-1] if part is None else _FAT[:-1])
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
        return _pick(rng, ("DERIVED\\PRIMARY\\DIFFUSION\\ADC", "DERIVED\\PRIMARY\\ADC", "DERIVED\\SECONDARY\\ADC"))
    if p.contrast == "derived":
        return _pick(rng, ("DERIVED\\SECONDARY\\MPR", "DERIVED\\SECONDARY\\PROJECTION IMAGE", "DERIVED\\SECONDARY\\REFORMATTED",
                           "DERIVED\\PRIMARY\\SUB", "DERIVED\\SECONDARY\\OTHER"))  # fmt: skip
    if p.contrast == "DWI":
        return _pick(rng, ("ORIGINAL\\PRIMARY\\DIFFUSION\\NONE", "DERIVED\\PRIMARY\\DIFFUSION\\TRACEW", "ORIGINAL\\PRIMARY\\M\\SE",
                           "ORIGINAL\\PRIMARY\\OTHER", "ORIGINAL\\PRIMARY\\DIFFUSION\\NONE\\ND\\MOSAIC"))  # fmt: skip
    if part is not None and rng.random() < 0.75:
        return f"DERIVED\\PRIMARY\\{_PHILIPS_PART[part]}\\{_PHILIPS_PART[part]}" if vendor == "Philips" else f"{_pick(rng, ('ORIGINAL', 'DERIVED'))}\\PRIMARY\\M\\DIXON\\{_PART_TYPE[part]}"
    if vendor == "GE":
        return "ORIGINAL\\PRIMARY\\OTHER"
    if p.contrast == "localizer" and rng.random() < 0.3:
        return "ORIGINAL\\PRIMARY\\LOCALIZER"
    if vendor == "Philips":
        kind = "IR" if p.ti is not None and p.kind == "SE" else "FFE" if p.kind == "GR" else "SE"
        return f"ORIGINAL\\PRIMARY\\M_{kind}\\M\\{kind}" if rng.random() < 0.6 else f"ORIGINAL\\PRIMARY\\M\\{kind}\\M\\{kind}"
    return _pick(rng, ("ORIGINAL\\PRIMARY\\M\\ND", "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D", "ORIGINAL\\PRIMARY\\M", "ORIGINAL\\PRIMARY"))


def _b_value(p: Protocol, rng: np.random.Generator) -> float | None:
    if p.contrast not in ("DWI", "ADC") or rng.random() < 0.4:
        return None
    return 0.0 if p.contrast == "ADC" else float(_pick(rng, (0, 50, 400, 500, 600, 800, 1000)))


def _draw(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = np.log(bounds[0]), np.log(bounds[1])
    return round(float(np.exp(rng.uniform(low, high))), 2)


def _pick(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]
