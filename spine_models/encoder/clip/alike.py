"""Which studies are too alike to be contrasted: of one patient, or with word for word the same report.

Belongs here: labels of likeness. Does not belong here: what the loss does with them (``contrastive``).

A template's normal report stands under many studies. As negatives of each other their images would be driven from the
very text that is their answer, and no embedding could satisfy that; two studies of one patient show one spine. Such
pairs are neither positive nor negative.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from spine_models.encoder.clip.text import report_sections


def likeness(study_keys: Sequence[str], patient_keys: Sequence[str], reports: Sequence[str]) -> Tensor:
    """Labels [N, 2] int64, of patient and report; equal labels are equal patients or reports, on every rank.

    Reports are compared as the text encoders read them (``text.report_sections``); one without findings is like no
    other.
    """
    rows = []
    for study, patient, report in zip(study_keys, patient_keys, reports, strict=True):
        said = report_sections(report)
        rows.append((_label("patient", patient), _label("report", *said) if said else _label("study", study)))
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), 2)


def _label(*parts: str) -> int:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
