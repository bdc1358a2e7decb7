"""Files made to harm a reader: mutated at random, nested, bombs, cycles, a million items, no files at all.

Each must end with a row or a reason, in bounded memory and time, and without quoting itself.
"""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc
import warnings
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.instance import examine, identify
from spine_models.corpus.archive.reasons import Reason
from tests.corpus.archive.test_instance import fits_schema

SETTINGS = ArchiveSettings(workers=1)
PEAK_BYTES = 96 * 1024**2
SECONDS = 30.0  # of CPU, for a file of at most a few megabytes
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


OUTCOMES = {None, *(reason.value for reason in Reason)}


def judged(path: Path) -> str | None:
    """The reason of a file, after every claim of this module's docstring has been checked on it."""
    identify(path, SETTINGS)
    found = examine(path, SETTINGS)
    assert (found.reason is None) == (found.row is not None)
    assert found.row is None or fits_schema(found)
    return None if found.reason is None else found.reason.value


def bounded(path: Path) -> str | None:
    """As `judged`, within memory and time."""
    start = time.process_time()
    reason = judged(path)
    assert time.process_time() - start < SECONDS
    tracemalloc.start()
    try:
        examine(path, SETTINGS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PEAK_BYTES, f"{peak / 1024**2:.0f} MB"
    return reason


def library_files(limit_bytes: int) -> list[Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = [Path(p) for p in get_testdata_files()]
    return sorted((p for p in paths if p.is_file() and p.stat().st_size <= limit_bytes), key=lambda p: p.name)


def test_mutated_files_of_every_kind_end_with_a_row_or_a_reason(put):
    """Seeded: bytes flipped, cut, doubled, lengths set to extremes, over every small file of the reading library."""
    rng = random.Random(20)
    sources = [p.read_bytes() for p in library_files(40_000)]
    assert len(sources) > 60
    extremes = [struct.pack("<L", n) for n in (0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFEE00D)]
    outcomes: Counter[str | None] = Counter()
    for number in range(450):
        content = bytearray(sources[number % len(sources)])
        for _ in range(rng.choice((1, 1, 2, 8, 40))):
            at = rng.randrange(len(content) + 1)
            kind = rng.randrange(5)
            if kind == 0 and at < len(content):
                content[at] = rng.randrange(256)
            elif kind == 1:
                del content[at : at + rng.choice((1, 2, 8, 300))]
            elif kind == 2:
                content[at:at] = content[at : at + rng.choice((4, 8, 64, 600))]
            elif kind == 3:
                content[at : at + 4] = rng.choice(extremes)
            else:
                content[at:at] = rng.choice(
                    (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"SQ\0\0")
                )
        outcomes[judged(put("x", bytes(content)))] += 1
    assert len(outcomes) >= 8
    assert outcomes[None] > 20


elements = st.tuples(
    st.sampled_from([(0x0008, 0x0060), (0x0008, 0x1140), (0x0019, 0x0010), (0x0019, 0x100C), (0x0028, 0x0010),
                     (0x0028, 0x0008), (0x5200, 0x9229), (0x5200, 0x9230), (0x7FE0, 0x0010), (0x0029, 0x1010)]),
    st.sampled_from([b"SQ", b"UN", b"OB", b"US", b"IS", b"DS", b"LO", b"PN", b"UI", b"FD", b"ZZ", b"\0\0"]),
    st.one_of(st.none(), st.integers(0, 40), st.sampled_from([0xFFFFFFFF, 0x7FFFFFFF, 0xFFFF])),
    st.binary(max_size=40),
)  # fmt: skip


@EXAMPLES
@given(
    st.lists(elements, max_size=8),
    st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]),
)
def test_any_run_of_elements_has_an_outcome(put, dataset, encode, run, syntax):
    """Elements of any tag, value representation and stated length, in any order, spliced into a sound file."""
    order = ">" if syntax.endswith(".2.2") else "<"
    spliced = b""
    for (group, element), vr, length, value in run:
        stated = len(value) if length is None else length
        spliced += struct.pack(f"{order}HH", group, element)
        if syntax == "1.2.840.10008.1.2":
            spliced += struct.pack("<L", stated)
        elif vr in (b"SQ", b"UN", b"OB"):
            spliced += vr + b"\0\0" + struct.pack(f"{order}L", stated)
        else:
            spliced += vr + struct.pack(f"{order}H", stated & 0xFFFF)
        spliced += value
    good = encode(dataset(), syntax)
    at = good.index(struct.pack(f"{order}HH", 0x0010, 0x0020))
    # `judged` asserts that a file has either a row that fits the schema or a reason, and never raises.
    assert judged(put("x", good[:at] + spliced + good[at:])) in OUTCOMES
    assert judged(put("y", good + spliced)) in OUTCOMES


@EXAMPLES
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_have_an_outcome(put, content, marked):
    reason = judged(put("x", b"\0" * 128 + b"DICM" + content if marked else content))
    assert reason is not None


def item(content: bytes, undefined: bool) -> bytes:
    if undefined:
        return b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + content + b"\xfe\xff\x0d\xe0\0\0\0\0"
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content


