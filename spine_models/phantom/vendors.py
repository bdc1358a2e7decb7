"""Header styles of three vendors: how each names sequences, protocols, coils and its private groups.

Belongs here: facts of style. Does not belong here: pixels or patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spine_models.domain import Plane, Region
from spine_models.phantom.scanner.protocol import Sequence


@dataclass(frozen=True)
class Vendor:
    """One scanner family of the hospital."""

    manufacturer: str
    model: str
    field_t: float
    software: str
    uid_root: str
    station: str
    private_creator: str


VENDORS: Final = (
    Vendor(
        "SIEMENS",
        "Avanto_fit",
        1.5,
        "syngo MR E11",
        "1.3.12.2.1107.5.2.19.45011",
        "AWP45011",
        "SIEMENS MR HEADER",
    ),
    Vendor(
        "Philips Medical Systems",
        "Ingenia",
        3.0,
        "5.6.1",
        "1.3.46.670589.11.71503.5",
        "PHILIPS-A7",
        "Philips Imaging DD 001",
    ),
    Vendor(
        "GE MEDICAL SYSTEMS",
        "SIGNA Artist",
        1.5,
        "DV29.1_R02",
        "1.2.840.113619.2.408.5282380",
        "GEHCMR3",
        "GEMS_ACQU_01",
    ),
)

PROTOCOL: Final[dict[str, Sequence]] = {
    "T1": Sequence("T1", "se", 560, 10, echo_train=3),
    "T2": Sequence("T2", "se", 3600, 102, echo_train=17),
    "STIR": Sequence("STIR", "ir", 4200, 52, 175, echo_train=11),
    "T2*": Sequence("T2*", "gre", 470, 14, flip_deg=28),
}
_SIEMENS = {"T1": "t1_tse", "T2": "t2_tse", "STIR": "t2_tirm", "T2*": "t2_me2d"}
_PHILIPS = {"T1": "T1W_TSE", "T2": "T2W_TSE", "STIR": "STIR_TSE", "T2*": "mFFE"}
_GE = {"T1": "T1 FSE", "T2": "T2 FSE", "STIR": "STIR FSE", "T2*": "MERGE"}
_SHORT = {Plane.SAGITTAL: "sag", Plane.AXIAL: "tra"}
_PART = {Region.CERVICAL: "CSPINE", Region.THORACIC: "TSPINE", Region.LUMBAR: "LSPINE"}
_PAIR = {Region.CERVICAL: "C-spine", Region.THORACIC: "T-spine", Region.LUMBAR: "L-spine"}


def sequence_for(name: str, field_t: float) -> Sequence:
    """The protocol's sequence at a field strength: longer TI and TR at 3 T."""
    base = PROTOCOL[name]
    if field_t < 2:
        return base
    factor = {"T1": 1.15, "T2": 1.1, "STIR": 1.1, "T2*": 1.1}[name]
    ti = None if base.ti_ms is None else 245.0
    return Sequence(base.name, base.kind, base.tr_ms * factor, base.te_ms, ti, base.flip_deg, base.echo_train)


def description(vendor: Vendor, name: str, plane: Plane) -> str:
    """SeriesDescription as the vendor's users write it."""
    if vendor.manufacturer == "SIEMENS":
        return f"{_SIEMENS[name]}_{_SHORT[plane]}"
    if vendor.manufacturer.startswith("Philips"):
        return f"{_PHILIPS[name]} {'SAG' if plane is Plane.SAGITTAL else 'AX'}"
    return f"{'Sag' if plane is Plane.SAGITTAL else 'Ax'} {_GE[name]}"


def style(vendor: Vendor, name: str, plane: Plane, region: Region) -> dict[str, object]:
    """Acquisition attributes by DICOM keyword, in the vendor's habit."""
    kind = PROTOCOL[name].kind
    values: dict[str, object] = {
        "SeriesDescription": description(vendor, name, plane),
        "ProtocolName": f"{_PAIR[region]} {description(vendor, name, plane)}",
        "BodyPartExamined": _PART[region],
        "ScanningSequence": {"se": ["SE"], "ir": ["SE", "IR"], "gre": ["GR"]}[kind],
        "SequenceVariant": {"se": "SK", "ir": ["SK", "SP"], "gre": "SP"}[kind],
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "ScanOptions": "",
        "ReceiveCoilName": "Spine_18",
    }
    if vendor.manufacturer == "SIEMENS":
        values["SequenceName"] = {"se": "*tse2d1_17", "ir": "*tir2d1_11", "gre": "*me2d1r4"}[kind]
        values["ScanOptions"] = "SAT1"
    elif vendor.manufacturer.startswith("Philips"):
        values["ImageType"] = [
            "ORIGINAL",
            "PRIMARY",
            "M_IR" if kind == "ir" else "M_SE" if kind == "se" else "M_FFE",
            "M",
        ]
        values["ImageType"] += ["IR" if kind == "ir" else "SE" if kind == "se" else "FFE"]
        values["ReceiveCoilName"] = "MULTI COIL"
    else:
        values["ScanOptions"] = ["FAST_GEMS", "TRF_GEMS"] if kind != "gre" else ["FLOW_COMP_GEMS"]
        values["SequenceName"] = {"se": "fse-xl", "ir": "fir", "gre": "merge"}[kind]
        values["ReceiveCoilName"] = "PA Lower"
        values["ImageType"] = ["ORIGINAL", "PRIMARY", "OTHER"]
    return values
