"""Reader: what one process can feed against what one training process eats, and memory over many epochs.

Belongs here: shards through reader, crops and a training step, timed in turns. Does not belong here: packing shards
(bench_shards), what a step is made of (bench_backbone).
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).parent))

from bench_backbone import COMPARISON
from timing import in_turns

from spine_models.config import BackboneSettings, load_profile
from spine_models.corpus.shards import EpochReader
from spine_models.corpus.shards.codec import SUFFIX, encode
from spine_models.corpus.shards.preprocess import Quantum
from spine_models.encoder.backbone.data import Batch, CropStream, open_stream
from spine_models.encoder.backbone.one_step import build_step

STUDIES, SLICES = 16, 8
ROUNDS = 6
EPOCHS = 12


def bench() -> list[tuple[str, float, str]]:
    """Of supply above 1 is enough; of memory 1 is flat."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        tar = _tar(Path(name) / "shard-000000.tar", load_profile("phantom").shards.size_px)
        for title, settings in (
            ("phantom", load_profile("phantom").backbone),
            ("tiny, bfloat16", COMPARISON),
            ("tiny, float32", COMPARISON.model_copy(update={"precision": "float32"})),
        ):
            rows.append(
                (f"reader: supply, {title}", _supply(tar, settings), "images/s read and cropped / trained")
            )
        rows.append(("reader: memory", _growth(tar, COMPARISON), f"resident after {EPOCHS} epochs / after 2"))
    return rows


def _supply(tar: Path, settings: BackboneSettings) -> float:
    """Time of a step over that of making its batch in this process."""
    batches = _stream(tar, settings)
    step, crops = build_step(settings), next(batches).crops
    (ratio,) = in_turns(ROUNDS, lambda: next(batches), lambda: step(crops))
    return ratio


def _growth(tar: Path, settings: BackboneSettings) -> float:
    """Of this process, from the end of the second epoch to that of the last."""
    resident = []
    for batch in _stream(tar, settings):
        if batch.position.sample == STUDIES * SLICES:
            resident.append(_resident())
        if len(resident) == EPOCHS:
            return resident[-1] / resident[1]
    raise AssertionError("a stream has no end")


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _stream(tar: Path, settings: BackboneSettings) -> Iterator[Batch]:
    alone = settings.model_copy(update={"workers": 0})
    return open_stream(CropStream([tar], alone, open_reader=EpochReader, rank=0, world=1))


def _tar(path: Path, edge_px: int) -> Path:
    """Slices that compress as MR does: smooth tissue, air, noise of a fiftieth."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for study in range(STUDIES):
            tissue = gaussian_filter(rng.normal(size=(edge_px, edge_px)), edge_px / 60)
            tissue = np.clip(600 + 500 * tissue / tissue.std(), 80, None)
            tissue[:, edge_px * 3 // 4 :] = 0
            for number in range(SLICES):
                noise = rng.normal(0, 25, (2, edge_px, edge_px))
                stored = np.hypot(tissue + noise[0], noise[1]).astype(np.uint16)
                about = json.dumps({"study_key": f"study{study:02d}"}).encode()
                for suffix, content in (
                    ("json", about),
                    (SUFFIX, encode(stored, Quantum(0.0, 1.0), (50.0, 1500.0))),
                ):
                    info = tarfile.TarInfo(f"{study:08x}{number:04x}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return path
