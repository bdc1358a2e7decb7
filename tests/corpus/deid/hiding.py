"""Places where an identifier may hide in a data set: each takes a data set, a planter and a generator.

A place plants wherever the standard or a careless site leaves room, and never touches what the object needs.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from tests.corpus.deid.planter import Planter

Place = Callable[[Dataset, Planter, random.Random], None]
HOLDS_BACK = {
    0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00080064, 0x00280301, 0x00280302, 0x00420011, 0x00041220,
    0x00089007, 0x0020000D, 0x0020000E, 0x0008103E, 0x00181030, 0x00080005,
}  # fmt: skip
"""Attributes whose value keeps the object in the restricted zone, names it, or says how it is encoded."""
LAYOUT = {0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101}
LAYOUT |= {0x00280102, 0x00280103, 0x7FE00010, 0x7FE00008, 0x7FE00009, 0x00100010, 0x00100020, 0x00100021}
TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "DA", "DT", "TM", "DS", "IS", "AS", "UI")
BINARY = ("US", "SS", "UL", "SL", "FL", "FD", "AT", "UV", "SV")
BULK = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
CHARACTER_SETS = {
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO 2022 IR 149": "euc_kr",
}


@lru_cache(maxsize=4)
def tags(kinds: tuple[str, ...]) -> list[tuple[int, str]]:
    """Standard attributes of the VRs that may be planted in."""
    return [
        (tag, row[0])
        for tag, row in sorted(DicomDictionary.items())
        if row[0] in kinds and 0x0004 < tag >> 16 < 0xFFF0 and tag not in HOLDS_BACK | LAYOUT
    ]


def inside(ds: Dataset, rng: random.Random) -> Dataset:
    """The data set itself or an item up to four sequences down, functional groups included."""
    place = ds
    for _ in range(rng.choice([0, 0, 1, 2, 4])):
        tag = rng.choice([0x52009229, 0x52009230, 0x00081140, 0x00082112, 0x00400275, *_some(rng)])
        element = place.get_item(tag)
        if isinstance(element, RawDataElement):
            break  # something else was put there
        if element is None or not element.value:
            place.add_new(tag, "SQ", Sequence([Dataset()]))
        place = rng.choice(list(place[tag].value))
    return place


def _some(rng: random.Random) -> list[int]:
    return [tag for tag, _ in rng.sample(tags(("SQ",)), 4)]


def put(ds: Dataset, tag: int, vr: str, value: bytes) -> None:
    """Bytes as they are; an attribute that is there already is left alone."""
    if tag not in ds:
        padded = value + (b"\x00" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
        ds[tag] = RawDataElement(BaseTag(tag), vr, len(padded), padded, 0, False, True)


def spoken(p: Planter, rng: random.Random) -> str:
    return rng.choice([p.name, p.person, p.prose, p.ident, p.digits, p.uid, p.phone, p.slashed])()


def any_text(ds: Dataset, p: Planter, rng: random.Random) -> None:
    tag, vr = rng.choice(tags(TEXT))
    put(inside(ds, rng), tag, vr, spoken(p, rng).encode())


def several_values(ds: Dataset, p: Planter, rng: random.Random) -> None:
    tag, vr = rng.choice(tags(("LO", "SH", "CS", "PN")))
    put(inside(ds, rng), tag, vr, "\\".join(["SAG", p.name(), "T2", p.person()]).encode())


def any_bulk(ds: Dataset, p: Planter, rng: random.Random) -> None:
    tag, vr = rng.choice(tags(BULK))
    put(inside(ds, rng), tag, vr, b"\x01\x02" + spoken(p, rng).encode() + b"\x00\xff")


def text_for_numbers(ds: Dataset, p: Planter, rng: random.Random) -> None:
    tag, vr = rng.choice(tags(BINARY))
    text = p.name().encode()
    put(inside(ds, rng), tag, vr, text + b"\x00" * (-len(text) % 8))


def eight_letters(ds: Dataset, p: Planter, rng: random.Random) -> None:
    text = rng.choice([p.name()[:7] + "\x00", p.name().upper()[:8]])
    p.plants[-1] = text.strip("\x00")
    tag, vr = rng.choice(tags(("FD", "UV", "SV")))
    put(inside(ds, rng), tag, vr, text.encode()[:8].ljust(8, b"\x00"))


def lying_representation(ds: Dataset, p: Planter, rng: random.Random) -> None:
    tag, _ = rng.choice(tags((*TEXT, *BINARY, "SQ")))
    put(inside(ds, rng), tag, rng.choice(["UN", "OB", "LO", "US", "FD", "UT"]), p.prose().encode() + b"    ")


def known_number(ds: Dataset, p: Planter, rng: random.Random) -> None:
    """The patient's record number where a number is expected, in the spellings that numbers allow."""
    mrn = str(ds.PatientID).lstrip("0")
    vr = rng.choice(["IS", "DS", "UL", "FD"])
    tag = rng.choice([t for t, v in tags((vr,)) if v == vr])
    spelled = {
        "IS": rng.choice([mrn, "+" + mrn, "000" + mrn]).encode(),
        "DS": rng.choice([mrn, mrn + ".0", "-" + mrn, mrn + "e0", "0." + mrn]).encode(),
        "UL": struct.pack("<I", int(mrn) & 0xFFFFFFFF),
        "FD": struct.pack("<d", float(mrn)),
    }[vr]
    p.binary.append(spelled if vr in ("UL", "FD") else mrn.encode())
    put(inside(ds, rng), tag, vr, spelled)


