"""The reports folder as sites drop it: text files and tables in the encodings that old systems write.

Belongs here: files, formats, encodings, and the odd reports of nobody. Does not belong here: what a report says.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from spine_models.phantom.records.identity import plain

ENCODINGS: Final = {"utf-8": 0.78, "utf-8-sig": 0.05, "cp1252": 0.08, "latin-1": 0.04, "utf-16": 0.05}
"""Shares of text reports by encoding; UTF-16 carries its byte-order mark."""


def write_reports(
    folder: Path, reports: Sequence[tuple[str, str, bool, bool]], rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Write all reports, and three that belong to no study.

    Args:
        folder: the ``reports`` folder, which exists.
        reports: (accession number, text, in a table, its study will be released).
        rng: of encodings.

    Returns:
        (name of the file, expected outcome).
    """
    files = []
    rows = [(accession, text) for accession, text, in_table, _ in reports if in_table]
    half = len(rows) // 2
    for accession, text, in_table, released in reports:
        if not in_table:
            encoding = str(rng.choice(list(ENCODINGS), p=list(ENCODINGS.values())))
            (folder / f"{accession}.txt").write_bytes(encoded(text, encoding))
            files.append((f"{accession}.txt", "released" if released else "quarantined"))
    released = {accession for accession, _, _, released in reports if released}
    nobody = "MRI OF THE LUMBAR SPINE. No study of this number is here.\n"
    if rows:
        lines = [
            json.dumps({"accession_number": a, "report_text": t}, ensure_ascii=False) for a, t in rows[half:]
        ]
        # A row that names a study nobody sent, and one that names none.
        lines.append(json.dumps({"accession_number": "RS9999998", "report_text": nobody}))
        lines.append(json.dumps({"accession_number": "", "report_text": nobody}))
        (folder / "archive.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        files.append(("archive.jsonl", _of_table(rows[half:], released)))
    if half:
        table = io.StringIO(newline="")
        writer = csv.writer(table, delimiter=";")
        writer.writerow(["Accession_Number", "Report_Text"])
        writer.writerows(rows[:half])
        (folder / "ris_export.csv").write_bytes(encoded(table.getvalue(), "utf-8-sig"))
        files.append(("ris_export.csv", _of_table(rows[:half], released)))
    (folder / "RS9999999.txt").write_text(nobody, encoding="utf-8")
    return [*files, ("RS9999999.txt", "quarantined")]


def encoded(text: str, encoding: str) -> bytes:
    """The text in an encoding; what a Western one lacks becomes plain letters, and quotes become typographic."""
    if encoding == "utf-16":
        return codecs.BOM_UTF16_LE + text.encode("utf-16-le")
    if encoding == "cp1252":
        text = text.replace(" - ", " – ").replace("'", "’")
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return plain(text).encode(encoding)


def _of_table(rows: Sequence[tuple[str, str]], released: set[str]) -> str:
    return "released" if any(accession in released for accession, _ in rows) else "quarantined"
