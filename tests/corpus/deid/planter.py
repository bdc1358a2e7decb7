"""What can be planted: plants that are unlike anything else, the people they belong to, and the search for them.

Everything is drawn from a seed. A plant is a text that must not be found in what is released.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "j2k": JPEG2000Lossless,
}
VENDORS = {
    "siemens": {
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Skyra",
        "SeriesDescription": "t2_tse_sag",
        "ProtocolName": "t2_tse_sag_LSPINE",
        "SequenceName": "*tse2d1_15",
        "ScanningSequence": "SE",
        "SequenceVariant": ["SK", "SP", "OSP"],
        "ScanOptions": "PFP",
        "ReceiveCoilName": "Spine_32",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"],
        "BodyPartExamined": "LSPINE",
    },
    "ge": {
        "Manufacturer": "GE MEDICAL SYSTEMS",
        "ManufacturerModelName": "DISCOVERY MR750",
        "SeriesDescription": "SAG T1 FSE",
        "ProtocolName": "LUMBAR SPINE",
        "SequenceName": "FSE-XL",
        "ScanningSequence": "SE",
        "SequenceVariant": ["SK"],
        "ScanOptions": ["FAST_GEMS", "EDR_GEMS"],
        "ReceiveCoilName": "HDCTL",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "BodyPartExamined": "SPINE",
    },
    "philips": {
        "Manufacturer": "Philips Medical Systems",
        "ManufacturerModelName": "Ingenia",
        "SeriesDescription": "T2W_TSE_AX",
        "ProtocolName": "WIP T2W_TSE_AX",
        "SequenceName": "TSE",
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "ScanOptions": "FS",
        "ReceiveCoilName": "MULTI COIL",
        "ImageType": ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
        "BodyPartExamined": "LSPINE",
    },
    "canon": {
        "Manufacturer": "TOSHIBA_MEC",
        "ManufacturerModelName": "Vantage Titan",
        "SeriesDescription": "STIR SAG",
        "ProtocolName": "STIR SAG",
        "SequenceName": "FIR",
        "ScanningSequence": ["SE", "IR"],
        "SequenceVariant": "NONE",
        "ScanOptions": "FC",
        "ReceiveCoilName": "Atlas Speeder",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "BodyPartExamined": "LSPINE",
    },
}
_SYLLABLES = [
    "ba",
    "ke",
    "zu",
    "mor",
    "vin",
    "tal",
    "que",
    "dra",
    "fel",
    "gon",
    "hux",
    "jor",
    "lim",
    "nax",
    "pol",
    "rix",
    "sut",
    "tov",
    "wen",
    "yar",
    "zil",
    "bro",
    "cli",
    "dus",
]


@dataclass
class Planted:
    """A file's bytes, what is hidden in it, and the header it was made from."""

    data: bytes
    plants: list[str]
    source: Dataset
    pixels: np.ndarray
    vendor: str
    syntax: str


@dataclass
class Planter:
    """Draws plants that are unlike anything else and unlike each other."""

    rng: random.Random
    plants: list[str] = field(default_factory=list)
    binary: list[bytes] = field(default_factory=list)
    years: int = 1850

    def name(self) -> str:
        word = "".join(self.rng.choice(_SYLLABLES) for _ in range(4)).capitalize()
        self.plants.append(word)
        return word

    def person(self) -> str:
        return f"{self.name()}^{self.name()}"

    def digits(self, length: int = 12) -> str:
        text = str(self.rng.randint(10 ** (length - 1), 10**length - 1))
        self.plants.append(text)
        return text

    def ident(self) -> str:
        return f"{self.rng.choice('ABCDEFGH')}{self.rng.choice('KLMNPQ')}-{self.digits(11)}"

    def phone(self) -> str:
        text = f"({self.rng.randint(200, 999)}) {self.rng.randint(200, 999)}-{self.rng.randint(1000, 9999)}"
        self.plants.append(text)
        return text

    def uid(self) -> str:
        arcs = [self.rng.randint(10**8, 10**9), self.rng.randint(10**8, 10**9), self.rng.randint(1, 10**6)]
        text = "1.2.826.0.1." + ".".join(map(str, arcs))
        self.plants.append(text)
        return text

    def date(self) -> str:
        self.years += 3  # so far apart that no date, moved, equals another
        text = f"{self.years}{self.rng.randint(1, 12):02d}{self.rng.randint(1, 28):02d}"
        self.plants.append(text)
        return text

    def prose(self) -> str:
        return f"Patient {self.name()} {self.name()}, MRN {self.digits()}, born {self.slashed()}, call {self.phone()}"

    def slashed(self) -> str:
        text = f"{self.rng.randint(1, 12):02d}/{self.rng.randint(1, 28):02d}/{self.rng.randint(1921, 1969)}"
        self.plants.append(text)
        return text

    def wide(self) -> str:
        text = "".join(chr(self.rng.randint(0x4E00, 0x8FFF)) for _ in range(4))
        self.plants.append(text)
        return text


@dataclass
class Person:
    """What several files of one patient share."""

    mrn: str
    name: str
    study: str
    series: str
    frame: str


def person(rng: random.Random) -> Person:
    planter = Planter(rng)
    return Person(f"00{planter.digits(10)}", planter.person(), planter.uid(), planter.uid(), planter.uid())


def residual(plants: list[str], released: bytes) -> list[str]:
    """Plants found by plain search in any of the usual encodings, case ignored."""
    low = released.lower()
    found = []
    for plant in plants:
        for codec in ("utf-8", "utf-16-le", "utf-16-be", "iso2022_jp", "shift_jis", "gb18030", "latin-1"):
            try:
                encoded = plant.encode(codec).lower()
            except UnicodeEncodeError:
                continue
            if len(encoded) >= 4 and encoded in low:
                found.append(plant)
                break
    return found
