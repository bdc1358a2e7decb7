"""Siemens CSA headers: the ``SV10`` binary layout, with the protocol text that repeats the patient.

Belongs here: writing the two CSA blocks of an image. Does not belong here: DICOM elements (``private``).

Layout as public readers describe it: ``SV10``, four bytes, number of tags, 77; per tag a name of 64 bytes, VM, VR of
4 bytes, type number, number of items, 77 or 205; per item four lengths and the value padded to 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from spine_models.phantom.dicom.series import SeriesPlan
from spine_models.phantom.scanner.examination import Frame

_MARK: Final = 77
_EMPTY_MARK: Final = 205
_ITEMS: Final = 6
_TYPE_NUMBER: Final = {
    "IS": 6,
    "DS": 3,
    "FD": 4,
    "LO": 19,
    "SH": 22,
    "UI": 25,
    "UN": 0,
    "US": 10,
    "CS": 16,
    "ST": 23,
}

Tag = tuple[str, str, Sequence[str]]


def sv10(tags: Sequence[Tag]) -> bytes:
    """A CSA block of (name, VR, values)."""
    parts = [b"SV10\x04\x03\x02\x01", struct.pack("<II", len(tags), _MARK)]
    for name, vr, values in tags:
        items = max(_ITEMS, len(values)) if values else 0
        parts.append(name.encode("ascii")[:64].ljust(64, b"\0"))
        mark = _MARK if values else _EMPTY_MARK
        parts.append(struct.pack("<i4siii", len(values), vr.encode(), _TYPE_NUMBER[vr], items, mark))
        for n in range(items):
            raw = values[n].encode("utf-8") + b"\0" if n < len(values) else b""
            parts.append(struct.pack("<4i", len(raw), len(raw), _MARK if raw else _EMPTY_MARK, len(raw)))
            parts.append(raw + b"\0" * (-len(raw) % 4))
    block = b"".join(parts)
    return block + b"\0" * (len(block) % 2 + 4)


def image_header_block(plan: SeriesPlan, frame: Frame, tiles: int | None = None) -> bytes:
    """CSA Image Header Info of one image."""
    grid = frame.grid
    normal = np.cross(grid.iop[:3], grid.iop[3:])
    if tiles:
        # In a mosaic it is the direction in which its slices follow each other, whichever side of the sheet that is.
        stack = [f.grid for f in plan.acquired.frames if f.b_value == frame.b_value]
        step = np.asarray(stack[-1].ipp_mm) - np.asarray(stack[0].ipp_mm)
        normal = normal if np.dot(step, normal) >= 0 else -normal
    numbers = [f"{c:.8f}" for c in normal]
    b = [] if frame.b_value is None else [f"{frame.b_value:.0f}"]
    return sv10(
        [
            ("EchoLinePosition", "IS", [str(grid.matrix // 2)]),
            ("UsedChannelMask", "UN", []),
            ("NumberOfImagesInMosaic", "US", [str(tiles)] if tiles else []),
            ("SliceNormalVector", "FD", numbers),
            ("ImageOrientationPatient", "DS", [f"{c:.8f}" for c in grid.iop]),
            ("ImagePositionPatient", "DS", [f"{c:.8f}" for c in grid.ipp_mm]),
            ("B_value", "IS", b),
            ("DiffusionDirectionality", "CS", ["ISOTROPIC"] if frame.b_value else []),
            ("PhaseEncodingDirectionPositive", "IS", ["1"]),
            ("ICE_Dims", "LO", ["X_1_1_1_1_1_1_1_1_1_1_1_0"]),
        ]
    )


def protocol_text(plan: SeriesPlan) -> str:
    """The protocol as text, the patient's name and number in it."""
    study, sequence = plan.study, plan.acquired.sequence
    person = study.patient
    return "\n".join(
        (
            "### ASCCONV BEGIN ###",
            "ulVersion                                = 0x14b44b6",
            f'tSequenceFileName                        = ""%SiemensSeq%\\{plan.form}""',
            f'tProtocolName                            = ""{plan.values.get("ProtocolName", "")}""',
            f'tReferenceImage0                         = ""{study.uid}.1.1""',
            f'tPatientName                             = ""{person.full_name}""',
            f'tPatientID                               = ""{person.mrn}""',
            f"alTR[0]                                  = {sequence.tr_ms * 1000:.0f}",
            f"alTE[0]                                  = {sequence.te_ms * 1000:.0f}",
            f"sSliceArray.lSize                        = {len(plan.acquired.frames)}",
            "### ASCCONV END ###",
            "",
        )
    )


def series_header_block(plan: SeriesPlan) -> bytes:
    """CSA Series Header Info: weight, coil and the protocol."""
    return sv10(
        [
            ("UsedPatientWeight", "IS", [f"{plan.study.patient.weight_kg:<8}"]),
            ("MrProtocolVersion", "IS", ["51130001"]),
            ("DataFileName", "LO", []),
            ("PatientOrientation", "CS", []),
            ("CoilForGradient2", "SH", ["AS092"]),
            ("MrPhoenixProtocol", "UN", [protocol_text(plan)]),
        ]
    )
