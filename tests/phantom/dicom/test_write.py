"""Written series: bit-exact in every transfer syntax and layout, deterministic, sound for other readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.instance import examine
from spine_models.corpus.frames import mosaic_order
from spine_models.corpus.header import acquisition_facts
from spine_models.phantom.dicom import write
from spine_models.phantom.dicom.damage import FAULTS
from spine_models.phantom.dicom.mosaic import is_stack
from spine_models.phantom.dicom.syntaxes import RATES, draw_syntax, set_pixels
from tests.phantom.dicom.conftest import acquired_of, scanner_of


@pytest.mark.parametrize("syntax", RATES, ids=lambda s: s.name)
@pytest.mark.parametrize("vendor", ["Siemens", "GE", "Philips", "Canon", "UIH"])
def test_every_syntax_reads_back_bit_exactly(written, monkeypatch, vendor, syntax):
    monkeypatch.setattr(write, "draw_syntax", lambda *_: syntax)
    study, acquired, series = written(vendor, "T2")
    assert series.syntax == syntax
    frames = [f for path, _ in series.files for f in _frames(path)]
    assert len(frames) == len(acquired.frames)
    for stored, frame in zip(frames, acquired.frames, strict=True):
        assert np.array_equal(stored, frame.pixels)
    found = examine(series.files[0][0], ArchiveSettings())
    assert found.reason is None
    assert found.row["patient_id"] == study.patient.mrn


@pytest.mark.parametrize("stored", [8, 10, 12, 15, 16])
@pytest.mark.parametrize("syntax", RATES, ids=lambda s: s.name)
def test_every_depth_reads_back_bit_exactly(written, monkeypatch, tmp_path, syntax, stored):
    monkeypatch.setattr(write, "draw_syntax", lambda *_: syntax)
    acquired = acquired_of("T1", frames=1)
    pixels = np.random.default_rng(stored).integers(0, 2**stored, (40, 48)).astype(np.uint16)
    one = replace(acquired, bits_stored=stored, frames=(replace(acquired.frames[0], pixels=pixels),))
    study, _, _ = written("Canon", "T1")
    series = write.write_series(
        tmp_path, study, one, 1, np.random.default_rng(0), identify=lambda *_: None, damage_rate=0
    )
    assert np.array_equal(_frames(series.files[0][0])[0], pixels)


def test_unknown_syntax_is_refused():
    with pytest.raises(ValueError, match="transfer syntax"):
        set_pixels(pydicom.Dataset(), [], UID("1.2.3"))


def test_syntaxes_come_at_their_rates():
    rng = np.random.default_rng(0)
    drawn = [draw_syntax("Siemens", rng) for _ in range(4000)]
    for syntax, rate in RATES.items():
        assert drawn.count(syntax) / len(drawn) == pytest.approx(rate, abs=0.02)


def test_same_seed_same_bytes(written, tmp_path):
    first = [written("Philips", name, 4) for name in ("DWI", "T1+C")]
    content = [[p.read_bytes() for p, _ in series.files] for _, _, series in first]
    for _, _, series in first:
        for path, _ in series.files:
            path.unlink()
        series.files[0][0].parent.rmdir()
    again = [written("Philips", name, 4) for name in ("DWI", "T1+C")]
    assert content == [[p.read_bytes() for p, _ in series.files] for _, _, series in again]


def test_enhanced_object_answers_like_the_classic_ones(written):
    classic = replace(scanner_of("Philips"), enhanced=0.0)
    enhanced = replace(classic, enhanced=1.0)
    for name in ("T1", "STIR", "T2-FS", "T1+C", "T2*", "DWI"):
        _, acquired, plain = written(classic, name, 2)
        for path, _ in plain.files:
            path.rename(path.with_suffix(".classic"))
        plain_files = [path.with_suffix(".classic") for path, _ in plain.files]
        plain_files[0].parent.rename(plain_files[0].parent.with_name(f"classic-{name.strip('*')}"))
        plain_files = [p.parent.with_name(f"classic-{name.strip('*')}") / p.name for p in plain_files]
        _, _, whole = written(enhanced, name, 2)
        assert (plain.layout, whole.layout) == ("classic", "enhanced")
        assert len(whole.files) == 1
        told = acquisition_facts(pydicom.dcmread(plain_files[0], stop_before_pixels=True))
        ds = pydicom.dcmread(whole.files[0][0])
        found = acquisition_facts(ds)
        assert found["frames"] == len(acquired.frames)
        for key in ("tr_ms", "te_ms", "ti_ms", "iop", "ipp_mm", "pixel_spacing_mm", "slice_thickness_mm",
                    "has_contrast_agent", "b_value", "field_strength_t", "vendor", "acquisition_type"):  # fmt: skip
            assert found[key] == pytest.approx(told[key]) if told[key] is not None else found[key] is None, (
                key
            )
        assert np.array_equal(ds.pixel_array, np.stack([f.pixels for f in acquired.frames]))
        assert [number for _, number in whole.instances] == list(range(1, len(acquired.frames) + 1))


def test_mosaic_holds_every_slice_at_its_place(written, monkeypatch):
    monkeypatch.setattr(write, "MOSAIC", 1.0)
    scanner = scanner_of("Siemens", generation="VE")
    _, acquired, series = written(scanner, "DWI", 1)
    assert series.layout == "mosaic"
    assert series.instances == ()
    weightings = list(dict.fromkeys(f.b_value for f in acquired.frames))
    assert len(series.files) == len(weightings)
    for (path, _), b in zip(series.files, weightings, strict=True):
        ds = pydicom.dcmread(path)
        members = [f for f in acquired.frames if f.b_value == b]
        found = examine(path, ArchiveSettings())
        assert found.reason is None
        assert (found.mosaic, found.mosaic_tiles) == (True, len(members))
        assert acquisition_facts(ds)["b_value"] == b
        size = members[0].pixels.shape[0]
        side = ds.Rows // size
        for n, frame in enumerate(members):
            tile = ds.pixel_array[n // side * size :][:size, n % side * size :][:, :size]
            assert np.array_equal(tile, frame.pixels)
        # The first tile's corner follows from the stated corner of the whole sheet.
        iop = np.array(ds.ImageOrientationPatient, float)
        spacing = float(ds.PixelSpacing[0])
        extra = (ds.Columns - size) / 2 * spacing
        corner = np.array(ds.ImagePositionPatient, float) + extra * (iop[:3] + iop[3:])
        assert np.allclose(corner, members[0].grid.ipp_mm, atol=1e-2)
        # The stack runs against the normal of its orientation, and the CSA header says so.
        assert mosaic_order(ds) == -1


def test_slices_that_are_no_stack_are_no_mosaic():
    acquired = acquired_of("DWI", 1)
    assert is_stack(acquired.frames)
    turned = replace(acquired.frames[1].grid, iop=(1, 0, 0, 0, 1, 0))
    moved = replace(acquired.frames[1].grid, ipp_mm=np.asarray(acquired.frames[1].grid.ipp_mm) + np.eye(3)[1])
    for grid in (turned, moved):
        frames = [replace(frame, grid=grid) if n == 1 else frame for n, frame in enumerate(acquired.frames)]
        assert not is_stack(frames)


def test_frames_are_told_apart_by_b_value(written):
    for vendor in ("Siemens", "GE", "Philips"):
        scanner = replace(scanner_of(vendor), enhanced=0.0)
        for seed in range(8):
            _, acquired, series = written(scanner, "DWI", seed)
            if series.layout == "classic":
                break
        read = [
            acquisition_facts(pydicom.dcmread(p, stop_before_pixels=True))["b_value"] for p, _ in series.files
        ]
        assert read == [f.b_value for f in acquired.frames]


def test_damage_comes_at_its_rate_and_is_named(written):
    series = [written("Siemens", "T2", seed, 0.5)[2] for seed in range(60)]
    hit = sum(bool(s.damage) for s in series)
    assert 18 <= hit <= 42
    assert {name for s in series for name in s.damage} <= set(FAULTS)
    for one in series:
        ds = pydicom.dcmread(one.files[0][0], stop_before_pixels=True)
        assert ("SeriesDescription" not in ds) == ("no_description" in one.damage)
        assert ("ScanningSequence" not in ds) == ("no_scanning_sequence" in one.damage)
        if "te_in_seconds" in one.damage and "no_timing" not in one.damage:
            assert float(ds.EchoTime) < 1
        assert one.description == str(ds.get("SeriesDescription", ""))


def test_references_form_a_ring_and_resolve(written, monkeypatch):
    monkeypatch.setattr(write, "REFERRING", 1.0)
    _, _, series = written("GE", "T1")
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path, _ in series.files]
    uids = {ds.SOPInstanceUID for ds in images}
    for ds in images:
        named = [item.ReferencedSOPInstanceUID for item in ds.ReferencedImageSequence]
        assert named == [images[0].SOPInstanceUID, images[-1].SOPInstanceUID]
        assert set(named) <= uids


def test_a_uid_without_room_is_refused(written):
    long_root = replace(scanner_of("GE"), uid_root="1.2.840." + "1" * 40)
    with pytest.raises(ValueError, match="UID"):
        written(long_root, "T1")


def _frames(path):
    pixels = pydicom.dcmread(path).pixel_array
    return list(pixels) if pixels.ndim == 3 else [pixels]


def test_enhanced_frames_are_indexed_by_place_and_weighting(written):
    scanner = replace(scanner_of("Canon", generation="canon"), enhanced=1.0)
    _, acquired, series = written(scanner, "DWI", 1)
    ds = pydicom.dcmread(series.files[0][0])
    values = [
        tuple(g.FrameContentSequence[0].DimensionIndexValues) for g in ds.PerFrameFunctionalGroupsSequence
    ]
    assert len(set(values)) == len(values) == len(acquired.frames)
    assert {len(v) for v in values} == {len(ds.DimensionIndexSequence)} == {3}
    for group, frame, index in zip(ds.PerFrameFunctionalGroupsSequence, acquired.frames, values, strict=True):
        assert group.MRDiffusionSequence[0].DiffusionBValue == frame.b_value
        assert (index[2] == 1) == (frame.b_value == 0)
        assert np.allclose(group.PlanePositionSequence[0].ImagePositionPatient, frame.grid.ipp_mm, atol=1e-3)