def sequence(tag: tuple[int, int], content: bytes) -> bytes:
    return struct.pack("<HH", *tag) + b"SQ\0\0" + struct.pack("<L", len(content)) + content


@pytest.mark.parametrize("tag", [(0x0008, 0x1140), (0x5200, 0x9229), (0x5200, 0x9230)])
def test_tens_of_thousands_of_items_are_walked_not_built(put, dataset, encode, tag):
    good = encode(dataset())
    at = good.index(b"\xe0\x7f\x10\x00") if tag[0] == 0x5200 else good.index(b"\x10\x00\x20\x00")
    many = sequence(tag, item(b"", tag[1] % 2 == 0) * 20_000)
    assert bounded(put("x", good[:at] + many + good[at:])) is None


def test_a_million_items_are_too_many(put, dataset, encode):
    good = encode(dataset())
    at = good.index(b"\x10\x00\x20\x00")
    path = put("y", good[:at] + sequence((0x0008, 0x1140), item(b"", False) * 1_000_001) + good[at:])
    start = time.process_time()
    assert examine(path, SETTINGS).reason == "too_large"
    assert time.process_time() - start < SECONDS


def test_a_deflate_bomb_is_refused_before_it_is_large(put, dataset, encode):
    deflated = encode(dataset(), DeflatedExplicitVRLittleEndian)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = b"\0" * 1024**2
    bomb = b"".join(squeeze.compress(zeros) for _ in range(256)) + squeeze.flush()
    head = deflated[: deflated.index(b"1.2.840.10008.1.2.1.99") + 22]
    path = put("bomb", head + bomb)
    assert path.stat().st_size < 2 * 1024**2
    start = time.process_time()
    assert judged(path) == "too_large"
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFE, 2**31])
def test_an_element_that_claims_gigabytes_reads_none_of_them(put, dataset, encode, length):
    good = encode(dataset())
    at = good.index(b"\xe0\x7f\x10\x00")
    huge = struct.pack("<HH", 0x0029, 0x1010) + b"OB\0\0" + struct.pack("<L", length) + b"x" * 100
    assert bounded(put("x", good[:at] + huge + good[at:])) == "truncated"


@pytest.mark.filterwarnings("ignore:.*(value length|exceeds the size):UserWarning")
def test_a_value_of_megabytes_is_not_a_fact(put, dataset, encode):
    path = put("x", encode(dataset(ImageComments="x" * 8_000_000, SeriesDescription="y" * 60_000)))
    assert bounded(path) is None
    assert len(examine(path, SETTINGS).row["series_description"]) <= 1024


def test_files_that_refer_to_each_other_in_circles_are_files_like_others(put, inbox, dataset, encode):
    """References are never followed: a circle of instances, series and studies, and an item of its own data set."""
    for index in (1, 2, 3):
        ds = dataset(index=index)
        reference = Dataset()
        reference.ReferencedSOPClassUID = ds.SOPClassUID
        reference.ReferencedSOPInstanceUID = dataset(index=index % 3 + 1).SOPInstanceUID
        itself = dataset(index=index)
        itself.ReferencedImageSequence = Sequence([reference])
        ds.ReferencedImageSequence = Sequence([reference, itself])
        ds.SourceImageSequence = Sequence([itself])
        put(f"dicom/{index}", encode(ds))
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    assert index_batch(ledger, "internal-0001", settings=SETTINGS).instances.height == 3


def test_circles_of_folders_pipes_sockets_and_devices_are_named_once(put, inbox):
    import socket

    put("dicom/a", study="1")
    (inbox / "dicom/back").symlink_to(inbox, target_is_directory=True)
    (inbox / "dicom/self").symlink_to(inbox / "dicom/self")
    (inbox / "dicom/null").symlink_to("/dev/zero")
    os.mkfifo(inbox / "dicom/pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(inbox / "s"))
    expected = {
        "back": "symbolic_link",
        "self": "symbolic_link",
        "null": "symbolic_link",
        "pipe": "unreadable",
    }
    try:
        os.mknod(inbox / "dicom/device", 0o600 | 0o020000, os.makedev(1, 5))
        expected["device"] = "unreadable"
    except PermissionError:  # only root may make one: the pipe and the socket stand for it
        pass
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    files = index_batch(ledger, "internal-0001", settings=SETTINGS).files
    listener.close()
    reasons = dict(files.select("relative_path", "reason").iter_rows())
    assert reasons == {"dicom/a": None, "s": "unreadable"} | {f"dicom/{k}": v for k, v in expected.items()}


def test_bulk_data_cut_off_anywhere_is_noticed(put):
    """Real compressed and uncompressed files of the library, cut inside their pixel data."""
    for name in (
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "MR_small_bigendian.dcm",
    ):
        content = Path(get_testdata_file(name)).read_bytes()
        assert judged(put("x", content)) is None
        for part in (0.5, 0.9, 0.99):
            assert judged(put("x", content[: int(len(content) * part)])) == "truncated", name
