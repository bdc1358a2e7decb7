"""Shards: what packed slices, random access and one decoding pass are worth, and what a rerun with nothing new is.

Belongs here: ratios of two ways to the same result, timed in turns, and what a slice costs. Does not belong here: the
choice of the codec (``codecs.py`` beside this file prints its table).
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import pydicom
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from scipy.ndimage import gaussian_filter

from spine_models.config import ShardSettings
from spine_models.corpus.deid.tables import INSTANCES
from spine_models.corpus.sequences.tables import SERIES
from spine_models.corpus.shards import EpochReader, read_stored, series, write_shards

SERIES_COUNT, SLICES, EDGE_PX = 12, 20, 384
ROUNDS = 3
SETTINGS = ShardSettings(size_px=224, workers=1)


def bench() -> list[tuple[str, float, str]]:
    """All ratios; above 1 the second way is faster, but memory, where near 1 is flat."""
    return [*_shards(), *_memory(), _rerun()]


def unit_costs() -> list[tuple[str, float, float, str]]:
    """Writing and reading a slice of 384 x 384 source pixels at 224 x 224."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        instances, table = _batch(root / "dicom")
        began = time.process_time()
        slices = write_shards(
            instances, table, dicom=root / "dicom", out=root / "out", settings=SETTINGS
        ).slices
        written = (time.process_time() - began) / slices.height
        files = sum(path.stat().st_size for path in (root / "out").rglob("*") if path.is_file())
        reader = EpochReader(sorted((root / "out").rglob("*.tar")), seed=0)
        began = time.process_time()
        read = sum(1 for _ in reader.epoch(0))
        return [
            ("shards: decode DICOM, score, preprocess, pack", written, files / slices.height, "slice"),
            ("shards: one epoch of reading", (time.process_time() - began) / read, 0.0, "slice"),
        ]


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

        twice, once = _in_turns(lambda: write(0), lambda: write(1 << 30), clock=time.process_time)
        tars = sorted((root / "out-0").rglob("*.tar"))
        reader = EpochReader(tars, seed=0)
        files = _png_files(tars, root / "png")
        order = np.random.default_rng(0).permutation(len(files))

        def from_files() -> None:
            for position in order:
                with Image.open(files[position]) as image:
                    np.asarray(image)

        def shuffled() -> None:
            for _ in reader.epoch(0):
                continue

        def rest() -> None:
            for _ in reader.epoch(0, start=len(reader) - 8):
                continue

        one_file_each, exact, resumed = _in_turns(from_files, shuffled, rest)
        cpu_files, cpu_exact = _in_turns(from_files, shuffled, clock=time.process_time)
        stored = np.mean([path.stat().st_size for path in files])
        packed = np.mean([path.stat().st_size for path in tars]) * len(tars) / len(files)
        return [
            (
                "shards: one decoding pass",
                twice / once,
                "series decoded twice / frames held, CPU, uncompressed sources",
            ),
            (
                "shards: against files",
                one_file_each / exact,
                "one PNG file a slice / shuffled exact epoch, wall",
            ),
            ("shards: against files, CPU", cpu_files / cpu_exact, "the same in CPU seconds"),
            ("shards: bytes", stored / packed, "one PNG file a slice / its part of the tar with its JSON"),
            ("shards: resume at the end", exact / resumed, "a whole epoch / its last 8 samples"),
        ]


def _png_files(tars: list[Path], folder: Path) -> list[Path]:
    """The same stored pixels, one 16-bit PNG a slice as Pillow writes it by default."""
    folder.mkdir()
    paths = []
    for key, held in read_stored(tars):
        paths.append(folder / f"{key}.png")
        Image.fromarray(held.stored).save(paths[-1])
    return paths


