"""Numbers of the attribution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spine_models.config.section import Section

SaliencyMethod = Literal["tokens", "gradients", "occlusion", "masking"]


class AttributionSettings(Section):
    """Numbers of the attribution.

    Attributes:
        top_slices: slices of each series that the weights keep by name; series are kept whole.
        methods: saliency methods that are judged.
        max_slices: judged slices of a condition, drawn from the test patients.
        curve_steps: steps of a deletion or insertion curve between nothing and everything.
        random_orders: random orders that a method is compared with; chance is their mean.
        gradient_steps: points on the way of integrated gradients.
        blur_patches: standard deviation of the blurred slice that stands for "nothing to see", in patches.
        widen_patches: patches that a box is widened by on every side; a finding ends between two patches.
        batch_size: slices that go through an encoder at once; no effect beyond float rounding.
        bootstrap: draws of patients.
    """

    top_slices: int = Field(3, ge=0)
    methods: tuple[SaliencyMethod, ...] = ("tokens", "gradients", "occlusion", "masking")
    max_slices: int = Field(60, ge=1)
    curve_steps: int = Field(10, ge=1)
    random_orders: int = Field(3, ge=1)
    gradient_steps: int = Field(16, ge=1)
    blur_patches: float = Field(1.0, gt=0)
    widen_patches: float = Field(0.5, ge=0)
    batch_size: int = Field(64, ge=1)
    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
