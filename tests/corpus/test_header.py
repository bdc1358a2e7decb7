from __future__ import annotations

import warnings

import polars as pl
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from spine_models.corpus.header import ACQUISITION, acquisition_facts, vendor_of


def classic() -> Dataset:
    ds = Dataset()
    ds.Manufacturer, ds.ManufacturerModelName = "SIEMENS Healthineers", "MAGNETOM Vida"
    ds.RepetitionTime, ds.EchoTime, ds.InversionTime, ds.FlipAngle = "600.5", "9.8", "0", "150"
    ds.EchoTrainLength, ds.MagneticFieldStrength = 3, "3"
    ds.ScanningSequence, ds.SequenceVariant = ["SE", "IR"], "SK"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [1, 2, 3]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.75], "4"
    ds.Rows, ds.Columns, ds.BitsStored = 320, 256, 12
    return ds


def enhanced() -> Dataset:
    ds, shared, frame = Dataset(), Dataset(), Dataset()

    def macro(place: Dataset, keyword: str, **elements: object) -> None:
        item = Dataset()
        for name, value in elements.items():
            setattr(item, name, value)
        setattr(place, keyword, Sequence([item]))

    macro(
        shared,
        "MRTimingAndRelatedParametersSequence",
        RepetitionTime=4000.0,
        FlipAngle=90.0,
        EchoTrainLength=12,
    )
    macro(
        shared,
        "MRModifierSequence",
        InversionTimes=[220.0],
        InversionRecovery="YES",
        SpectrallySelectedExcitation="WATER",
    )
    macro(
        shared, "PixelMeasuresSequence", PixelSpacing=[0.6, 0.6], SliceThickness=4.0, SpacingBetweenSlices=4.4
    )
    macro(frame, "MREchoSequence", EffectiveEchoTime=60.0)
    macro(frame, "PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    macro(frame, "PlanePositionSequence", ImagePositionPatient=[-90.0, -80.0, 12.5])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence([frame, frame])
    ds.NumberOfFrames, ds.Manufacturer, ds.EchoPulseSequence = 2, "Philips", "SPIN"
    return ds


def test_classic_header_with_units():
    facts = acquisition_facts(classic())
    assert list(facts) == ACQUISITION.names()
    assert (facts["tr_ms"], facts["te_ms"], facts["ti_ms"], facts["flip_deg"]) == (600.5, 9.8, None, 150.0)
    assert (facts["vendor"], facts["scanner_model"]) == ("Siemens", "MAGNETOM Vida")
    assert (facts["scanning_sequence"], facts["image_type"]) == ("SE\\IR", "ORIGINAL\\PRIMARY\\M")
    assert facts["pixel_spacing_mm"] == [0.5, 0.75]
    assert (facts["frames"], facts["rows"], facts["has_contrast_agent"]) == (1, 320, False)


def test_enhanced_header_answers_from_both_kinds_of_groups():
    facts = acquisition_facts(enhanced())
    assert (facts["tr_ms"], facts["te_ms"], facts["ti_ms"]) == (4000.0, 60.0, 220.0)
    assert (facts["scanning_sequence"], facts["scan_options"]) == ("SE\\IR", "WE")
    assert facts["ipp_mm"] == [-90.0, -80.0, 12.5]
    assert (facts["frames"], facts["spacing_between_mm"]) == (2, 4.4)


def test_an_empty_header_is_a_row_of_nulls():
    facts = acquisition_facts(Dataset())
    assert {name for name, value in facts.items() if value is not None} == {"frames", "has_contrast_agent"}


@pytest.mark.parametrize(
    "text", ["abc", "1\\2\\x", "1e999", "nan", "-5", "99999999999999", "\udce4", "\0", " ", "1" * 4000]
)
def test_malformed_values_become_nulls_that_fit_the_table(text):
    ds = classic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydicom.dataelem import RawDataElement
        from pydicom.tag import Tag

        raw = text.encode("utf-8", "surrogateescape")
        for keyword, vr in (
            ("RepetitionTime", "DS"), ("SeriesNumber", "IS"), ("NumberOfFrames", "IS"), ("PixelSpacing", "DS"),
            ("ImageOrientationPatient", "DS"), ("Manufacturer", "LO"), ("ScanningSequence", "CS"), ("Rows", "US"),
            ("ContrastBolusAgent", "LO"), ("SharedFunctionalGroupsSequence", "SQ"),
        ):  # fmt: skip
            ds[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(raw), raw, 0, False, True)
    facts = acquisition_facts(ds)
    assert pl.DataFrame([facts], schema=ACQUISITION, strict=True).height == 1
    assert facts["tr_ms"] is None or facts["tr_ms"] >= 0
    assert facts["iop"] is None


@pytest.mark.parametrize(
    ("manufacturer", "vendor"),
    [
        ("SIEMENS", "Siemens"), ("Philips Medical Systems", "Philips"), ("GE MEDICAL SYSTEMS", "GE"), ("GE", "GE"),
        ("TOSHIBA_MEC", "Canon"), ("FUJIFILM Healthcare", "Hitachi"), ("Hyperfine, Inc.", "Hyperfine"),
        ("Gemini Imaging", "other"), ("", None), (None, None),
    ],
)  # fmt: skip
def test_vendor_names(manufacturer, vendor):
    assert vendor_of(manufacturer) == vendor


def test_private_b_values_of_three_vendors():
    for group, creator, element, vr, value, expected in (
        (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "800", 800.0),
        (0x0043, "GEMS_PARM_01", 0x39, "IS", ["1000000600", "8", "0", "0"], 600.0),
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0, 1000.0),
        (0x0019, "SIEMENS MR HEADER", 0x0C, "UN", b"500 ", 500.0),
        (0x2001, "Philips Imaging DD 001", 0x03, "UN", b"\x00\x00\x7a\x44", 1000.0),
        (0x0019, "SOMEONE ELSE", 0x0C, "IS", "800", None),
    ):
        ds = Dataset()
        ds.private_block(group, creator, create=True).add_new(element, vr, value)
        assert acquisition_facts(ds)["b_value"] == expected


def test_gauss_and_contrast_agent():
    ds = Dataset()
    ds.MagneticFieldStrength, ds.ContrastBolusAgent = "15000", "Gadovist"
    assert acquisition_facts(ds)["field_strength_t"] == 1.5
    assert acquisition_facts(ds)["has_contrast_agent"] is True
    ds.ContrastBolusAgent = "NONE"
    assert acquisition_facts(ds)["has_contrast_agent"] is False
