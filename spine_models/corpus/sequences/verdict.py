"""The facts of a header that decide a sequence, and what a source of evidence concludes from them.

Belongs here: the two small types that text, physics and their combination share.
Does not belong here: rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

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
    vendor: str | None = None
    field_strength_t: float | None = None
    rows: int | None = None
    columns: int | None = None
    pixel_mm: float | None = None
    slice_thickness_mm: float | None = None
    frames: int | None = None


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


@lru_cache(maxsize=16384)
def plausible(facts: Facts) -> Facts:
    """The facts with times of zero as absent, and times that some exports write in seconds as milliseconds.

    No spin echo repeats within 15 ms and no product sequence other than ultrashort ones has an echo below 0.4 ms.
    """
    changes: dict[str, object] = {}
    tr, te = facts.tr_ms, facts.te_ms
    spin_echo = "SE" in codes((facts.scanning_sequence or "").replace("_", "\\"))
    if tr is not None and tr <= 0:
        changes["tr_ms"] = None
    elif tr is not None and 0.3 < tr < 15 and spin_echo:
        changes["tr_ms"] = tr * 1000
    if te is not None and te < 0.4:
        changes["te_ms"] = te * 1000 if te > 0.0009 else None
    if facts.ti_ms is not None and facts.ti_ms < 10:
        changes["ti_ms"] = facts.ti_ms * 1000 if facts.ti_ms >= 0.05 else None
    if facts.echo_train_length is not None and facts.echo_train_length <= 0:
        changes["echo_train_length"] = None
    if facts.flip_deg is not None and facts.flip_deg <= 0:
        changes["flip_deg"] = None
    return replace(facts, **changes) if changes else facts


def is_silent(facts: Facts) -> bool:
    """Whether a header says nothing of its sequence: neither a name, nor a code, nor a time."""
    return not any(
        (
            facts.series_description,
            facts.protocol_name,
            facts.sequence_name,
            facts.scanning_sequence,
            facts.image_type,
            facts.tr_ms,
            facts.te_ms,
        )
    )
