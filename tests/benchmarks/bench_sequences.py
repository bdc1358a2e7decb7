"""Classifying series by headers against reading the facts of one header of each, both in CPU seconds.

Belongs here: the cost of the sequences stage without pixels. Does not belong here: accuracy (`sequence_accuracy`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parent))

from spine_models.config import SequenceSettings
from spine_models.corpus.deid.tables import INSTANCES
from spine_models.corpus.header import acquisition_facts
from spine_models.corpus.sequences import classify_batch
from spine_models.phantom.dicom.sampling import sample_headers

SERIES, SLICES, ROUNDS = 1500, 16, 3


def bench() -> list[tuple[str, float, str]]:
    """Median ratio of the rounds."""
    from sequence_phantom import row_of

    headers = [ds for ds, _ in sample_headers(SERIES, 5, 0.2)]
    instances = _instances([row_of(ds) for ds in headers])
    classify_batch(instances.head(64), settings=SequenceSettings())  # the model is loaded once a process
    classifying, reading = [], []
    for _ in range(ROUNDS):
        classifying.append(_seconds(lambda: classify_batch(instances, settings=SequenceSettings())))
        reading.append(_seconds(lambda: [acquisition_facts(ds) for ds in headers]))
    ratio = sorted(r / c for c, r in zip(classifying, reading, strict=True))[ROUNDS // 2]
    rate = SERIES / sorted(classifying)[ROUNDS // 2]
    what = f"of reading one header a series; {rate:,.0f} series of {SLICES} slices per CPU second"
    return [("sequences: classify by headers", ratio, what)]


def unit_costs() -> list[tuple[str, float, float, str]]:
    """Classifying one series by its headers."""
    from sequence_phantom import row_of

    instances = _instances([row_of(ds) for ds, _ in sample_headers(SERIES, 5, 0.2)])
    classify_batch(instances.head(64), settings=SequenceSettings())
    spent = _seconds(lambda: classify_batch(instances, settings=SequenceSettings()))
    return [("sequences: classify by headers", spent / SERIES, 0.0, "series")]


def _instances(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Every series with its slices, 4 mm apart, as released instances."""
    out = []
    for n, row in enumerate(rows):
        iop = row["iop"] or [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
        for k in range(SLICES):
            keys = {
                "batch_key": "b",
                "patient_key": f"p{n // 16}",
                "study_key": f"st{n // 8}",
                "series_key": f"s{n:06d}",
            }
            place = {
                "iop": iop,
                "ipp_mm": [4.0 * k, 0.0, 0.0],
                "instance_number": k + 1,
                "instance_key": f"{n}-{k}",
            }
            full = dict.fromkeys(INSTANCES) | row | keys | place
            out.append({name: full[name] for name in INSTANCES})
    return pl.DataFrame(out, schema=INSTANCES)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    for line in bench():
        print(line)
