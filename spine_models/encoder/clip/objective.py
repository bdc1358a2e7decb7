"""The loss of a batch: the variant's pairs, weighed and summed.

Belongs here: from embeddings of all modalities to one number. Does not belong here: networks, the loss of one pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from spine_models.encoder.clip.contrastive import contrastive_loss
from spine_models.encoder.clip.projection import unit
from spine_models.encoder.clip.variants import REPORT, Pair


class Embedded(NamedTuple):
    """Unit vectors float [B, D] and present [B] bool of each modality of the same B studies."""

    vectors: Mapping[str, Tensor]
    present: Mapping[str, Tensor]


class ClipLosses(NamedTuple):
    """The sum that is trained, and each pair's loss before weighing, without gradient."""

    total: Tensor
    by_pair: dict[str, Tensor]


def joined_images(raw: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """One image vector a study: the sum of its present routes' projections, at unit length.

    Args:
        raw: projections [B, D] by route, not normalised; rows of absent routes may hold anything.
        present: [B] bool by route.

    Returns:
        Unit vectors [B, D] and [B] bool, whether the study has a route at all; a row without one is zeros.
    """
    total = sum(raw[route].masked_fill(~present[route][:, None], 0.0) for route in sorted(raw))
    return unit(total), torch.stack([present[route] for route in sorted(raw)]).any(dim=0)


def compared(alike: Tensor, pair: Pair) -> Tensor:
    """The labels of ``alike.likeness`` that matter to a pair: of the patient, and of the report where it has one."""
    return alike if REPORT in pair else alike[:, :1]


def clip_objective(
    embedded: Embedded, scale: Tensor, terms: tuple[Pair, ...], alike: Tensor | None = None
) -> ClipLosses:
    """Sum over pairs of weight times symmetric InfoNCE, over the studies that have both sides of the pair.

    Args:
        embedded: of this rank's studies; every rank brings as many.
        scale: scalar, inverse temperature, one for all pairs.
        terms: of ``variants.pairs``.
        alike: labels [B, 2] of patient and report (``alike.likeness``): studies that share one are not contrasted.
            Equal reports are no reason to leave out a pair of images with images. None contrasts all.

    Raises:
        KeyError: a modality of a pair is not in ``embedded``.
    """
    total = torch.zeros((), device=scale.device)
    by_pair: dict[str, Tensor] = {}
    for pair in terms:
        both = embedded.present[pair.left] & embedded.present[pair.right]
        labels = None if alike is None else compared(alike, pair)
        loss = contrastive_loss(
            embedded.vectors[pair.left], embedded.vectors[pair.right], both, scale, labels
        )
        by_pair[pair.name] = loss.detach()
        total = total + pair.weight * loss
    return ClipLosses(total, by_pair)
