"""Headers with known truth for training and measuring the sequence classifier: real ones, and drawn ones.

Belongs here: reading the public headers of `shared/data/real_spine_headers` into the columns of `ACQUISITION`, and
headers drawn from published ranges of protocols. Does not belong here: the phantom's own headers, fitting, scoring.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine_models.corpus.deid.vocabulary import rebuild, words
from spine_models.corpus.header import ACQUISITION, vendor_of

REAL_TRUTH = {"T1w": "T1", "T2w": "T2", "T2star": "T2*", "dwi": "DWI"}
ROW = (*ACQUISITION.names(), "series_description", "protocol_name")


@dataclass(frozen=True)
class Example:
    """One header: a row with the columns of `ROW`, its truth, the site and the vendor it came from."""

    row: dict[str, Any]
    truth: str
    group: str
    vendor: str
    source: str
    damaged: bool = False
    truth_of_phantom: dict[str, Any] | None = None


def real_folder() -> Path | None:
    """The folder of real data, beside a checkout or named by SPINE_REAL_DATA."""
    named = os.environ.get("SPINE_REAL_DATA")
    roots = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    return next((r for r in roots if (r / "real_spine_headers" / "headers.jsonl").is_file()), None)


def real_examples(*, released: bool) -> tuple[list[Example], int]:
    """The 1,302 real headers that say anything of an acquisition, and the number of those that say nothing.

    183 of the 1,485 are sidecars of an image averaged after acquisition: they hold the name of the program that made
    them and not one attribute of a scan. Nothing could tell what they are, so they are counted apart.

    Args:
        released: descriptions and codes as de-identification leaves them; otherwise as the site wrote them.
    """
    folder = real_folder()
    if folder is None:
        raise FileNotFoundError(
            "no shared/data beside the checkout: set SPINE_REAL_DATA to the folder of real data"
        )
    examples, empty = [], 0
    lines = (folder / "real_spine_headers" / "headers.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        entry = json.loads(line)
        header = entry["header"]
        if not set(header) - {"GeneratedBy"}:
            empty += 1
            continue
        row = _row_of_bids(header)
        truth = REAL_TRUTH.get(entry["suffix"]) or ("T1" if "flip-2" in entry["file"] else "MT")
        site = entry["file"].split("/")[0].removeprefix("sub-").rstrip("0123456789")
        vendor = row["vendor"] or "not named"
        examples.append(Example(as_released(row) if released else row, truth, site, vendor, "real"))
    return examples, empty


def as_released(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its texts as de-identification leaves them: words of the controlled vocabulary alone."""
    cleaned = dict(row)
    for name in ("series_description", "protocol_name", "sequence_name"):
        cleaned[name] = rebuild(row[name]) or None if row.get(name) else None
    for name in ("body_part", "scan_options", "sequence_variant", "scanning_sequence", "image_type"):
        coded = [_coded(term.strip()) for term in (row.get(name) or "").split("\\")]
        cleaned[name] = "\\".join(coded) if any(coded) else None
    return cleaned


def _coded(term: str) -> str:
    """A coded string as the engine leaves it: whole, OTHER where a part of it is known, or nothing."""
    if len(term) == 1 or term.casefold() in words("description"):
        return term
    known = rebuild(term)
    return term if known == term else "OTHER" if known else ""


def _row_of_bids(header: dict[str, Any]) -> dict[str, Any]:
    def number(key: str, factor: float = 1.0) -> float | None:
        value = header.get(key)
        if isinstance(value, str):  # several echoes: the first, as a DICOM reader takes it
            value = float(value.split(",")[0])
        return round(value * factor, 6) if isinstance(value, int | float) else None

    def terms(key: str) -> str | None:
        value = header.get(key)
        if value is None:
            return None
        if isinstance(value, list):
            return "\\".join(value)
        return str(value).replace("_GEMS", "-GEMS").replace("_", "\\").replace("-GEMS", "_GEMS")

    row: dict[str, Any] = dict.fromkeys(ROW)
    iop = header.get("ImageOrientationPatientDICOM")
    return row | {
        "vendor": vendor_of(header.get("Manufacturer")),
        "scanner_model": header.get("ManufacturersModelName"),
        "field_strength_t": number("MagneticFieldStrength"),
        "body_part": header.get("BodyPartExamined"),
        "series_description": header.get("SeriesDescription"),
        "protocol_name": header.get("ProtocolName"),
        "sequence_name": header.get("SequenceName"),
        "image_type": terms("ImageType"),
        "scanning_sequence": terms("ScanningSequence"),
        "sequence_variant": terms("SequenceVariant"),
        "scan_options": terms("ScanOptions"),
        "acquisition_type": header.get("MRAcquisitionType"),
        "tr_ms": number("RepetitionTime", 1000),
        "te_ms": number("EchoTime", 1000),
        "ti_ms": number("InversionTime", 1000),
        "flip_deg": number("FlipAngle"),
        "echo_train_length": header.get("EchoTrainLength"),
        "slice_thickness_mm": number("SliceThickness"),
        "spacing_between_mm": number("SpacingBetweenSlices"),
        "iop": [float(v) for v in iop] if iop and len(iop) == 6 else None,
    }
