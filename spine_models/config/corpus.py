"""Numbers of the corpus layer, archive to shards."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from spine_models.config.section import Section


class ArchiveSettings(Section):
    """Intake limits; a file over one of them is rejected with a reason, with bounded memory."""

    batch_studies: int = Field(500, ge=1)
    max_file_bytes: int = Field(2 * 1024**3, ge=1)
    max_pixel_bytes: int = Field(4 * 1024**3, ge=1)
    max_nesting: int = Field(16, ge=1)
    workers: int = Field(2, ge=1)


class DeidSettings(Section):
    """De-identification choices that a privacy officer signs."""

    dates: Literal["shift", "year_only"] = "shift"
    max_shift_days: int = Field(365, ge=1)
    hipaa_basis: Literal["safe_harbor", "expert_determination"] = "expert_determination"
    workers: int = Field(2, ge=1)


class SequenceSettings(Section):
    """Below ``min_confidence`` the classifier abstains and the series goes to route ``other``.

    Where the rules do not conclude, the header model (moved by pixels, where they are asked) must be surer than
    ``min_model_confidence``. ``pixels`` lets the middle slices speak for series that their headers leave open.
    """

    min_confidence: float = Field(0.5, ge=0, le=1)
    min_model_confidence: float = Field(0.8, ge=0, le=1)
    pixels: bool = True


class LlmSettings(Section):
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

    def with_room(self, tokens: int) -> Self:
        """The same with so many tokens for an answer, where the profile names no number."""
        return self if self.max_tokens is not None else self.model_copy(update={"max_tokens": tokens})


class LabelSettings(Section):
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


class ShardSettings(Section):
    """Preprocessing and sharding; changing a preprocessing number changes ``preprocessing_version``."""

    size_px: int = Field(224, ge=16)
    window_low_percentile: float = Field(0.5, ge=0, lt=50)
    window_high_percentile: float = Field(99.5, gt=50, le=100)
    slices_per_shard: int = Field(4096, ge=1)
    other_regions: Literal["outside", "drop"] = "outside"
    train_fraction: float = Field(0.7, gt=0, lt=1)
    val_fraction: float = Field(0.1, ge=0, lt=1)
    workers: int = Field(2, ge=1)
