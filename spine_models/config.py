"""The numbers of a profile: one frozen model per stage, read from ``profiles/<name>.yaml``.

Belongs here: every size, threshold and schedule that differs between phantom, workstation and paper.
Does not belong here: paths, endpoints, keys or anything read from the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    """Below ``min_confidence`` the classifier abstains and the series goes to route ``other``.

    Where the rules do not conclude, the header model (moved by pixels, where they are asked) must be surer than
    ``min_model_confidence``. ``pixels`` lets the middle slices speak for series that their headers leave open.
    """

    min_confidence: float = Field(0.5, ge=0, le=1)
    min_model_confidence: float = Field(0.8, ge=0, le=1)
    pixels: bool = True


class LlmSettings(_Section):
    """One language model as a labeller, served by vLLM or anything that speaks its protocol.

    ``name`` is the labeller's in every table, ``model`` what the server is asked for (and what vLLM is started
    with). ``execution_mode`` is free text that is recorded: what else changes answers at temperature 0 (engine,
    hardware). ``repeat_share`` of the studies are asked twice, for the self-check. ``max_tokens`` null: enough for
    one answer or, with a joint prompt, for all. ``concurrency`` requests are in flight.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    model: str = Field(min_length=1)
    prompts: Literal["per_condition", "joint"] = "per_condition"
    prompt_version: str = Field("v1", pattern=r"^v[0-9]+$")
    tensor_parallel: int = Field(1, ge=1)
    max_model_len: int = Field(8192, ge=256)
    dtype: str = "bfloat16"
    execution_mode: str = ""
    max_tokens: int | None = Field(None, ge=16)
    concurrency: int = Field(64, ge=1)
    timeout_s: float = Field(120.0, gt=0)
    attempts: int = Field(5, ge=1)
    malformed_retries: int = Field(1, ge=0)
    seed: int = 0
    repeat_share: float = Field(0.0, ge=0, le=1)
    serve_args: tuple[str, ...] = ()
    structured_outputs: dict[str, Any] | None = None

    @property
    def answer_tokens(self) -> int:
        """Longest answer in tokens: 256 for one condition, 2048 for all, or what ``max_tokens`` says."""
        return self.max_tokens or (256 if self.prompts == "per_condition" else 2048)


