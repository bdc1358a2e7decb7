"""Objects of many frames: enhanced (stacks, echoes, b-values), mosaics with their CSA header, bare multi-frame."""

from __future__ import annotations

import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.instance import examine
from spine_models.corpus.csa import csa_values
from spine_models.corpus.frames import frame_facts, mosaic_geometry, mosaic_order, tile_shape

SETTINGS = ArchiveSettings(workers=1)
SAGITTAL, AXIAL = [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 1, 0]


def item(**elements):
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def enhanced(dataset, frames, **changes):
    """``frames``: (iop, ipp, stack, position, b-value, echo time) of each."""
    groups = []
    for n, (iop, ipp, stack, position, b, te) in enumerate(frames):
        group = item(
            PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=iop)]),
            PlanePositionSequence=Sequence([item(ImagePositionPatient=ipp)]),
            FrameContentSequence=Sequence(
                [
                    item(
                        StackID=stack,
                        InStackPositionNumber=position,
                        DimensionIndexValues=[int(stack), position],
                    )
                ]
            ),
            MREchoSequence=Sequence([item(EffectiveEchoTime=te)]),
        )
        if b is not None:
            group.MRDiffusionSequence = Sequence([item(DiffusionBValue=float(b))])
        if n % 2:
            group.is_undefined_length_sequence_item = True
        groups.append(group)
    shared = item(PixelMeasuresSequence=Sequence([item(PixelSpacing=[1, 1], SliceThickness=4)]))
    plain = dict.fromkeys(
        ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness", "EchoTime")
    )
    settings = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1",
        "NumberOfFrames": len(frames),
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(groups),
        "PixelData": b"\1" * 512 * len(frames),
    }
    return dataset(**plain, **settings | changes)


def two_stacks():
    sagittal = [(SAGITTAL, [4.0 * n, 0, 0], "1", n + 1, None, 80) for n in range(5)]
    axial = [(AXIAL, [0, 0, 5.0 * n], "2", n + 1, None, 90) for n in range(3)]
    return sagittal + axial


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_stacks_echoes_and_places_of_every_frame(put, inbox, dataset, encode, syntax):
    ds = enhanced(dataset, two_stacks())
    found = examine(put("e", encode(ds, syntax)), SETTINGS)
    assert found.reason is None
    assert [(f.stack, f.position, f.dimensions, f.te_ms) for f in found.frames[4:6]] == [
        ("1", 5, (1, 5), 80.0),
        ("2", 1, (2, 1), 90.0),
    ]
    assert found.frames[1].geometry.ipp_mm == (4.0, 0.0, 0.0)
    assert list(found.frames) == frame_facts(ds)
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    series = index_batch(ledger, "internal-0001", settings=SETTINGS).series.to_dicts()[0]
    assert (series["n_slices"], series["n_stacks"], series["geometry"]) == (8, 2, "mixed_orientation")
    assert series["echo_times_ms"] == [80.0, 90.0]


def test_b_values_of_one_object_do_not_multiply_its_slices(put, inbox, dataset, encode):
    frames = [(AXIAL, [0, 0, 5.0 * n], "1", n + 1, b, 70) for n in range(4) for b in (0, 50, 800)]
    put("d", encode(enhanced(dataset, frames)))
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    series = index_batch(ledger, "internal-0001", settings=SETTINGS).series.to_dicts()[0]
    assert (series["n_slices"], series["slice_spacing_mm"], series["geometry"]) == (4, 5.0, "regular")
    assert series["b_values"] == [0.0, 50.0, 800.0]


def test_frames_without_items_lie_nowhere(put, dataset, encode):
    missing = enhanced(dataset, two_stacks(), NumberOfFrames=10, PixelData=b"\1" * 5120)
    found = examine(put("m", encode(missing)), SETTINGS)
    assert len(found.frames) == 10
    assert found.frames[9].geometry.ipp_mm is None
    bare = dataset(NumberOfFrames=3, PixelData=b"\1" * 1536)
    assert [f.geometry.ipp_mm for f in examine(put("b", encode(bare)), SETTINGS).frames] == [None] * 3


