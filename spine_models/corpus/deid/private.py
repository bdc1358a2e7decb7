"""Private attributes: none leaves but a short list of plain numbers, under its maker's exact name.

Belongs here: resolving private blocks and checking the listed values. Does not belong here: the list (policy).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from spine_models.corpus.deid.numerals import SIZES, binary_number, text_number
from spine_models.corpus.deid.policy import PrivateRule, private_safe
from spine_models.corpus.deid.values import Walk, raw_element, text_element


def private_elements(
    raw: Mapping[BaseTag, DataElement | RawDataElement],
    tags: list[BaseTag],
    kept: dict[BaseTag, DataElement | RawDataElement],
    walk: Walk,
) -> None:
    """Add to ``kept`` the private numbers that the safe list names, with their block's creator."""
    creators: dict[tuple[int, int], str] = {}
    safe = private_safe()
    for tag in tags:
        group, element = int(tag) >> 16, int(tag) & 0xFFFF
        if 0x10 <= element <= 0xFF:
            value = raw[tag].value or b""
            creators[group, element] = (
                value.decode("latin-1") if isinstance(value, bytes) else str(value)
            ).strip(" \x00")
            continue
        creator = creators.get((group, element >> 8), "")
        rule = safe.get((group, creator, element & 0xFF)) if creator else None
        kept_one = _safe_private(raw[tag], tag, rule, walk) if rule else None
        if kept_one is None:
            walk.counts["removed"] += 1
            continue
        block = BaseTag(group << 16 | element >> 8)
        kept[block] = text_element(block, "LO", creator.encode("ascii"))
        kept[tag] = kept_one
        walk.counts["kept"] += 1
        walk.private_kept = True


def _safe_private(
    element: DataElement | RawDataElement, tag: BaseTag, rule: PrivateRule, walk: Walk
) -> RawDataElement | None:
    vr = rule.vr
    if not isinstance(element, RawDataElement) or element.VR not in (None, "UN", vr) or not element.value:
        return None
    value = bytes(element.value)
    if vr in ("IS", "DS"):
        parts = value.strip(b" \x00").split(b"\\")
        fine = len(parts) <= rule.most and all(text_number(p, vr, walk.numbers) for p in parts)
        return text_element(tag, vr, value.strip(b" \x00")) if fine else None
    size = SIZES[vr]
    if not walk.little:
        value = b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))
    fine = binary_number(vr, value, most=rule.most, words=walk.veto, numbers=walk.numbers)
    return raw_element(tag, vr, value) if fine else None
