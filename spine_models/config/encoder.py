"""Numbers of the encoder layer; every default is the paper's where it gives one."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from spine_models.config.section import Section

FREE_ON_RESUME: Final = frozenset(
    {"corrupt_shards", "activation_checkpointing", "compile", "compile_backend", "parallel", "snapshots"}
)
"""Settings that a run may go on with others of: what a step computes does not depend on them beyond rounding."""


class BackboneSettings(Section):
    """DINOv3-style pretraining of one route. Lengths are in steps, never in seconds.

    The prototypes of both heads stand still for the first ``freeze_last_layer_steps`` (DINO's one epoch).

    ``sampling`` says what weighs the same in the stream: every study (long ones do not dominate) or every slice. With
    ``corrupt_shards: skip`` a shard that cannot be read is left out and named on the card; "stop" stops training.

    ``activation_checkpointing`` computes the student's blocks a second time instead of keeping what is inside them,
    ``compile`` compiles them, ``parallel: fsdp2`` deals weights, gradients and moments over the processes. None of
    these changes what is learned beyond rounding, and a run may go on with others of them.

    ``start`` is a folder or file on disk that holds a DINOv3 ViT of this shape (safetensors of transformers, timm or
    an encoder of ours), whose weights training begins with; null begins with random ones. Nothing is downloaded.

    After the steps named in ``snapshots`` of pretraining the encoder as it is then is published beside the finished
    one, so that what training brings can be drawn against its length.
    """

    model: str = "vit_large_patch16_dinov3"
    start: str | None = None
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
    sampling: Literal["study", "slice"] = "study"
    corrupt_shards: Literal["stop", "skip"] = "stop"
    steps: int = Field(187500, ge=1)
    warmup_steps: int = Field(12500, ge=0)
    lr: float = Field(1.25e-4, gt=0)
    lr_schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.04
    layer_decay: float = Field(0.9, gt=0, le=1)
    freeze_last_layer_steps: int = Field(0, ge=0)
    clip_grad: float = Field(10.0, gt=0)
    max_skipped_steps: int = Field(10, ge=1)
    ema_momentum: float = 0.994
    ema_momentum_end: float = 0.994
    student_temperature: float = Field(0.1, gt=0)
    teacher_temperature: float = Field(0.04, gt=0)
    teacher_temperature_end: float = Field(0.07, gt=0)
    teacher_temperature_steps: int = 37500
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    activation_checkpointing: bool = False
    compile: bool = False
    compile_backend: str = "inductor"
    parallel: Literal["ddp", "fsdp2"] = "ddp"
    checkpoint_every: int = Field(1000, ge=1)
    snapshots: tuple[int, ...] = ()
    probe_every: int = Field(500, ge=1)
    probe_slices: int = Field(96, ge=8)
    min_train_slices: int = Field(64, ge=1)
    workers: int = Field(8, ge=0)
    processes: int = Field(4, ge=1)
    seed: int = 0


class GramSettings(Section):
    """Gram anchoring, the stage after pretraining. What is not named here is as in ``BackboneSettings``.

    ``px`` is the edge of the Gram teacher's crops, ``image_px`` that of the student's (null: the backbone's). The
    slices must have ``px`` real pixels in the smallest global crop; a ``global_scale`` of its own (null: the
    backbone's) that leaves out small crops asks for less. The Gram teacher is replaced by the EMA teacher after
    ``first_refresh`` steps and every ``refresh_every`` steps from there on, at most ``max_refreshes`` times. ``lr``
    null takes the backbone's; teacher temperature is the backbone's last. ``tokens`` are those that are compared:
    all, or those that the student does or does not see masked. With 0 ``steps`` the encoder is passed on
    as it is.
    """

    weight: float = Field(2.0, ge=0)
    px: int = Field(448, ge=16)
    image_px: int | None = Field(None, ge=16)
    global_scale: tuple[float, float] | None = None
    tokens: Literal["all", "masked", "unmasked"] = "all"
    image_level: bool = True
    normalised: bool = True
    remove_negative: bool = False
    remove_only_teacher_negative: bool = False
    refresh_every: int = Field(5000, ge=1)
    first_refresh: int = Field(5000, ge=1)
    max_refreshes: int = Field(3, ge=0)
    steps: int = Field(75000, ge=0)
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


class AlignSettings(Section):
    """The synthesizer's second stage: its gates, a pooler and a projection trained against a trained clip's reports.

    Of each study ``slices`` are drawn at every step, from the series of ``routes``. ``batch_size`` studies per process
    are contrasted, ``chunk_size`` of them in memory at a time. Loss, temperature and text side are clip's. Without
    ``train_gates`` the gates stay as they are, which shows what training them adds.
    """

    routes: Literal["all", "other"] = "all"
    train_gates: bool = True
    slices: int = Field(8, ge=1)
    pool_hidden: int = Field(256, ge=1)
    pool_dropout: float = Field(0.25, ge=0, lt=1)
    mask_alike: bool = True
    batch_size: int = Field(80, ge=2)
    chunk_size: int = Field(8, ge=1)
    epochs: int = Field(5, ge=1)
    warmup_steps: int = Field(0, ge=0)
    lr: float = Field(4e-5, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_grad: float = Field(1.0, gt=0)
    max_skipped_steps: int = Field(10, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    evaluate_every: int = Field(500, ge=1)
    min_train_studies: int = Field(8, ge=2)
    seed: int = 0


class SynthesizerSettings(Section):
    """Self-supervised training of the gates that mix two frozen encoders; ``align`` is the stage after it.

    What both trainings have is that of the backbone, but for the numbers named here alike. The gates of
    ``exported_slices`` slices of every series make the exported table.
    """

    variant: Literal["conditional", "scalar", "t1_only", "t2_only"] = "conditional"
    hidden: int = Field(256, ge=1)
    exported_slices: int = Field(4, ge=1)
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
    align: AlignSettings = AlignSettings()


ClipVariant = Literal["tri_modal", "bi_modal", "concat"]


class ClipSettings(Section):
    """Alignment of frozen slice vectors with reports; every default is the paper's where it gives one.

    ``text_model`` is a local folder or a name for transformers, kept frozen (``text_revision`` pins a name); null
    trains a small text encoder and its vocabulary on the reports of the train split. ``batch_size`` studies per
    process are contrasted, ``chunk_size`` of them in memory at a time. ``image_image_weight`` adds T1 with T2 to
    ``tri_modal``. ``mask_alike`` leaves pairs of studies of one patient, or with word for word the same report, out of
    the contrast, and out of the rivals where retrieval is measured.
    """

    variant: ClipVariant = "tri_modal"
    image_image_weight: float = Field(0.0, ge=0)
    max_slices: int = Field(64, ge=1)
    pool_hidden: int = Field(256, ge=1)
    pool_dropout: float = Field(0.25, ge=0, lt=1)
    dim: int = Field(1024, ge=2)
    temperature: float = Field(0.07, gt=0)
    max_scale: float = Field(100.0, gt=1)
    mask_alike: bool = True
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