def csa(values: dict[str, list[str]], newer: bool = True) -> bytes:
    """A CSA header of the SV10 layout, or of the one before it."""
    out = (b"SV10\4\3\2\1" if newer else b"") + struct.pack("<LL", len(values), 77)
    for name, texts in values.items():
        out += name.encode().ljust(64, b"\0") + struct.pack(
            "<L4sLLL", len(texts), b"IS\0\0", 6, len(texts), 77
        )
        for text in texts:
            content = text.encode() + b"\0"
            length = len(content)
            out += struct.pack("<4L", 0 if newer else length, length, 77, length) + content
            out += b"\0" * (-length % 4)
    return out


@pytest.mark.parametrize("newer", [True, False])
def test_csa_values_are_found_and_lengths_are_not_believed(newer):
    header = csa({"A": ["1"], "NumberOfImagesInMosaic": ["35", ""], "Z": ["x"]}, newer)
    assert csa_values(header, "NumberOfImagesInMosaic") == ["35"]
    assert csa_values(header, "B") == []
    for end in range(0, len(header), 7):
        csa_values(header[:end], "Z")
    assert csa_values(header.replace(b"\3\0\0\0", b"\xff\xff\xff\x7f", 1), "Z") == []


def mosaic(dataset, encode, *, normal=("0", "0", "-1"), count=True):
    ds = dataset(
        ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
        ImageOrientationPatient=AXIAL,
        ImagePositionPatient=[-32, -32, 10],
        SpacingBetweenSlices=5,
        Rows=64,
        Columns=64,
        PixelData=b"\1" * 8192,
    )
    values = {"NumberOfImagesInMosaic": ["10"], "SliceNormalVector": list(normal)}
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa(values))
    if count:
        ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 10)
    return ds


@pytest.mark.parametrize("count", [True, False])
def test_tiles_of_a_mosaic_lie_where_their_slices_do(put, inbox, dataset, encode, count):
    ds = mosaic(dataset, encode, count=count)
    tiles = mosaic_geometry(ds)
    # Ten tiles fill a sheet of four by four: a tile has 16 px, its corner is 24 px further in than the sheet's.
    assert len(tiles) == 10
    assert tiles[0].ipp_mm == (-8.0, -8.0, 10.0)
    assert tiles[9].ipp_mm == (-8.0, -8.0, -35.0)
    put("m", encode(ds))
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    series = index_batch(ledger, "internal-0001", settings=SETTINGS).series.to_dicts()[0]
    assert (series["n_slices"], series["slice_spacing_mm"], series["plane"]) == (10, 5.0, "axial")
    assert series["geometry"] == "regular"


def test_a_mosaic_that_says_too_little_places_nothing(dataset, encode):
    ds = mosaic(dataset, encode)
    del ds.ImagePositionPatient
    assert mosaic_geometry(ds) == []
    assert mosaic_geometry(mosaic(dataset, encode, normal=("nonsense",)))[1].ipp_mm == (-8.0, -8.0, 15.0)


@pytest.mark.parametrize(
    ("normal", "order"),
    [(("0", "0", "1"), 1), (("0", "0", "-1"), -1), (("0", "1", "0"), None), (("nonsense",), None)],
)
def test_the_order_of_a_mosaic_is_one_bit(put, inbox, dataset, encode, normal, order):
    ds = mosaic(dataset, encode, normal=normal)
    assert mosaic_order(ds) == order
    put("m", encode(ds))
    put("plain", encode(dataset()))
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    rows = index_batch(ledger, "internal-0001", settings=SETTINGS).instances.sort("relative_path")
    assert rows.select("mosaic_tiles", "mosaic_order").rows()[:1] == [(10, order)]


def test_tiles_divide_their_sheet_or_are_none():
    assert tile_shape(64, 128, 10) == (16, 32)
    assert tile_shape(64, 64, 1) == (64, 64)
    for sheet in ((65, 64, 10), (64, 64, 0), (64, 64, None), (None, 64, 4), (64, 64, 400), (0, 0, 4)):
        assert tile_shape(*sheet) is None
