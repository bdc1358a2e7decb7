from __future__ import annotations

import random
import re
from collections import Counter
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.header import ACQUISITION, acquisition_facts
from tests.corpus.deid.objects import NAMES, cleaned, mr, part10
from tests.corpus.deid.planter import SYNTAXES, VENDORS, Planted, person, residual
from tests.corpus.deid.plants import enhanced_file, planted_file
from tests.corpus.deid.writing import part10 as unprincipled

SEED = 60221


def read(payload: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(BytesIO(payload))


@pytest.fixture(scope="module")
def planted() -> list[tuple[Planted, bytes]]:
    made = []
    for number in range(2):
        who = person(random.Random(SEED + number))
        for v, vendor in enumerate(VENDORS):
            for s, syntax in enumerate(SYNTAXES):
                file = planted_file(
                    who, vendor=vendor, syntax=syntax, seed=SEED + 100 * number + 10 * v + s, index=s
                )
                made.append((file, cleaned(file.data).payload))
        file = enhanced_file(who, seed=SEED + 999 + number)
        made.append((file, cleaned(file.data).payload))
    return made


def test_none_of_eight_thousand_planted_identifiers_is_left(planted):
    total = sum(len(file.plants) for file, _ in planted)
    found = Counter((f.vendor, f.syntax, p) for f, out in planted for p in residual(f.plants, out))
    assert total >= 8000
    assert not found


def test_pixels_are_the_same_in_every_transfer_syntax(planted):
    for file, out in planted:
        assert np.array_equal(read(out).pixel_array, file.pixels), file.syntax


def test_acquisition_facts_are_unchanged(planted):
    free = {"series_description", "protocol_name", "image_type"}  # carry plants on purpose
    for file, out in planted:
        before, after = acquisition_facts(file.source), acquisition_facts(read(out))
        changed = {k for k in ACQUISITION if before[k] != after[k]} - free
        assert not changed, (file.vendor, file.syntax)


def test_references_stay_resolvable_and_no_original_uid_is_left(planted):
    for file, out in planted:
        text = out.decode("latin-1")
        assert file.source.SOPInstanceUID not in text
        released = read(out)
        assert released.SOPInstanceUID == NAMES.uid(file.source.SOPInstanceUID)
        if "ReferencedImageSequence" in file.source:
            original = file.source.ReferencedImageSequence[0].ReferencedSOPInstanceUID
            assert released.ReferencedImageSequence[0].ReferencedSOPInstanceUID == NAMES.uid(original)


def test_what_the_engine_declares():
    out = read(
        cleaned(
            mr(),
        ).payload
    )
    codes = [item.CodeValue for item in out.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107", "113108"]
    assert (out.PatientIdentityRemoved, out.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert (out.PatientID, out.PatientName) == (NAMES.patient_key("12345678"),) * 2
    assert (out.StudyDate, out.StudyTime, out.SeriesDate) == ("20240415", "101112", "20240415")
    assert (out.PatientAge, out.PatientBirthDate) == ("068Y", "")
    assert out.preamble == b"\x00" * 128
    assert str(out.file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    ("age", "kept"), [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("018M", "018M"), ("old", None)]
)
def test_ages_over_89_are_one_class(age, kept):
    assert read(cleaned(mr(PatientAge=age)).payload).get("PatientAge") == kept


def test_year_only_keeps_years_and_times():
    out = read(cleaned(mr(), mode="year_only").payload)
    assert (out.StudyDate, out.StudyTime) == ("20240101", "101112")


def test_safe_private_numbers_stay_and_are_declared():
    ds = mr()
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "800")
    block.add_new(0x0A, "US", 9)
    block.add_new(0x0D, "CS", "WEXBURY")
    stranger = ds.private_block(0x0019, "WEXBURY HEADER", create=True)
    stranger.add_new(0x0C, "IS", "800")
    out = read(cleaned(ds).payload)
    assert out.private_block(0x0019, "SIEMENS MR HEADER")[0x0C].value == 800
    assert {e.tag.elem & 0xFF for e in out if e.tag.is_private and e.tag.elem > 0xFF} == {0x0A, 0x0C}
    assert out.DeidentificationMethodCodeSequence[-1].CodeValue == "113111"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("AcquisitionNumber", "+012345678"),
        ("SeriesNumber", "20240305"),
        ("PixelBandwidth", "12345678.0"),
        ("PixelBandwidth", "123456789012"),
        ("EffectiveEchoTime", 12345678.0),
        ("DimensionIndexValues", [19560312]),
    ],
)
def test_a_number_that_identifies_goes_in_every_spelling(keyword, value):
    assert keyword not in read(cleaned(mr(**{keyword: value})).payload)


@pytest.mark.parametrize("text", [b"Wexbury\x00", b"ODALYS W", b"Patient (Wexbury) 555-867-5309  "])
@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00189082, "FD"), (0x00186102, "US"), (0x00280721, "AT"), (0x00283006, "OW")]
)
def test_text_is_no_number(tag, vr, text):
    ds = mr()
    ds[tag] = RawDataElement(BaseTag(tag), vr, len(text), text, 0, False, True)
    data = unprincipled(ds, "explicit", meta={}, preamble=b"", tail=b"")
    assert text.strip(b"\x00 ") not in cleaned(data).payload


def test_a_number_that_is_a_record_number_goes():
    ds = mr(AcquisitionNumber="12345678", PixelBandwidth="130")
    out = read(cleaned(ds, known=KnownIdentifiers.of([("id", "0012345678")])).payload)
    assert "AcquisitionNumber" not in out
    assert out.PixelBandwidth == 130


def test_codes_of_the_standard_stay_with_their_own_meaning_and_others_go():
    known, local = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "T-11501", "SRT", "Wexbury"
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "12345678", "99SITE", "Wexbury"
    out = read(cleaned(mr(AnatomicRegionSequence=[known, local])).payload)
    items = out.AnatomicRegionSequence
    assert [i.get("CodeValue") for i in items] == ["T-11501", None]
    assert "spine" in items[0].CodeMeaning.lower() or "vertebra" in items[0].CodeMeaning.lower()


def test_same_bytes_every_time_and_the_audit_counts_add_up():
    data = part10(mr())
    first, second = cleaned(data), cleaned(data)
    assert first.payload == second.payload
    assert first.counts == second.counts
    assert first.counts["uids_mapped"] >= 3
    assert first.counts["dates_shifted"] == 2


def test_value_representations_that_lie_are_not_believed():
    raw = part10(mr(RepetitionTime="3000"))
    found = re.search(rb"\x18\x00\x80\x00DS..3000", raw, flags=re.DOTALL)
    lied = raw.replace(found[0], b"\x18\x00\x80\x00UN\x00\x00\x04\x00\x00\x003000")
    assert lied != raw
    assert "RepetitionTime" not in read(cleaned(lied).payload)
