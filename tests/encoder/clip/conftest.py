"""Studies that can be aligned: a hidden class shows in slices of both routes and in the report."""

from __future__ import annotations

import numpy as np
import pytest

from spine_models.config import ClipSettings
from spine_models.encoder.clip.data import ClipStudy, RouteSlices

FINDINGS = ("disc bulge", "normal alignment", "facet arthropathy", "canal stenosis")
LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5")

TINY = {
    "text_model": None,
    "max_slices": 6,
    "pool_hidden": 8,
    "dim": 16,
    "max_tokens": 32,
    "vocabulary_size": 320,
    "text_dim": 16,
    "text_depth": 1,
    "text_heads": 2,
    "batch_size": 8,
    "chunk_size": 3,
    "epochs": 2,
    "lr": 3e-3,
    "checkpoint_every": 2,
    "evaluate_every": 2,
    "processes": 1,
}


def make_studies(n: int, *, seed: int = 0, prefix: str = "p") -> list[ClipStudy]:
    """Every fifth lacks T1, every seventh its report; 16 classes, dims 10 (T1) and 12 (T2)."""
    rng = np.random.default_rng(seed)
    codes = {
        route: np.random.default_rng(dim).normal(size=(16, dim)) for route, dim in (("t1", 10), ("t2", 12))
    }
    studies = []
    for i in range(n):
        label = int(rng.integers(16))
        routes = {}
        for route, code in codes.items():
            if route == "t1" and i % 5 == 4:
                continue
            size = int(rng.integers(2, 6))
            vectors = code[label] + 0.3 * rng.normal(size=(size, code.shape[1]))
            series = np.sort(rng.integers(0, 2, size))
            routes[route] = RouteSlices(vectors.astype(np.float32), series, np.zeros(size, dtype=np.int64))
        report = (
            f"FINDINGS: {LEVELS[label // 4]}: {FINDINGS[label % 4]}.\n\nIMPRESSION: {FINDINGS[label % 4]}.\n"
        )
        studies.append(
            ClipStudy(f"{prefix}{i:03d}", f"{prefix}{i:03d}", routes, "" if i % 7 == 6 else report)
        )
    return studies


@pytest.fixture(scope="session")
def clip_settings() -> ClipSettings:
    return ClipSettings.model_validate(TINY)


@pytest.fixture(scope="session")
def train_studies() -> list[ClipStudy]:
    return make_studies(24)


@pytest.fixture(scope="session")
def val_studies() -> list[ClipStudy]:
    return make_studies(12, seed=1, prefix="v")


@pytest.fixture(scope="session")
def studies_maker():
    return make_studies


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """A random BERT of 2 layers in a Hugging Face folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = sorted(
        {w for text in (*FINDINGS, "broad-based with mild . , - : 1 4 5 l s") for w in text.split()}
    )
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(names))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder
