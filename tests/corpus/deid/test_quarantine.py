from __future__ import annotations

import random

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from spine_models.corpus.deid.engine import read_object
from spine_models.corpus.deid.quarantine import Reason, Refused
from tests.corpus.deid.compressed import encode
from tests.corpus.deid.objects import cleaned, mr, part10
from tests.corpus.deid.writing import part10 as unprincipled

CASES = [
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, Reason.NOT_MR),
    ({"Modality": "CT"}, Reason.NOT_MR),
    ({"Modality": None}, Reason.NOT_MR),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.4"}, Reason.NOT_MR),
    ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, Reason.NOT_MR),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.2"}, Reason.NOT_MR),  # MR Spectroscopy
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.3"}, Reason.NOT_MR),  # Enhanced MR Color
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, Reason.NOT_MR),  # Raw Data
    ({"SOPClassUID": None}, Reason.MISSING_META),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Reason.SECONDARY_CAPTURE),
    ({"ConversionType": "WSD"}, Reason.SECONDARY_CAPTURE),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, Reason.ENCAPSULATED),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Reason.SCREEN_SAVE),
    ({"SeriesDescription": "Screen Save"}, Reason.SCREEN_SAVE),
    ({"ProtocolName": "SCREENSHOT_1"}, Reason.SCREEN_SAVE),
    ({"ImageType": ["DERIVED", "PRIMARY", "SCREENSHOT"]}, Reason.SCREEN_SAVE),
    ({"BurnedInAnnotation": "YES"}, Reason.BURNED_IN),
    ({"BurnedInAnnotation": "MAYBE"}, Reason.BURNED_IN),
    ({"RecognizableVisualFeatures": "YES"}, Reason.RECOGNIZABLE_FEATURES),
    ({"PhotometricInterpretation": "RGB"}, Reason.COLOUR),
    ({"SamplesPerPixel": 3}, Reason.COLOUR),
    ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.COLOUR),
    (
        {"ImageType": ["DERIVED", "SECONDARY"], "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        Reason.DERIVED_8BIT,
    ),
    ({"ImageType": ["DERIVED", "SECONDARY", "MPR"], "BitsStored": 8, "HighBit": 7}, Reason.DERIVED_8BIT),
    ({"PhotometricInterpretation": "YBR_FULL", "SamplesPerPixel": 3}, Reason.COLOUR),
    ({"ImageType": None, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, Reason.DERIVED_8BIT),
    ({"StudyInstanceUID": None}, Reason.MISSING_META),
    ({"SOPInstanceUID": ""}, Reason.MISSING_META),
    ({"PatientID": ""}, Reason.UNRESOLVED_PATIENT),
    ({"PatientID": None}, Reason.UNRESOLVED_PATIENT),
    ({"PixelData": None}, Reason.NO_PIXELS),
    ({"Rows": None}, Reason.WRONG_PIXEL_LENGTH),
    ({"BitsStored": 99}, Reason.WRONG_PIXEL_LENGTH),
    ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, Reason.WRONG_PIXEL_LENGTH),  # eight pixels a byte
    ({"BitsAllocated": 12}, Reason.WRONG_PIXEL_LENGTH),  # two pixels in three bytes
    ({"NumberOfFrames": 2}, Reason.TRUNCATED),
    ({"Rows": 4}, Reason.WRONG_PIXEL_LENGTH),
    ({"PatientID": "   "}, Reason.UNRESOLVED_PATIENT),
]


@pytest.mark.parametrize(("changes", "reason"), CASES)
def test_what_is_not_plainly_mr_stays_behind_with_its_reason(changes, reason):
    with pytest.raises(Refused) as refused:
        cleaned(mr(**changes))
    assert refused.value.reason == reason
    assert "Wexbury" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, Reason.BURNED_IN),
        ({"RecognizableVisualFeatures": "YES"}, Reason.RECOGNIZABLE_FEATURES),
        ({"FrameType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Reason.SCREEN_SAVE),
    ],
)
@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_a_functional_group_holds_its_object_back(groups, said, reason):
    inner, outer = Dataset(), Dataset()
    for keyword, value in said.items():
        setattr(inner, keyword, value)
    outer.MRImageFrameTypeSequence = [inner]
    ds = mr(SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1")
    setattr(ds, groups, [Dataset(), outer])
    with pytest.raises(Refused) as refused:
        cleaned(ds)
    assert refused.value.reason == reason


def test_a_compressed_frame_of_another_size_or_of_colour_stays_behind():
    plain = np.arange(24 * 20, dtype=np.uint16).reshape(1, 24, 20)
    coloured = encapsulate([bytes(imagecodecs.jpeg8_encode(np.zeros((24, 20, 3), np.uint8)))])
    for value, rows, syntax in (
        (encode(plain, "jpeg_ls", [], random.Random(1)), 12, "jpeg_ls"),
        (encode(plain, "jpeg_2000", [], random.Random(1)), 48, "jpeg_2000"),
        (coloured, 24, "jpeg_baseline"),
        (encode(plain, "rle", [], random.Random(1))[:-9], 24, "rle"),
    ):
        ds = mr(Rows=rows, Columns=20, PixelData=value)
        ds["PixelData"].VR = "OB"
        with pytest.raises(Refused):
            cleaned(unprincipled(ds, syntax, meta={}, preamble=b"", tail=b""))


def test_a_dicomdir_an_unknown_syntax_and_junk_stay_behind():
    directory = mr()
    directory.DirectoryRecordSequence = [Dataset()]
    with pytest.raises(Refused, match="dicomdir"):
        cleaned(directory)
    with pytest.raises(Refused, match="unsupported_syntax"):
        cleaned(
            part10(mr(), "1.2.840.10008.1.2.1").replace(
                b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.9\x00", 1
            )
        )
    for junk in (b"", b"hello", b"\x00" * 128 + b"DICM", part10(mr())[:300]):
        with pytest.raises(Refused):
            cleaned(junk)


def test_the_plain_object_is_released():
    assert read_object(cleaned(mr()).payload).PatientIdentityRemoved == "YES"
