"""The phantom's headers with known truth, for training and measuring the sequence classifier.

Belongs here: turning what the phantom writes into examples. Does not belong here: the phantom, fitting, scoring.
"""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from sequence_headers import Example, as_released

from spine_models.corpus.header import acquisition_facts, read_value, text_of
from spine_models.phantom.dicom.sampling import sample_headers


def phantom_examples(n: int, seed: int, *, damage_rate: float, released: bool = True) -> list[Example]:
    """``n`` headers of the phantom's scanners, one image each; ``group`` is the scanner."""
    examples = []
    for ds, truth in sample_headers(n, seed, damage_rate):
        row = row_of(ds)
        examples.append(
            Example(
                as_released(row) if released else row,
                truth["contrast"],
                f"phantom-{truth['scanner']}",
                truth["vendor"],
                "phantom",
                bool(truth["damage"]),
                truth,
            )
        )
    return examples


def row_of(ds: Dataset) -> dict[str, Any]:
    """The columns of ``sequence_headers.ROW`` of one header."""
    names = {"series_description": "SeriesDescription", "protocol_name": "ProtocolName"}
    texts = {column: text_of(read_value(ds, keyword)) for column, keyword in names.items()}
    return dict(acquisition_facts(ds)) | texts
