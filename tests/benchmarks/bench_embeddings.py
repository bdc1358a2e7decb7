"""Embeddings and probes: what reading costs beside encoding, what reuse, batching and the shared solver are worth.

Belongs here: ratios of two ways to the same result, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import torch
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))

from timing import in_turns

from spine_models.config import EmbeddingSettings, load_profile
from spine_models.corpus.shards.codec import SUFFIX, decode, encode
from spine_models.corpus.shards.members import Member, write_sidecar
from spine_models.corpus.shards.preprocess import Quantum
from spine_models.corpus.shards.tables import SLICES
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.train import untrained
from spine_models.findings.embeddings import (
    embed_slices,
    missing_vectors,
    pool_series,
    pool_studies,
    stored_images,
)
from spine_models.findings.probes import efficientnet
from spine_models.findings.probes.logistic import Basis, fit

REUSED = 256
STUDIES, PER_STUDY = 100, 6
ROUNDS = 3


def bench() -> list[tuple[str, float, str]]:
    """All ratios; above 1 the second way is faster."""
    return [*_throughput(), *_reuse(), _folding(), _solver()]


def _throughput() -> list[tuple[str, float, str]]:
    """A batch from its shards to study vectors, against the encoder alone on the same images in memory."""
    settings = load_profile("phantom").backbone
    numbers = EmbeddingSettings()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        untrained(settings, root / "encoder", route="t1")
        encoder = load_encoder(root / "encoder")
        table = _stored_batch(root / "tars", settings.image_px)
        images = np.stack([image for _, image in stored_images(table, root / "tars")])

        def bare() -> None:
            for start in range(0, len(images), numbers.batch_size):
                encoder.encode(images[start : start + numbers.batch_size])

        def refresh(previous: pl.DataFrame | None = None) -> pl.DataFrame:
            vectors, _ = embed_slices(
                table,
                shard_root=root / "tars",
                encoders={"t1": encoder},
                previous=previous,
                settings=numbers,
                journal=root / "journal",
            )
            (root / "journal").unlink()
            pool_studies(pool_series(vectors))
            assert missing_vectors(table, vectors, {"t1": encoder}) == 0
            return vectors

        whole = refresh()
        old = whole.filter(pl.col("study_key") != whole["study_key"][-1])
        full, some, nothing = in_turns(ROUNDS, bare, refresh, lambda: refresh(old), lambda: refresh(whole))
        share = (whole.height - old.height) / whole.height
        return [
            (
                "embed: throughput",
                1 / full,
                f"slices/s from shards to studies / encoder alone, {len(images)}",
            ),
            (f"embed: refresh with {share:.0%} new", some / full, "all from scratch = 1"),
            ("embed: refresh with nothing new", nothing / full, "all from scratch = 1"),
        ]


def _stored_batch(root: Path, edge_px: int) -> pl.DataFrame:
    """shards.SLICES of one tar as the shards stage writes it, of slices that compress as MR does."""
    rng = np.random.default_rng(0)
    rows, members = [], []
    tar_path = root / "t1" / "train" / "shard-000000.tar"
    tar_path.parent.mkdir(parents=True)
    with tarfile.open(tar_path, "w") as tar:
        for study in range(STUDIES):
            tissue = gaussian_filter(rng.normal(size=(edge_px, edge_px)), edge_px / 60)
            tissue = np.clip(600 + 500 * tissue / tissue.std(), 80, None)
            for number in range(PER_STUDY):
                noise = rng.normal(0, 25, (2, edge_px, edge_px))
                stored = np.hypot(tissue + noise[0], noise[1]).astype(np.uint16)
                content = encode(stored, Quantum(0.0, 1.0), (50.0, 1500.0))
                key = f"{study:08x}-{number:04x}"
                info = tarfile.TarInfo(f"{key}.{SUFFIX}")
                info.size = len(content)
                members.append(
                    Member(key, f"s{study}", SUFFIX, tar.fileobj.tell() + tarfile.BLOCKSIZE, len(content))
                )
                tar.addfile(info, io.BytesIO(content))
                shown = decode(content).windowed()
                rows.append(
                    {
                        "batch_key": "b",
                        "patient_key": f"p{study}",
                        "study_key": f"s{study:03d}",
                        "series_key": f"x{study:03d}",
                        "slice_key": key,
                        "route": "t1",
                        "plane": "sagittal",
                        "shard": "t1/train/shard-000000.tar",
                        "pixel_hash": hashlib.sha256(shown.astype("<u2").tobytes()).hexdigest(),
                        "preprocessing_version": "p1",
                    }
                )
    write_sidecar(tar_path, members)
    return pl.DataFrame(rows, schema=SLICES)


def _reuse() -> list[tuple[str, float, str]]:
    settings = load_profile("phantom").backbone
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        untrained(settings, root / "encoder", route="t1")
        encoder = load_encoder(root / "encoder")
        members = [
            {
                "patient": f"p{i // 8}",
                "study": f"s{i // 8}",
                "series": f"x{i // 8}",
                "route": "t1",
                "slice": f"i{i:04d}-0000",
            }
            for i in range(REUSED)
        ]
        batch = _fixtures().write_batch(root / "tars", members, size=settings.image_px)

        def embed(previous: object = None, batch_size: int = 128) -> object:
            numbers = EmbeddingSettings(batch_size=batch_size)
            return embed_slices(
                batch.table,
                shard_root=batch.root,
                encoders={"t1": encoder},
                previous=previous,
                settings=numbers,
            )[0]

        whole = embed()
        seven_eighths = whole.head(REUSED * 7 // 8)
        nothing, some, alone = in_turns(
            ROUNDS,
            embed,
            lambda: embed(whole),
            lambda: embed(seven_eighths),
            lambda: embed(batch_size=1),
        )
        return [
            (
                "embed: rerun with nothing new",
                1 / nothing,
                f"{REUSED} slices from scratch / all of them reused",
            ),
            ("embed: rerun with 1/8 stale", 1 / some, "all from scratch / seven eighths reused"),
            ("embed: batching", alone, "one slice a call / 128 a call"),
        ]


def _folding() -> tuple[str, float, str]:
    images = np.random.default_rng(0).integers(0, 65536, (16, 112, 112)).astype(np.uint16)
    plain, folded = efficientnet.pretrained(), efficientnet.EfficientNetLite0()

    @torch.inference_mode()
    def packaged() -> None:
        for start in range(0, len(images), efficientnet.CHUNK):
            plain.extract_features(
                efficientnet.network_input(images[start : start + efficientnet.CHUNK])
            ).mean((2, 3))

    (ratio,) = in_turns(ROUNDS, lambda: folded.encode(images, "t1"), packaged)
    return "EfficientNet-lite0 features", ratio, "network as packaged / folded"


def _solver() -> tuple[str, float, str]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 768))
    labels = (rng.random((120, 17)) < 0.3).astype(int)
    strengths = load_profile("phantom").probes.regularisation
    standard = (values - values.mean(0)) / values.std(0)

    def ours() -> None:
        fit(Basis.of(values), np.repeat(labels, len(strengths), axis=1), np.tile(strengths, 17))

    def theirs() -> None:
        for condition in range(17):
            for strength in strengths:
                LogisticRegression(C=strength, tol=1e-6, max_iter=5000).fit(standard, labels[:, condition])

    (ratio,) = in_turns(ROUNDS, ours, theirs)
    return "probes: 17 conditions x 5 strengths", ratio, "scikit-learn one by one / shared basis"


def _fixtures() -> ModuleType:
    path = Path(__file__).parents[1] / "findings" / "conftest.py"
    spec = importlib.util.spec_from_file_location("findings_fixtures", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