def _memory() -> Iterator[tuple[str, float, str]]:
    """Peak resident memory of a process that writes and reads back ten times as many slices."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        _batch(Path(name) / "dicom")
        peaks = []
        for count in (1_000, 10_000):
            _tables(Path(name), count)
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_peak_memory, args=(Path(name), count, sender))
            process.start()
            try:
                peaks.append(receiver.recv())
            finally:
                process.join()
    few, many = peaks
    for what, one, other in zip(
        ("writing, to the last tar", "writing, with its tables", "reading"), few, many, strict=True
    ):
        yield (
            f"shards: memory of {what}",
            other / one,
            f"peak at 10,000 slices / at 1,000 ({one:.0f} MB), sources of {EDGE_PX} x {EDGE_PX}",
        )


def _tables(root: Path, count: int) -> None:
    """Both tables of ``count`` slices as files, so that making them is no part of what is measured; the DICOM files are
    used many times."""
    parts, table = [], []
    for number in range(count // SLICES):
        key = _key(number)
        table.append(key | _FACTS)
        rows = []
        for i in range(SLICES):
            facts = {"instance_key": f"{number * SLICES + i:032x}", "instance_number": i}
            rows.append(key | facts | {"dicom_path": f"{number % SERIES_COUNT * 1000 + i:032x}.dcm"})
        parts.append(pl.DataFrame(rows, schema=INSTANCES))
    pl.concat(parts).write_parquet(root / f"instances-{count}.parquet")
    pl.DataFrame(table, schema=SERIES).write_parquet(root / f"series-{count}.parquet")


def _peak_memory(root: Path, count: int, sender: Connection) -> None:
    """Sends peak MB when the last series of ``count`` slices was written, when the tables were there too, and after an
    epoch."""
    instances, series_table = (
        pl.read_parquet(root / f"{name}-{count}.parquet") for name in ("instances", "series")
    )
    out = root / f"out-{count}"
    peaks = [0.0]

    def progress(done: int, of: int) -> None:
        peaks[0] = _peak_mb()

    written = write_shards(
        instances, series_table, dicom=root / "dicom", out=out, settings=SETTINGS, progress=progress
    )
    peaks.append(_peak_mb())
    del written, instances, series_table
    for _ in EpochReader(sorted(out.rglob("*.tar")), seed=0).epoch(0):
        continue
    sender.send((*peaks, _peak_mb()))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rerun() -> tuple[str, float, str]:
    """An inbox through the corpus layer, and the same inbox again."""
    from pipelines.definitions import build_defs
    from pipelines.home import open_instance
    from pipelines.runner import Runner
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital
    from spine_models.corpus.deid import new_key_file
    from spine_models.phantom import write_hospital

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_hospital(root / "source", patients=6, seed=1, workers=1)
        settings = Settings(profile="phantom", root=root / "spine", key_file=root / "pseudonym.key")
        new_key_file(settings.key_path)
        hospital = Hospital.from_settings(settings)
        runner = Runner(hospital, build_defs(hospital), open_instance(settings.dagster_home), lambda _: None)
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            runner.run(root / "source" / "inbox", through="shards")
            seconds.append(time.perf_counter() - began)
    return (
        "corpus: rerun with nothing new",
        seconds[0] / seconds[1],
        "an inbox through shards / the same again, wall",
    )


_FACTS = {"contrast": "T2", "route": "t2", "plane": "sagittal", "region": "lumbar"}


def _key(number: int) -> dict[str, str]:
    return {
        "batch_key": "b-0001",
        "patient_key": f"{number:032x}",
        "study_key": f"study-{number}",
        "series_key": f"series-{number}",
    }


def _batch(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Twelve series of twenty slices that compress as MR does: smooth tissue, air, noise of a fiftieth."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    instances, rows = [], []
    for number in range(SERIES_COUNT):
        tissue = gaussian_filter(rng.normal(size=(EDGE_PX, EDGE_PX)), EDGE_PX / 60)
        tissue = np.clip(600 + 500 * tissue / tissue.std(), 80, None)
        tissue[:, EDGE_PX * 3 // 4 :] = 0
        rows.append(_key(number) | _FACTS)
        for i in range(SLICES):
            noise = rng.normal(0, 25, (2, EDGE_PX, EDGE_PX))
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
            ds.PixelData = np.hypot(tissue + noise[0], noise[1]).astype(np.uint16).tobytes()
            instance = f"{number * 1000 + i:032x}"
            ds.save_as(folder / f"{instance}.dcm", enforce_file_format=True)
            facts = {"instance_key": instance, "dicom_path": f"{instance}.dcm", "instance_number": i}
            instances.append(_key(number) | facts)
    return pl.DataFrame(instances, schema=INSTANCES), pl.DataFrame(rows, schema=SERIES)


def _in_turns(
    *ways: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, ...]:
    """Median seconds of every way, timed in turns."""
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, seconds in zip(ways, spent, strict=True):
            began = clock()
            way()
            seconds.append(clock() - began)
    return tuple(median(seconds) for seconds in spent)
