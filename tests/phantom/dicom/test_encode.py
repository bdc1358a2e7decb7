"""Own encoder against pydicom's: what another reader finds in the two files is the same."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from spine_models.phantom.dicom.encode import part10

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def data_set(syntax, charset="ISO_IR 192", name="Müller^Jürgen"):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, "1.2.3.4"
    meta.TransferSyntaxUID, meta.ImplementationClassUID = syntax, "1.2.3"
    ds = FileDataset(
        "", Dataset(), file_meta=meta, preamble=b"\1" * 128,
        is_implicit_VR=syntax.is_implicit_VR, is_little_endian=syntax.is_little_endian,
    )  # fmt: skip
    ds.SpecificCharacterSet = charset
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = MRImageStorage, "1.2.3.4", "MR"
    ds.PatientName, ds.PatientID, ds.StudyDate, ds.StudyTime = name, "0012", "20200102", "101112.5"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "", "M"]
    ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = "102.5", 3500, 17
    ds.ImagePositionPatient = ["1.5", "-2.25", "1e-3"]
    ds.DiffusionBValue, ds.Rows, ds.AcquisitionMatrix = 800.0, 2, [0, 256, 192, 0]
    ds.PatientComments, ds.BodyPartExamined = "odd", ""
    ds.add_new(0x00280009, "AT", [0x00181063])
    inner = Dataset()
    inner.CodeMeaning, inner.SmallestImagePixelValue = name.split("^")[0], 3
    inner["SmallestImagePixelValue"].VR = "US"
    deeper = Dataset()
    deeper.ReferencedSOPInstanceUID = "1.2.3.4"
    inner.ReferencedImageSequence = Sequence([deeper, Dataset()])
    ds.AnatomicRegionSequence, ds.ProcedureCodeSequence = Sequence([inner]), Sequence([])
    block = ds.private_block(0x0029, "SOMEBODY", create=True)
    block.add_new(0x10, "OB", b"abc")
    block.add_new(0x11, "UN", b"12")
    block.add_new(0x12, "FL", [1.5, 2.5])
    block.add_new(0x13, "SL", -7)
    order = "<" if syntax.is_little_endian else ">"
    ds.PixelData = np.arange(6, dtype=f"{order}u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: s.name)
def test_reads_like_the_general_writer(syntax, undefined):
    ds = data_set(syntax)
    mine = pydicom.dcmread(io.BytesIO(part10(ds, undefined_lengths=undefined)))
    theirs = io.BytesIO()
    dcmwrite(theirs, ds, enforce_file_format=True)
    other = pydicom.dcmread(io.BytesIO(theirs.getvalue()))
    assert mine == other
    assert mine.file_meta.TransferSyntaxUID == syntax
    assert mine.preamble == b"\1" * 128
    if not undefined and syntax != DeflatedExplicitVRLittleEndian:
        whole = theirs.getvalue()
        data = (
            len(whole) - whole.index(b"1.2.3\0") - 100
        )  # behind the file meta information, which may differ
        assert part10(ds)[-data:] == whole[-data:]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Иванов^Пётр"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东="),
    ],
)
def test_national_character_sets(charset, name):
    ds = data_set(ExplicitVRLittleEndian, charset, name)
    if charset == ["", "ISO 2022 IR 87"]:
        ds.AnatomicRegionSequence[0].CodeMeaning = "頸椎"
    read = pydicom.dcmread(io.BytesIO(part10(ds)))
    assert str(read.PatientName).rstrip("=") == name.rstrip("=")
    assert read.AnatomicRegionSequence[0].CodeMeaning == ds.AnatomicRegionSequence[0].CodeMeaning


def test_a_value_too_long_is_refused_without_being_quoted():
    ds = data_set(ExplicitVRLittleEndian)
    ds[0x00104000] = DataElement(0x00104000, "LT", "secret " * 20_000, validation_mode=config.IGNORE)
    with pytest.raises(ValueError, match="00104000") as error:
        part10(ds)
    assert "secret" not in str(error.value)
