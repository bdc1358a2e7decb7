"""The spreading loss: every image keeps away from its nearest neighbour in the batch.

Belongs here: the differential-entropy estimator. Does not belong here: other uses of CLS tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spine_models.encoder.backbone.distributed import gathered_rows, rank

EPSILON = 1e-8


def koleo_loss(features: Tensor) -> Tensor:
    """Mean of -log(distance to the nearest neighbour + 1e-8) over unit-length features, in float32.

    Kozachenko and Leonenko 1987; as a regulariser Sablayrolles 2019, and DINOv2. One call takes one global crop of
    each image, so two crops of an image are never each other's neighbour. Neighbours are sought over all ranks.

    Args:
        features: [B, D] CLS tokens before the head; the same B on every rank, at least two rows in all.

    Returns:
        A scalar, float32: the mean over this rank's rows.
    """
    with torch.autocast(features.device.type, enabled=False):
        own = functional.normalize(features.float(), dim=-1, eps=EPSILON)
        everyone = gathered_rows(own)
        with torch.no_grad():
            similarity = own @ everyone.T
            start = rank() * own.shape[0]
            similarity[:, start : start + own.shape[0]].fill_diagonal_(-2.0)
            nearest = similarity.argmax(dim=1)
        # pairwise_distance adds epsilon to each difference, which keeps the gradient finite for identical rows.
        distance = functional.pairwise_distance(own, everyone[nearest], p=2.0, eps=EPSILON)
        return -(distance + EPSILON).log().mean()