class LabelSettings(_Section):
    """Who labels, and how closely the labels are watched.

    ``not_mentioned`` is the label of a condition on which a report is silent. The audit draws
    ``audit_per_stratum`` rows per condition and stratum; a batch whose prevalence differs from the others' with
    ``drift_alpha`` after correction is told.
    """

    not_mentioned: Literal[0, -1] = 0
    rules: bool = True
    llms: tuple[LlmSettings, ...] = ()
    audit_per_stratum: int = Field(25, ge=1)
    drift_alpha: float = Field(0.01, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [llm.name for llm in self.llms]
        if len(set(names)) < len(names):
            raise ValueError(f"two labellers have one name: {', '.join(sorted(names))}")
        if taken := {"rules", "panel"} & set(names):
            raise ValueError(f"a language model cannot be named {taken.pop()!r}: that labeller exists")
        if not (self.rules or names):
            raise ValueError("no labeller: set rules: true or name a model under llms")
        return self


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
    image_px: int = Field(224, ge=16)
    patch_px: int = Field(16, ge=4)
    dim: int = Field(1024, ge=8)
    depth: int = Field(24, ge=1)
    heads: int = Field(16, ge=1)
    registers: int = Field(4, ge=0)
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    layer_scale: float = 1e-5
    drop_path: float = Field(0.3, ge=0, lt=1)
    rope_base: float = 100.0
    rope_rescale: float | None = 2.0
    pixel_mean: float = 0.25
    pixel_std: float = Field(0.25, gt=0)
    prototypes: int = Field(131072, ge=2)
    head_hidden: int = 2048
    head_bottleneck: int = 384
    head_layers: int = Field(3, ge=1)
    prototype_std: float = Field(0.02, gt=0)
    head_batch_standardise: bool = False
    dino_weight: float = 1.0
    ibot_weight: float = 1.0
    koleo_weight: float = 0.1
    global_crops: int = Field(2, ge=1)
    global_scale: tuple[float, float] = (0.32, 1.0)
    local_crops: int = Field(8, ge=0)
    local_px: int = 96
    local_scale: tuple[float, float] = (0.05, 0.32)
    crop_ratio: tuple[float, float] = (0.75, 4 / 3)
    rotation_degrees: float = Field(0.0, ge=0, le=30)
    jitter_probability: float = Field(0.8, ge=0, le=1)
    brightness: float = Field(0.4, ge=0, lt=1)
    contrast: float = Field(0.4, ge=0, lt=1)
    gamma: tuple[float, float] = (0.7, 1.4)
    blur_probability: tuple[float, float, float] = (1.0, 0.1, 0.5)
    blur_sigma_px: tuple[float, float] = (0.1, 2.0)
    mask_probability: float = Field(0.5, ge=0, le=1)
    mask_ratio: tuple[float, float] = (0.1, 0.5)
    batch_size: int = Field(100, ge=2)
    steps: int = Field(187500, ge=1)
    warmup_steps: int = Field(12500, ge=0)
    lr: float = Field(1.25e-4, gt=0)
    lr_schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.04
    layer_decay: float = Field(0.9, gt=0, le=1)
    clip_grad: float = Field(10.0, gt=0)
    max_skipped_steps: int = Field(10, ge=1)
    ema_momentum: float = 0.994
    ema_momentum_end: float = 0.994
    student_temperature: float = Field(0.1, gt=0)
    teacher_temperature: float = Field(0.04, gt=0)
    teacher_temperature_end: float = Field(0.07, gt=0)
    teacher_temperature_steps: int = 37500
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    checkpoint_every: int = Field(1000, ge=1)
    probe_every: int = Field(500, ge=1)
    probe_slices: int = Field(96, ge=8)
    min_train_slices: int = Field(64, ge=1)
    workers: int = Field(8, ge=0)
    processes: int = Field(4, ge=1)
    seed: int = 0


class GramSettings(_Section):
    """Gram anchoring, the stage after pretraining. What is not named here is as in ``BackboneSettings``.

    ``px`` is the edge of the Gram teacher's crops, ``image_px`` that of the student's (null: the backbone's). The
    slices must have ``px`` real pixels in the smallest global crop; a ``global_scale`` of its own (null: the
    backbone's) that leaves out small crops asks for less. The Gram teacher is replaced by the EMA teacher after
    ``first_refresh`` steps and every ``refresh_every`` steps from there on, at most ``max_refreshes`` times. ``lr``
    null takes the backbone's; teacher temperature is the backbone's last.
    """

    weight: float = Field(2.0, ge=0)
    px: int = Field(448, ge=16)
    image_px: int | None = Field(None, ge=16)
    global_scale: tuple[float, float] | None = None
    image_level: bool = True
    normalised: bool = True
    remove_negative: bool = False
    remove_only_teacher_negative: bool = False
    refresh_every: int = Field(5000, ge=1)
    first_refresh: int = Field(5000, ge=1)
    max_refreshes: int = Field(3, ge=0)
    steps: int = Field(75000, ge=1)
    warmup_steps: int = Field(0, ge=0)
    lr: float | None = Field(None, gt=0)
    ema_momentum: float = Field(0.999, ge=0, le=1)
    beta2: float = Field(0.99, gt=0, lt=1)
    layer_decay: float = Field(0.98, gt=0, le=1)
    seed: int = 1

    @model_validator(mode="after")
    def _one_removal(self) -> Self:
        if self.remove_negative and self.remove_only_teacher_negative:
            raise ValueError("gram: remove_negative and remove_only_teacher_negative exclude each other")
        return self


class SynthesizerSettings(_Section):
    """Self-supervised training of the gates that mix two frozen encoders.

    What both trainings have is that of the backbone, but for the numbers named here alike.
    """

    variant: Literal["conditional", "scalar", "t1_only", "t2_only"] = "conditional"
    hidden: int = Field(256, ge=1)
    batch_size: int = Field(64, ge=2)
    steps: int = Field(37500, ge=1)
    warmup_steps: int = Field(2500, ge=0)
    lr: float = Field(1.25e-4, gt=0)
    lr_schedule: Literal["constant", "cosine"] = "cosine"
    ema_momentum: float = Field(0.994, ge=0, lt=1)
    ema_momentum_end: float = Field(0.994, ge=0, lt=1)
    teacher_temperature_steps: int = Field(7500, ge=0)
    checkpoint_every: int = Field(1000, ge=1)
    probe_every: int = Field(500, ge=1)
    seed: int = 0


ClipVariant = Literal["tri_modal", "bi_modal", "concat"]


class ClipSettings(_Section):
    """Alignment of frozen slice vectors with reports; every default is the paper's where it gives one.

    ``text_model`` is a local folder or a name for transformers, kept frozen (``text_revision`` pins a name); null
    trains a small text encoder and its vocabulary on the reports of the train split. ``batch_size`` studies per
    process are contrasted, ``chunk_size`` of them in memory at a time. ``image_image_weight`` adds T1 with T2 to
    ``tri_modal``.
    """

    variant: ClipVariant = "tri_modal"
    image_image_weight: float = Field(0.0, ge=0)
    max_slices: int = Field(64, ge=1)
    pool_hidden: int = Field(256, ge=1)
    pool_dropout: float = Field(0.25, ge=0, lt=1)
    dim: int = Field(1024, ge=2)
    temperature: float = Field(0.07, gt=0)
    max_scale: float = Field(100.0, gt=1)
    text_model: str | None = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
    text_revision: str | None = None
    max_tokens: int = Field(512, ge=8)
    vocabulary_size: int = Field(2048, ge=300)
    text_dim: int = Field(256, ge=8)
    text_depth: int = Field(2, ge=1)
    text_heads: int = Field(4, ge=1)
    text_dropout: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(80, ge=2)
    chunk_size: int = Field(80, ge=1)
    epochs: int = Field(5, ge=1)
    warmup_steps: int = Field(0, ge=0)
    lr: float = Field(4e-5, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_grad: float = Field(1.0, gt=0)
    max_skipped_steps: int = Field(10, ge=1)
    checkpoint_every: int = Field(500, ge=1)
    evaluate_every: int = Field(500, ge=1)
    min_train_studies: int = Field(8, ge=2)
    processes: int = Field(4, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.text_dim % self.text_heads:
            raise ValueError(f"text_dim {self.text_dim} is no multiple of text_heads {self.text_heads}")
        return self


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
    labels: LabelSettings = LabelSettings()
    shards: ShardSettings = ShardSettings()
    backbone: BackboneSettings = BackboneSettings()
    gram: GramSettings = GramSettings()
    synthesizer: SynthesizerSettings = SynthesizerSettings()
    clip: ClipSettings = ClipSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    probes: ProbeSettings = ProbeSettings()
    agents: AgentSettings = AgentSettings()


def load_profile(name: str) -> Profile:
    """Read ``profiles/<name>.yaml``, or the YAML file that ``name`` points to.

    A profile may start from another one, ``extends: phantom``: its sections then replace that one's, whole.

    Raises:
        ValueError: no such profile (lists the known ones), profiles that extend each other, or a number that the
            model refuses.
    """
    return Profile.model_validate(_document(name, ()))


def _document(name: str, below: tuple[str, ...]) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise ValueError(f"no profile {name!r}: choose one of {known}, or give the path of a YAML file")
    if name in below:
        raise ValueError(f"profiles extend each other: {' -> '.join((*below, name))}")
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    parent = document.pop("extends", None)
    return document if parent is None else _document(str(parent), (*below, name)) | document
