import io
import warnings

import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset

from spine_models.phantom.records.plants import identify

PLACES = (
    (0x0010, 0x1000), (0x0010, 0x1002), (0x0010, 0x1060), (0x0010, 0x2180), (0x0010, 0x4000), (0x0008, 0x0096),
    (0x0008, 0x1048), (0x0008, 0x1070), (0x0008, 0x1120), (0x0040, 0x0254), (0x0040, 0x0275), (0x0040, 0xA730),
    (0x0040, 0xA123), (0x0400, 0x0561), (0x0038, 0x0010), (0x0032, 0x1032), (0x0012, 0x0040),
    (0x0029, 0x1020), (0x0013, 0x1010), (0x6000, 0x4000), (0xFFFC, 0xFFFC),
)  # fmt: skip


def blank(uid="1.2.3.4"):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", uid
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = meta.MediaStorageSOPClassUID, uid, "1.2.3"
    ds.SeriesDescription = "t2_tse_sag"
    return ds


def written(ds):
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def files(visits):
    found = []
    for visit, rng in visits(60, 8):
        for _ in range(4):
            ds = blank()
            identify(ds, visit.study, rng)
            found.append((visit.study, ds, written(ds)))
    return found


def test_every_file_reads_back_without_a_warning(files):
    for study, _, data in files:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ds = pydicom.dcmread(io.BytesIO(data))
            for element in ds.iterall():
                assert element.value is not None
        assert ds.PatientID == study.patient.mrn


def test_names_of_other_scripts_come_back_as_they_were(files):
    seen = set()
    for study, _, data in files:
        ds = pydicom.dcmread(io.BytesIO(data))
        charset = ds.SpecificCharacterSet
        seen.add(charset if isinstance(charset, str) else charset[-1])
        if study.patient.ideographic:
            assert str(ds.PatientName) == study.patient.dicom_name
    assert len(seen) >= 4


def test_every_kind_of_place_occurs(files):
    tags = {(e.tag.group, e.tag.element) for _, ds, _ in files for e in ds.iterall()}
    assert set(PLACES) <= tags
    assert any(group == 0x4008 for group, _ in tags)
    assert len(tags) > 200
    assert any(ds.preamble.strip(b"\0") for _, ds, _ in files)
    assert any("PrivateInformation" in ds.file_meta for _, ds, _ in files)


def test_what_is_planted_is_remembered_and_stands_in_a_file(files):
    of_person = {}
    for study, _, data in files:
        person = of_person.setdefault(study.patient.mrn, (study.patient, []))
        person[1].append(data)
    codecs = ("utf-8", "latin-1", "iso2022_jp", "euc_kr", "iso8859-5", "iso8859-7")
    written_later = {"email", "ssn", "phone", "street", "kin", "hospital", "name", "birth_date"}
    missing = []
    for person, datas in of_person.values():
        blob = b"\n".join(datas)
        assert len(person.planted) > 20
        for kind, value in person.planted:
            forms = {value.encode(c, "ignore") for c in codecs}
            if kind not in written_later and not any(f in blob for f in forms):
                missing.append(kind)
    assert missing == []


def test_nothing_of_the_acquisition_is_touched(visits):
    visit, rng = next(visits(1, 3))
    ds = blank()
    ds.RepetitionTime, ds.EchoTime, ds.ScanningSequence, ds.Manufacturer = 500, 9, "SE", "GE MEDICAL SYSTEMS"
    ds.BodyPartExamined, ds.ProtocolName = "LSPINE", "L-spine"
    before = {k: ds[k].value for k in ("RepetitionTime", "EchoTime", "ScanningSequence", "Manufacturer")}
    identify(ds, visit.study, rng)
    assert {k: ds[k].value for k in before} == before
    assert (ds.BodyPartExamined, ds.ProtocolName) == ("LSPINE", "L-spine")
