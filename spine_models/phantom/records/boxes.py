"""Boxes that a reader drew around the findings of some patients, as ``annotations/boxes.csv`` of the inbox has them.

Belongs here: whom the reader looked at, how far a hand misses an edge. Does not belong here: where the findings are
(``truth``), which keeps the exact boxes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from spine_models.phantom.truth import write_table

COLUMNS: Final = (
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "frame", "condition", "level", "side",
    "severity", "x", "y", "w", "h",
)  # fmt: skip
MISS_PX: Final = 1.5
"""Each edge is drawn at most this far from the true one, uniformly, and never outside the image."""
NOT_READ: Final = frozenset({"localizer"})
"""Contrasts on which nobody draws."""
_READER: Final = 900_005


def write_boxes(
    path: Path,
    boxes: Iterable[Mapping[str, object]],
    patient_of_study: Mapping[str, str],
    *,
    annotated: float,
    seed: int,
) -> bool:
    """Write the table of one reader; no file where nothing would be in it. Returns whether it was written.

    Args:
        path: of the file; its folder is made.
        boxes: rows of the truth's ``boxes.csv``, with the ``rows`` and ``columns`` of their images.
        patient_of_study: record number by study UID, of all studies.
        annotated: share of the patients whom the reader looked at, whole patients, rounded to a number of them (one at
            least, above 0); every finding of theirs is boxed on every image that shows it, localizers apart.
        seed: of patients and edges.
    """
    rows = list(drawn_boxes(boxes, patient_of_study, annotated=annotated, seed=seed))
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, COLUMNS, rows)
    return bool(rows)


def drawn_boxes(
    boxes: Iterable[Mapping[str, object]], patient_of_study: Mapping[str, str], *, annotated: float, seed: int
) -> Iterator[list[object]]:
    """Rows of the table, in the order of ``boxes``; arguments as `write_boxes`."""
    hands = {
        p: np.random.default_rng([seed, _READER, zlib.crc32(p.encode())]) for p in patient_of_study.values()
    }
    drawn = sorted(hands, key=lambda patient: (hands[patient].random(), patient))
    seen = set(drawn[: max(1, round(annotated * len(drawn))) if annotated > 0 else 0])
    for box in boxes:
        patient = patient_of_study[str(box["study_instance_uid"])]
        if patient in seen and box["contrast"] not in NOT_READ:
            sizes = _by_hand(box, hands[patient])
            yield [sizes.get(name, box[name]) for name in COLUMNS]


def _by_hand(box: Mapping[str, object], hand: np.random.Generator) -> dict[str, object]:
    found: dict[str, object] = {}
    for low_name, extent_name, size_name in (("x", "w", "columns"), ("y", "h", "rows")):
        low, size = float(str(box[low_name])), float(str(box[size_name]))
        high = min(low + float(str(box[extent_name])), size)
        near, far = np.clip(np.array([low, high]) + hand.uniform(-MISS_PX, MISS_PX, 2), 0, size)
        if far - near < 1:  # nobody draws less than a pixel
            near, far = low, high
        near, far = round(float(near), 1), round(float(far), 1)
        found |= {low_name: f"{near:.1f}", extent_name: f"{far - near:.1f}"}
    return found
