"""The makers' private attributes: acquisition numbers that readers rely on, and the bulk that hides identifiers.

Belongs here: private blocks by maker, with the makers' creators, element numbers and VRs. Does not belong here: the
CSA binary layout (``csa``), standard attributes (``headers``), which of these may leave a hospital (deid).

Element numbers follow the makers' conformance statements and, for UIH, what open converters read.
"""

from __future__ import annotations

import gzip
import struct
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from spine_models.phantom.dicom.csa import image_header_block, protocol_text, series_header_block
from spine_models.phantom.dicom.headers import put
from spine_models.phantom.dicom.series import SeriesPlan
from spine_models.phantom.scanner.examination import Frame

GE_B_VALUE_FLAG: Final = 1_000_000_000
"""GE adds this to the b-value of the first slop integer since its software of 2010 or so."""
_TECHNIQUE: Final = {"gre": "FFE", "ir": "TIR", "epi": "DwiSE", "se": "TSE"}


def add_numbers(ds: Dataset, plan: SeriesPlan, frame: Frame, tiles: int | None = None) -> None:
    """Private acquisition numbers of one image, without identifiers.

    Args:
        ds: header of the image; grows.
        plan: its series.
        frame: the image.
        tiles: number of slices in a mosaic.
    """
    _NUMBERS[plan.study.scanner.vendor](ds, plan, frame, tiles)


def seal(ds: Dataset, plan: SeriesPlan, frame: Frame) -> None:
    """Add the bulky private blocks; like a scanner's, they repeat who the patient is.

    Called last, when the rest of the header is complete. Every identifier in them is one that
    ``study.patient.planted`` names or is told here.
    """
    person = plan.study.patient
    person.plant("mrn", person.mrn)
    person.plant("name", person.full_name)
    _SEALS[plan.study.scanner.vendor](ds, plan, frame)


def _siemens_numbers(ds: Dataset, plan: SeriesPlan, frame: Frame, tiles: int | None) -> None:
    if plan.study.scanner.generation == "XA":
        return
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "1.0")
    if tiles:
        block.add_new(0x0A, "US", tiles)
    if frame.b_value is not None:
        block.add_new(0x0C, "IS", f"{frame.b_value:.0f}")
        block.add_new(0x0D, "CS", "ISOTROPIC" if frame.b_value else "NONE")
    block.add_new(0x0F, "SH", "Fast")
    block.add_new(0x17, "DS", "1")
    block.add_new(0x18, "IS", "5200")
    text = ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    text.add_new(0x0B, "LO", f"{frame.grid.matrix}*{frame.grid.matrix}s")
    text.add_new(
        0x0C,
        "LO",
        f"FoV {frame.grid.spacing_mm * frame.grid.matrix:.0f}*{frame.grid.spacing_mm * frame.grid.matrix:.0f}",
    )
    text.add_new(
        0x0E,
        "LO",
        {"sagittal": "Sag", "axial": "Tra", "coronal": "Cor"}.get(plan.acquired.plane.value, "Sag>Cor"),
    )
    text.add_new(0x11, "LO", "p2")
    text.add_new(0x17, "SH", f"SL {plan.acquired.thickness_mm:.1f}")


def _ge_numbers(ds: Dataset, plan: SeriesPlan, frame: Frame, tiles: int | None) -> None:
    name = plan.values.get("PulseSequenceName") or plan.values.get("SequenceName") or "fse"
    acquired = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    acquired.add_new(0x1E, "DS", f"{frame.grid.spacing_mm * frame.grid.matrix:.6f}")
    acquired.add_new(0x9C, "LO", str(name))
    acquired.add_new(0x9E, "LO", str(name).upper()[:16])
    if frame.b_value is not None:
        for element in (0xBB, 0xBC, 0xBD):
            acquired.add_new(element, "DS", "0.000000")
    related = ds.private_block(0x0021, "GEMS_RELA_01", create=True)
    related.add_new(0x4F, "SS", len(plan.acquired.frames))
    image = ds.private_block(0x0027, "GEMS_IMAG_01", create=True)
    image.add_new(0x41, "FL", float(frame.grid.ipp_mm[2]))
    parameters = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    parameters.add_new(0x2F, "SS", 0)
    slop = [0, 0, 0, 0]
    if frame.b_value is not None:
        flag = GE_B_VALUE_FLAG if plan.study.scanner.generation != "HD" and frame.b_value else 0
        slop = [flag + round(frame.b_value), 8, 0, 0]
    parameters.add_new(0x39, "IS", [str(n) for n in slop])


def _philips_numbers(ds: Dataset, plan: SeriesPlan, frame: Frame, tiles: int | None) -> None:
    sequence, plane = plan.acquired.sequence, plan.acquired.plane.value
    block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x01, "FL", 0.0)
    if frame.b_value is not None:
        block.add_new(0x03, "FL", float(frame.b_value))
        block.add_new(0x04, "CS", "I" if frame.b_value else "O")
    block.add_new(0x06, "CS", "N")
    block.add_new(0x0B, "CS", {"axial": "TRANSVERSAL"}.get(plane, plane.upper()))
    block.add_new(0x13, "SL", 47 if sequence.kind == "epi" else 1)
    block.add_new(0x14, "SL", 1)
    block.add_new(0x18, "SL", len(plan.acquired.frames))
    block.add_new(0x1B, "FL", float(sequence.ti_ms or 0.0))
    block.add_new(0x1C, "CS", "INVERSION" if sequence.ti_ms else "NO")
    block.add_new(0x20, "LO", _TECHNIQUE[sequence.kind])
    block.add_new(0x21, "CS", "Y" if sequence.fat_suppression == "spectral" else "N")
    other = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    if frame.b_value is not None:
        for element in (0xB0, 0xB1, 0xB2):
            other.add_new(element, "FL", 0.0)


