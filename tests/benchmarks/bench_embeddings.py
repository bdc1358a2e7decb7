"""Embeddings and probes: what reuse, batching, folding and the shared solver are worth.

Belongs here: ratios of two ways to the same result, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))

from timing import in_turns

from spine_models.config import EmbeddingSettings, load_profile
from spine_models.encoder.backbone.encoder import load_encoder
from spine_models.encoder.backbone.train import untrained
from spine_models.findings.embeddings import embed_slices
from spine_models.findings.probes import efficientnet
from spine_models.findings.probes.logistic import Basis, fit

SLICES = 256
ROUNDS = 3


def bench() -> list[tuple[str, float, str]]:
    """All ratios; above 1 the second way is faster."""
    return [*_reuse(), _folding(), _solver()]


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
            for i in range(SLICES)
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
        seven_eighths = whole.head(SLICES * 7 // 8)
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
                f"{SLICES} slices from scratch / all of them reused",
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
