"""Where in a slice a head looks: maps of patches, in calibrated logits.

- ``tokens``: the slice vector is CLS, mean and maximum of the patch tokens, so mean and maximum part of the score fall
  apart over patches exactly; the CLS part is shared out by gradient times (slice - blurred slice).
- ``gradients``: integrated gradients (Sundararajan 2017) of the whole score from the blurred slice to the slice.
- ``occlusion``: what the score loses when a patch is replaced by the blurred slice (Zeiler 2014).
- ``masking``: what it loses when the patch's token is replaced by the encoder's own mask token.

A token has seen the whole slice, so that where its share lies is not where its evidence lies for certain: which of the
maps is to be believed is measured (``judge``), not presumed. Nothing is drawn; a map depends on slice and head alone.

Belongs here: maps. Does not belong here: how good they are, pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spine_models.config import AttributionSettings
from spine_models.config.findings.attribution import SaliencyMethod
from spine_models.encoder.backbone.vit import Tokens
from spine_models.encoder.synthesizer.encode import slice_vector
from spine_models.findings.attribution.sight import Sight, SliceHead
from spine_models.findings.attribution.terms import AttributionError

METHODS: tuple[str, ...] = get_args(SaliencyMethod)


def saliency_map(
    sight: Sight, head: SliceHead, array: np.ndarray, method: SaliencyMethod, settings: AttributionSettings
) -> np.ndarray:
    """The map of one head; ``saliency_maps``."""
    return saliency_maps(sight, [head], array, method, settings)[0]


def saliency_maps(
    sight: Sight,
    heads: Sequence[SliceHead],
    array: np.ndarray,
    method: SaliencyMethod,
    settings: AttributionSettings,
) -> np.ndarray:
    """Maps of several heads of one route.

    Args:
        sight: the route's encoder.
        heads: for single slices of that route.
        array: uint16 [S, S], as the shards store a slice.
        method: see above.
        settings: width of the blur, steps of integrated gradients.

    Returns:
        float64 [K, h, w] over the patches, in calibrated logits; positive speaks for the condition.

    Raises:
        AttributionError: a slice of another dtype or shape, or a map that is not finite.
        ValueError: no such method.
    """
    image = sight.image(array)
    blurred = sight.blurred(image, settings.blur_patches)
    if method in ("occlusion", "masking"):
        found = _lost(sight, heads, image, blurred if method == "occlusion" else None)
    elif method == "tokens":
        found = _token_maps(sight, heads, image, blurred)
    elif method == "gradients":
        found = _integrated(sight, heads, image, blurred, settings.gradient_steps)
    else:
        raise ValueError(f"no saliency method {method!r}: choose one of {', '.join(METHODS)}")
    if not np.isfinite(found).all():
        raise AttributionError(
            f"a saliency map of route {sight.route!r} is not finite: the encoder's weights or the heads are damaged"
        )
    return found


def token_shares(tokens: Tokens, head: SliceHead) -> tuple[float, np.ndarray, np.ndarray]:
    """The score of one slice against the average, in its three parts.

    Args:
        tokens: of one image.
        head: for single slices.

    Returns:
        The CLS part, and the parts of mean and of maximum by patch, float64 [P] each. Their sum is
        ``head.logits(vector) - head.constant``. Patches that share a maximum share its weight.
    """
    cls = tokens.cls[0].detach().cpu().numpy().astype(np.float64)
    patches = tokens.patches[0].detach().cpu().numpy().astype(np.float64)
    of_cls, of_mean, of_max = np.split(head.weights, 3)
    centre_cls, centre_mean, centre_max = np.split(head.centre, 3)
    highest = patches.max(axis=0)
    holds = patches == highest
    by_max = (holds / holds.sum(axis=0)) @ ((highest - centre_max) * of_max)
    by_mean = (patches - centre_mean) @ of_mean / len(patches)
    return float((cls - centre_cls) @ of_cls), by_mean, by_max


def upsampled(found: np.ndarray, size_px: int) -> np.ndarray:
    """A map [h, w] of patches as float32 [size, size] over the slice's pixels, bilinear between patch centres."""
    plain = torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))[None, None]
    size = (size_px, size_px)
    return functional.interpolate(plain, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()


def composed(image: Tensor, blurred: Tensor, shown: Tensor, patch_px: int) -> Tensor:
    """Images [N, 1, s, s] that are the slice where ``shown`` bool [N, h, w] and the blurred slice elsewhere."""
    pixels = shown.repeat_interleave(patch_px, dim=1).repeat_interleave(patch_px, dim=2).unsqueeze(1)
    return torch.where(pixels, image, blurred)


def _lost(sight: Sight, heads: Sequence[SliceHead], image: Tensor, blurred: Tensor | None) -> np.ndarray:
    """Score less the score without each patch; without is blurred, or masked where there is no blurred slice."""
    height, width = sight.grid(image)
    alone = torch.eye(height * width, dtype=torch.bool, device=image.device)
    if blurred is None:
        without = sight.vectors(image.expand(len(alone), -1, -1, -1), alone)
    else:
        shown = ~alone.view(-1, height, width)
        without = sight.vectors(composed(image, blurred, shown, sight.patch_px))
    whole = sight.vectors(image)
    return np.stack([head.logits(whole) - head.logits(without) for head in heads]).reshape(
        len(heads), height, width
    )


def _token_maps(sight: Sight, heads: Sequence[SliceHead], image: Tensor, blurred: Tensor) -> np.ndarray:
    seen = image.detach().clone().requires_grad_(True)
    tokens = sight.tokens(seen)
    shape = sight.grid(image)
    maps = []
    for number, head in enumerate(heads):
        _, by_mean, by_max = token_shares(tokens, head)
        of_cls = torch.from_numpy(head.weights[: sight.dim // 3].astype(np.float32)).to(image.device)
        score = (tokens.cls[0].float() * of_cls).sum()
        (slope,) = torch.autograd.grad(score, seen, retain_graph=number + 1 < len(heads))
        maps.append((by_mean + by_max).reshape(shape) + _per_patch(slope * (image - blurred), sight.patch_px))
    return np.stack(maps)


def _integrated(
    sight: Sight, heads: Sequence[SliceHead], image: Tensor, blurred: Tensor, steps: int
) -> np.ndarray:
    total = [np.zeros(sight.grid(image)) for _ in heads]
    for step in range(steps):
        seen = torch.lerp(blurred, image, (step + 0.5) / steps).detach().requires_grad_(True)
        vector = slice_vector(sight.tokens(seen))[0]
        for number, head in enumerate(heads):
            weights = torch.from_numpy(head.weights.astype(np.float32)).to(image.device)
            (slope,) = torch.autograd.grad(
                (vector * weights).sum(), seen, retain_graph=number + 1 < len(heads)
            )
            total[number] += _per_patch(slope * (image - blurred), sight.patch_px) / steps
    return np.stack(total)


def _per_patch(pixels: Tensor, patch_px: int) -> np.ndarray:
    """Sums float64 [h, w] over the patches of [1, 1, s, s]."""
    plain = pixels[0, 0].detach().cpu().numpy().astype(np.float64)
    height, width = plain.shape[0] // patch_px, plain.shape[1] // patch_px
    return plain.reshape(height, patch_px, width, patch_px).sum(axis=(1, 3))
