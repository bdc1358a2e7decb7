from __future__ import annotations

import importlib.util
import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import polars as pl
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.instance import Examined, examine, identify
from spine_models.corpus.archive.tables import INSTANCES

SETTINGS = ArchiveSettings()
ROW = pl.Schema({k: v for k, v in INSTANCES.items() if k not in {"batch_key", "inbox", "relative_path"}})


def fits_schema(found: Examined) -> bool:
    assert found.row is not None
    return pl.DataFrame([found.row], schema=ROW, strict=True).height == 1 and list(found.row) == ROW.names()


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, None]
)
@pytest.mark.parametrize("preamble", [True, False])
def test_every_encoding_is_read_whatever_the_name(put, dataset, encode, syntax, preamble):
    content = encode(dataset(), syntax) if syntax else encode(dataset())
    path = put("no name at all", content if preamble else content[132:])
    found = examine(path, SETTINGS)
    assert found.reason is None
    assert fits_schema(found)
    assert found.row["patient_id"] == "001"
    assert found.row["tr_ms"] == 600
    assert identify(path, SETTINGS).study_uid == "1.2.826.0.1.1"


def test_compressed_pixels_need_a_fragment_per_frame(put, dataset, encode):
    def compressed(fragments: list[bytes], frames: int) -> bytes:
        ds = dataset(PixelData=encapsulate(fragments), NumberOfFrames=frames)
        ds["PixelData"].is_undefined_length = True
        return encode(ds, RLELossless)

    one = struct.pack("<16L", 2, 64, 72, *[0] * 13) + b"\x81\1" * 8  # two segments of 4 runs of 128
    assert examine(put("a", compressed([one], 1)), SETTINGS).reason is None
    assert examine(put("b", compressed([one], 2)), SETTINGS).reason == "wrong_pixel_length"
    assert examine(put("d", compressed([one, one], 1)), SETTINGS).reason == "wrong_pixel_length"
    assert examine(put("e", compressed([b"\1" * 64], 1)), SETTINGS).reason == "codestream_mismatch"
    bomb = dataset(PixelData=encapsulate([one]), Rows=20000, Columns=20000)
    bomb["PixelData"].is_undefined_length = True
    assert examine(put("c", encode(bomb, RLELossless)), SETTINGS).reason == "absurd_pixels"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2147483647}, "absurd_pixels"),
        ({"Rows": 0}, "absurd_pixels"),
        ({"BitsAllocated": 65535}, "absurd_pixels"),
        ({"NumberOfFrames": -1}, "absurd_pixels"),
        ({"Rows": 17}, "wrong_pixel_length"),
        ({"PixelData": b"\0" * 510}, "wrong_pixel_length"),
        ({"PixelData": b"\0" * 514}, "wrong_pixel_length"),
        ({"PixelData": None}, "no_pixels"),
        ({"StudyInstanceUID": None}, "missing_uid"),
        ({"SOPInstanceUID": None}, "missing_uid"),
    ],
)
def test_what_the_header_claims_is_compared_with_what_is_there(put, dataset, encode, changes, reason):
    assert examine(put("x", encode(dataset(**changes))), SETTINGS).reason == reason


