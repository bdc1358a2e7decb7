"""What each maker writes: names, image types, private blocks, CSA layout."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from spine_models.domain import Region
from spine_models.phantom.dicom.dialect import acquisition, form_of, number_text
from spine_models.phantom.dicom.names import name_series, vocabulary
from spine_models.phantom.dicom.private import GE_B_VALUE_FLAG
from spine_models.phantom.dicom.scanners import SCANNERS, SITES, site_scanners
from tests.phantom.dicom.conftest import acquired_of, scanner_of

VENDORS = ("Siemens", "GE", "Philips", "Canon", "UIH")
CONTRASTS = ("T1", "T1+C", "T2", "T2-FS", "STIR", "Dixon-in", "Dixon-opposed", "Dixon-water", "Dixon-fat", "PD", "T2*",
             "DWI", "ADC", "localizer", "derived", "MT", "other")  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


def tags_of(block: bytes) -> dict[str, list[str]]:
    """Names and values of an SV10 block, read as public readers do."""
    assert block[:8] == b"SV10\x04\x03\x02\x01"
    count, mark = struct.unpack_from("<II", block, 8)
    assert mark == 77
    at, found = 16, {}
    for _ in range(count):
        name = block[at : at + 64].split(b"\0")[0].decode()
        vm, _, _, items, mark = struct.unpack_from("<i4siii", block, at + 64)
        assert mark in (77, 205)
        at, values = at + 84, []
        for _ in range(items):
            length = struct.unpack_from("<4i", block, at)[1]
            values.append(block[at + 16 : at + 16 + length].rstrip(b"\0").decode())
            at += 16 + (length + 3) // 4 * 4
        found[name] = [v for v in values if v]
        assert len(found[name]) == vm
    return found


def test_scanners_cover_makers_and_fields():
    assert len(SCANNERS) >= 10
    assert {s.vendor for s in SCANNERS} == set(VENDORS)
    assert {s.field_t for s in SCANNERS} == {0.55, 1.5, 3.0}
    assert len({s.station for s in SCANNERS}) == len({s.uid_root for s in SCANNERS}) == len(SCANNERS)
    assert all(s.habits.language in vocabulary()["languages"] for s in SCANNERS)


def test_every_site_has_scanners_of_several_makers():
    assert sorted(s.station for site in range(SITES) for s in site_scanners(site)) == sorted(
        s.station for s in SCANNERS
    )
    for site in range(SITES):
        assert len({s.vendor for s in site_scanners(site)}) >= 3
    assert site_scanners(SITES) == site_scanners(0)


@pytest.mark.parametrize("name", CONTRASTS)
@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda s: s.station)
def test_every_scanner_writes_every_contrast(scanner, name):
    for seed in range(6):
        acquired = acquired_of(name, seed)
        values = acquisition(scanner, acquired, rng(seed), rng(seed + 1))
        assert values["ScanningSequence"]
        assert str(
            values["ImageType"][0] if isinstance(values["ImageType"], list) else values["ImageType"]
        ) in (
            "ORIGINAL",
            "DERIVED",
        )
        for keyword in ("ImageType", "ScanningSequence", "SequenceVariant", "ScanOptions"):
            listed = values[keyword] if isinstance(values[keyword], list) else [values[keyword]]
            assert all(len(v) <= 16 and v == v.upper() and "<" not in v for v in listed), (keyword, listed)
        assert len(str(values.get("SequenceName", ""))) <= 16
        names = name_series(scanner, acquired, Region.CERVICAL, rng(seed), rng(seed))
        assert 0 < len(names.description) <= 64
        assert "<" not in names.description + (names.protocol or "")


def test_dixon_parts_are_marked_as_each_maker_marks_them():
    siemens = acquisition(scanner_of("Siemens"), acquired_of("Dixon-water"), rng(), rng())["ImageType"]
    assert siemens[siemens.index("DIXON") + 1] == "WATER"
    philips = acquisition(scanner_of("Philips"), acquired_of("Dixon-fat"), rng(), rng())["ImageType"]
    assert philips[2:4] == ["F", "F"]
    ge = [
        acquisition(scanner_of("GE"), acquired_of("Dixon-water"), rng(n), rng())["ImageType"]
        for n in range(40)
    ]
    assert {("WATER" in t, "OTHER" in t) for t in ge} == {(True, False), (False, True)}
    said = {name_series(scanner_of("GE"), acquired_of("Dixon-water"), Region.LUMBAR, rng(n), rng()).description
            for n in range(20)}  # fmt: skip
    assert any(s.startswith("WATER: ") for s in said)


def test_parts_of_one_dixon_share_a_name():
    for scanner in SCANNERS[:4]:
        said = [name_series(scanner, acquired_of(f"Dixon-{part}"), Region.LUMBAR, rng(3), rng(4)).protocol
                for part in ("in", "opposed", "water", "fat")]  # fmt: skip
        assert len(set(said)) == 1


def test_languages_and_habits_change_the_name():
    plain = scanner_of("Canon", generation="canon")
    acquired = replace(
        acquired_of("T1+C"), sequence=replace(acquired_of("T1+C").sequence, contrast_agent=True)
    )
    said = {
        language: " ".join(
            name_series(
                replace(plain, habits=replace(plain.habits, language=language, style="long", case="upper")),
                acquired, Region.LUMBAR, rng(seed), rng(seed),
            ).description
            for seed in range(40)
        )
        for language in vocabulary()["languages"]
    }  # fmt: skip
    for language, word in {
        "de": "KM",
        "fr": "GADO",
        "it": "MDC",
        "es": "CONTRASTE",
        "nl": "LWK",
        "pt": "LOMBAR",
    }.items():
        assert word in said[language]
    assert "KM" not in said["en"]


def test_numbers_as_makers_print_them():
    assert number_text(3617.28125, "integer") == "3617"
    assert number_text(3.62, "integer") == "3.62"
    assert number_text(102.528, "decimal") == "102.528"
    assert number_text(3617.28125, "long") == "3617.28125"
    assert number_text(105.04, "short") == "105.0"


def test_volume_and_fluid_nulled_forms():
    t1, t2 = acquired_of("T1", 1), acquired_of("T2", 1)
    assert form_of(replace(t1, sequence=replace(t1.sequence, kind="gre"))) == "T1-3D"
    assert form_of(replace(t1, sequence=replace(t1.sequence, kind="ir"))) == "T1-FLAIR"
    assert form_of(replace(t2, sequence=replace(t2.sequence, kind="se", echo_train=76))) == "T2-3D"
    assert form_of(replace(t2, name="derived", derivation="SUB")) == "SUB"


def test_siemens_hides_the_patient_in_its_protocol(written):
    study, _, series = written(scanner_of("Siemens", generation="VE"), "T2")
    ds = pydicom.dcmread(series.files[0][0])
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER")
    image, protocol = tags_of(block[0x10].value), tags_of(block[0x20].value)["MrPhoenixProtocol"][0]
    assert image["ImagePositionPatient"][0].startswith(f"{float(ds.ImagePositionPatient[0]):.3f}"[:-1])
    assert study.patient.full_name in protocol
    assert study.patient.mrn in protocol
    assert ("name", study.patient.full_name) in study.patient.planted


def test_newer_siemens_hides_it_in_a_private_sequence(written):
    study, _, series = written(scanner_of("Siemens", generation="XA"), "T2")
    ds = pydicom.dcmread(series.files[0][0])
    item = ds.private_block(0x0021, "SIEMENS MR SDS 01")[0xFE].value[0]
    text = item.private_block(0x0021, "SIEMENS MR SDS 01")[0x19].value.decode()
    assert study.patient.mrn in text
    assert "ASCCONV" in text


def test_ge_flags_its_b_value_and_packs_its_protocol(written):
    study, acquired, series = written(scanner_of("GE", generation="DV25"), "DWI")
    told = []
    for path, _ in series.files:
        ds = pydicom.dcmread(path)
        told.append(int(ds.private_block(0x0043, "GEMS_PARM_01")[0x39].value[0]))
    assert told == [int(f.b_value) + (GE_B_VALUE_FLAG if f.b_value else 0) for f in acquired.frames]
    packed = ds.private_block(0x0025, "GEMS_SERS_01")[0x1B].value
    length = struct.unpack_from("<I", packed)[0]
    assert study.patient.mrn in gzip.decompress(packed[4 : 4 + length]).decode()


def test_philips_nests_the_patient_in_private_sequences(written):
    study, _, series = written(replace(scanner_of("Philips"), enhanced=1.0), "T1")
    ds = pydicom.dcmread(series.files[0][0])
    macro = ds.private_block(0x2005, "Philips MR Imaging DD 005")[0x0F].value[0]
    deep = macro.private_block(0x2005, "Philips MR Imaging DD 005")[0x02].value[0]
    assert deep.PatientID == study.patient.mrn
    stack = ds.private_block(0x2001, "Philips Imaging DD 001")[0x5F].value[0]
    assert stack.private_block(0x2001, "Philips Imaging DD 001")[0x36].value == "PARALLEL"


@pytest.mark.parametrize(
    ("vendor", "group", "creator"),
    [
        ("Canon", 0x700D, "TOSHIBA_MEC_MR3"),
        ("UIH", 0x0065, "Image Private Header"),
        ("GE", 0x0019, "GEMS_ACQU_01"),
    ],
)
def test_private_creators(written, vendor, group, creator):
    study, _, series = written(vendor, "T1")
    ds = pydicom.dcmread(series.files[0][0])
    block = ds.private_block(group, creator).block_start
    assert any(e.tag.group == group and e.tag.element & 0xFF00 == block for e in ds if e.tag.is_private)
    if vendor != "GE":
        assert study.patient.mrn.encode() in series.files[0][0].read_bytes()


def test_one_scanner_names_one_protocol_alike(written):
    scanner = scanner_of("GE", generation="DV29")
    said = [written(scanner, "STIR", seed)[2].description for seed in range(12)]
    assert len(set(said)) < len(said)
