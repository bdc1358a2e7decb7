"""The gates of a corpus as a table: which encoder the synthesizer trusts, per series and layer.

Belongs here: running a fused encoder over series and averaging its weights. Does not belong here: reading shards,
reports and figures made of the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.encoder.synthesizer.tables import GATES

CHUNK = 64  # images at a time; bounds memory


class SeriesImages(NamedTuple):
    """One series as the shards store it."""

    series_key: str
    contrast: str | None  # domain.Contrast; None when abstained
    images: np.ndarray  # [n, S, S] uint16


@torch.no_grad()
def gate_table(fused: FusedEncoder, series: Iterable[SeriesImages]) -> pl.DataFrame:
    """Mean weights of every series at every layer.

    Args:
        fused: in eval mode.
        series: one after the other; a series without slices has no rows.

    Returns:
        GATES rows in the order of ``series``, layer after layer.

    Raises:
        ValueError: the encoder is in training mode, or slices are not uint16 [n, S, S].
    """
    if fused.training:
        raise ValueError("gates are exported in eval mode: call eval() or freeze()")
    device = fused.encoders[0].mask_token.device
    frames = [pl.DataFrame(schema=GATES)]
    for series_key, contrast, images in series:
        if images.dtype != np.uint16 or images.ndim != 3:
            raise ValueError(f"slices are uint16 [n, S, S], not {images.dtype} {list(images.shape)}")
        if not len(images):
            continue
        total = torch.zeros(fused.depth, 2, dtype=torch.float64)
        for start in range(0, len(images), CHUNK):
            _, gates = fused.with_gates(fused.images_of(images[start : start + CHUNK]).to(device))
            total += gates.double().sum(dim=0).cpu()
        weight_t1 = (total[:, 0] / len(images)).tolist()
        columns = {
            "series_key": [series_key] * fused.depth,
            "contrast": [contrast] * fused.depth,
            "layer": list(range(fused.depth)),
            "weight_t1": weight_t1,
            "weight_t2": [1.0 - weight for weight in weight_t1],
            "n_slices": [len(images)] * fused.depth,
        }
        frames.append(pl.DataFrame(columns, schema=GATES))
    return pl.concat(frames)