def test_bad_files_have_their_reason(put, dataset, encode, tmp_path):
    good = encode(dataset())
    body = good[good.index(b"\x08\x00\x16\x00UI") :]
    cases = {
        "empty_file": b"",
        "not_dicom": b"%PDF-1.4 " * 100,
        "missing_meta": body,
        "truncated": good[:-1],
    }
    for reason, content in cases.items():
        assert examine(put(reason, content), SETTINGS).reason == reason
    directory = good.replace(b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0", 1)
    assert examine(put("DICOMDIR", directory), SETTINGS).reason == "dicomdir"
    unknown = good.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0", 1)
    assert examine(put("syntax", unknown), SETTINGS).reason == "unknown_transfer_syntax"
    assert examine(tmp_path / "gone", SETTINGS).reason == "vanished"
    assert examine(put("large", good), ArchiveSettings(max_file_bytes=100)).reason == "too_large"
    assert examine(put("claim", good), ArchiveSettings(max_pixel_bytes=511)).reason == "absurd_pixels"


def test_bytes_behind_the_data_set_do_not_matter(put, dataset, encode):
    for tail in (b"\0" * 64, b"\0", b"garbage of another program"):
        assert examine(put("x", encode(dataset()) + tail), SETTINGS).reason is None


def test_every_prefix_of_a_good_file_is_rejected(put, dataset, encode):
    good = encode(dataset())
    for twentieth in range(20):
        found = examine(put("x", good[: len(good) * twentieth // 20]), SETTINGS)
        assert found.reason is not None
        assert found.row is None
        identify(put("x", good[: len(good) * twentieth // 20]), SETTINGS)


def test_flipped_bytes_never_raise_and_rows_fit_the_table(put, dataset, encode):
    rng = random.Random(7)
    sources = [
        encode(dataset(ReferencedImageSequence=Sequence([dataset(PixelData=None)])), syntax)
        for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, "1.2.840.10008.1.2.1")
    ]
    outcomes = set()
    for _ in range(400):
        content = bytearray(rng.choice(sources))
        for _ in range(rng.choice((1, 3, 30))):
            content[rng.randrange(128, len(content))] = rng.randrange(256)
        path = put("x", bytes(content))
        identify(path, SETTINGS)
        found = examine(path, SETTINGS)
        outcomes.add(found.reason)
        assert found.row is None or fits_schema(found)
    assert len(outcomes) > 4


def nested(levels: int, *, implicit: bool, undefined: bool) -> bytes:
    """A sequence in a sequence in a sequence, as bytes (PS3.5 section 7.5)."""
    inner = b""
    for _ in range(levels):
        if undefined:
            item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
            value, length = item + b"\xfe\xff\xdd\xe0\0\0\0\0", 0xFFFFFFFF
        else:
            value = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inner)) + inner
            length = len(value)
        head = b"\x08\x00\x40\x11" + (b"" if implicit else b"SQ\0\0")
        inner = head + struct.pack("<L", length) + value
    return inner


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize(
    ("levels", "reason"), [(16, None), (17, "too_deep"), (1000, "too_deep"), (20000, "too_deep")]
)
def test_deep_nesting_is_found_without_recursion(put, dataset, encode, implicit, undefined, levels, reason):
    good = encode(dataset(), ImplicitVRLittleEndian if implicit else "1.2.840.10008.1.2.1")
    at = good.index(b"\x10\x00\x20\x00")
    content = good[:at] + nested(levels, implicit=implicit, undefined=undefined) + good[at:]
    assert examine(put("x", content), SETTINGS).reason == reason


def test_depth_counts_in_private_elements_too(put, dataset, encode):
    good = encode(dataset(), ImplicitVRLittleEndian)
    at = good.index(b"\x10\x00\x20\x00")
    deep = nested(40, implicit=True, undefined=True)[12:]
    private = (
        b"\x09\x00\x01\x10" + struct.pack("<L", 8 + len(deep)) + b"\xfe\xff\x00\xe0" + struct.pack("<L", 0)
    )
    assert examine(put("x", good[:at] + private + deep + good[at:]), SETTINGS).reason in ("too_deep", None)
    value = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + nested(40, implicit=True, undefined=True)
    value += b"\xfe\xff\x0d\xe0\0\0\0\0"
    private = b"\x09\x00\x01\x10" + struct.pack("<L", len(value)) + value
    assert examine(put("y", good[:at] + private + good[at:]), SETTINGS).reason == "too_deep"


def test_memory_stays_bounded_whatever_is_claimed(put, dataset, encode):
    good = encode(dataset())
    at = good.index(b"\xe0\x7f\x10\x00OW\0\0")
    huge_length = good[: at + 8] + b"\xfe\xff\xff\xff" + good[at + 12 :]
    empty = encode(dataset(), DeflatedExplicitVRLittleEndian)
    meta = empty[: empty.index(b"\x02\x00\x13\x00")]
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(squeezer.compress(b"\0" * 2**20) for _ in range(200)) + squeezer.flush()
    cases = {
        "truncated": put("a", huge_length),
        "absurd_pixels": put("b", encode(dataset(Rows=60000, Columns=60000, NumberOfFrames=9999))),
        "too_large": put("c", meta + bomb),
    }
    for reason, path in cases.items():
        tracemalloc.start()
        assert examine(path, SETTINGS).reason == reason
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 160 * 1024**2, reason


def test_reasons_and_results_never_quote_the_file(put, dataset, encode):
    content = encode(dataset(PatientID="SECRETNAME"))
    broken = content.replace(b"OW\0\0", b"OW\0\1", 1)[:-7]
    assert "SECRETNAME" not in repr(examine(put("x", broken), SETTINGS))


def test_links_and_pipes_are_not_opened(put, inbox):
    import os

    target = put("real")
    (inbox / "link").symlink_to(target)
    os.mkfifo(inbox / "pipe")
    assert examine(inbox / "link", SETTINGS).reason == "symbolic_link"
    assert examine(inbox / "pipe", SETTINGS).reason == "unreadable"
    assert not identify(inbox / "link", SETTINGS).is_dicom


def test_other_modalities_are_indexed_with_facts(put):
    found = examine(put("ct", Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), SETTINGS)
    assert found.reason is None
    assert found.row["modality"] == "CT"


def library_files() -> list[Path]:
    roots = [Path(pydicom.__file__).parent / "data"]
    store = importlib.util.find_spec("data_store")
    if store is not None and store.origin is not None:
        roots.append(Path(store.origin).parent)
    return sorted(
        path for root in roots for path in root.rglob("*") if path.is_file() and path.suffix != ".py"
    )


def test_every_file_of_the_reading_library_has_an_outcome():
    outcomes: dict[str | None, int] = {}
    files = library_files()
    for path in files:
        identify(path, SETTINGS)
        found = examine(path, SETTINGS)
        assert (found.reason is None) == (found.row is not None)
        assert found.row is None or fits_schema(found)
        outcomes[found.reason] = outcomes.get(found.reason, 0) + 1
    assert sum(outcomes.values()) == len(files)
    assert outcomes[None] >= 50
    assert {"truncated", "missing_meta", "dicomdir"} <= set(outcomes)


def test_a_data_set_without_pixels_of_its_own_is_indexed(put, encode):
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.3", "1.2.3.9", "SR"
    assert examine(put("sr", encode(ds)), SETTINGS).reason is None
    ds.Rows = ds.Columns = 16
    assert examine(put("document", encode(ds)), SETTINGS).reason is None
