"""A network that trains in milliseconds, and shards of blobs for it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spine_models.config import BackboneSettings

TINY = {
    "model": "vit_small_patch16_dinov3",
    "image_px": 32,
    "patch_px": 8,
    "dim": 32,
    "depth": 2,
    "heads": 2,
    "registers": 2,
    "mlp": "gelu",
    "layer_scale": 1.0,
    "drop_path": 0.1,
    "prototypes": 16,
    "head_hidden": 32,
    "head_bottleneck": 16,
    "head_batch_standardise": True,
    "local_crops": 1,
    "local_px": 16,
    "batch_size": 4,
    "steps": 6,
    "warmup_steps": 2,
    "lr": 1e-3,
    "lr_schedule": "cosine",
    "precision": "float32",
    "checkpoint_every": 2,
    "probe_every": 3,
    "probe_slices": 8,
    "min_train_slices": 8,
    "teacher_temperature_steps": 3,
    "workers": 0,
    "processes": 1,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def settings() -> BackboneSettings:
    return BackboneSettings.model_validate(TINY)


def write_tar(path: Path, n_studies: int, *, size_px: int = 32, seed: int = 0) -> Path:
    """Two slices a study, each a bright blob somewhere on noise."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:size_px, :size_px]
    with tarfile.open(path, "w") as tar:
        for study in range(n_studies):
            for index in range(2):
                y, x = rng.uniform(6, size_px - 6, 2)
                image = 0.6 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 20) + rng.uniform(
                    0, 0.3, rows.shape
                )
                png = io.BytesIO()
                Image.fromarray((image * 65535).astype(np.uint16)).save(png, "PNG")
                about = json.dumps({"study_key": f"study{study}"}).encode()
                for suffix, content in (("png", png.getvalue()), ("json", about)):
                    info = tarfile.TarInfo(f"s{seed}{study:03d}-{index:04d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(scope="session")
def tars(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards") / "t1"
    return [
        write_tar(folder / "train" / "shard-000000.tar", 10, seed=1),
        write_tar(folder / "val" / "shard-000000.tar", 4, seed=2),
    ]
