"""Numbers of the report model; every default is the paper's where it gives one."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from spine_models.config.section import Section


class TinyDecoderSettings(Section):
    """The decoder that is trained where none is named: a vocabulary and a small Llama, on train patients' texts.

    ``batch_size`` texts make a step, each cut at ``window`` tokens. A token of a question counts ``asked_weight``, one
    of an answer 1.
    """

    vocabulary_size: int = Field(1024, ge=300)
    dim: int = Field(128, ge=8)
    depth: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    hidden: int = Field(352, ge=8)
    steps: int = Field(1000, ge=0)
    batch_size: int = Field(16, ge=1)
    window: int = Field(512, ge=32)
    asked_weight: float = Field(0.1, ge=0, le=1)
    lr: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_grad: float = Field(1.0, gt=0)
    max_skipped_steps: int = Field(10, ge=1)
    checkpoint_every: int = Field(200, ge=1)
    min_train_texts: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} is no even multiple of heads {self.heads}")
        return self


class LlavaStageSettings(Section):
    """One of the two trainings: its rate, and how many examples a step sees.

    ``batch_size`` examples make a step, over all processes; ``micro_batch`` of them lie in one process's memory at a
    time. The rate rises over ``warmup_share`` of the steps and falls as a cosine to 0.
    """

    lr: float = Field(gt=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    micro_batch: int = Field(4, ge=1)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_grad: float = Field(1.0, gt=0)
    max_skipped_steps: int = Field(10, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    evaluate_every: int = Field(200, ge=1)


class LlavaWarmSettings(LlavaStageSettings):
    """The projector alone."""

    lr: float = Field(1e-3, gt=0)
    epochs: int = Field(2, ge=1)
    batch_size: int = Field(64, ge=1)


class LlavaTuneSettings(LlavaStageSettings):
    """Projector, special tokens and LoRA."""

    lr: float = Field(2e-5, gt=0)
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(96, ge=1)


class LlavaSettings(Section):
    """The report model: slice vectors through a projector into a Llama decoder.

    ``decoder`` is the name of a folder of ``SPINE_ROOT/models``; null trains the one of ``tiny``. Of a study
    ``max_slices`` go into ``queries`` tokens. At every epoch it is drawn anew what stands above a report: the images
    alone (``image_only_share``), what the report itself says (``known_share``), or else what the agents say of the
    study without having been fitted to it. ``items_per_study`` instruction items of a study at most are drawn an epoch.

    The text of the tuned model stands in drafts where at least ``fit_share`` of the claims that it was given are said
    in its text on studies that it was not trained on (at most ``fit_studies`` of them, and no fewer than
    ``min_fit_claims`` claims), and at most ``fit_added`` of what it says is no claim.
    """

    decoder: str | None = "Llama-3.1-8B-Instruct"
    tiny: TinyDecoderSettings = TinyDecoderSettings()
    queries: int = Field(64, ge=1)
    heads: int = Field(8, ge=1)
    max_slices: int = Field(64, ge=1)
    lora_r: int = Field(128, ge=1)
    lora_alpha: int = Field(256, ge=1)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    warm: LlavaWarmSettings = LlavaWarmSettings()
    tune: LlavaTuneSettings = LlavaTuneSettings()
    max_length: int = Field(8096, ge=128)
    max_new_tokens: int = Field(1024, ge=1)
    generated_at_a_time: int = Field(8, ge=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    activation_checkpointing: bool = True
    image_only_share: float = Field(0.3, ge=0, le=1)
    known_share: float = Field(0.35, ge=0, le=1)
    items_per_study: int = Field(8, ge=0)
    min_train_studies: int = Field(8, ge=2)
    fit_share: float = Field(0.9, ge=0, le=1)
    fit_added: float = Field(0.1, ge=0, le=1)
    fit_studies: int = Field(64, ge=1)
    min_fit_claims: int = Field(20, ge=1)
    processes: int = Field(4, ge=1)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.image_only_share + self.known_share > 1:
            raise ValueError("image_only_share and known_share are more than all examples together")
        return self