def _canon_numbers(ds: Dataset, plan: SeriesPlan, frame: Frame, tiles: int | None) -> None:
    creator = "TOSHIBA_MEC_MR3" if plan.study.scanner.generation == "toshiba" else "CANON_MEC_MR3"
    block = ds.private_block(0x700D, creator, create=True)
    block.add_new(0x00, "DS", "1.0")
    block.add_new(0x05, "DS", f"{frame.grid.spacing_mm * frame.grid.matrix:.3f}")
    block.add_new(0x0C, "CS", "YES")


def _uih_numbers(ds: Dataset, plan: SeriesPlan, frame: Frame, tiles: int | None) -> None:
    block = ds.private_block(0x0065, "Image Private Header", create=True)
    if frame.b_value is not None:
        block.add_new(0x09, "FD", float(frame.b_value))
        block.add_new(0x37, "FD", [0.0, 0.0, 0.0])
    block.add_new(0x14, "CS", "M")


def _siemens_seal(ds: Dataset, plan: SeriesPlan, frame: Frame) -> None:
    if plan.study.scanner.generation == "XA":
        # The newer software keeps the protocol in a private sequence, in place of the CSA headers.
        item = Dataset()
        inner = item.private_block(0x0021, "SIEMENS MR SDS 01", create=True)
        inner.add_new(0x19, "OB", _even(protocol_text(plan).encode("utf-8")))
        ds.private_block(0x0021, "SIEMENS MR SDS 01", create=True).add_new(0xFE, "SQ", Sequence([item]))
        return
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", plan.study.day.strftime("%Y%m%d"))
    block.add_new(0x10, "OB", image_header_block(plan, frame, tiles=_tiles(ds)))
    block.add_new(0x18, "CS", "MR")
    block.add_new(0x19, "LO", plan.study.day.strftime("%Y%m%d"))
    block.add_new(0x20, "OB", series_header_block(plan))


def _ge_seal(ds: Dataset, plan: SeriesPlan, frame: Frame) -> None:
    person = plan.study.patient
    ident = ds.private_block(0x0009, "GEMS_IDEN_01", create=True)
    ident.add_new(0x01, "LO", "GE_GENESIS_FF")
    ident.add_new(0x02, "SH", plan.study.scanner.station[:4])
    series = ds.private_block(0x0025, "GEMS_SERS_01", create=True)
    series.add_new(0x07, "SL", len(plan.acquired.frames))
    # The protocol is kept compressed, with its length in front: invisible to a search of the bytes.
    protocol = f'set PATNAME "{person.full_name}"\nset PATID "{person.mrn}"\nset DESC "{plan.description}"\n'
    packed = gzip.compress(protocol.encode("utf-8"), mtime=0)
    series.add_new(0x1B, "OB", _even(struct.pack("<I", len(packed)) + packed))


def _philips_seal(ds: Dataset, plan: SeriesPlan, frame: Frame) -> None:
    person = plan.study.patient
    stack = Dataset()
    inner = stack.private_block(0x2001, "Philips Imaging DD 001", create=True)
    inner.add_new(0x2D, "SS", len(plan.acquired.frames))
    inner.add_new(0x35, "SS", 1)
    inner.add_new(0x36, "CS", "PARALLEL")
    ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x5F, "SQ", Sequence([stack]))
    # The private copy of the multi-frame macros nests standard attributes, the patient's among them.
    deep = Dataset()
    put(deep, "PatientName", person.dicom_name.split("=")[0].encode("ascii", "replace").decode())
    put(deep, "PatientID", person.mrn)
    put(deep, "SeriesDescription", plan.description.encode("ascii", "replace").decode())
    macro = Dataset()
    macro.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(
        0x02, "SQ", Sequence([deep])
    )
    ds.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Sequence([macro]))


def _canon_seal(ds: Dataset, plan: SeriesPlan, frame: Frame) -> None:
    person = plan.study.patient
    creator = "TOSHIBA_MEC_MR3" if plan.study.scanner.generation == "toshiba" else "CANON_MEC_MR3"
    block = ds.private_block(0x700D, creator, create=True)
    record = f"{person.full_name};{person.mrn};{plan.study.accession}".encode()
    block.add_new(0x08, "OB", _even(struct.pack("<HH", 1, len(record)) + record))
    plan.study.patient.plant("accession", plan.study.accession)


def _uih_seal(ds: Dataset, plan: SeriesPlan, frame: Frame) -> None:
    person = plan.study.patient
    block = ds.private_block(0x0065, "Image Private Header", create=True)
    text = f"<Exam><PatientName>{person.full_name}</PatientName><PatientID>{person.mrn}</PatientID></Exam>"
    block.add_new(0x70, "UN", _even(text.encode()))


def _tiles(ds: Dataset) -> int | None:
    numbers = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    return int(numbers[0x0A].value) if 0x0A in numbers else None


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


_NUMBERS: Final = {"Siemens": _siemens_numbers, "GE": _ge_numbers, "Philips": _philips_numbers,
                   "Canon": _canon_numbers, "UIH": _uih_numbers}  # fmt: skip
_SEALS: Final = {"Siemens": _siemens_seal, "GE": _ge_seal, "Philips": _philips_seal, "Canon": _canon_seal,
                 "UIH": _uih_seal}  # fmt: skip