def private_block(ds: Dataset, p: Planter, rng: random.Random) -> None:
    group = rng.choice([0x0009, 0x0019, 0x0021, 0x0029, 0x0043, 0x0051, 0x0065, 0x2001, 0x2005, 0x7FE1])
    creator = rng.choice(
        [p.name(), "SIEMENS MR HEADER", "GEMS_PARM_01", "Philips Imaging DD 001", "Image Private Header"]
    )
    block = inside(ds, rng).private_block(group, creator, create=True)
    for element in rng.sample([0x01, 0x03, 0x09, 0x0A, 0x0C, 0x0E, 0x27, 0x37, 0x39, 0x50, 0xBB, 0xFE], 3):
        vr = rng.choice(["LO", "UN", "OB", "UT", "SQ", "IS", "FD"])
        if element in block:
            continue
        if vr == "SQ":
            item = Dataset()
            item.PatientName, item.PatientComments = p.person(), p.prose()
            block.add_new(element, vr, Sequence([item]))
        else:
            put(block.dataset, int(block.get_tag(element)), vr, p.name().encode()[:8].ljust(8, b" "))
            p.plants[-1] = p.plants[-1][:8]


def unknown_sequence(ds: Dataset, p: Planter, rng: random.Random) -> None:
    """A sequence sent as UN: an implicit item inside bytes that nobody names."""
    name = p.person().encode()
    name += b" " * (len(name) % 2)
    element = struct.pack("<HHI", 0x0010, 0x0010, len(name)) + name
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(element)) + element
    tag = rng.choice([0x00091010, 0x00081140, 0x00400275, 0x52009229])
    put(inside(ds, rng), tag, "UN", item)


def graphics(ds: Dataset, p: Planter, rng: random.Random) -> None:
    group = rng.choice([0x5000, 0x5002, 0x6000, 0x6004, 0x601E])
    for element, vr in ((0x0022, "LO"), (0x1500, "LO"), (0x2500, "LO"), (0x3000, "OW"), (0x4000, "LT")):
        put(ds, group << 16 | element, vr, p.name().encode())
    text = Dataset()
    text.UnformattedTextValue = p.prose()
    note = Dataset()
    note.TextObjectSequence, note.GraphicLayer = [text], p.name()
    ds.GraphicAnnotationSequence = [note]
    icon = Dataset()
    icon.Rows, icon.Columns, icon.PhotometricInterpretation = 2, 4, "PALETTE COLOR"
    icon.PixelData = p.name().encode()[:8]
    p.plants[-1] = p.plants[-1][:8]
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = [icon]


def look_up_table(ds: Dataset, p: Planter, rng: random.Random) -> None:
    item = inside(ds, rng)
    if 0x00283010 not in item:
        table = Dataset()
        put(table, 0x00283002, "US", struct.pack("<HHH", 8, 0, 16))
        put(table, 0x00283006, "OW", p.name().encode())
        put(table, 0x00283003, "LO", p.prose().encode())
        item.VOILUTSequence = [table]


def other_alphabets(ds: Dataset, p: Planter, rng: random.Random) -> None:
    charset, codec = rng.choice(sorted(CHARACTER_SETS.items()))
    ds.SpecificCharacterSet = ["", charset] if charset.startswith("ISO 2022") else charset
    low, high = (0xAC00, 0xD7A0) if codec == "euc_kr" else (0x4E00, 0x5FFF)
    text = ""
    while len(text) < 4:
        character = chr(rng.randrange(low, high))
        try:
            character.encode(codec)
        except UnicodeEncodeError:
            continue
        text += character
    encoded = text.encode(codec)
    p.plants.append(text)
    p.binary.append(encoded.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B"))
    tag, vr = rng.choice(tags(("PN", "LO", "SH", "ST", "UT")))
    put(inside(ds, rng), tag, vr, p.name().encode() + b"=" + encoded + b"^" + encoded)


def disguised(ds: Dataset, p: Planter, rng: random.Random) -> None:
    """A name spelled out, in two-byte characters, or full width."""
    name = p.name()
    spelled = rng.choice(
        [
            " ".join(name.upper()).encode(),
            "_".join(name).encode(),
            name.encode("utf-16-le"),
            "".join(chr(ord(c) + 0xFEE0) for c in name).encode(),
        ]
    )
    p.binary.append(spelled)
    tag = rng.choice([0x0008103F, 0x00081030, 0x00180015, 0x00181314, 0x00204000, 0x00321060])
    put(inside(ds, rng), tag, "LO", b"T2 SAG " + spelled)


def description(ds: Dataset, p: Planter, rng: random.Random) -> None:
    del ds.SeriesDescription
    ds.SeriesDescription = f"t2_tse_sag {p.name()} {p.digits()} {p.slashed()} L4-L5"


def references(ds: Dataset, p: Planter, rng: random.Random) -> None:
    item = inside(ds, rng)
    for tag, vr in rng.sample(tags(("UI",)), 3):
        put(item, tag, vr, "\\".join([p.uid(), p.uid()]).encode())


def after_the_pixels(ds: Dataset, p: Planter, rng: random.Random) -> None:
    put(ds, 0xFFFCFFFC, "OB", p.prose().encode())
    put(ds, 0xFFFAFFFA, "UN", p.name().encode())
    put(ds, 0x7FE00001, "OV", p.name().encode().ljust(16, b"\x00"))


PLACES: dict[str, Place] = {
    f.__name__: f
    for f in (
        any_text, several_values, any_bulk, text_for_numbers, eight_letters, lying_representation, known_number,
        private_block, unknown_sequence, graphics, look_up_table, other_alphabets, disguised, description,
        references, after_the_pixels,
    )
}  # fmt: skip
