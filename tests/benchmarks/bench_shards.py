"""Shards and labels: what random access, one decoding pass and remembered sentences are worth.

Belongs here: ratios of two ways to the same result, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import pydicom
import webdataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from spine_models.config import ShardSettings
from spine_models.corpus.deid.tables import INSTANCES, REPORTS
from spine_models.corpus.labels import label_reports, rules
from spine_models.corpus.sequences.tables import SERIES
from spine_models.corpus.shards import EpochReader, series, write_shards

SERIES_COUNT, SLICES, EDGE_PX = 12, 20, 256
ROUNDS = 3
SETTINGS = ShardSettings(size_px=112, workers=1)


def bench() -> list[tuple[str, float, str]]:
    """All ratios; above 1 the second way is faster."""
    return [*_shards(), _sentences()]


def _shards() -> list[tuple[str, float, str]]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        instances, table = _batch(root / "dicom")
        runs = iter(range(1000))

        def write(hold_bytes: int) -> None:
            kept, series._HOLD_BYTES = series._HOLD_BYTES, hold_bytes
            try:
                out = root / f"out-{next(runs)}"
                write_shards(instances, table, dicom=root / "dicom", out=out, settings=SETTINGS)
            finally:
                series._HOLD_BYTES = kept

        twice, once = _in_turns(lambda: write(0), lambda: write(1 << 30))
        tars = sorted((root / "out-0").rglob("*.tar"))
        reader = EpochReader(tars, seed=0)

        def stream() -> None:
            for tar in tars:
                for _ in webdataset.WebDataset(str(tar), shardshuffle=False).decode("pil"):
                    continue

        def shuffled() -> None:
            for _ in reader.epoch(0):
                continue

        def rest() -> None:
            for _ in reader.epoch(0, start=len(reader) - 8):
                continue

        in_order, exact, resumed = _in_turns(stream, shuffled, rest)
        return [
            ("shards: one decoding pass", twice / once, "series decoded twice / frames held"),
            ("shards: exact epoch", in_order / exact, "webdataset in stored order / shuffled exact epoch"),
            ("shards: resume at the end", exact / resumed, "a whole epoch / its last 8 samples"),
        ]


def _sentences() -> tuple[str, float, str]:
    sentences = [
        f"L{i}-{i + 1}: {a} disc bulge with {a} canal stenosis and no foraminal narrowing."
        for i in range(1, 5)
        for a in ("mild", "moderate", "severe")
    ]
    rng = np.random.default_rng(0)
    texts = ["\n".join(rng.choice(sentences, 8)) for _ in range(60)]
    rows = [
        {
            "batch_key": "b",
            "patient_key": f"p{i}",
            "study_key": f"s{i}",
            "report_key": f"r{i}",
            "report_text": text,
        }
        for i, text in enumerate(texts)
    ]
    reports = pl.DataFrame(rows, schema=REPORTS)
    remembered = rules._analysed

    def forgetful() -> None:
        rules._analysed = remembered.__wrapped__
        try:
            label_reports(reports)
        finally:
            rules._analysed = remembered

    slow, fast = _in_turns(forgetful, lambda: label_reports(reports))
    return ("labels: remembered sentences", slow / fast, "every sentence read / repeated ones remembered")


def _batch(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    instances, rows = [], []
    for number in range(SERIES_COUNT):
        key = {
            "batch_key": "b-0001",
            "patient_key": f"{number:032x}",
            "study_key": f"study-{number}",
            "series_key": f"series-{number}",
        }
        rows.append(key | {"contrast": "T2", "route": "t2", "plane": "sagittal", "region": "lumbar"})
        for i in range(SLICES):
            ds = pydicom.Dataset()
            ds.file_meta = pydicom.dataset.FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number * 1000 + i + 1}"
            ds.Rows = ds.Columns = EDGE_PX
            ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
            ds.BitsAllocated = ds.BitsStored = 16
            ds.HighBit, ds.PixelRepresentation, ds.InstanceNumber = 15, 0, i
            ds.ImageOrientationPatient, ds.PixelSpacing = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [0.5, 0.5]
            ds.ImagePositionPatient = [4.0 * i, 0.0, 0.0]
            ds.PixelData = rng.integers(0, 1000, (EDGE_PX, EDGE_PX)).astype(np.uint16).tobytes()
            instance = f"{number * 1000 + i:032x}"
            ds.save_as(folder / f"{instance}.dcm", enforce_file_format=True)
            facts = {"instance_key": instance, "dicom_path": f"{instance}.dcm", "instance_number": i}
            instances.append(key | facts)
    return pl.DataFrame(instances, schema=INSTANCES), pl.DataFrame(rows, schema=SERIES)


def _in_turns(*ways: Callable[[], object]) -> tuple[float, ...]:
    """Median seconds of every way, timed in turns."""
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, seconds in zip(ways, spent, strict=True):
            began = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - began)
    return tuple(median(seconds) for seconds in spent)
