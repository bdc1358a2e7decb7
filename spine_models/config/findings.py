"""Numbers of the findings layer and of the agents."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class EmbeddingSettings(Section):
    """Batching of frozen encoders; has no effect on the vectors beyond float rounding."""

    batch_size: int = Field(128, ge=1)


class ProbeSettings(Section):
    """Linear probes: folds by patient, interval by bootstrap over patients."""

    folds: int = Field(5, ge=2)
    bootstrap: int = Field(1000, ge=10)
    min_positive: int = Field(5, ge=2)
    regularisation: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1, 1.0)
    baselines: tuple[str, ...] = ("random_init", "pixel_pca", "efficientnet_lite0")
    pca_components: int = 64
    seed: int = 0


class AgentSettings(Section):
    """A calibrated probability inside ``indeterminate`` is neither present nor absent."""

    indeterminate: tuple[float, float] = (0.4, 0.6)
    evidence_slices: int = Field(3, ge=1)
