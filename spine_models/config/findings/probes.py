"""Numbers of the probes."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class ProbeSettings(Section):
    """Probes: folds by patient, interval by bootstrap over patients; fields ``mil*`` are the attention head's."""

    folds: int = Field(5, ge=2)
    bootstrap: int = Field(1000, ge=10)
    min_positive: int = Field(5, ge=2)
    regularisation: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1, 1.0)
    weights: str | None = None
    """Folder of weights of ``timm:`` baselines, by model name; the libraries' caches are looked into besides."""

    baselines: tuple[str, ...] = ("random_init", "pixel_pca", "efficientnet_lite0")
    pca_components: int = 64
    specificity: float = Field(0.9, gt=0, lt=1)
    """At which sensitivity is read, and for which the agents' operating thresholds are chosen."""

    mil: bool = True
    mil_sets: tuple[str, ...] = ("all",)
    mil_slices: int = Field(40, ge=1)
    """Most slices of a study, dealt evenly over its series."""
    mil_dim: int = Field(64, ge=1)
    mil_dropout: float = Field(0.25, ge=0, lt=1)
    mil_decay: tuple[float, ...] = (0.01, 1.0)
    mil_epochs: int = Field(20, ge=1)
    """Most epochs; how many are run is chosen on inner folds."""

    seed: int = 0
