"""The numbers of a profile: one frozen model per stage, read from ``profiles/<name>.yaml``.

Belongs here: every size, threshold and schedule that differs between phantom, workstation and paper.
Does not belong here: paths, endpoints, keys or anything read from the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

PROFILES: Final[Path] = Path(__file__).parent / "profiles"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveSettings(_Section):
    """Intake limits; a file over one of them is rejected with a reason, with bounded memory."""

    batch_studies: int = Field(500, ge=1)
    max_file_bytes: int = Field(2 * 1024**3, ge=1)
    max_pixel_bytes: int = Field(4 * 1024**3, ge=1)
    max_nesting: int = Field(16, ge=1)
    workers: int = Field(2, ge=1)


class DeidSettings(_Section):
    """De-identification choices that a privacy officer signs."""

    dates: Literal["shift", "year_only"] = "shift"
    max_shift_days: int = Field(365, ge=1)
    hipaa_basis: Literal["safe_harbor", "expert_determination"] = "expert_determination"
    workers: int = Field(2, ge=1)


class SequenceSettings(_Section):
    """Below ``min_confidence`` the classifier abstains and the series goes to route ``other``."""

    min_confidence: float = Field(0.5, ge=0, le=1)


class ShardSettings(_Section):
    """Preprocessing and sharding; changing a preprocessing number changes ``preprocessing_version``."""

    size_px: int = Field(224, ge=16)
    window_low_percentile: float = Field(0.5, ge=0, lt=50)
    window_high_percentile: float = Field(99.5, gt=50, le=100)
    slices_per_shard: int = Field(4096, ge=1)
    other_regions: Literal["outside", "drop"] = "outside"
    train_fraction: float = Field(0.7, gt=0, lt=1)
    val_fraction: float = Field(0.1, ge=0, lt=1)
    workers: int = Field(2, ge=1)


class BackboneSettings(_Section):
    """DINOv3-style pretraining of one route. Lengths are in steps, never in seconds."""

    model: str = "vit_large_patch16_dinov3"
    image_px: int = 224
    patch_px: int = 16
    dim: int = 1024
    depth: int = 24
    heads: int = 16
    registers: int = 4
    layer_scale: float = 1e-5
    drop_path: float = 0.3
    rope_base: float = 100.0
    rope_rescale: float | None = 2.0
    prototypes: int = 131072
    head_hidden: int = 2048
    head_bottleneck: int = 384
    head_layers: int = 3
    head_batch_standardise: bool = False
    dino_weight: float = 1.0
    ibot_weight: float = 1.0
    koleo_weight: float = 0.1
    global_crops: int = 2
    global_scale: tuple[float, float] = (0.32, 1.0)
    local_crops: int = 8
    local_px: int = 96
    local_scale: tuple[float, float] = (0.05, 0.32)
    rotation_degrees: float = 0.0
    mask_probability: float = 0.5
    mask_ratio: tuple[float, float] = (0.1, 0.5)
    batch_size: int = 100
    steps: int = 187500
    warmup_steps: int = 12500
    lr: float = 1.25e-4
    lr_schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.04
    layer_decay: float = 0.9
    clip_grad: float = 10.0
    ema_momentum: float = 0.994
    ema_momentum_end: float = 0.994
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    teacher_temperature_end: float = 0.07
    teacher_temperature_steps: int = 37500
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    checkpoint_every: int = 1000
    probe_every: int = 500
    min_train_slices: int = 64
    workers: int = 8
    processes: int = 4
    seed: int = 0


class EmbeddingSettings(_Section):
    """Batching of frozen encoders; has no effect on the vectors beyond float rounding."""

    batch_size: int = Field(128, ge=1)


class ProbeSettings(_Section):
    """Linear probes: folds by patient, interval by bootstrap over patients."""

    folds: int = Field(5, ge=2)
    bootstrap: int = Field(1000, ge=10)
    min_positive: int = Field(5, ge=2)
    regularisation: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1, 1.0)
    baselines: tuple[str, ...] = ("random_init", "pixel_pca", "efficientnet_lite0")
    pca_components: int = 64
    seed: int = 0


class AgentSettings(_Section):
    """A calibrated probability inside ``indeterminate`` is neither present nor absent."""

    indeterminate: tuple[float, float] = (0.4, 0.6)
    evidence_slices: int = Field(3, ge=1)


class Profile(_Section):
    """All numbers of one size of the system."""

    name: str
    archive: ArchiveSettings = ArchiveSettings()
    deid: DeidSettings = DeidSettings()
    sequences: SequenceSettings = SequenceSettings()
    shards: ShardSettings = ShardSettings()
    backbone: BackboneSettings = BackboneSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    probes: ProbeSettings = ProbeSettings()
    agents: AgentSettings = AgentSettings()


def load_profile(name: str) -> Profile:
    """Read ``profiles/<name>.yaml``, or the YAML file that ``name`` points to.

    Raises:
        ValueError: no such profile (lists the known ones), or a number that the model refuses.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise ValueError(f"no profile {name!r}: choose one of {known}, or give the path of a YAML file")
    return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
