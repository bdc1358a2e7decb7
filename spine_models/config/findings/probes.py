"""Numbers of the probes."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class ProbeSettings(Section):
    """Linear probes: folds by patient, interval by bootstrap over patients."""

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

    seed: int = 0
