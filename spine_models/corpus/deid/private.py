"""Private attributes: none leaves but a short list of plain numbers, under its maker's exact name.

Belongs here: resolving private blocks and checking the listed values. Does not belong here: the list (policy).
"""

from __future__ import annotations

from pydicom.dataelem import DataElement

from spine_models.corpus.deid.encode import Bytes, Finished
from spine_models.corpus.deid.items import Element, Elements
from spine_models.corpus.deid.numerals import SIZES, binary_number, text_number
from spine_models.corpus.deid.policy import PrivateRule, private_safe
from spine_models.corpus.deid.values import Walk, text_element


def private_elements(raw: Elements, tags: list[int], kept: Finished, walk: Walk) -> None:
    """Add to ``kept`` the private numbers that the safe list names, with their block's creator."""
    creators: dict[tuple[int, int], str] = {}
    safe = private_safe()
    for tag in tags:
        group, element = tag >> 16, tag & 0xFFFF
        if 0x10 <= element <= 0xFF:
            value = raw[tag].value or b""
            creators[group, element] = (
                value.decode("latin-1") if isinstance(value, bytes) else str(value)
            ).strip(" \x00")
            continue
        creator = creators.get((group, element >> 8), "")
        rule = safe.get((group, creator, element & 0xFF)) if creator else None
        kept_one = _safe_private(raw[tag], rule, walk) if rule else None
        if kept_one is None:
            walk.counts["removed"] += 1
            continue
        kept[group << 16 | element >> 8] = text_element("LO", creator.encode("ascii"))
        kept[tag] = kept_one
        walk.counts["kept"] += 1
        walk.private_kept = True


def _safe_private(element: Element, rule: PrivateRule, walk: Walk) -> Bytes | None:
    vr = rule.vr
    if isinstance(element, DataElement) or element.VR not in (None, "UN", vr) or not element.value:
        return None
    value = bytes(element.value)
    if vr in ("IS", "DS"):
        parts = value.strip(b" \x00").split(b"\\")
        fine = len(parts) <= rule.most and all(text_number(p, vr, walk.numbers) for p in parts)
        return text_element(vr, value.strip(b" \x00")) if fine else None
    size = SIZES[vr]
    if not walk.little:
        value = b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))
    fine = binary_number(vr, value, most=rule.most, words=walk.veto, numbers=walk.numbers)
    return Bytes(vr, value) if fine else None
