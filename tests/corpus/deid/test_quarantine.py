from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from spine_models.corpus.deid.engine import read_object
from spine_models.corpus.deid.quarantine import Reason, Refused
from tests.corpus.deid.objects import cleaned, mr, part10

CASES = [
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, Reason.NOT_MR),
    ({"Modality": "CT"}, Reason.NOT_MR),
    ({"Modality": None}, Reason.NOT_MR),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.4"}, Reason.NOT_MR),
    ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, Reason.NOT_MR),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, Reason.SECONDARY_CAPTURE),
    ({"ConversionType": "WSD"}, Reason.SECONDARY_CAPTURE),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, Reason.ENCAPSULATED),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, Reason.SCREEN_SAVE),
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
    ({"ImageType": None, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, Reason.DERIVED_8BIT),
    ({"StudyInstanceUID": None}, Reason.MISSING_META),
    ({"SOPInstanceUID": ""}, Reason.MISSING_META),
    ({"PatientID": ""}, Reason.UNRESOLVED_PATIENT),
    ({"PatientID": None}, Reason.UNRESOLVED_PATIENT),
    ({"PixelData": None}, Reason.NO_PIXELS),
    ({"Rows": None}, Reason.WRONG_PIXEL_LENGTH),
    ({"BitsStored": 99}, Reason.WRONG_PIXEL_LENGTH),
]


@pytest.mark.parametrize(("changes", "reason"), CASES)
def test_what_is_not_plainly_mr_stays_behind_with_its_reason(changes, reason):
    with pytest.raises(Refused) as refused:
        cleaned(mr(**changes))
    assert refused.value.reason == reason
    assert "Wexbury" not in str(refused.value)


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
