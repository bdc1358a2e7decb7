"""The facts of a header that decide a sequence, and what a source of evidence concludes from them.

Belongs here: the two small types that text, physics and their combination share.
Does not belong here: rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from spine_models.domain import Contrast


@dataclass(frozen=True)
class Facts:
    """Header facts of one kind of image in a series; times in ms, angles in degrees, null where absent."""

    series_description: str | None = None
    protocol_name: str | None = None
    sequence_name: str | None = None
    image_type: str | None = None
    scanning_sequence: str | None = None
    sequence_variant: str | None = None
    scan_options: str | None = None
    acquisition_type: str | None = None
    tr_ms: float | None = None
    te_ms: float | None = None
    ti_ms: float | None = None
    flip_deg: float | None = None
    echo_train_length: int | None = None
    b_value: float | None = None
    has_contrast_agent: bool | None = None


@dataclass(frozen=True)
class Verdict:
    """A conclusion, how sure it is (0 to 1), and the rule that gave it; null contrast: no conclusion."""

    contrast: Contrast | None
    confidence: float
    rule: str
    disagreement: str | None = None


def codes(value: str | None) -> frozenset[str]:
    """Upper-case terms of a multi-valued code string, whether joined as in DICOM or by an export."""
    if not value:
        return frozenset()
    return frozenset(term.strip().upper() for term in value.replace("_GEMS", " GEMS").split("\\"))
