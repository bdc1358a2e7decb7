"""Identifiers outside the standard's attributes: private blocks, overlays, file meta, preamble.

Belongs here: bytes that a reader of known attributes never looks at. Does not belong here: the maker's own private
blocks (``phantom.dicom.private``), standard attributes (``plants``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from spine_models.phantom.records.identity import SITES
from spine_models.phantom.records.sheet import Sheet, Speaker, speaker_of


class _Block:
    """The first free private block of a group; pydicom's own search walks the whole data set."""

    def __init__(self, ds: Dataset, group: int, creator: str) -> None:
        self._ds = ds
        block = next(n for n in range(0x10, 0x100) if (group << 16) + n not in ds)
        ds.add_new((group << 16) + block, "LO", creator)
        self._base = (group << 16) + (block << 8)

    def add(self, offset: int, vr: str, value: Any) -> None:
        """Add one element of the block."""
        tag = self._base + offset
        self._ds[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)


def hide_privately(ds: Dataset, sheet: Sheet, spoken: Speaker, rng: np.random.Generator) -> None:
    """Names and numbers in private blocks (text, UN, binary, UTF-16, nested) and in overlays, at stated rates."""

    def said(template: str) -> str:
        return sheet.fill(template, spoken)

    ris = _Block(ds, 0x0029, "PHANTOM RIS")
    ris.add(0x20, "UN", _even(said("{full_name}\\{accession}").encode()))
    chance = rng.random(5)
    if chance[0] < 0.5:
        block = _Block(ds, 0x0009, "PHANTOM PACS 2.1")
        block.add(0x10, "LO", said("{full_name}"))
        block.add(0x11, "SH", said("{mrn}"))
        block.add(0x12, "DA", said("{birth}"))
        block.add(0x13, "PN", said("{dicom_name}"))
        block.add(0x14, "UI", said("{record_uid}"))
        item = Dataset()
        item.PatientName, item.PatientID = said("{dicom_name}"), said("{mrn}")
        block.add(0x15, "SQ", [item])
    if chance[1] < 0.3:
        wide = said("{full_name};{mrn}").encode("utf-16-le")
        ris.add(0x21, "OB", _even(len(wide).to_bytes(4, "little") + wide))
    if chance[2] < 0.3 and sheet.study.scanner.vendor == "Siemens":
        protocol = said(
            '### ASCCONV BEGIN ###\ntPatientName = ""{full_name}""\ntPatientID = ""{mrn}""\n'
            'tReferringPhysician = ""{doctor_text}""\n### ASCCONV END ###\n'
        )
        block = _Block(ds, 0x0029, "SIEMENS MEDCOM HEADER2")
        block.add(0x60, "LO", said("{full_name}"))
        block.add(0x61, "OB", _even(b"SV10\x04\x03\x02\x01" + protocol.encode()))
    if chance[3] < 0.1:
        # No creator at all, as some gateways leave it.
        ds.add_new(0x00131010, "LO", said("{full_name}"))
    if chance[4] < 0.08:
        ds.add_new(0x60000010, "US", 16)
        ds.add_new(0x60000011, "US", 16)
        ds.add_new(0x60000040, "CS", "G")
        ds.add_new(0x60000050, "SS", [1, 1])
        ds.add_new(0x60000100, "US", 1)
        ds.add_new(0x60000102, "US", 0)
        ds.add_new(0x60000022, "LO", said("{full_name}"))
        ds.add_new(0x60003000, "OW", b"\0" * 32)
        ds.add_new(0x60004000, "LT", said("marked by {operator_text} for {full_name}"))


def hide_outside(ds: Dataset, sheet: Sheet, rng: np.random.Generator) -> None:
    """Bytes around the data set: preamble and file meta information."""
    utf8 = speaker_of("ISO_IR 192")
    chance = rng.random(2)
    if chance[0] < 0.15 and getattr(ds, "preamble", None) is not None:
        ds.preamble = sheet.fill("II*\0 {full_name} {mrn}", utf8).encode()[:128].ljust(128, b"\0")
    meta = getattr(ds, "file_meta", None)
    if meta is not None and chance[1] < 0.3:
        short = SITES[sheet.study.site].short
        meta.SendingApplicationEntityTitle = f"{short}_PACS"
        meta.ReceivingApplicationEntityTitle = f"{short}_ARCHIVE"
        meta.PrivateInformationCreatorUID = f"1.2.826.0.1.3680043.9.7{sheet.study.site}"
        meta.PrivateInformation = _even(sheet.fill("{mrn} {full_name}", utf8).encode())


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
